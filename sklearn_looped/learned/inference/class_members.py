"""Members of a classifier's ensemble: what a view shows of the support, as the network reads it.

Shapes: P passes, C classes, G codes of the network, s support rows, q queries, d columns.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sklearn_looped.learned.inference.batch import QueryBatch, SupportBatch
from sklearn_looped.learned.inference.class_codes import (
    class_order,
    class_probabilities,
    codebook,
)
from sklearn_looped.learned.inference.class_reader import ClassReader
from sklearn_looped.learned.inference.encoding import Support
from sklearn_looped.learned.inference.experts import LEAST_ERROR
from sklearn_looped.learned.inference.repeats import Repeats
from sklearn_looped.learned.inference.support import Queries
from sklearn_looped.learned.inference.views import View
from sklearn_looped.learned.model.config import NetworkConfig

SHARPNESS = 4  # with which members of less error count more


@dataclass(frozen=True)
class ClassMember:
    """One view's part of the support, a table a pass, ready for the network.

    Attributes
    ----------
    view : View
    reader : ClassReader
        Fitted to all classes that the view shows, in an order of their own.
    support : SupportBatch
        The P tables, with codes of classes as targets.
    codes : Tensor of shape (P, C')
        Of the classes that the view shows.
    classes : Tensor of shape (C',)
        Their numbers among all.
    shares : Tensor of shape (C,)
        Of all classes over all rows.
    error : float
        Leave-one-out error of the experts' pool, at most 1.
    n_codes : int
        G.
    n_rows : float
        Sum of the rows' weights.
    repeats : Repeats or None
        Rows that others equal; None for a network without experts.
    """

    view: View
    reader: ClassReader
    support: SupportBatch
    codes: Tensor
    classes: Tensor
    shares: Tensor
    error: float
    n_codes: int
    n_rows: float
    repeats: Repeats | None

    @classmethod
    def fit(cls, view: View, support: Support, config: NetworkConfig) -> "ClassMember":
        """Fit canonical form and experts to the encoded support, Y (n, C) of indicators."""
        shown = view.support(support)
        order = class_order(shown.X, shown.Y, shown.weights)
        order = order[shown.Y.sum(axis=0)[order] > 0]
        shares = support.shares()
        shown = shown.of_targets(order)
        X, Y = torch.tensor(shown.X)[None], torch.tensor(shown.Y)[None]
        weights = None if shown.weights is None else torch.tensor(shown.weights)[None]
        known = None if shown.known is None else torch.tensor(shown.known)[None]
        reader = ClassReader.fit(X, Y, weights, config=config, known=known)
        codes = torch.tensor(codebook(len(order), config.n_classes, view.number))
        cells, opinions = reader.support(X)
        error, repeats = 1.0, None
        if opinions is not None:
            error = float(opinions.unit())
            left_out = torch.softmax(opinions.pool()[0].double(), -1).T
            equal = view.rows_of(support).X, Y[0].T, left_out, weights
            repeats = Repeats.fit(*equal, jointly=True)
        n_passes = len(codes)
        batch = SupportBatch(
            cells.expand(n_passes, -1, -1),
            codes[:, Y[0].argmax(1)].float(),
            None if weights is None else weights.float().expand(n_passes, -1),
            None if opinions is None else opinions.grouped(codes, config.n_classes),
        )
        return cls(
            view, reader, batch, codes, torch.tensor(order), torch.tensor(shares), error,
            config.n_classes, float(len(shown.X) if weights is None else weights.sum()), repeats,
        )  # fmt: skip

    def queries(self, rows: Queries) -> QueryBatch:
        """Bring queries to what the network reads: P tables of cells, and opinions."""
        table = torch.tensor(self.view.query(rows.X))[None]
        known = None if rows.known is None else torch.tensor(rows.known)[None][..., self.classes]
        cells, opinions = self.reader.queries(table, known)
        cells = cells.expand(len(self.codes), -1, -1)
        shares = self.shares[self.classes]
        if opinions is None:
            return QueryBatch(cells, None, (shares / shares.sum()).expand(len(rows), -1))
        base = torch.softmax(opinions.pool()[0].double(), -1)
        met = None if self.repeats is None else self.repeats.of_queries(rows.X)
        return QueryBatch(cells, opinions.grouped(self.codes, self.n_codes), base, met)

    def without_experts(self) -> "ClassMember":
        """Return the member that has read all its queries: experts take much memory."""
        return replace(self, reader=replace(self.reader, experts=None))

    def importance(self) -> Tensor:
        """Weight of its predictions in the members' average, (C,), as that of `Member`."""
        weight = (LEAST_ERROR / self.error) ** SHARPNESS
        return torch.full((len(self.shares),), weight, dtype=torch.float64)

    def metric(self) -> Tensor:
        """Experts' weights of the columns that the view shows, in its order, (1, d)."""
        assert self.reader.experts is not None
        metric = self.reader.experts.metric
        return torch.empty_like(metric).scatter_(1, self.reader.scale.order, metric)

    def decode(self, output: Tensor, queries: QueryBatch) -> Tensor:
        """Bring logits (P, q, G) to probabilities (C, q, 1), in float64 on the CPU.

        A class that the view does not show has its share of the rows.
        """
        base, shares = queries.base, self.shares[:, None]
        assert base is not None
        logits = output.cpu().double()
        met = torch.zeros(len(self.codes), 1, logits.shape[-1], dtype=torch.bool)
        met.scatter_(2, self.codes[:, None], True)
        logits = torch.log_softmax(logits.masked_fill(~met, -torch.inf), -1)
        proba = class_probabilities(logits, self.codes, base).T
        if queries.met is not None:
            proba = queries.met.correct(proba[..., None])[..., 0]
        full = shares.repeat(1, len(base))
        full[self.classes] = proba * shares[self.classes].sum()
        # The shares have the weight of one row: no class is impossible.
        return ((self.n_rows * full + shares) / (self.n_rows + 1))[..., None]
