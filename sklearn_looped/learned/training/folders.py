"""The folder of a meta-training run, which one run writes to at a time."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sklearn_looped.core.processes import Processes
from sklearn_looped.learned.tensor_files import advice_on_writing, remove_scratch

LOCK, HOLDER = "training.lock", "training.json"


@contextmanager
def folder_of_one_run(state: Path | None, processes: Processes) -> Iterator[None]:
    """Keep every other run out of the folder that `state` lies in, and make it if need be.

    The first of several processes that train one network holds the folder for all of them. The
    operating system lets go of it when the holder ends, however it ends. Without a right to
    write there nothing is held, since nothing can be written: a finished run can still be read.

    Parameters
    ----------
    state : Path or None
        File that the run saves to; None: nothing is saved, and nothing held.
    processes : Processes
        Those that train together.

    Raises
    ------
    OSError
        In all of the processes, if another run holds the folder, or there is neither a state nor
        a right to write one.
    """
    if state is None:
        yield
        return
    lock, refusal = None, None
    if processes.rank == 0:
        try:
            lock = _hold(state)
        except OSError as error:
            refusal = error
    refusal = processes.gather(refusal)[0]
    if refusal is not None:
        raise refusal
    try:
        yield
    finally:
        if lock is not None:
            with suppress(OSError):
                (state.parent / HOLDER).unlink()
            lock.release()


def _hold(state: Path) -> Any:
    """Take the lock and say who holds it; None where nothing can be written to a known state."""
    folder = state.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire(timeout=0)
    except NotImplementedError:  # a file system without locks, and an older filelock
        return None
    except (Timeout, RuntimeError) as error:  # held by another process, or by this very thread
        raise BlockingIOError(
            f"Another training holds the folder {folder} ({_holder(folder)}). Wait for its end, "
            "or give another folder."
        ) from error
    except OSError as error:
        if state.exists():
            return None
        raise OSError(
            f"Could not keep a run in {folder} ({error}). {advice_on_writing(error)}"
        ) from error
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    holder = {"process": os.getpid(), "host": socket.gethostname(), "since": since}
    with suppress(OSError):  # a full disk: the run may still be read
        (folder / HOLDER).write_text(json.dumps(holder), encoding="utf-8")
    remove_scratch(state)
    return lock


def _holder(folder: Path) -> str:
    try:
        holder = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return "process {process} on {host}, since {since}".format_map(holder)
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that has not said its number"
