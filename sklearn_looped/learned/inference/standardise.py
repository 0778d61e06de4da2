"""Canonical form of a table: what the network sees does not depend on units, signs or order.

Shapes: B tables, n rows, s support rows, d columns.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

TIE = 1e-6  # correlations closer to zero, or to each other, than this count as equal


def _root_mean_square(centred: Tensor, weights: Tensor) -> Tensor:
    """Weighted root mean square over rows, one for all-zero columns.

    Scaled first, against overflow.
    """
    largest = centred.abs().amax(1, keepdim=True)
    largest = torch.where(largest > 0, largest, torch.ones_like(largest))
    size = largest * _mean((centred / largest).square(), weights).sqrt()
    return torch.where(size > 0, size, torch.ones_like(size))


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over rows, zero where nothing has weight."""
    total = weights.sum(1, keepdim=True)
    return (weights * values).sum(1, keepdim=True) / torch.where(total > 0, total, 1)


@dataclass(frozen=True)
class Standardiser:
    """Affine maps fitted on the support that bring a table to canonical form.

    Columns and target get mean 0 and standard deviation 1 over the support. The target's sign is
    chosen so that it is skewed to the right, each column's so that it correlates positively with
    the target, and columns are sorted by falling correlation. Hence ``a * X + b`` column by
    column, ``c * y + e`` and any order of columns lead to the same numbers, for every nonzero
    `a` and `c`, and the network need not learn it.

    Without centring, means stay and all moments are about zero: units, signs and order of columns
    still do not matter, the zero points of columns and target do. A mean over the support is
    itself an estimate and costs about one support row.

    Attributes
    ----------
    mean, scale : Tensor of shape (B, 1, d)
        Of the columns in their original order; the scale carries the sign.
    order : Tensor of shape (B, d)
        The original column in each place.
    target_mean, target_scale : Tensor of shape (B, 1)
        Of the target; the scale carries the sign and is 0 where the target is constant.
    """

    mean: Tensor
    scale: Tensor
    order: Tensor
    target_mean: Tensor
    target_scale: Tensor

    @classmethod
    def fit(
        cls, X: Tensor, y: Tensor, weights: Tensor | None = None, *, centre: bool = True
    ) -> "Standardiser":
        """Fit to the support.

        Parameters
        ----------
        X : Tensor of shape (B, s, d)
            NaN marks a missing cell; it takes no part.
        y : Tensor of shape (B, s)
        weights : Tensor of shape (B, s), default=None
            How often each row counts. None: once.
        centre : bool, default=True
            Whether means are taken off.

        Returns
        -------
        Standardiser

        Examples
        --------
        >>> import torch
        >>> from sklearn_looped.learned.inference.standardise import Standardiser
        >>> X, y = torch.tensor([[[0.0], [2.0]]]), torch.tensor([[3.0, 5.0]])
        >>> Standardiser.fit(X, y).features(torch.tensor([[[4.0]]]))
        tensor([[[3.]]])
        """
        w = torch.ones_like(y) if weights is None else weights.to(y)
        target_mean = _mean(y, w) if centre else torch.zeros_like(y[:, :1])
        centred = y - target_mean
        target_scale = _root_mean_square(centred, w)
        skewness = _mean((centred / target_scale).pow(3), w)
        target_scale = torch.where(skewness < -TIE, -target_scale, target_scale)

        present = ~X.isnan()
        cell_weights = torch.where(present, w[..., None].to(X), 0)  # (B, s, d)
        mean = torch.zeros_like(X[:, :1])
        if centre:
            mean = _mean(torch.where(present, X, 0), cell_weights)
        columns = torch.where(present, X - mean, 0)
        scale = _root_mean_square(columns, cell_weights)
        with_target = (columns / scale) * (centred / target_scale)[..., None]
        correlation = _mean(with_target, w[..., None].to(X))[:, 0]  # (B, d)
        scale = torch.where(correlation[:, None] < -TIE, -scale, scale)
        order = torch.argsort(
            (correlation.abs() / TIE).round(), dim=1, descending=True, stable=True
        )
        constant = centred.abs().amax(1, keepdim=True) == 0
        return cls(mean, scale, order, target_mean, torch.where(constant, 0, target_scale))

    @classmethod
    def identity(cls, X: Tensor, y: Tensor) -> "Standardiser":
        """Leave tables as they are; takes what `fit` takes."""
        zeros, order = torch.zeros_like(X[:, :1]), torch.arange(X.shape[2]).expand(len(X), -1)
        return cls(zeros, zeros + 1, order, torch.zeros_like(y[:, :1]), torch.ones_like(y[:, :1]))

    def features(self, X: Tensor) -> Tensor:
        """Standardise, sign and sort the columns of X, (B, n, d) -> (B, n, d); NaN stays NaN."""
        order = self.order[:, None].expand(-1, X.shape[1], -1)
        return ((X - self.mean) / self.scale).gather(2, order)

    def in_original_order(self, values: Tensor) -> Tensor:
        """Bring values of the sorted columns, (B, d), to the order that the table has."""
        return torch.empty_like(values).scatter_(1, self.order, values)

    def target(self, y: Tensor) -> Tensor:
        """Standardise targets, (B, n) -> (B, n)."""
        scale = torch.where(self.target_scale == 0, 1, self.target_scale)
        return (y - self.target_mean) / scale

    def undo_target(self, y: Tensor) -> Tensor:
        """Bring standardised targets (B, n) back to the units of y."""
        return y * self.target_scale + self.target_mean
