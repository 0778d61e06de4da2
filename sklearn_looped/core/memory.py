"""The memory limit of this process, checked before work that needs much memory."""

import os
from contextlib import suppress
from pathlib import Path


def memory_limit() -> int | None:
    """Return the most bytes that this process can have, or None if the system does not say.

    It is the smallest limit of the machine, its container and ``ulimit -v``. Windows reports none.

    Returns
    -------
    limit : int or None

    Examples
    --------
    >>> from sklearn_looped.core.memory import memory_limit
    >>> limit = memory_limit()
    >>> limit is None or limit > 2**20
    True
    """
    limits = []
    with suppress(AttributeError, ValueError, OSError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(ValueError, OSError):  # "max" where the container has no limit
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    with suppress(ImportError):  # Windows
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            limits.append(soft)
    return min(limits, default=None)


def check_memory(n_bytes: float, what: str, advice: str) -> None:
    """Raise before work that would need more memory than this process can have.

    Parameters
    ----------
    n_bytes : float
        Approximate number of bytes needed.
    what : str
        What needs them: the start of the message.
    advice : str
        What to do about it: the end of the message.

    Raises
    ------
    MemoryError
        If `memory_limit` is below `n_bytes`.

    Examples
    --------
    >>> from sklearn_looped.core.memory import check_memory
    >>> check_memory(1e18, "Counting all stars", "Count fewer.")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    MemoryError: Counting all stars needs about 1,000,000,000.0 GB of memory, more than ...
    """
    limit = memory_limit()
    if limit is not None and n_bytes > limit:
        raise MemoryError(
            f"{what} needs about {n_bytes / 1e9:,.1f} GB of memory, more than the "
            f"{limit / 1e9:,.1f} GB available. {advice}"
        )
