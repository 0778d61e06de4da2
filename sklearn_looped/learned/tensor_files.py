"""safetensors files, written whole or not at all, with a digest of what they hold."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


class CheckpointError(ValueError):
    """A checkpoint file that cannot be used: the message says which, why and what to do."""


def tensor_digest(config: str, tensors: dict[str, Tensor]) -> str:
    """Sha256 over the configuration and every tensor's name, type, shape and bytes."""
    sha = hashlib.sha256(config.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        # A single number may keep any stride, which `view` would refuse.
        flat = tensor.reshape(-1).clone(memory_format=torch.contiguous_format)
        sha.update(flat.view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file beside the last one, then move it over that: whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written, as on a full disk; the file that was there before stays.
    """
    scratch = path.with_suffix(".partial")
    try:
        save_file(tensors, scratch, metadata)
        os.replace(scratch, path)
    except (SafetensorError, OSError) as error:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise OSError(
            f"Could not write {path} ({error}). What was there before is untouched. Free space "
            "there, or give a folder that can be written to."
        ) from error


def read_tensors(path: Path, advice: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return the metadata and tensors of a safetensors file.

    Raises
    ------
    CheckpointError
        If it is none, or not whole; the message ends with the advice.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is damaged or no safetensors file ({error}). {advice}"
        ) from error
