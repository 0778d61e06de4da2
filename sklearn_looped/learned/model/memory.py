"""What a loop says of queries; what is kept of a support between calls, and how much of it.

Keys and values of the support at every loop take 2 kB a row, loop, target and member at the width
256; experts take some numbers for every pair of rows. Up to `KEPT` bytes are kept from `fit` on.
Beyond, nothing is: `by_loop.one_by_one` then fits the experts and runs the support again in every
call, so that memory does not grow with loops, classes or members.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from typing import NamedTuple

from torch import Tensor

from sklearn_looped.core.memory import check_memory
from sklearn_looped.learned.model.blocks import WORKSPACE, KeysValues
from sklearn_looped.learned.model.config import NetworkConfig

KEPT = 2**29  # bytes that an estimator keeps
FITTING = 16  # times what fitted experts take, while they are fitted
STATES = 12  # arrays of the size of a state that a pass of the support through a block takes


class Step(NamedTuple):
    """What is known of queries after one loop.

    Attributes
    ----------
    output : Tensor of shape (B, q, n_outputs)
        The readout: mean and quantiles, or the logits of classes.
    exit : Tensor of shape (B, q) or None
        The gate's logit that the loop ends here; None: the network has no gate.
    attention : Tensor of shape (B, h, q, s) or None
        Weights of the queries on the support, of several blocks in the loop one after another;
        None: they were not asked for.
    left_out : Tensor of shape (B, s, n_outputs) or None
        Predictions of the support rows after this loop, as in `LoopMemory`.
    """

    output: Tensor
    exit: Tensor | None
    attention: Tensor | None = None
    left_out: Tensor | None = None


class LoopMemory(NamedTuple):
    """Keys and values of the support at the blocks of one loop, and at those after it.

    Attributes
    ----------
    loop, post : list of KeysValues
        One a block. Blocks behind the loop see the support as this loop leaves it.
    votes : KeysValues or None
        What a classifier's votes on its classes come from.
    left_out : Tensor of shape (B, s, n_outputs) or None
        What a regressor predicts after this loop for the support rows, each without its target;
        None for a network without feedback.
    """

    loop: list[KeysValues]
    post: list[KeysValues]
    votes: KeysValues | None = None
    left_out: Tensor | None = None


class KeptLoops:
    """Loops of a support, each computed when it is first asked for, and kept.

    Parameters
    ----------
    loops : iterable of LoopMemory
        Computes them.
    again : callable
        Returns another such iterable: one that was interrupted has ended.
    """

    def __init__(
        self, loops: Iterable[LoopMemory], again: Callable[[], Iterable[LoopMemory]]
    ) -> None:
        self._kept: list[LoopMemory] = []
        self._coming, self._again = iter(loops), again
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[LoopMemory]:
        """Yield the loops, one after another."""
        for index in count():
            with self._lock:
                if index == len(self._kept) and not self._compute():
                    return
            yield self._kept[index]

    def _compute(self) -> bool:
        """Keep one more loop, if there is one."""
        try:
            self._kept.append(next(self._coming))
        except StopIteration:
            return False
        except BaseException:
            self._coming = islice(self._again(), len(self._kept), None)
            raise
        return True


class SupportMemory(NamedTuple):
    """Keys and values of the support at every block of every loop: all that a query needs.

    Attributes
    ----------
    n_loops : int
    pre : list of KeysValues
        At the blocks before the loop.
    loops : iterable of LoopMemory
        A list, `KeptLoops`, or an iterator that computes each loop while queries pass
        (`stream_support`). There may be more than `n_loops`.
    """

    n_loops: int
    pre: list[KeysValues]
    loops: Iterable[LoopMemory]

    def loop(self, number: int) -> LoopMemory:
        """Return the memory of one loop, from 1 on."""
        return next(islice(self.loops, number - 1, None))

    def first(self, n_loops: int) -> "SupportMemory":
        """Return the memory of the first loops only."""
        return self._replace(n_loops=n_loops)


def memory_of_target(config: NetworkConfig, n_rows: int, n_loops: int) -> int:
    """Bytes of a `SupportMemory` for one target and so many support rows.

    Examples
    --------
    >>> from sklearn_looped.learned.model.memory import memory_of_target
    >>> from sklearn_looped.learned.model.config import NetworkConfig
    >>> memory_of_target(NetworkConfig(width=256), n_rows=1000, n_loops=1)
    2048000
    """
    n_blocks = config.n_pre_blocks + n_loops * (config.n_loop_blocks + config.n_post_blocks)
    n_votes = n_loops * config.votes
    return 4 * (2 * n_blocks + n_votes) * config.width * n_rows * config.tokens_per_row


def memory_of_reader(config: NetworkConfig, n_rows: int, n_columns: int) -> int:
    """Bytes of a fitted `Reader` for one target; `FITTING` times as many while it is fitted.

    Examples
    --------
    >>> from sklearn_looped.learned.model.memory import memory_of_reader
    >>> from sklearn_looped.learned.model.config import NetworkConfig
    >>> memory_of_reader(NetworkConfig(experts=True), n_rows=1000, n_columns=10)
    16080800
    """
    n_pairs = 2 * n_rows**2 + n_columns**2 if config.experts else 0  # two kernel machines, a ridge
    return 8 * (n_rows * n_columns + n_pairs)


def check_support(config: NetworkConfig, n_rows: int, n_columns: int) -> None:
    """Refuse a support of which a single target would need more memory than there is.

    Raises
    ------
    MemoryError
        Before the attempt.
    """
    run = 4 * (STATES * config.width * n_rows + 4 * WORKSPACE)
    check_memory(
        run + FITTING * memory_of_reader(config, n_rows, n_columns),
        f"A support of {n_rows:,} rows and {n_columns:,} columns",
        "Lower max_support" + (" or leave columns out." if config.experts else "."),
    )
