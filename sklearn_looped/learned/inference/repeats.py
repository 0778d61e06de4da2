"""Duplicates: queries whose cells all equal those of support rows.

Targets of such rows may be more alike than the columns explain, as repeated measurements are. How
much is estimated by the correlation of the experts' residuals on duplicate rows.

Shapes: T targets, s support rows, q queries, d columns, g different rows.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_looped.core.arrays import Array

PRIOR_ROWS = 3.0  # duplicates without correlation that are added to those of the support


class Met(NamedTuple):
    """What is known of queries from support rows that equal them, (T, q) each.

    Attributes
    ----------
    mean : Tensor
        Of the targets of the equal rows.
    share : Tensor
        Weight of that mean beside the prediction; 0 where no row is equal.
    spread : Tensor
        Factor of the prediction's standard deviation.
    """

    mean: Tensor
    share: Tensor
    spread: Tensor

    def rows(self, index: Tensor) -> "Met":
        """Keep some of the queries, by a mask (q,)."""
        return Met(*(part[:, index] for part in self))

    def correct(self, output: Tensor) -> Tensor:
        """Bring outputs (T, q, n_outputs), means first and then quantiles, to what is known."""
        mean = output[..., :1]
        met = torch.lerp(mean, self.mean[..., None], self.share[..., None])
        return met + (output - mean) * self.spread[..., None]


@dataclass(frozen=True)
class Repeats:
    r"""Different rows of a support, and how nearly equal rows have equal targets.

    With residuals :math:`r_i` of predictions that did not see row i, and the mean residual
    :math:`u_i` of the other rows equal to it, the correlation of two equal rows' residuals is
    :math:`\rho = \sum r_i u_i / (\sum r_i^2 + 3 \bar{r^2})`, between 0 and 1; the sums are over
    rows that have equals, the mean is over all. The best linear prediction of a further equal
    row from k of them then takes :math:`k \rho / (1 + (k - 1) \rho)` of their mean residual, the
    intraclass shrinkage of random effects. A row of weight w counts as w equal rows.

    Attributes
    ----------
    numbers : dict of bytes to int
        Of different rows, by content; empty where no row has an equal.
    mean, count : Tensor of shape (T, g), (g,)
        Mean target and number of equal rows.
    correlation : Tensor of shape (T,)
    """

    numbers: dict[bytes, int]
    mean: Tensor
    count: Tensor
    correlation: Tensor

    @classmethod
    def fit(
        cls,
        X: Array,
        y: Tensor,
        left_out: Tensor,
        weights: Tensor | None,
        *,
        jointly: bool = False,
    ) -> "Repeats":
        """Fit to rows X (s, d), targets y, predictions without the row itself, weights (T, s).

        `jointly`: with one correlation for all targets, as indicators of classes need.
        """
        _, firsts, groups = np.unique(_contents(X), return_index=True, return_inverse=True)
        group = torch.from_numpy(groups.reshape(-1))
        w = torch.ones_like(y[0]) if weights is None else weights[0]
        count = w.new_zeros(len(firsts)).index_add_(0, group, w)
        total = y.new_zeros(len(y), len(firsts)).index_add_(1, group, w * y)
        others = (count[group] - 1).clamp(min=0)
        known = others > 0
        if not known.any():
            return cls({}, total, count, y.new_zeros(len(y)))
        largest = y.abs().amax((0, 1) if jointly else (1,), keepdim=True)
        unit = torch.where(largest > 0, largest, 1)  # against overflow and underflow of squares
        residual = (y - left_out) / unit
        theirs = ((total[:, group] - y) / torch.where(known, others, 1) - left_out) / unit
        evidence = w * others.clamp(max=1)
        agreement = (evidence * residual * theirs).sum(1)
        typical = (w * residual.square()).sum(1) / w.sum()
        size = (evidence * residual.square()).sum(1) + PRIOR_ROWS * typical
        if jointly:
            agreement, size = (part.sum().expand(len(y)) for part in (agreement, size))
        correlation = agreement / size.clamp(min=torch.finfo(y.dtype).tiny)
        numbers = {row: number for number, row in enumerate(_contents(X[firsts]).tolist())}
        return cls(numbers, total / count, count, correlation.clamp(0, 1))

    def of_queries(self, X: Array) -> Met | None:
        """Return what is known of queries (q, d), or None if no row of the support has an equal."""
        if not self.numbers:
            return None
        found = [self.numbers.get(row, -1) for row in _contents(X).tolist()]
        number = torch.tensor(found, dtype=torch.long)
        rho, count = self.correlation[:, None], self.count[number]
        share = count * rho / (1 + (count - 1) * rho).clamp(min=torch.finfo(rho.dtype).tiny)
        share = torch.where(number < 0, 0, share.clamp(0, 1))
        return Met(self.mean[:, number], share, (1 - rho * share).clamp(min=0).sqrt())


def _contents(X: Array) -> NDArray[np.void]:
    """Bytes of each row, (n,), the same for missing cells and for zeros of both signs."""
    cells = np.where(np.isnan(X), np.nan, X) + 0.0
    return np.ascontiguousarray(cells).view(f"V{cells.shape[1] * cells.itemsize}")[:, 0]
