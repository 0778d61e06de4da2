"""Choice of device, precision and random generator."""

import numpy as np
import torch


def choose_device(device: str) -> torch.device:
    """Turn a device name into a device that this machine has.

    Parameters
    ----------
    device : str
        "auto" (a CUDA device if there is one, otherwise the CPU) or the name of a torch device,
        such as "cpu" or "cuda:1".

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
        raise ValueError(f"Got device={device!r}, which is not a torch device. {advice}") from error
    try:
        torch.empty(0, device=chosen).cpu()  # nothing comes back from "meta"
    except (AssertionError, RuntimeError, NotImplementedError) as error:
        raise ValueError(
            f"Got device={device!r}, which this machine does not have. {advice}"
        ) from error
    return chosen


def training_dtype(device: torch.device) -> torch.dtype:
    """Return the dtype of matrix products in meta-training: bfloat16 if the device has it.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    torch.dtype
        torch.bfloat16 or torch.float32.

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
    """Return a CPU generator that is seeded by integers, such as (seed, step).

    Different tuples give independent streams, so that a stream of prompts can be resumed at any
    step.

    Parameters
    ----------
    *seed : int

    Returns
    -------
    torch.Generator

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
