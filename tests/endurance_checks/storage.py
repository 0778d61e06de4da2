"""Disks that are full and folders that cannot be written to."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from endurance_checks.kills import NETWORK, recipe, same_end
from sklearn_looped.learned.checkpoints import WEIGHTS_FOLDER, load_checkpoint, save_checkpoint
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.priors import LinearPrior
from sklearn_looped.learned.training.metatrain import meta_train

N_STEPS, STOP_AT = 20, 8
READ_ONLY = Path(__file__).with_name("read_only.py")
CAPTURED: dict[str, Any] = {"capture_output": True, "text": True}


class Stopped(LinearPrior):
    """A prior that stops the run, as from the keyboard, before a step."""

    def __init__(self) -> None:
        super().__init__()
        self._left = STOP_AT

    def sample(self, generator: Generator, *sizes: int) -> tuple[Tensor, Tensor]:
        """Draw tables, or stop."""
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        return super().sample(generator, *sizes)


Stopped.__qualname__ = LinearPrior.__qualname__  # the state is that of the plain prior


def train(folder: Path, prior: LinearPrior | None = None) -> None:
    meta_train(NETWORK, prior or LinearPrior(), recipe(N_STEPS), folder=folder, save_every=0.0)


@contextmanager
def file_size_limit(path: Path) -> Iterator[None]:
    """No file may grow to the size of `path`: the kernel refuses the write (EFBIG)."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def no_room(path: Path) -> Iterator[None]:
    """Fill the file system of `path` but for half of its size (ENOSPC)."""
    usage, filler = os.statvfs(path), path.with_name("filler")
    free = usage.f_bavail * usage.f_frsize - path.stat().st_size // 2
    filler.write_bytes(bytes(free))
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a file system of 4 MB at the folder; False where only root may."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def refused(path: Path, full: Callable[[Path], Any], job: Callable[[], Any]) -> str:
    """Say what is wrong with a write that must fail; nothing if all is as promised."""
    before = path.read_bytes()
    with full(path):
        try:
            job()
        except OSError as error:
            if str(path) not in str(error) or "untouched" not in str(error):
                return f"unclear: {error}"
        else:
            return "no error"
        if list(path.parent.glob("*.partial")) + list(path.parent.glob(".*.partial")):
            return "a partial file stays"
    return "" if path.read_bytes() == before else "the file changed"


def write_on(folder: Path, full: Callable[[Path], Any], unbroken: Path) -> list[str]:
    """Save a state and a checkpoint where there is no room, then go on where there is."""
    faults = []
    try:
        train(folder, Stopped())
    except KeyboardInterrupt:
        faults.append(refused(folder / "state.safetensors", full, lambda: train(folder)))
    train(folder)
    faults.append("" if same_end(unbroken, folder) else "the resumed run ends elsewhere")
    network, path = LoopedNetwork(NETWORK), folder / "mine.safetensors"
    save_checkpoint(network, path)
    digest = load_checkpoint(path).digest
    faults.append(refused(path, full, lambda: save_checkpoint(network, path)))
    faults.append("" if load_checkpoint(path).digest == digest else "other weights")
    return [fault for fault in faults if fault]


def full_disk(folder: Path) -> dict[str, Any]:
    """no room while a run saves its state, and while weights are saved."""
    torch.set_num_threads(1)
    train(folder / "unbroken")
    faults = write_on(folder / "limited", file_size_limit, folder / "unbroken")
    ways = ["limit on the size of files"]
    with small_disk(folder / "small") as mounted:
        if mounted:
            ways.append("full tmpfs")
            faults += write_on(folder / "small" / "run", no_room, folder / "unbroken")
    said = "clear error, last state and weights untouched, run resumed to the same bits"
    outcome = f"{' and '.join(ways)}: {'; '.join(faults) or said}"
    return {"trials": 2 * len(ways), "outcome": outcome, "broken": len(faults), "notes": {}}


def read_only(folder: Path) -> dict[str, Any]:
    """weights, home and cache that cannot be written to."""
    places = {name: folder / name for name in ("home", "cache")}
    for place in places.values():
        place.mkdir(parents=True)
    shutil.copytree(WEIGHTS_FOLDER, folder / "weights")
    environment = {**os.environ, "HOME": str(places["home"]), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["SKLEARN_LOOPED_CACHE"] = str(places["cache"])
    command = [sys.executable, str(READ_ONLY), str(folder / "weights")]
    subprocess.run([*command, "train"], check=True, env=environment)
    parts = (folder, *folder.rglob("*"))
    for part in parts:
        part.chmod(0o555 if part.is_dir() else 0o444)
    try:
        run = subprocess.run([*as_user(), *command, "check"], env=environment, **CAPTURED)
    finally:
        for part in parts:
            part.chmod(0o755)
    faults = [line for line in run.stdout.splitlines() if line.startswith("not")]
    if run.returncode:
        faults.append(run.stderr[-300:])
    said = "; ".join(faults) or ", ".join(run.stdout.splitlines())
    return {"trials": 5, "outcome": said, "broken": len(faults), "notes": {}}


def as_user() -> list[str]:
    """Command that takes from root the right to write where the permissions forbid it."""
    rights = "-dac_override,-dac_read_search"
    return ["setpriv", "--bounding-set", rights] if os.geteuid() == 0 else []
