"""Canonical form of a table: what the network sees does not depend on units, signs or order.

Shapes: B tables, n rows, s support rows, d columns.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

TIE = 1e-6  # correlations closer to zero, or to each other, than this count as equal


def _root_mean_square(centred: Tensor, count: Tensor) -> Tensor:
    """Root mean square over rows, one for all-zero columns; scaled first against overflow."""
    largest = centred.abs().amax(1, keepdim=True)
    largest = torch.where(largest > 0, largest, torch.ones_like(largest))
    size = largest * ((centred / largest).square().sum(1, keepdim=True) / count).sqrt()
    return torch.where(size > 0, size, torch.ones_like(size))


@dataclass(frozen=True)
class Standardiser:
    """Affine maps fitted on the support that bring a table to canonical form.

    Columns and target get mean 0 and standard deviation 1 over the support. The target's sign is
    chosen so that it is skewed to the right, each column's so that it correlates positively with
    the target, and columns are sorted by falling correlation. Hence ``a * X + b`` column by
    column, ``c * y + e`` and any order of columns lead to the same numbers, for every nonzero
    `a` and `c`, and the network need not learn it.

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
    def fit(cls, X: Tensor, y: Tensor) -> "Standardiser":
        """Fit to the support.

        Parameters
        ----------
        X : Tensor of shape (B, s, d)
            NaN marks a missing cell; it takes no part.
        y : Tensor of shape (B, s)

        Returns
        -------
        Standardiser

        Examples
        --------
        >>> import torch
        >>> from sklearn_looped.learned.standardise import Standardiser
        >>> X, y = torch.tensor([[[0.0], [2.0]]]), torch.tensor([[3.0, 5.0]])
        >>> Standardiser.fit(X, y).features(torch.tensor([[[4.0]]]))
        tensor([[[3.]]])
        """
        target_mean = y.mean(1, keepdim=True)
        centred = y - target_mean
        target_scale = _root_mean_square(centred, torch.tensor(y.shape[1]))
        skewness = (centred / target_scale).pow(3).mean(1, keepdim=True)
        target_scale = torch.where(skewness < -TIE, -target_scale, target_scale)

        present = ~X.isnan()
        count = present.sum(1, keepdim=True).clamp(min=1)  # (B, 1, d)
        mean = X.nansum(1, keepdim=True) / count
        columns = torch.where(present, X - mean, 0)
        scale = _root_mean_square(columns, count)
        correlation = ((columns / scale) * (centred / target_scale)[..., None]).mean(1)  # (B, d)
        scale = torch.where(correlation[:, None] < -TIE, -scale, scale)
        order = torch.argsort(
            (correlation.abs() / TIE).round(), dim=1, descending=True, stable=True
        )
        constant = centred.abs().amax(1, keepdim=True) == 0
        return cls(mean, scale, order, target_mean, torch.where(constant, 0, target_scale))

    def features(self, X: Tensor) -> Tensor:
        """Standardise, sign and sort the columns of X, (B, n, d) -> (B, n, d); NaN stays NaN."""
        order = self.order[:, None].expand(-1, X.shape[1], -1)
        return ((X - self.mean) / self.scale).gather(2, order)

    def target(self, y: Tensor) -> Tensor:
        """Standardise targets, (B, n) -> (B, n)."""
        scale = torch.where(self.target_scale == 0, 1, self.target_scale)
        return (y - self.target_mean) / scale

    def undo_target(self, y: Tensor) -> Tensor:
        """Bring standardised targets (B, n) back to the units of y."""
        return y * self.target_scale + self.target_mean
