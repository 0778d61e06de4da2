"""An ensemble over views of one support: in-context inference for many queries."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_looped.learned.encoding import Array, Support
from sklearn_looped.learned.network import LoopedNetwork, SupportMemory
from sklearn_looped.learned.standardise import Standardiser
from sklearn_looped.learned.views import View

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
    def fit(cls, support: Support, views: list[View], centre: bool) -> "SupportEnsemble":
        """Fit the canonical form of every view."""
        tables = [tables_of(view.support(support)) for view in views]
        return cls(support, views, [Standardiser.fit(*table, centre=centre) for table in tables])

    def remember(self, network: LoopedNetwork, n_loops: int) -> list[SupportMemory]:
        """Run the support through the network, once a view; keep keys and values."""
        device = next(network.parameters()).device
        memories = []
        for view, scale in zip(self.views, self.standardisers, strict=True):
            X, y, weights = tables_of(view.support(self.support))
            memories.append(
                network.encode_support(
                    scale.features(X).float().to(device),
                    scale.target(y).float().to(device),
                    n_loops,
                    None if weights is None else weights.float().to(device),
                )
            )
        return memories

    def predict_by_loop(
        self, network: LoopedNetwork, memories: list[SupportMemory], X: Array
    ) -> ByLoop:
        """Yield after every loop the members' average for queries (q, d).

        ``send(staying)``, a mask (q,), lets the other queries leave the loop.
        """
        device = next(network.parameters()).device
        runs = []
        for view, scale, memory in zip(self.views, self.standardisers, memories, strict=True):
            runs.append(network.predict_queries(_queries(view, scale, X).to(device), memory))
        staying = None
        for _ in memories[0].loops:
            steps = [run.send(staying) for run in runs]
            members = [
                decode(step.output.cpu().double(), scale, network.config.classifies)
                for step, scale in zip(steps, self.standardisers, strict=True)
            ]
            exits = [step.exit.sigmoid() for step in steps if step.exit is not None]
            leaving = torch.stack(exits).mean((0, 1)).cpu().numpy() if exits else None
            kept = yield Outcome(torch.stack(members).mean(0).numpy(), leaving)
            staying = None if kept is None else torch.from_numpy(kept)

    def attention_by_loop(
        self, network: LoopedNetwork, memories: list[SupportMemory], X: Array, member: int
    ) -> Iterator[Array]:
        """Yield for every loop the weights (T, h, q, s) of queries (q, d) on a member's support."""
        device = next(network.parameters()).device
        queries = _queries(self.views[member], self.standardisers[member], X).to(device)
        for weights in network.attention_by_loop(queries, memories[member]):
            yield weights.cpu().double().numpy()


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
