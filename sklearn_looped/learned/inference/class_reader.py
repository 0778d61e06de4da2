"""From tables with classes to what the network reads.

Shapes: B tables, n rows, s support rows, q queries, d columns, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from sklearn_looped.core.kernel_machine import DEFAULT_SEARCH, Search
from sklearn_looped.core.tables import fit_alike
from sklearn_looped.learned.inference.class_experts import ClassExperts
from sklearn_looped.learned.inference.standardise import Standardiser
from sklearn_looped.learned.model.class_opinions import ClassOpinions
from sklearn_looped.learned.model.config import NetworkConfig

Read = tuple[Tensor, ClassOpinions | None]


@dataclass(frozen=True)
class ClassReader:
    """Canonical form of B tables, and the experts' opinions for a network that reads them.

    Signs and order of the columns follow their correlation with the indicator of the most
    frequent class, the first one of several.

    Attributes
    ----------
    scale : Standardiser
    experts : ClassExperts or None
    """

    scale: Standardiser
    experts: ClassExperts | None

    @classmethod
    def fit(
        cls,
        X: Tensor,
        Y: Tensor,
        weights: Tensor | None = None,
        *,
        config: NetworkConfig,
        search: Search = DEFAULT_SEARCH,
        fixed_columns: bool = False,
        known: Tensor | None = None,
    ) -> "ClassReader":
        """Fit to supports X (B, s, d), NaN where a cell is missing, and indicators Y (B, s, C).

        With `fixed_columns` tables are left as they are. `known` (B, s, C) are scores of the rows
        by a model that did not see them.
        """
        return cls.fit_each([(X, Y, weights, known)], config, search, fixed_columns)[0]

    @classmethod
    def fit_each(
        cls,
        tables: Sequence[tuple[Tensor, Tensor, Tensor | None, Tensor | None]],
        config: NetworkConfig,
        search: Search = DEFAULT_SEARCH,
        fixed_columns: bool = False,
    ) -> list["ClassReader"]:
        """Fit to each X, Y, weights and known scores, as `fit` does.

        Experts of small tables of one shape are fitted in one batch, which takes less time.
        """
        scales = [
            Standardiser.identity(X, _most_frequent(Y, w).to(X))
            if fixed_columns
            else Standardiser.fit(X, _most_frequent(Y, w).to(X), w, centre=config.centre)
            for X, Y, w, _ in tables
        ]
        if not config.experts:
            return [cls(scale, None) for scale in scales]

        def fit(X: Tensor, Y: Tensor, weights: Tensor | None, known: Tensor | None) -> ClassExperts:
            return ClassExperts.fit(X, Y, weights, config.n_features, search, known)

        scaled = [
            (scale.features(table[0]), *table[1:])
            for scale, table in zip(scales, tables, strict=True)
        ]
        return [cls(*each) for each in zip(scales, fit_alike(fit, scaled), strict=True)]

    def support(self, X: Tensor) -> Read:
        """Return cells (B, s, d') and opinions of the support, in float32."""
        return self._read(X, lambda _: self._experts.support)

    def queries(self, X: Tensor, known: Tensor | None = None) -> Read:
        """Return cells (B, q, d') and opinions of queries, in float32; `known` as in `fit`."""
        return self._read(X, lambda cells: self._experts.of_queries(cells, known))

    def table(self, X: Tensor) -> Read:
        """Cells (B, n, d') and opinions of the support, which comes first, and of queries."""
        return self._read(X, lambda cells: self._experts.of_all(cells))

    @property
    def _experts(self) -> ClassExperts:
        assert self.experts is not None
        return self.experts

    def _read(self, X: Tensor, opinions: Any) -> Read:
        cells = self.scale.features(X)
        if self.experts is None:
            return cells.float(), None
        found = ClassOpinions(*(part.float() for part in opinions(cells)))
        return self.experts.read(cells).float(), found


def _most_frequent(Y: Tensor, weights: Tensor | None) -> Tensor:
    """Return the indicator (B, n) of the most frequent class."""
    counts = Y.sum(1) if weights is None else (weights[..., None] * Y).sum(1)
    return Y.gather(2, counts.argmax(1)[:, None, None].expand(-1, Y.shape[1], 1))[..., 0]


def table_of(read: Read, place: int) -> Read:
    """Return what was read of one of several tables."""
    (cells, opinions), only = read, slice(place, place + 1)
    return cells[only], None if opinions is None else ClassOpinions(*(p[only] for p in opinions))


def indicators(codes: Tensor, n_classes: int) -> Tensor:
    """Return indicators (B, n, C) of codes (B, n), in float64."""
    return F.one_hot(codes.long(), n_classes).double()
