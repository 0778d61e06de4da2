"""Members of an ensemble: what a view shows of the support, as the network reads it.

Shapes: T targets, s support rows, q queries, d columns.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_looped.learned.inference.encoding import Array, Support
from sklearn_looped.learned.inference.experts import LEAST_ERROR
from sklearn_looped.learned.inference.reader import Reader
from sklearn_looped.learned.inference.views import View
from sklearn_looped.learned.model.memory import SupportMemory
from sklearn_looped.learned.model.network import LoopedNetwork, NetworkConfig, Step
from sklearn_looped.learned.model.opinions import Opinions

SHARPNESS = 4  # with which members of less error count more


@dataclass(frozen=True)
class Member:
    """One view's part of the support, a table a target, ready for the network; on the CPU.

    Attributes
    ----------
    view : View
    reader : Reader
        Fitted on what the view shows.
    cells : Tensor of shape (T, s, d)
    y : Tensor of shape (T, s)
    weights : Tensor of shape (T, s) or None
        How often each row counts; None: once.
    opinions : Opinions or None
        What the experts say of the support, if the network listens to them.
    """

    view: View
    reader: Reader
    cells: Tensor
    y: Tensor
    weights: Tensor | None
    opinions: Opinions | None

    @classmethod
    def fit(
        cls, view: View, support: Support, config: NetworkConfig, targets: slice = slice(None)
    ) -> "Member":
        """Fit canonical form and experts of some targets of the encoded support."""
        shown = view.support(support._replace(Y=support.Y[:, targets]))
        y = torch.tensor(shown.Y.T)
        X = torch.tensor(shown.X).expand(len(y), -1, -1)
        weights = None
        if shown.weights is not None:
            weights = torch.tensor(shown.weights).expand(len(y), -1)
        reader = Reader.fit(X, y, weights, config=config)
        cells, opinions = reader.support(X)
        weights = None if weights is None else weights.float()
        return cls(view, reader, cells, reader.scale.target(y).float(), weights, opinions)

    def remember(self, network: LoopedNetwork, n_loops: int, stream: bool = False) -> SupportMemory:
        """Run the support through the network, or let it pass with one pass of queries."""
        device = next(network.parameters()).device
        run = network.stream_support if stream else network.encode_support
        return run(
            self.cells.to(device),
            self.y.to(device),
            n_loops,
            None if self.weights is None else self.weights.to(device),
            None if self.opinions is None else self.opinions.to(device),
        )

    def queries(
        self, X: Array, device: torch.device | None = None
    ) -> tuple[Tensor, Opinions | None]:
        """Bring queries (q, d) to what the network reads: T tables of cells, and opinions."""
        table = torch.tensor(self.view.query(X)).expand(len(self.y), -1, -1)
        cells, opinions = self.reader.queries(table)
        if device is not None:
            cells = cells.to(device)
            opinions = None if opinions is None else opinions.to(device)
        return cells, opinions

    def answer(
        self, network: LoopedNetwork, memory: SupportMemory, X: Array
    ) -> Generator[Step, Tensor | None, None]:
        """Run queries (q, d) as `LoopedNetwork.predict_queries` does."""
        cells, opinions = self.queries(X, next(network.parameters()).device)
        return network.predict_queries(cells, memory, opinions)

    def attention(
        self, network: LoopedNetwork, memory: SupportMemory, X: Array
    ) -> Iterator[Tensor]:
        """Yield what queries (q, d) attend to as `LoopedNetwork.attention_by_loop` does."""
        cells, opinions = self.queries(X, next(network.parameters()).device)
        return network.attention_by_loop(cells, memory, opinions)

    def without_experts(self) -> "Member":
        """Return the member that has read all its queries: experts take much memory."""
        return replace(self, reader=replace(self.reader, experts=None))

    def importance(self) -> Tensor:
        """Weight of its predictions in the members' average, (T,): the less error the more.

        Goes with the -4th power of the best expert's leave-one-out error in its view, and is at
        most 1; equal for all where the network has no experts.
        """
        if self.opinions is None:
            return torch.ones(len(self.y), dtype=torch.float64)
        return (LEAST_ERROR / self.opinions.unit().double()) ** SHARPNESS

    def metric(self) -> Tensor:
        """Experts' weights of the columns that the view shows, in its order, (T, d)."""
        assert self.reader.experts is not None
        metric = self.reader.experts.metric
        return torch.empty_like(metric).scatter_(1, self.reader.scale.order, metric)

    def decode(self, output: Tensor, classifies: bool) -> Tensor:
        """Bring output (T, q, n_outputs) to units of y, or to probabilities of label 1.

        In float64 on the CPU. Quantiles are sorted. A logit is that of the label whose canonical
        code is higher; where only one label is seen, it is certain.
        """
        output, scale = output.cpu().double(), self.reader.scale
        if classifies:
            sign, only = (
                part[..., None] for part in (scale.target_scale.sign(), scale.target_mean)
            )
            return torch.where(sign == 0, only, torch.sigmoid(output * sign))
        output = output * scale.target_scale[..., None] + scale.target_mean[..., None]
        return torch.cat([output[..., :1], output[..., 1:].sort(-1).values], -1)


def average(outputs: list[Tensor], importance: list[Tensor]) -> Tensor:
    """Average members' outputs (T, q, n_outputs) by their importance (T,)."""
    weights = torch.stack(importance)
    weights = weights / weights.sum(0)
    return torch.einsum("mt,mtqo->tqo", weights, torch.stack(outputs))


class Memories(NamedTuple):
    """What an ensemble keeps of its support for so many loops.

    Attributes
    ----------
    n_loops : int
    members : list of list of (Member, SupportMemory), or None
        Of each view one for a few targets after another. None: nothing, it is too much.
    """

    n_loops: int
    members: list[list[tuple[Member, SupportMemory]]] | None

    def first(self, n_loops: int) -> "Memories":
        """Return the memories of the first loops only."""
        if self.members is None:
            return Memories(n_loops, None)
        first = [[(part, kept.first(n_loops)) for part, kept in view] for view in self.members]
        return Memories(n_loops, first)
