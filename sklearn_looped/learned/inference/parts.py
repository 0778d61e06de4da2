"""Prediction member by member and a few targets at a time, where all at once take much memory.

Shapes: T targets, q queries, d columns.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import gen_batches

from sklearn_looped.learned.inference.encoding import Array, Support
from sklearn_looped.learned.inference.members import Member
from sklearn_looped.learned.inference.views import View
from sklearn_looped.learned.model.memory import FITTING, memory_of_reader, memory_of_target
from sklearn_looped.learned.model.network import LoopedNetwork

PART = 2**27  # bytes of keys and values, and of experts, held at a time
QUERIES = 4096  # queries that pass together, summed over targets
ANSWERS = 2**24  # numbers of a call's output, over all loops


def queries_at_once(network: LoopedNetwork, n_targets: int, n_loops: int) -> int:
    """Count the queries whose answers after every loop are held at a time."""
    return max(1, ANSWERS // (n_loops * n_targets * (1 + network.config.n_quantiles)))


def answers_by_loop(
    views: list[View], support: Support, network: LoopedNetwork, n_loops: int, X: Array
) -> tuple[Array, Array | None]:
    """Mean output of the members after every loop, and the gate's mean probability to leave.

    Returns
    -------
    output : ndarray of shape (n_loops, T, q, n_outputs)
    leaving : ndarray of shape (n_loops, q) or None
    """
    n_targets = support.Y.shape[1]
    output = np.zeros((n_loops, n_targets, len(X), 1 + network.config.n_quantiles))
    leaving = None if network.gate is None else np.zeros((n_loops, len(X)))
    total = np.zeros(n_targets)
    for view in views:
        for part, rows, loop, outcome, exits in _steps(view, support, network, n_loops, X, total):
            output[loop, part, rows] += outcome
            if leaving is not None and exits is not None:
                leaving[loop, rows] += exits.sum(axis=0) / (len(views) * n_targets)
    return output / total[:, None, None], leaving


def members(view: View, support: Support, network: LoopedNetwork, n_loops: int) -> Iterator[Member]:
    """Yield one view's members for a few targets after another."""
    n_rows = len(support.X) if view.rows is None else len(view.rows)
    each = memory_of_target(network.config, n_rows, n_loops)
    each += FITTING * memory_of_reader(network.config, n_rows, len(view.columns))
    n_targets = support.Y.shape[1]
    for part in gen_batches(n_targets, max(1, min(n_targets, PART // each))):
        yield Member.fit(view, support, network.config, part)


def _steps(
    view: View,
    support: Support,
    network: LoopedNetwork,
    n_loops: int,
    X: Array,
    total: Array,
) -> Iterator[tuple[slice, slice, int, Array, NDArray[np.float32] | None]]:
    """Yield targets, queries, loop, output (T', q', n_outputs) and exits (T', q') of each part.

    Outputs are times the member's importance, which is added to `total` (T,).
    """
    start = 0
    for member in members(view, support, network, n_loops):
        n_targets, n_rows = member.y.shape
        part = slice(start, start := start + n_targets)
        importance = member.importance().numpy()
        total[part] += importance
        batches = list(gen_batches(len(X), max(1, QUERIES // n_targets)))
        # Keys and values for one batch, or too many, cost less when they are computed anew.
        keep = len(batches) > 1 and memory_of_target(network.config, n_rows, n_loops) <= PART
        memory = member.remember(network, n_loops) if keep else None
        for rows in batches:
            passing = memory or member.remember(network, n_loops, stream=True)
            for loop, step in enumerate(member.answer(network, passing, X[rows])):
                outcome = member.decode(step.output, network.config.classifies)
                exits = None if step.exit is None else step.exit.sigmoid().cpu().numpy()
                yield part, rows, loop, outcome.numpy() * importance[:, None, None], exits
