"""safetensors files that are written completely or not at all, with a digest of their contents."""

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
    """A checkpoint file cannot be used. The message says which file, why, and what to do."""


def tensor_digest(config: str, tensors: dict[str, Tensor]) -> str:
    """Return the sha256 of the configuration and of every tensor's name, dtype, shape and bytes."""
    sha = hashlib.sha256(config.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        # A tensor of one element may have any stride, for which `view` raises.
        flat = tensor.reshape(-1).clone(memory_format=torch.contiguous_format)
        sha.update(flat.view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file under a temporary name, then rename it, so that it is complete.

    The file has the mode that the umask implies, like any other file of the user. The temporary
    name is random and the file is opened only for exclusive creation, so that it never overwrites a
    file of the user.

    Raises
    ------
    OSError
        If the file cannot be written, for example on a full disk. An existing file is not changed.
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
            f"Could not write {path} ({error}). A file that was there before is untouched. "
            f"{advice_on_writing(error)}"
        ) from error


def remove_scratch(path: Path) -> None:
    """Remove temporary files that killed writers of `path` left behind.

    Call it only if no other process writes to `path`.
    """
    for scratch in path.parent.glob(f".{path.name}.{'[0-9a-f]' * 32}{SCRATCH}"):
        with suppress(OSError):
            scratch.unlink()


def advice_on_writing(error: OSError) -> str:
    """Say what to do about a file or folder that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "Free space there, or choose another folder."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "You have no permission to write there: change it, or choose a folder of your own."
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "There is no such folder: create it, or choose another one."
    return "Free space there, or choose a folder that is writable."


def read_tensors(path: Path, advice: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return the metadata and tensors of a safetensors file.

    Raises
    ------
    CheckpointError
        If the file cannot be opened, whatever its contents; or if it is not a complete safetensors
        file, in which case the message ends with `advice`.
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
            f"{path} is damaged or not a safetensors file ({error}). {advice}"
        ) from error


def unreadable(path: Path, error: OSError) -> CheckpointError:
    """Return the error to raise for a file that cannot be opened, whatever its contents."""
    advice = (
        "You have no permission to read it: change its mode or that of its folder, or ask its "
        "owner."
        if isinstance(error, PermissionError)
        else "Pass the path of a readable file."
    )
    return CheckpointError(f"{path} could not be opened ({error.strerror or error}). {advice}")
