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
from sklearn_looped.learned.opinions import Opinions
from sklearn_looped.learned.reader import Reader
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


class Member(NamedTuple):
    """What one member knows of the support.

    Attributes
    ----------
    view : View
    reader : Reader
        Fitted on what the view shows of the support, for T tables.
    memory : SupportMemory
    """

    view: View
    reader: Reader
    memory: SupportMemory

    def first(self, n_loops: int) -> "Member":
        """Return the member with the memory of the first loops only."""
        return self._replace(memory=self.memory.first(n_loops))

    def queries(self, X: Array, device: torch.device) -> tuple[Tensor, Opinions | None]:
        """Bring queries (q, d) to what its network reads: T tables of cells, and opinions."""
        table = torch.tensor(self.view.query(X)).expand(len(self.reader.scale.mean), -1, -1)
        cells, opinions = self.reader.queries(table)
        return cells.to(device), None if opinions is None else opinions.to(device)


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

    def read(self, network: LoopedNetwork) -> list[Reader]:
        """Fit canonical form and experts of every view."""
        return [
            Reader.fit(*tables_of(view.support(self.support)), config=network.config)
            for view in self.views
        ]

    def remember(
        self, network: LoopedNetwork, n_loops: int, readers: list[Reader] | None = None
    ) -> list[Member]:
        """Run the support through the network, once a view; keep keys and values."""
        device = next(network.parameters()).device
        members = []
        for view, reader in zip(self.views, readers or self.read(network), strict=True):
            X, y, weights = tables_of(view.support(self.support))
            cells, opinions = reader.support(X)
            memory = network.encode_support(
                cells.to(device),
                reader.scale.target(y).float().to(device),
                n_loops,
                None if weights is None else weights.float().to(device),
                None if opinions is None else opinions.to(device),
            )
            members.append(Member(view, reader, memory))
        return members

    def predict_by_loop(self, network: LoopedNetwork, members: list[Member], X: Array) -> ByLoop:
        """Yield after every loop the members' average for queries (q, d).

        ``send(staying)``, a mask (q,), lets the other queries leave the loop.
        """
        device = next(network.parameters()).device
        runs = []
        for member in members:
            cells, opinions = member.queries(X, device)
            runs.append(network.predict_queries(cells, member.memory, opinions))
        staying = None
        for _ in members[0].memory.loops:
            steps = [run.send(staying) for run in runs]
            outputs = [
                decode(step.output.cpu().double(), m.reader.scale, network.config.classifies)
                for step, m in zip(steps, members, strict=True)
            ]
            exits = [step.exit.sigmoid() for step in steps if step.exit is not None]
            leaving = torch.stack(exits).mean((0, 1)).cpu().numpy() if exits else None
            kept = yield Outcome(torch.stack(outputs).mean(0).numpy(), leaving)
            staying = None if kept is None else torch.from_numpy(kept)

    def attention_by_loop(
        self, network: LoopedNetwork, members: list[Member], X: Array, member: int
    ) -> Iterator[Array]:
        """Yield for every loop the weights (T, h, q, s) of queries (q, d) on a member's support."""
        device = next(network.parameters()).device
        cells, opinions = members[member].queries(X, device)
        for weights in network.attention_by_loop(cells, members[member].memory, opinions):
            yield weights.cpu().double().numpy()


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
