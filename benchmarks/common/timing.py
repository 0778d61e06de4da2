"""Times of calls, and rates of repeated ones."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

N_REPEATS = 7


class Timed(NamedTuple):
    """What a call returned, and its seconds."""

    result: Any
    cpu: float
    wall: float


def timed(call: Callable[[], Any]) -> Timed:
    """Call once and take the time."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = call()
    return Timed(result, time.process_time() - cpu, time.perf_counter() - wall)


def rates(steps: int, run: Callable[[], object]) -> list[float]:
    """Return `N_REPEATS` rates in steps a CPU second, after a first run that does not count."""
    run()
    return [steps / timed(run).cpu for _ in range(N_REPEATS)]
