"""The average prediction of an ensemble's members after every loop.

Side by side from what is kept of the support, or one after another where that is too much.
Shapes: L loops, T targets, q queries, d columns.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.utils import gen_batches
from torch import Tensor

from sklearn_looped.learned.inference import members
from sklearn_looped.learned.inference.batch import QueryBatch
from sklearn_looped.learned.inference.encoding import Array, Support
from sklearn_looped.learned.inference.members import AnyMember, Memories, average, members_of
from sklearn_looped.learned.inference.support import Queries
from sklearn_looped.learned.inference.views import View
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.memory import Step, SupportMemory, memory_of_target
from sklearn_looped.learned.model.network import LoopedNetwork

QUERIES = 4096  # queries that pass together, summed over targets
ANSWERS = 2**24  # numbers of a call's output, over all loops


class Outcome(NamedTuple):
    """The members' average prediction of queries after one loop.

    Attributes
    ----------
    output : ndarray of shape (T, q, n_outputs)
        For regression in units of y, the mean first, then the quantiles in rising order; for
        classification the probability of each class, which is a target.
    leaving : ndarray of shape (q,) or None
        The gate's probability that a query leaves after this loop; None without a gate.
    """

    output: Array
    leaving: Array | None


# ``send(staying)``, a mask (q,), lets the other queries leave the loop.
ByLoop = Generator[Outcome, NDArray[np.bool_] | None, None]


@dataclass
class _Run:
    """The queries of one member on their way through the loop."""

    member: AnyMember
    queries: QueryBatch
    steps: Generator[Step, Tensor | None, None]

    @classmethod
    def start(
        cls, member: AnyMember, queries: QueryBatch, network: LoopedNetwork, kept: SupportMemory
    ) -> "_Run":
        return cls(member, queries, queries.answer(network, kept))

    def step(self, staying: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Answers after one more loop of the queries that stay, and the gate's logits."""
        step = self.steps.send(staying)
        if staying is not None:
            self.queries = self.queries.rows(staying)
        return self.member.decode(step.output, self.queries), step.exit


def side_by_side(memories: Memories, network: LoopedNetwork, X: Queries) -> ByLoop:
    """Run encoded queries through all members that are kept, loop by loop."""
    assert memories.members is not None
    parts = [
        [_Run.start(part, part.queries(X), network, kept) for part, kept in view]
        for view in memories.members
    ]
    importance = [torch.cat([run.member.importance() for run in view]) for view in parts]
    staying: Tensor | None = None
    classifies = network.config.classifies
    for _ in range(memories.n_loops):
        outputs, exits = [], []
        for view in parts:
            found = [run.step(staying) for run in view]
            outputs.append(torch.cat([output for output, _ in found]))
            exits += [end.sigmoid() for _, end in found if end is not None]
        leaving = torch.cat(exits).mean(0).cpu().numpy() if exits else None
        kept = yield Outcome(average(outputs, importance, classifies=classifies).numpy(), leaving)
        staying = None if kept is None else torch.from_numpy(kept)


def replayed(output: Array, leaving: Array | None) -> ByLoop:
    """Yield answers (L, T, q, n_outputs) that are known, and (L, q), as if queries left."""
    inside = np.arange(output.shape[2])
    for loop, answers in enumerate(output):
        exits = None if leaving is None else leaving[loop, inside]
        staying = yield Outcome(answers[:, inside], exits)
        if staying is not None:
            inside = inside[staying]


def queries_at_once(config: NetworkConfig, n_targets: int, n_loops: int) -> int:
    """Count the queries whose answers after every loop are held at a time."""
    return max(1, ANSWERS // (n_loops * n_targets * _n_answers(config)))


def _n_answers(config: NetworkConfig) -> int:
    """Numbers a target: one probability of a classifier's."""
    return 1 if config.classifies else config.n_outputs


def one_by_one(
    views: list[View], support: Support, network: LoopedNetwork, n_loops: int, X: Queries
) -> tuple[Array, Array | None]:
    """Fit and run one member and a few targets after another, keeping nothing but the answers.

    Returns
    -------
    output : ndarray of shape (L, T, q, n_outputs)
        The members' average after every loop.
    leaving : ndarray of shape (L, q) or None
        The gate's mean probability that a query leaves.
    """
    config, n_targets = network.config, support.Y.shape[1]
    output = np.zeros((n_loops, n_targets, len(X), _n_answers(config)))
    leaving = None if network.gate is None else np.zeros((n_loops, len(X)))
    total = np.zeros(n_targets)
    for view in views:
        start = 0
        for member in members_of(view, support, config, n_loops):
            importance = member.importance().numpy()
            part = slice(start, start := start + len(importance))
            total[part] += importance
            for rows, memory in _passes(member, network, n_loops, len(X)):
                queries = member.queries(X[rows])
                for loop, step in enumerate(queries.answer(network, memory)):
                    found = member.decode(step.output, queries).numpy()
                    # Probabilities are averaged by their logarithms.
                    found = np.log(found) if config.classifies else found
                    output[loop, part, rows] += found * importance[:, None, None]
                    if leaving is not None and step.exit is not None:
                        exits = step.exit.sigmoid().cpu().numpy()
                        leaving[loop, rows] += exits.sum(axis=0) / (len(views) * n_targets)
    output /= total[:, None, None]
    return softmax(output, axis=1) if config.classifies else output, leaving


def _passes(
    member: AnyMember, network: LoopedNetwork, n_loops: int, n_queries: int
) -> Iterator[tuple[slice, SupportMemory]]:
    """Yield queries that pass together, with the memory that they pass.

    Keys and values for one batch, or too many of them, cost less when they are computed again.
    """
    n_targets, n_rows = member.support.y.shape
    batches = list(gen_batches(n_queries, max(1, QUERIES // n_targets)))
    size = memory_of_target(network.config, n_rows, n_loops)
    keep = len(batches) > 1 and size <= members.PART
    memory = member.support.remember(network, n_loops) if keep else None
    for rows in batches:
        yield rows, memory or member.support.remember(network, n_loops, stream=True)
