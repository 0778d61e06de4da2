"""The average prediction of an ensemble's members after every loop.

Side by side from what is kept of the support, or one after another where that is too much.
Shapes: L loops, T targets, q queries, d columns.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import gen_batches
from torch import Tensor

from sklearn_looped.core.arrays import Array
from sklearn_looped.learned.inference import members
from sklearn_looped.learned.inference.batch import QueryBatch
from sklearn_looped.learned.inference.left_out import weigh
from sklearn_looped.learned.inference.members import (
    AnyMember,
    Memories,
    combine,
    joined,
    members_of,
)
from sklearn_looped.learned.inference.support import Queries, Support
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
    loop : int
        Its number, from 1 on.
    output : ndarray of shape (T, q, n_outputs)
        For regression in units of y, the mean first, then the quantiles in rising order; for
        classification the probability of each class, which is a target.
    leaving : ndarray of shape (q,) or None
        The gate's probability that a query leaves after this loop; None without a gate.
    enough : ndarray of shape (T,)
        Loop that the errors on the support rows ask for (`left_out.Weighing.enough`).
    """

    loop: int
    output: Array
    leaving: Array | None
    enough: NDArray[np.intp]


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
        cls,
        member: AnyMember,
        queries: QueryBatch,
        network: LoopedNetwork,
        kept: SupportMemory,
        shown: Sequence[int] | None,
    ) -> "_Run":
        return cls(member, queries, queries.answer(network, kept, shown=shown))

    def step(self, staying: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Answers after one more loop of the queries that stay, and the gate's logits."""
        step = self.steps.send(staying)
        if staying is not None:
            self.queries = self.queries.rows(staying)
        return self.member.decode(step.output, self.queries), step.exit


def side_by_side(
    memories: Memories, network: LoopedNetwork, X: Queries, shown: Sequence[int] | None = None
) -> ByLoop:
    """Run encoded queries through the members that are kept, loop by loop.

    Where the only predictions that are asked for are those after some loops, the others are not
    computed, nor is the gate, and members that have no share in them do not run.
    """
    assert memories.members is not None
    loops = range(1, memories.n_loops + 1) if shown is None else shown
    asked = np.ones(len(memories.members), dtype=bool)
    if shown is not None:
        asked = np.any([memories.weighing(loop).shares for loop in shown], axis=(0, 1, 3))
    parts = [
        [_Run.start(part, part.queries(X), network, kept, shown) for part, kept in view]
        for view in compress(memories.members, asked)
    ]
    staying: Tensor | None = None
    classifies, enough = network.config.classifies, memories.enough()
    for loop in loops:
        outputs, exits = [], []
        for view in parts:
            found = [run.step(staying) for run in view]
            outputs.append(torch.cat([output for output, _ in found]))
            exits += [end.sigmoid() for _, end in found if end is not None]
        leaving = torch.cat(exits).mean(0).cpu().numpy() if exits else None
        weighing = memories.weighing(loop)
        weighing = weighing._replace(shares=weighing.shares[:, asked])
        output = combine(outputs, weighing, 0, memories.support, classifies=classifies)
        kept = yield Outcome(loop, output, leaving, enough)
        staying = None if kept is None else torch.from_numpy(kept)


def replayed(output: Array, leaving: Array | None, enough: NDArray[np.intp]) -> ByLoop:
    """Yield answers (L, T, q, n_outputs) that are known, and (L, q), as if queries left."""
    inside = np.arange(output.shape[2])
    for loop, answers in enumerate(output, 1):
        exits = None if leaving is None else leaving[loop - 1, inside]
        staying = yield Outcome(loop, answers[:, inside], exits, enough)
        if staying is not None:
            inside = inside[staying]


def queries_at_once(config: NetworkConfig, n_targets: int, n_members: int, n_loops: int) -> int:
    """Count the queries whose answers of every member and loop are held at a time."""
    return max(1, ANSWERS // (n_members * n_loops * n_targets * _n_answers(config)))


def _n_answers(config: NetworkConfig) -> int:
    """Numbers a target: one probability of a classifier's."""
    return 1 if config.classifies else config.n_outputs


class Answers(NamedTuple):
    """What one member says, after every loop.

    Attributes
    ----------
    output : Tensor of shape (L, T, q, n_outputs)
    left_out : ndarray of shape (L, T, s, 1 or 2) or None
        Its predictions of the support, as `weigh` takes them.
    importance : ndarray of shape (T,)
    """

    output: Tensor
    left_out: Array | None
    importance: Array

    @classmethod
    def of(cls, member: AnyMember, steps: list[Step], queries: QueryBatch) -> "Answers":
        """Decode a member's steps."""
        output = torch.stack([member.decode(step.output, queries) for step in steps])
        left_out = member.left_out(step.left_out for step in steps)
        return cls(output, left_out, member.importance().numpy())

    @classmethod
    def of_targets(cls, parts: Sequence["Answers"]) -> "Answers":
        """Join the answers for some targets after another."""
        outputs, left_out, importance = zip(*parts, strict=True)
        return cls(torch.cat(outputs, 1), joined(left_out), np.concatenate(importance))


def combined(
    members: list[Answers], support: Support, *, classifies: bool
) -> tuple[Array, NDArray[np.intp]]:
    """Average what members say: (L, T, q, n_outputs), and the loop that is enough, (T,)."""
    outputs, left_out, importance = zip(*members, strict=True)
    weighing = weigh(left_out, importance, support, len(outputs[0]))
    by_loop = [
        combine(list(found), weighing, loop, support, classifies=classifies)
        for loop, found in enumerate(zip(*outputs, strict=True))
    ]
    return np.stack(by_loop), weighing.enough()


def one_by_one(
    views: list[View], support: Support, network: LoopedNetwork, n_loops: int, X: Queries
) -> tuple[Array, Array | None, NDArray[np.intp]]:
    """Fit and run one member and a few targets after another, keeping nothing but the answers.

    Returns
    -------
    output : ndarray of shape (L, T, q, n_outputs)
        The members' average after every loop.
    leaving : ndarray of shape (L, q) or None
        The gate's mean probability that a query leaves.
    enough : ndarray of shape (T,)
        As in `Outcome`.
    """
    config = network.config
    leaving = None if network.gate is None else np.zeros((n_loops, len(X)))
    answers = []
    for view in views:
        parts = members_of(view, support, config, n_loops)
        found = [_answers(member, network, n_loops, X, leaving) for member in parts]
        answers.append(Answers.of_targets(found))
    if leaving is not None:
        leaving /= len(views) * support.Y.shape[1]
    output, enough = combined(answers, support, classifies=config.classifies)
    return output, leaving, enough


def _answers(
    member: AnyMember, network: LoopedNetwork, n_loops: int, X: Queries, leaving: Array | None
) -> Answers:
    """Run queries through a member; the gate's probabilities are added to `leaving`."""
    found = []
    for rows, memory in _passes(member, network, n_loops, len(X)):
        queries = member.queries(X[rows])
        steps = list(queries.answer(network, memory))
        found.append(Answers.of(member, steps, queries))
        for loop, step in enumerate(steps):
            if leaving is not None and step.exit is not None:
                leaving[loop, rows] += step.exit.sigmoid().cpu().numpy().sum(axis=0)
    return found[0]._replace(output=torch.cat([answers.output for answers in found], 2))


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
