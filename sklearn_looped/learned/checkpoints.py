"""Checkpoints: safetensors files with the configuration of the network in the header.

The shipped checkpoints are in the folder ``weights`` beside this file, each with a model card, and
``registry.json`` lists the sha256 of each file.

Every file contains a digest of its configuration and weights, which is checked when the file is
read: a damaged file raises an error and is never loaded in part. A digest detects damage, not who
wrote a file, but nothing in a safetensors file is executed. Pickles of estimators are different: a
pickle can run code by design, and no check here changes that. Load only pickles that you trust.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from sklearn_looped.core.modes import in_own_modes
from sklearn_looped.learned.model.causal import CausalConfig
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.language import LanguageConfig
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.tensor_files import (
    CheckpointError,
    read_tensors,
    tensor_digest,
    unreadable,
    write_tensors,
)

FORMAT = 1  # increased when older versions cannot read the files that this version writes
ARCHITECTURES: dict[str, Any] = {  # by the name that a file's configuration gives
    "set": NetworkConfig,
    "causal": CausalConfig,
    "language": LanguageConfig,
}
PRECISIONS = (torch.float32, torch.float16)
WEIGHTS_FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Checkpoint:
    """A network read from a file.

    Parameters
    ----------
    name : str
        The registered name or the path by which it was loaded.
    digest : str
        sha256 of the configuration and all weights, independent of the location of the file.
    network : LoopedNetwork, or a CausalNetwork or LoopedLanguageModel
        In evaluation mode, on the CPU, in float32. All who load it in this process share it.
    training : dict
        What the file says about its meta-training.
    """

    name: str
    digest: str
    network: LoopedNetwork
    training: dict[str, Any]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle shipped weights as their name and digest, other weights as safetensors bytes."""
        if self.name in registry():
            return _load_same, (self.name, self.digest)
        tensors = {k: t.contiguous() for k, t in self.network.state_dict().items()}
        return _from_bytes, (self.name, self.digest, self.network.config, save(tensors))


def _load_same(name: str, digest: str) -> Checkpoint:
    """Load shipped weights for an unpickled estimator, which must be those of its `fit`."""
    checkpoint = load_checkpoint(name)
    if checkpoint.digest != digest:
        raise CheckpointError(
            f"The estimator was fitted with other weights named {name!r} (digest {digest[:12]}) "
            f"than this version ships ({checkpoint.digest[:12]}). Fit it again."
        )
    return checkpoint


@in_own_modes
def _from_bytes(name: str, digest: str, config: NetworkConfig, data: bytes) -> Checkpoint:
    """Restore weights from the bytes in a pickle."""
    return Checkpoint(name, digest, _with_weights(config, load(data)), {})


def _with_weights(config: NetworkConfig, tensors: dict[str, Tensor]) -> LoopedNetwork:
    """Return a network with these weights; shapes are compared before memory is allocated."""
    if config.n_blocks > len(tensors):
        raise ValueError(f"{config.n_blocks} blocks, but {len(tensors)} tensors")
    with torch.device("meta"):  # a CausalNetwork answers the calls of estimators too
        network = config.build()
    # Copies, because tensors that safetensors maps from a file change with the file.
    network.load_state_dict({name: t.clone() for name, t in tensors.items()}, assign=True)
    return network.requires_grad_(False).eval()


def save_checkpoint(
    network: nn.Module,
    path: str | os.PathLike[str],
    training: dict[str, Any] | None = None,
    *,
    half: bool = False,
) -> None:
    """Write a network to a safetensors file, completely or not at all.

    Parameters
    ----------
    network : LoopedNetwork, CausalNetwork or LoopedLanguageModel
        Its configuration and its weights are saved.
    path : path
        File to write. An existing file is replaced in one step.
    training : dict, default=None
        Facts about the meta-training, saved in the header as JSON.
    half : bool, default=False
        Whether weights are rounded to float16, which halves the file. They are loaded as float32.

    Raises
    ------
    OSError
        If the file cannot be written. An existing file is not changed.
    ValueError
        If `half` and a weight is beyond 65,504, the largest number of float16.
    """
    shape: Any = network.config
    fields = asdict(shape)
    if type(shape) is not NetworkConfig:  # the one that files without a name have
        fields["architecture"] = {kind: n for n, kind in ARCHITECTURES.items()}[type(shape)]
    config = json.dumps(fields, sort_keys=True)
    dtype = torch.float16 if half else torch.float32
    tensors = {k: t.detach().cpu().to(dtype).contiguous() for k, t in network.state_dict().items()}
    if half and (lost := [k for k, t in tensors.items() if t.isinf().any()]):
        raise ValueError(
            f"{lost[0]} has numbers beyond 65,504, the largest of float16. Save with half=False."
        )
    metadata = {
        "sklearn_looped": str(FORMAT),
        "config": config,
        "digest": tensor_digest(config, tensors),
        "training": json.dumps(training or {}),
    }
    write_tensors(Path(path), tensors, metadata)


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return the header and tensors of a file; raise if it is not a complete checkpoint."""
    again = (
        "Get the file again: reinstall sklearn_looped if it came with the package, or delete it if "
        "it was trained on demand."
    )
    metadata, tensors = read_tensors(path, again)
    version = metadata.get("sklearn_looped", "")
    numbered = version.isdecimal() and len(version) < 10
    if numbered and int(version) > FORMAT:
        raise CheckpointError(
            f"{path} has format {version}, but this version of sklearn_looped reads up to "
            f"{FORMAT}. Upgrade sklearn_looped."
        )
    if not numbered or not {"config", "digest", "training"} <= metadata.keys():
        raise CheckpointError(
            f"{path} is a safetensors file, but not a checkpoint of sklearn_looped: its header "
            "names no format. Pass a file that save_checkpoint has written."
        )
    if tensor_digest(metadata["config"], tensors) != metadata["digest"]:
        raise CheckpointError(f"{path} is damaged: its weights do not match its digest. {again}")
    for name, tensor in tensors.items():
        if tensor.dtype not in PRECISIONS or not tensor.isfinite().all():
            raise CheckpointError(
                f"{path} contains {name!r} in {tensor.dtype} or with values that are not finite, "
                "but weights are finite float32, or float16. Train again and save with "
                "save_checkpoint."
            )
    return metadata, {name: tensor.float() for name, tensor in tensors.items()}


@lru_cache(maxsize=8)
@in_own_modes
def _load(path: Path, name: str, stamp: tuple[int, int]) -> Checkpoint:
    """Load a file; `stamp` (size, time of change) makes a changed file load again."""
    metadata, tensors = _read(path)
    try:
        fields = dict(json.loads(metadata["config"]))
        config = ARCHITECTURES[fields.pop("architecture", "set")](**fields)
        network = _with_weights(config, tensors)
        training = dict(json.loads(metadata["training"]))
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise CheckpointError(
            f"{path} does not describe a network that this version of sklearn_looped can build "
            f"({' '.join(str(error).split())}). Use the version that wrote it."
        ) from error
    return Checkpoint(name, metadata["digest"], network, training)


def registry() -> dict[str, str]:
    """Return the names of the shipped weights and the sha256 of their files.

    Returns
    -------
    registered : dict of str to str

    Examples
    --------
    >>> from sklearn_looped.learned.checkpoints import registry
    >>> "tabular" in registry()
    True
    """
    registered: dict[str, str] = json.loads((WEIGHTS_FOLDER / "registry.json").read_text())
    return registered


def load_checkpoint(name_or_path: str | os.PathLike[str]) -> Checkpoint:
    """Load weights by registered name or from a file; each file is read once per process.

    Parameters
    ----------
    name_or_path : str or path
        A name in `registry`, or the path of a file that `save_checkpoint` has written.

    Returns
    -------
    Checkpoint

    Raises
    ------
    CheckpointError
        If the name is unknown, or the file is missing, not readable by this user, damaged, not a
        checkpoint, of a newer format, or describes a network beyond the limits of `NetworkConfig`.

    Examples
    --------
    >>> from sklearn_looped.learned.checkpoints import load_checkpoint
    >>> load_checkpoint("tabular").network.config.n_features
    32
    """
    name = os.fspath(name_or_path)
    registered = registry()
    shipped = name in registered
    path = WEIGHTS_FOLDER / f"{name}.safetensors" if shipped else Path(name)
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # or not a path
        raise CheckpointError(
            f"Got weights={name!r}, but there is no such file and the shipped weights are "
            f"{', '.join(sorted(registered)) or 'none'}. Pass one of these names or a path."
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
    stamp = (status.st_size, status.st_mtime_ns)
    if shipped and _file_sha256(path, stamp) != registered[name]:
        raise CheckpointError(
            f"{path} is not the file that was shipped as {name!r}: its sha256 is different. "
            "Reinstall sklearn_looped."
        )
    return _load(path.resolve(), name, stamp)


@lru_cache(maxsize=8)
def _file_sha256(path: Path, stamp: tuple[int, int]) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error
