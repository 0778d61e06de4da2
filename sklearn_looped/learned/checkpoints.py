"""Checkpoints: safetensors files with the network's configuration in the header.

The shipped ones lie in the folder ``weights`` beside this file, each with a model card, and are
listed in its ``registry.json`` with the sha256 of the file.

Every file carries a digest of its configuration and weights, checked when it is read: a damaged
file is refused, never half loaded. A digest tells damage, not who wrote a file; but nothing in a
safetensors file is executed, whoever wrote it. Pickles of estimators are another matter: a pickle
runs code by design, and no check here changes that. Load only those that you trust.
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
from torch import Tensor

from sklearn_looped.core.modes import in_own_modes
from sklearn_looped.learned.model.network import LoopedNetwork, NetworkConfig
from sklearn_looped.learned.tensor_files import (
    CheckpointError,
    read_tensors,
    tensor_digest,
    unreadable,
    write_tensors,
)

FORMAT = 1  # raised when files written here cannot be read by older versions
WEIGHTS_FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Checkpoint:
    """A network read from a file.

    Attributes
    ----------
    name : str
        The registered name or the path it was asked for by.
    digest : str
        sha256 of the configuration and every weight, the same wherever the file lies.
    network : LoopedNetwork
        In evaluation mode, on the CPU, float32; shared by all who load it in this process.
    training : dict
        What the file says of its meta-training.
    """

    name: str
    digest: str
    network: LoopedNetwork
    training: dict[str, Any]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle shipped weights by name and digest, others as safetensors bytes."""
        if self.name in registry():
            return _load_same, (self.name, self.digest)
        tensors = {k: t.contiguous() for k, t in self.network.state_dict().items()}
        return _from_bytes, (self.name, self.digest, self.network.config, save(tensors))


def _load_same(name: str, digest: str) -> Checkpoint:
    """Load shipped weights for an unpickled estimator; they must be those it was fitted with."""
    checkpoint = load_checkpoint(name)
    if checkpoint.digest != digest:
        raise CheckpointError(
            f"The estimator was fitted with other weights named {name!r} (digest {digest[:12]}) "
            f"than this version ships ({checkpoint.digest[:12]}). Fit it again."
        )
    return checkpoint


@in_own_modes
def _from_bytes(name: str, digest: str, config: NetworkConfig, data: bytes) -> Checkpoint:
    """Rebuild weights that travelled in a pickle."""
    return Checkpoint(name, digest, _with_weights(config, load(data)), {})


def _with_weights(config: NetworkConfig, tensors: dict[str, Tensor]) -> LoopedNetwork:
    """Network of these weights; shapes are compared before any memory or random number is taken."""
    n_blocks = config.n_pre_blocks + config.n_loop_blocks + config.n_post_blocks
    if n_blocks > len(tensors):
        raise ValueError(f"{n_blocks} blocks, but {len(tensors)} tensors")
    with torch.device("meta"):
        network = LoopedNetwork(config)
    # Copies: what safetensors maps from a file changes with the file.
    network.load_state_dict({name: t.clone() for name, t in tensors.items()}, assign=True)
    return network.requires_grad_(False).eval()


def save_checkpoint(
    network: LoopedNetwork, path: str | os.PathLike[str], training: dict[str, Any] | None = None
) -> None:
    """Write a network to a safetensors file, whole or not at all.

    Parameters
    ----------
    network : LoopedNetwork
        Its weights and configuration are kept, in float32.
    path : path
        File to write; replaced in one move.
    training : dict, default=None
        Facts on the meta-training, kept in the header as JSON.

    Raises
    ------
    OSError
        If the file cannot be written; one that was there before stays as it was.
    """
    config = json.dumps(asdict(network.config), sort_keys=True)
    tensors = {k: t.detach().cpu().float().contiguous() for k, t in network.state_dict().items()}
    metadata = {
        "sklearn_looped": str(FORMAT),
        "config": config,
        "digest": tensor_digest(config, tensors),
        "training": json.dumps(training or {}),
    }
    write_tensors(Path(path), tensors, metadata)


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Header and tensors of a file, refused by name if it is no whole checkpoint of ours."""
    again = (
        "Get the file again; reinstall sklearn_looped if it came with the package, delete it if it "
        "was trained on demand."
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
            "names no format. Give a file written by save_checkpoint."
        )
    if tensor_digest(metadata["config"], tensors) != metadata["digest"]:
        raise CheckpointError(f"{path} is damaged: its weights do not match its digest. {again}")
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32 or not tensor.isfinite().all():
            raise CheckpointError(
                f"{path} holds {name!r} in {tensor.dtype} or with values that are not finite, but "
                "weights are finite float32. Train it again and save it by save_checkpoint."
            )
    return metadata, tensors


@lru_cache(maxsize=8)
@in_own_modes
def _load(path: Path, name: str, stamp: tuple[int, int]) -> Checkpoint:
    """Load a file; `stamp` (size, time of change) makes a changed file load anew."""
    metadata, tensors = _read(path)
    try:
        network = _with_weights(NetworkConfig(**json.loads(metadata["config"])), tensors)
        training = dict(json.loads(metadata["training"]))
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise CheckpointError(
            f"{path} does not describe a network that this version of sklearn_looped knows "
            f"({' '.join(str(error).split())}). Use the version that wrote it."
        ) from error
    return Checkpoint(name, metadata["digest"], network, training)


def registry() -> dict[str, str]:
    """Return the names of the shipped weights and the sha256 of their files.

    Returns
    -------
    digests : dict of str to str

    Examples
    --------
    >>> from sklearn_looped.learned.checkpoints import registry
    >>> "tabular" in registry()
    True
    """
    registered: dict[str, str] = json.loads((WEIGHTS_FOLDER / "registry.json").read_text())
    return registered


def load_checkpoint(name_or_path: str | os.PathLike[str]) -> Checkpoint:
    """Load weights by registered name or from a file; once a process for each file.

    Parameters
    ----------
    name_or_path : str or path
        A name of `registry`, or the path of a file written by `save_checkpoint`.

    Returns
    -------
    Checkpoint

    Raises
    ------
    CheckpointError
        If the name is unknown, or the file missing, one that you have no right to read, damaged,
        foreign, of a newer format, or asking for a network beyond the limits of `NetworkConfig`.

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
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # or no path at all
        raise CheckpointError(
            f"Got weights={name!r}, but there is no such file and the shipped weights are "
            f"{', '.join(sorted(registered)) or 'none'}. Give one of these names or a path."
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
    stamp = (status.st_size, status.st_mtime_ns)
    if shipped and _file_sha256(path, stamp) != registered[name]:
        raise CheckpointError(
            f"{path} is not the file that was shipped as {name!r}: its sha256 differs. "
            "Reinstall sklearn_looped."
        )
    return _load(path.resolve(), name, stamp)


@lru_cache(maxsize=8)
def _file_sha256(path: Path, stamp: tuple[int, int]) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error
