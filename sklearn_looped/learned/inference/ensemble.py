"""An ensemble over views of one support: in-context inference for many queries."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_looped.core.modes import in_own_modes
from sklearn_looped.learned.inference import parts
from sklearn_looped.learned.inference.encoding import Array, Support
from sklearn_looped.learned.inference.members import Memories, average
from sklearn_looped.learned.inference.views import View
from sklearn_looped.learned.model.memory import (
    KEPT,
    check_support,
    memory_of_reader,
    memory_of_target,
)
from sklearn_looped.learned.model.network import LoopedNetwork

CHUNK = 1024  # queries at a time, summed over targets: bounds the memory of a prediction


class Outcome(NamedTuple):
    """What the members say of queries after one loop, on average.

    Attributes
    ----------
    output : ndarray of shape (T, q, n_outputs)
        For regression in units of y, the mean first, then the quantiles in rising order; for
        classification the probability of the label 1.
    leaving : ndarray of shape (q,) or None
        The gate's probability that a query leaves after this loop; None without a gate.
    """

    output: Array
    leaving: Array | None


ByLoop = Generator[Outcome, NDArray[np.bool_] | None, None]


@dataclass
class SupportEnsemble:
    """Views of one support; a target is a table of a batch.

    Networks passed in are those of `load_checkpoint`, whose weights ask for no gradients.

    Attributes
    ----------
    support : Support
        Encoded, with T targets.
    views : list of View
    """

    support: Support
    views: list[View]

    @in_own_modes
    def remember(
        self, network: LoopedNetwork, n_loops: int, known: Memories | None = None
    ) -> Memories:
        """Run the support through the network, once a view; keep what it takes if it is little.

        Parameters
        ----------
        network : LoopedNetwork
        n_loops : int
        known : Memories, default=None
            Those of fewer loops, whose members are taken over.

        Raises
        ------
        MemoryError
            If a single pass would need more memory than there is.
        """
        config, n_rows = network.config, len(self.support.X)
        sizes = [(n_rows if v.rows is None else len(v.rows), len(v.columns)) for v in self.views]
        check_support(config, *map(max, zip(*sizes, strict=True)))
        read = [memory_of_reader(config, *size) for size in sizes]
        run = [memory_of_target(config, rows, n_loops) for rows, _ in sizes]
        if self.support.Y.shape[1] * (sum(read) + sum(run)) > KEPT:
            return Memories(n_loops, None)
        if known is None or known.members is None:
            members = [parts.members(v, self.support, network, n_loops) for v in self.views]
        else:
            members = [(part for part, _ in view) for view in known.members]
        kept = [[(part, part.remember(network, n_loops)) for part in view] for view in members]
        return Memories(n_loops, kept)

    def queries_at_once(self, network: LoopedNetwork, memories: Memories) -> int:
        """Count the queries that one call of `predict_by_loop` is to take, for bounded memory."""
        n_targets = self.support.Y.shape[1]
        if memories.members is None:
            return parts.queries_at_once(network, n_targets, memories.n_loops)
        return max(1, CHUNK // n_targets)

    @in_own_modes
    def predict_by_loop(self, network: LoopedNetwork, memories: Memories, X: Array) -> ByLoop:
        """Yield after every loop the members' average for queries (q, d).

        ``send(staying)``, a mask (q,), lets the other queries leave the loop.
        """
        if memories.members is None:
            answers = parts.answers_by_loop(self.views, self.support, network, memories.n_loops, X)
            yield from _replayed(*answers)
            return
        runs = [
            [(part, part.answer(network, kept, X)) for part, kept in view]
            for view in memories.members
        ]
        staying, classifies = None, network.config.classifies
        importance = [torch.cat([part.importance() for part, _ in view]) for view in runs]
        for _ in range(memories.n_loops):
            outputs, exits = [], []
            for view in runs:
                steps = [(part, run.send(staying)) for part, run in view]
                outputs.append(torch.cat([part.decode(s.output, classifies) for part, s in steps]))
                exits += [s.exit.sigmoid() for _, s in steps if s.exit is not None]
            leaving = torch.cat(exits).mean(0).cpu().numpy() if exits else None
            kept = yield Outcome(average(outputs, importance).numpy(), leaving)
            staying = None if kept is None else torch.from_numpy(kept)

    def column_weights(self, network: LoopedNetwork, memories: Memories) -> Array:
        """Experts' weights of the encoded columns, (d,), mean over targets, as the first view sees.

        It shows columns as they are; those that it leaves out weigh nothing.
        """
        view = self.views[0]
        if memories.members is None:
            found = parts.members(view, self.support, network, memories.n_loops)
        else:
            found = (part for part, _ in memories.members[0])
        weights = np.zeros(self.support.X.shape[1])
        weights[view.columns] = torch.cat([part.metric() for part in found]).mean(0).numpy()
        return weights

    @in_own_modes
    def attention_by_loop(
        self, network: LoopedNetwork, memories: Memories, X: Array, member: int
    ) -> Iterator[Array]:
        """Yield for every loop the weights (T, h, q, s) of queries (q, d) on a member's support."""
        if memories.members is None:
            found = parts.members(self.views[member], self.support, network, memories.n_loops)
            known = ((part, part.remember(network, memories.n_loops)) for part in found)
        else:
            known = (part for part in memories.members[member])
        runs = [part.attention(network, kept, X) for part, kept in known]
        for weights in zip(*runs, strict=True):
            yield torch.cat(weights).cpu().double().numpy()


def _replayed(output: Array, leaving: Array | None) -> ByLoop:
    """Yield answers that are known for every loop, as if queries left one by one."""
    inside = np.arange(output.shape[2])
    for loop, answers in enumerate(output):
        exits = None if leaving is None else leaving[loop, inside]
        staying = yield Outcome(answers[:, inside], exits)
        if staying is not None:
            inside = inside[staying]
