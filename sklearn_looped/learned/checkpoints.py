"""Checkpoints: safetensors files with the network's configuration in the header.

The shipped ones lie in the folder ``weights`` beside this file, each with a model card, and are
listed in its ``registry.json`` with the sha256 of the file.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save, save_file
from torch import Tensor

from sklearn_looped.learned.network import LoopedNetwork, NetworkConfig

FORMAT = 1  # raised when files written here cannot be read by older versions
WEIGHTS_FOLDER = Path(__file__).parent / "weights"


class CheckpointError(ValueError):
    """A checkpoint file that cannot be used: the message says which, why and what to do."""


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


def _from_bytes(name: str, digest: str, config: NetworkConfig, data: bytes) -> Checkpoint:
    """Rebuild weights that travelled in a pickle."""
    network = LoopedNetwork(config)
    network.load_state_dict(load(data))
    return Checkpoint(name, digest, network.requires_grad_(False).eval(), {})


def _digest(config: str, tensors: dict[str, Tensor]) -> str:
    """Sha256 over the configuration and every tensor's name, type, shape and bytes."""
    sha = hashlib.sha256(config.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


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
    """
    config = json.dumps(asdict(network.config), sort_keys=True)
    tensors = {k: t.detach().cpu().contiguous() for k, t in network.state_dict().items()}
    metadata = {
        "sklearn_looped": str(FORMAT),
        "config": config,
        "digest": _digest(config, tensors),
        "training": json.dumps(training or {}),
    }
    scratch = Path(path).with_suffix(".partial")
    save_file(tensors, scratch, metadata)
    os.replace(scratch, path)


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Header and tensors of a file, refused by name if it is no whole checkpoint of ours."""
    again = "Get the file again, or reinstall sklearn_looped if it came with the package."
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is damaged or no safetensors file ({error}). {again}"
        ) from error
    version = metadata.get("sklearn_looped", "")
    if version.isdecimal() and int(version) > FORMAT:
        raise CheckpointError(
            f"{path} has format {version}, but this version of sklearn_looped reads up to "
            f"{FORMAT}. Upgrade sklearn_looped."
        )
    if not version.isdecimal() or not {"config", "digest", "training"} <= metadata.keys():
        raise CheckpointError(
            f"{path} is a safetensors file, but not a checkpoint of sklearn_looped: its header "
            "names no format. Give a file written by save_checkpoint."
        )
    if _digest(metadata["config"], tensors) != metadata["digest"]:
        raise CheckpointError(f"{path} is damaged: its weights do not match its digest. {again}")
    return metadata, tensors


@lru_cache(maxsize=8)
def _load(path: Path, name: str, stamp: tuple[int, int]) -> Checkpoint:
    """Load a file; `stamp` (size, time of change) makes a changed file load anew."""
    metadata, tensors = _read(path)
    try:
        network = LoopedNetwork(NetworkConfig(**json.loads(metadata["config"])))
        network.load_state_dict(tensors)
        training = json.loads(metadata["training"])
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} does not describe a network that this version of sklearn_looped knows "
            f"({' '.join(str(error).split())}). Use the version that wrote it."
        ) from error
    network.requires_grad_(False)
    return Checkpoint(name, metadata["digest"], network.eval(), training)


def registry() -> dict[str, str]:
    """Names of the shipped weights and the sha256 of their files.

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
        If the name is unknown, or the file missing, damaged, foreign or of a newer format.

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
    if not path.is_file():
        raise CheckpointError(
            f"Got weights={name!r}, but there is no such file and the shipped weights are "
            f"{', '.join(sorted(registered)) or 'none'}. Give one of these names or a path."
        )
    status = path.stat()
    stamp = (status.st_size, status.st_mtime_ns)
    if shipped and _file_sha256(path, stamp) != registered[name]:
        raise CheckpointError(
            f"{path} is not the file that was shipped as {name!r}: its sha256 differs. "
            "Reinstall sklearn_looped."
        )
    return _load(path.resolve(), name, stamp)


@lru_cache(maxsize=8)
def _file_sha256(path: Path, stamp: tuple[int, int]) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
