"""Calls side by side, in threads that share those of torch.

Small operations gain little from several threads of torch, calls that are independent nearly all.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

import torch

from sklearn_looped.core.modes import in_own_modes

Result = TypeVar("Result")
_setting = Lock()


def in_threads(calls: Sequence[Callable[[], Result]], most: int | None = None) -> Iterator[Result]:
    """Yield the results of calls, in order; each runs in `own_modes`.

    As many run at a time as torch has threads, and each has an equal share of these, so that no
    more threads run than otherwise. In one of them, as with one thread of torch, calls run one
    after another.

    Parameters
    ----------
    calls : sequence of callable
    most : int or None, default=None
        Calls at a time; None: no limit.

    Examples
    --------
    >>> from sklearn_looped.core.threads import in_threads
    >>> list(in_threads([lambda: 1, lambda: 2]))
    [1, 2]
    """
    n_threads = torch.get_num_threads()
    n_workers = min(n_threads, len(calls), len(calls) if most is None else max(1, most))
    if n_workers < 2:
        yield from (_called(call) for call in calls)
        return
    share = n_threads // n_workers
    with (
        ThreadPoolExecutor(1) as other,
        ThreadPoolExecutor(n_workers, "side by side", _take, (share, other)) as pool,
    ):
        yield from pool.map(_called, calls)


def _take(share: int, other: ThreadPoolExecutor) -> None:
    """Set the number of torch's threads for this thread, and for no thread that starts later.

    Those take the number that was set last, in whichever thread, when they first use torch. So the
    other thread, which took it before, sets it again.
    """
    with _setting:
        common = other.submit(torch.get_num_threads).result()
        torch.get_num_threads()  # or the first use would replace the share
        torch.set_num_threads(share)
        other.submit(torch.set_num_threads, common).result()


@in_own_modes
def _called(call: Callable[[], Result]) -> Result:
    return call()
