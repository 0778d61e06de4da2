"""safetensors files, written whole or not at all, with a digest of what they hold."""

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

SCRATCH = ".partial"


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

    The file has the mode that the umask asks for, as any file of the user's has. The scratch
    file's name is drawn anew, and it is created, never opened, so that it can be no file of
    the user's.

    Raises
    ------
    OSError
        If it cannot be written, as on a full disk; the file that was there before stays.
    """
    data = save(tensors, metadata)
    scratch = path.with_name(f".{path.name}.{uuid4().hex}{SCRATCH}")
    try:
        with scratch.open("xb") as file:
            file.write(data)
        os.replace(scratch, path)
    except BaseException as error:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise OSError(
            f"Could not write {path} ({error}). What was there before is untouched. "
            f"{advice_on_writing(error)}"
        ) from error


def remove_scratch(path: Path) -> None:
    """Remove scratch files that writers of `path` left when they were killed.

    Only for one that knows that nobody else writes to `path`.
    """
    for scratch in path.parent.glob(f".{path.name}.{'[0-9a-f]' * 32}{SCRATCH}"):
        with suppress(OSError):
            scratch.unlink()


def advice_on_writing(error: OSError) -> str:
    """Say what to do about a file or folder that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "Free space there, or give another folder."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "You have no right to write there: change it, or give a folder of your own."
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "There is no such folder: make it, or give another one."
    return "Free space there, or give a folder that can be written to."


def read_tensors(path: Path, advice: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return the metadata and tensors of a safetensors file.

    Raises
    ------
    CheckpointError
        If it cannot be opened, which says nothing of what it holds; or if it is no safetensors
        file or not whole, where the message ends with the advice.
    """
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is damaged or no safetensors file ({error}). {advice}"
        ) from error


def unreadable(path: Path, error: OSError) -> CheckpointError:
    """Return the error to raise for a file that cannot be opened, whatever it holds."""
    advice = (
        "You have no right to read it: change its mode or that of its folder, or ask its owner."
        if isinstance(error, PermissionError)
        else "Give the path of a file that can be read."
    )
    return CheckpointError(f"{path} could not be opened ({error.strerror or error}). {advice}")
