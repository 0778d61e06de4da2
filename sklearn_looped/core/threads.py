"""Calls side by side, in threads that share those of torch.

Small operations gain little from several threads of torch, calls that are independent nearly all.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from sklearn_looped.core.modes import in_own_modes

Result = TypeVar("Result")


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
    try:
        # The number is a thread's own, but threads that start later take the last one that was set.
        with ThreadPoolExecutor(n_workers, "side by side", torch.set_num_threads, (share,)) as pool:
            yield from pool.map(_called, calls)
    finally:
        torch.set_num_threads(n_threads)


@in_own_modes
def _called(call: Callable[[], Result]) -> Result:
    return call()
