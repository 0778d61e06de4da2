"""Members of a classifier's ensemble: what a view shows of the support, as the network reads it.

Shapes: P passes, C classes, G codes of the network, s support rows, q queries, d columns.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_looped.core.arrays import Array
from sklearn_looped.core.tables import alike, count_pairs
from sklearn_looped.learned.inference.batch import QueryBatch, SupportBatch
from sklearn_looped.learned.inference.class_codes import (
    class_order,
    class_probabilities,
    codebook,
)
from sklearn_looped.learned.inference.class_experts import ENOUGH_ROWS
from sklearn_looped.learned.inference.class_reader import ClassReader, Read, table_of
from sklearn_looped.learned.inference.experts import LEAST_ERROR
from sklearn_looped.learned.inference.repeats import Repeats
from sklearn_looped.learned.inference.support import Queries, Support
from sklearn_looped.learned.inference.views import View
from sklearn_looped.learned.model.config import NetworkConfig

SHARPNESS = 4  # with which members of less error count more
TRANSFORMED = 1 / 2  # factor of the weight for each transformation of the columns, of no rows


class Shown(NamedTuple):
    """What a view shows of the support, as tensors of one table.

    Attributes
    ----------
    view : View
    encoded : ndarray of shape (s, d)
        The rows with all columns, as the encoder made them.
    X : Tensor of shape (1, s, d')
    Y : Tensor of shape (1, s, C')
        Indicators of the classes that occur, in an order that rows decide.
    weights : Tensor of shape (1, s) or None
    known : Tensor of shape (1, s, C') or None
        Scores by a model that did not see the rows.
    classes : Tensor of shape (C',)
        Their numbers among all.
    shares : Tensor of shape (C,)
        Of all classes over all rows.
    odds : Tensor of shape (C',)
        Share of each class over all rows divided by that over the rows that are shown.
    """

    view: View
    encoded: Array
    X: Tensor
    Y: Tensor
    weights: Tensor | None
    known: Tensor | None
    classes: Tensor
    shares: Tensor
    odds: Tensor

    @classmethod
    def of(cls, view: View, support: Support) -> "Shown":
        """Show a view of the encoded support, Y (n, C) of indicators."""
        shown = view.support(support)
        order = class_order(shown.X, shown.Y, shown.weights)
        order = order[shown.Y.sum(axis=0)[order] > 0]
        shown = shown.of_targets(order)
        odds = support.frequencies()[order] / shown.frequencies()
        X, Y = torch.tensor(shown.X)[None], torch.tensor(shown.Y)[None]
        weights = None if shown.weights is None else torch.tensor(shown.weights)[None]
        known = None if shown.known is None else torch.tensor(shown.known)[None]
        numbers = torch.tensor(order), torch.tensor(support.shares()), torch.tensor(odds)
        return cls(view, view.rows_of(support).X, X, Y, weights, known, *numbers)


@dataclass(frozen=True)
class ClassMember:
    """One view's part of the support, a table a pass, ready for the network.

    Rows of rare classes may be more frequent in the view than among all rows. The network predicts
    for the frequencies that it sees; the odds are then multiplied by the ratio of the shares, which
    is exact for rows drawn by their class (the prior correction of G. King, L. Zeng, "Logistic
    Regression in Rare Events Data", Political Analysis 2001, Section 4.1).

    Attributes
    ----------
    view : View
    reader : ClassReader or None
        Fitted to all classes that the view shows, in an order of their own; None: it has read all
        that it will.
    support : SupportBatch
        The P tables, with codes of classes as targets.
    codes : Tensor of shape (P, C')
        Of the classes that the view shows.
    classes : Tensor of shape (C',)
        Their numbers among all.
    shares : Tensor of shape (C,)
        Of all classes over all rows.
    odds : Tensor of shape (C',)
        Share of each class over all rows divided by that in the view.
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
    reader: ClassReader | None
    support: SupportBatch
    codes: Tensor
    classes: Tensor
    shares: Tensor
    odds: Tensor
    error: float
    n_codes: int
    n_rows: float
    repeats: Repeats | None

    @classmethod
    def fit(cls, view: View, support: Support, config: NetworkConfig) -> "ClassMember":
        """Fit canonical form and experts to the encoded support, Y (n, C) of indicators."""
        return cls.fit_each([(view, support)], config)[0]

    @classmethod
    def fit_each(
        cls, pairs: Iterable[tuple[View, Support]], config: NetworkConfig
    ) -> list["ClassMember"]:
        """Fit to each view of a support, as `fit` does."""
        shown = [Shown.of(*pair) for pair in pairs]
        readers = ClassReader.fit_each([each[2:6] for each in shown], config)
        return [
            cls.of(each, reader.support(each.X), config, reader)
            for each, reader in zip(shown, readers, strict=True)
        ]

    @classmethod
    def of(
        cls, shown: "Shown", read: Read, config: NetworkConfig, reader: ClassReader | None = None
    ) -> "ClassMember":
        """Return the member of what a view shows and a reader has read of it."""
        cells, opinions = read
        label, weights = shown.Y[0].argmax(1), shown.weights
        codes = torch.tensor(codebook(len(shown.classes), config.n_classes, shown.view.number))
        error, repeats = 1.0, None
        if opinions is not None:
            error = float(opinions.unit())
            left_out = torch.softmax(opinions.pool()[0].double(), -1).T
            equal = shown.encoded, shown.Y[0].T, left_out, weights
            repeats = Repeats.fit(*equal, jointly=True)
        n_passes = len(codes)
        batch = SupportBatch(
            cells.expand(n_passes, -1, -1),
            codes[:, label].float(),
            None if weights is None else weights.float().expand(n_passes, -1),
            None if opinions is None else opinions.grouped(codes, config.n_classes),
        )
        return cls(
            shown.view, reader, batch, codes, shown.classes, shown.shares, shown.odds, error,
            config.n_classes, float(len(label) if weights is None else weights.sum()), repeats,
        )  # fmt: skip

    def queries(self, rows: Queries) -> QueryBatch:
        """Bring queries to what the network reads: P tables of cells, and opinions."""
        assert self.reader is not None
        table = torch.tensor(self.view.query(rows.X))[None]
        known = None if rows.known is None else torch.tensor(rows.known)[None][..., self.classes]
        return self.batch(rows, self.reader.queries(table, known))

    def batch(self, rows: Queries, read: Read) -> QueryBatch:
        """Return the batch of queries and of what a reader has read of them."""
        cells, opinions = read
        cells = cells.expand(len(self.codes), -1, -1)
        if opinions is None:
            seen = self.shares[self.classes] / self.odds
            return QueryBatch(cells, None, seen.expand(len(rows), -1))
        base = torch.softmax(opinions.pool()[0].double(), -1)
        met = None if self.repeats is None else self.repeats.of_queries(rows.X)
        return QueryBatch(cells, opinions.grouped(self.codes, self.n_codes), base, met)

    def importance(self) -> Tensor:
        """Weight of its predictions in the members' average, (C,).

        As that of `Member`, but where rows are few their errors say little of members, and columns
        as they are count more than transformed ones.
        """
        weight = (LEAST_ERROR / self.error) ** SHARPNESS
        doubt = max(0.0, 1 - self.n_rows / ENOUGH_ROWS)
        weight *= TRANSFORMED ** (doubt * len(self.view.transformers))
        return torch.full((len(self.shares),), weight, dtype=torch.float64)

    def left_out(self, loops: Iterable[Tensor | None]) -> None:
        """Return None: the network of a classifier does not predict its support."""

    def metric(self) -> Tensor:
        """Experts' weights of the columns that the view shows, in its order, (1, d)."""
        assert self.reader is not None
        assert self.reader.experts is not None
        return self.reader.scale.in_original_order(self.reader.experts.metric)

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
        proba = proba * self.odds[:, None]
        full = shares.repeat(1, len(base))
        full[self.classes] = proba / proba.sum(0) * shares[self.classes].sum()
        # The shares have the weight of one row: no class is impossible.
        return ((self.n_rows * full + shares) / (self.n_rows + 1))[..., None]


def read_together(
    tables: Iterable[tuple[View, Support, Queries]], config: NetworkConfig
) -> list[tuple[ClassMember, QueryBatch]]:
    """Return members without readers, and the batches of their queries.

    It is as if each were fitted by itself, but tables of one shape share a reader: small ones take
    little more time together than alone.
    """
    shown = [(Shown.of(view, support), rows) for view, support, rows in tables]
    shapes = [(each.X.shape, each.Y.shape, each.weights is None, len(rows)) for each, rows in shown]
    found: dict[int, tuple[ClassMember, QueryBatch]] = {}
    for numbers in alike(shapes, [count_pairs(*shape[0]) for shape in shapes]):
        members = _read_alike([shown[number] for number in numbers], config)
        found |= dict(zip(numbers, members, strict=True))
    return [found[number] for number in range(len(shown))]


def _read_alike(
    parts: list[tuple[Shown, Queries]], config: NetworkConfig
) -> Iterator[tuple[ClassMember, QueryBatch]]:
    """Read tables of one shape, of which nothing is known beforehand."""
    X, Y = (torch.cat(each) for each in zip(*(shown[2:4] for shown, _ in parts), strict=True))
    weights = [shown.weights for shown, _ in parts if shown.weights is not None]
    reader = ClassReader.fit(X, Y, torch.cat(weights) if weights else None, config=config)
    asked = torch.stack([torch.tensor(shown.view.query(rows.X)) for shown, rows in parts])
    support, queries = reader.support(X), reader.queries(asked)
    for place, (shown, rows) in enumerate(parts):
        member = ClassMember.of(shown, table_of(support, place), config)
        yield member, member.batch(rows, table_of(queries, place))
