"""What is kept of a support between calls, and how much of it.

Keys and values of the support at every loop take 2 kB a row, loop, target and member at the width
256. Up to `KEPT` bytes are kept from `fit` on. Beyond, nothing is: `parts.predict_in_parts` then
runs the support again in every call, so that memory does not grow with loops, classes or members.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

from sklearn_looped.core.memory import check_memory
from sklearn_looped.learned.blocks import WORKSPACE, KeysValues

KEPT = 2**29  # bytes that an estimator keeps
STATES = 12  # arrays of the size of a state that a pass of the support through a block takes


class SupportMemory(NamedTuple):
    """Keys and values of the support at every block of every loop: all that a query needs.

    Lists, or iterators where they are computed while queries pass (`stream_support`).
    """

    pre: list[KeysValues]
    loops: Iterable[list[KeysValues]]
    post: Iterable[list[KeysValues]]

    def first(self, n_loops: int) -> "SupportMemory":
        """Return the memory of the first loops only."""
        return SupportMemory(self.pre, *(list(islice(part, n_loops)) for part in self[1:]))


class Memories(NamedTuple):
    """What an ensemble keeps of its support for so many loops; None: nothing, it is too much."""

    n_loops: int
    members: list[SupportMemory] | None

    def first(self, n_loops: int) -> "Memories":
        """Return the memories of the first loops only."""
        members = self.members
        if members is not None:
            members = [member.first(n_loops) for member in members]
        return Memories(n_loops, members)


def memory_of_target(config: Any, n_rows: int, n_loops: int) -> int:
    """Bytes of a `SupportMemory` for one target and so many support rows.

    Examples
    --------
    >>> from sklearn_looped.learned.memory import memory_of_target
    >>> from sklearn_looped.learned.network import NetworkConfig
    >>> memory_of_target(NetworkConfig(width=256), n_rows=1000, n_loops=1)
    2048000
    """
    n_blocks = config.n_pre_blocks + n_loops * (config.n_loop_blocks + config.n_post_blocks)
    return 4 * 2 * config.width * n_blocks * n_rows


def check_support(config: Any, n_rows: int) -> None:
    """Refuse a support whose single pass would need more memory than there is.

    Raises
    ------
    MemoryError
        Before the attempt.
    """
    check_memory(
        4 * (STATES * config.width * n_rows + 4 * WORKSPACE),
        f"A support of {n_rows:,} rows",
        "Lower max_support.",
    )
