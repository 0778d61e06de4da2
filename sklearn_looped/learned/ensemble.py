"""An ensemble over views of one support: in-context inference for many queries."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import gen_batches
from torch import Tensor

from sklearn_looped.core.modes import in_own_modes
from sklearn_looped.learned.encoding import Array, Support
from sklearn_looped.learned.memory import (
    KEPT,
    Memories,
    SupportMemory,
    check_support,
    memory_of_target,
)
from sklearn_looped.learned.network import LoopedNetwork
from sklearn_looped.learned.parts import answers_by_loop, queries_at_once
from sklearn_looped.learned.standardise import Standardiser
from sklearn_looped.learned.views import View

CHUNK = 1024  # queries at a time, summed over targets: bounds the memory of a prediction
CELLS = 2**22  # of tables whose canonical form is fitted at a time


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
    """Views of one support, each with its canonical form; a target is a table of a batch.

    Networks passed in are those of `load_checkpoint`, whose weights ask for no gradients.

    Attributes
    ----------
    support : Support
        Encoded, with T targets.
    views : list of View
    standardisers : list of Standardiser
        One a view, fitted on what it sees of the support, for T tables.
    """

    support: Support
    views: list[View]
    standardisers: list[Standardiser]

    @classmethod
    @in_own_modes
    def fit(cls, support: Support, views: list[View], centre: bool) -> "SupportEnsemble":
        """Fit the canonical form of every view."""
        return cls(support, views, [_fit_canonical(v.support(support), centre) for v in views])

    @in_own_modes
    def remember(self, network: LoopedNetwork, n_loops: int) -> Memories:
        """Run the support through the network, once a view; keep keys and values if they are few.

        Raises
        ------
        MemoryError
            If a single pass would need more memory than there is.
        """
        rows = [len(self.support.X) if v.rows is None else len(v.rows) for v in self.views]
        check_support(network.config, max(rows))
        n_targets = self.support.Y.shape[1]
        if n_targets * memory_of_target(network.config, sum(rows), n_loops) > KEPT:
            return Memories(n_loops, None)
        members = range(len(self.views))
        return Memories(n_loops, [self._encode(network, i, n_loops) for i in members])

    def _encode(self, network: LoopedNetwork, member: int, n_loops: int) -> SupportMemory:
        tables = tables_of(self.views[member].support(self.support))
        return encode(network, self.standardisers[member], tables, n_loops)

    def queries_at_once(self, network: LoopedNetwork, memories: Memories) -> int:
        """Count the queries that one call of `predict_by_loop` is to take, for bounded memory."""
        n_targets = self.support.Y.shape[1]
        if memories.members is None:
            return queries_at_once(network, n_targets, memories.n_loops)
        return max(1, CHUNK // n_targets)

    @in_own_modes
    def predict_by_loop(self, network: LoopedNetwork, memories: Memories, X: Array) -> ByLoop:
        """Yield after every loop the members' average for queries (q, d).

        ``send(staying)``, a mask (q,), lets the other queries leave the loop.
        """
        if memories.members is None:
            yield from _replayed(*answers_by_loop(self, network, memories.n_loops, X))
            return
        device = next(network.parameters()).device
        runs = []
        for view, scale, memory in zip(
            self.views, self.standardisers, memories.members, strict=True
        ):
            runs.append(network.predict_queries(_queries(view, scale, X).to(device), memory))
        staying = None
        for _ in range(memories.n_loops):
            steps = [run.send(staying) for run in runs]
            members = [
                decode(step.output.cpu().double(), scale, network.config.classifies)
                for step, scale in zip(steps, self.standardisers, strict=True)
            ]
            exits = [step.exit.sigmoid() for step in steps if step.exit is not None]
            leaving = torch.stack(exits).mean((0, 1)).cpu().numpy() if exits else None
            kept = yield Outcome(torch.stack(members).mean(0).numpy(), leaving)
            staying = None if kept is None else torch.from_numpy(kept)

    @in_own_modes
    def attention_by_loop(
        self, network: LoopedNetwork, memories: Memories, X: Array, member: int
    ) -> Iterator[Array]:
        """Yield for every loop the weights (T, h, q, s) of queries (q, d) on a member's support."""
        device = next(network.parameters()).device
        queries = _queries(self.views[member], self.standardisers[member], X).to(device)
        if memories.members is None:
            memory = self._encode(network, member, memories.n_loops)
        else:
            memory = memories.members[member]
        for weights in network.attention_by_loop(queries, memory):
            yield weights.cpu().double().numpy()


def _fit_canonical(support: Support, centre: bool) -> Standardiser:
    """Fit the canonical form for T tables, so many at a time that they take little memory."""
    n_together = max(1, CELLS // max(1, support.X.size))
    parts = [
        Standardiser.fit(*tables_of(support._replace(Y=support.Y[:, part])), centre=centre)
        for part in gen_batches(support.Y.shape[1], n_together)
    ]
    joined = zip(*(vars(part).values() for part in parts), strict=True)
    return Standardiser(*map(torch.cat, joined))


def encode(
    network: LoopedNetwork,
    scale: Standardiser,
    tables: tuple[Tensor, Tensor, Tensor | None],
    n_loops: int,
    stream: bool = False,
) -> SupportMemory:
    """Run tables as `tables_of` gives them through the network, or let them pass with queries."""
    device = next(network.parameters()).device
    X, y, weights = tables
    run = network.stream_support if stream else network.encode_support
    return run(
        scale.features(X).float().to(device),
        scale.target(y).float().to(device),
        n_loops,
        None if weights is None else weights.float().to(device),
    )


def _replayed(output: Array, leaving: Array | None) -> ByLoop:
    """Yield answers that are known for every loop, as if queries left one by one."""
    inside = np.arange(output.shape[2])
    for loop, answers in enumerate(output):
        exits = None if leaving is None else leaving[loop, inside]
        staying = yield Outcome(answers[:, inside], exits)
        if staying is not None:
            inside = inside[staying]


def _queries(view: View, scale: Standardiser, X: Array) -> Tensor:
    """Bring queries (q, d) to what a member's network reads, (T, q, d') in float32."""
    table = torch.tensor(view.query(X)).expand(len(scale.mean), -1, -1)
    return scale.features(table).float()


def tables_of(support: Support) -> tuple[Tensor, Tensor, Tensor | None]:
    """X (T, s, d), y (T, s) and weights (T, s): a table a target; copies, as batches need."""
    X, y = torch.tensor(support.X), torch.tensor(support.Y.T)
    weights = None if support.weights is None else torch.tensor(support.weights)
    n_targets = len(y)
    expanded = None if weights is None else weights.expand(n_targets, -1)
    return X.expand(n_targets, -1, -1), y, expanded


def decode(output: Tensor, scale: Standardiser, classifies: bool) -> Tensor:
    """Bring one member's output (T, q, n_outputs) to units of y, or to probabilities of label 1.

    Quantiles are sorted. A logit is that of the label whose canonical code is higher.
    """
    if classifies:
        return torch.sigmoid(output * scale.target_scale.sign()[..., None])
    output = output * scale.target_scale[..., None] + scale.target_mean[..., None]
    return torch.cat([output[..., :1], output[..., 1:].sort(-1).values], -1)
