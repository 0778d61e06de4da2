"""From tables in units of their own to what the network reads, and back.

Shapes: B tables, n rows, s support rows, q queries, d columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from sklearn_looped.core.kernel_machine import DEFAULT_SEARCH, Search
from sklearn_looped.core.tables import fit_alike
from sklearn_looped.learned.inference.experts import Experts
from sklearn_looped.learned.inference.standardise import Standardiser
from sklearn_looped.learned.inference.ties import Mirrors, settle
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.opinions import Opinions


@dataclass(frozen=True)
class Reader:
    """Canonical form of B tables, and the experts' opinions for a network that reads them.

    Attributes
    ----------
    scale : Standardiser
    experts : Experts or None
    mirrors : Mirrors
        Of tables that are their own mirror images.
    """

    scale: Standardiser
    experts: Experts | None
    mirrors: Mirrors

    @classmethod
    def fit(
        cls,
        X: Tensor,
        y: Tensor,
        weights: Tensor | None = None,
        *,
        config: NetworkConfig,
        search: Search = DEFAULT_SEARCH,
        known: Tensor | None = None,
    ) -> "Reader":
        """Fit to supports X (B, s, d), NaN where a cell is missing, y (B, s), weights (B, s).

        `known` (B, s) are predictions of the rows by a model that did not see them.
        """
        return cls.fit_each([(X, y, weights, known)], config=config, search=search)[0]

    @classmethod
    def fit_each(
        cls,
        tables: Sequence[tuple[Tensor, Tensor, Tensor | None, Tensor | None]],
        *,
        config: NetworkConfig,
        search: Search = DEFAULT_SEARCH,
    ) -> list["Reader"]:
        """Fit to each X, y, weights and known predictions, as `fit` does.

        Experts of small tables of one shape are fitted in one batch, which takes less time.
        """
        settled = [
            settle(Standardiser.fit(X, y, weights, centre=config.centre), X, y, weights)
            for X, y, weights, _ in tables
        ]
        if not config.experts:
            return [cls(scale, None, mirrors) for scale, mirrors in settled]

        def fit(X: Tensor, y: Tensor, weights: Tensor | None, known: Tensor | None) -> Experts:
            return Experts.fit(X, y, weights, config.n_features, search, known)

        scaled = [
            (scale.features(X), scale.target(y), w, None if known is None else scale.target(known))
            for (scale, _), (X, y, w, known) in zip(settled, tables, strict=True)
        ]
        experts = fit_alike(fit, scaled)
        return [
            cls(scale, e, mirrors) for (scale, mirrors), e in zip(settled, experts, strict=True)
        ]

    def support(self, X: Tensor) -> tuple[Tensor, Opinions | None]:
        """Return cells (B, s, d') and opinions of the support, in float32."""
        cells = self.scale.features(X)
        return self._read(cells, None if self.experts is None else self.experts.support)

    def queries(self, X: Tensor, known: Tensor | None = None) -> tuple[Tensor, Opinions | None]:
        """Return cells (B, q, d') and opinions of queries, in float32; `known` (B, q) as in fit."""
        cells = self.mirrors.first(self.scale.features(X))
        if self.experts is None:
            return self._read(cells, None)
        known = None if known is None else self.scale.target(known)
        return self._read(cells, self.experts.of_queries(cells, known))

    def table(self, X: Tensor) -> tuple[Tensor, Opinions | None]:
        """Cells (B, n, d') and opinions of the support, which comes first, and of queries."""
        cells = self.scale.features(X)
        return self._read(cells, None if self.experts is None else self.experts.of_all(cells))

    def _read(self, cells: Tensor, opinions: Opinions | None) -> tuple[Tensor, Opinions | None]:
        cells = cells.float()
        if self.experts is None or opinions is None:
            return cells, None
        return self.experts.read(cells), Opinions(*(part.float() for part in opinions))
