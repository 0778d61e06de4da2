"""Choice of device, precision and random generator."""

import numpy as np
import torch


def choose_device(device: str) -> torch.device:
    """Turn a device name into a device that is there.

    Parameters
    ----------
    device : str
        "auto" (a CUDA device where there is one, else the CPU) or a torch device name such as
        "cpu" or "cuda:1".

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If the name is unknown or this machine has no such device.

    Examples
    --------
    >>> from sklearn_looped.core.device import choose_device
    >>> choose_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    advice = "Use 'auto', 'cpu', 'cuda' or 'cuda:N'."
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"Got device={device!r}, which torch does not know. {advice}") from error
    try:
        torch.empty(0, device=chosen)
    except (AssertionError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"Got device={device!r}, which this machine lacks. {advice}") from error
    return chosen


def training_dtype(device: torch.device) -> torch.dtype:
    """Precision of the matrix products in meta-training: bfloat16 where the hardware has it.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.core.device import training_dtype
    >>> training_dtype(torch.device("cpu")) in (torch.bfloat16, torch.float32)
    True
    """
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def seeded_generator(*seed: int) -> torch.Generator:
    """Return a CPU generator seeded by whole numbers, such as (seed, step).

    Different tuples give independent streams, which is what makes a stream of prompts resumable.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.core.device import seeded_generator
    >>> first, again = (torch.randn(2, generator=seeded_generator(0, 7)) for _ in range(2))
    >>> bool((first == again).all())
    True
    """
    state = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state))
