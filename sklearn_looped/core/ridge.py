"""Ridge regression on B tables, its penalty chosen by closed-form leave-one-out.

Shapes: B tables, n rows, q queries, d columns, T targets, P penalties.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_looped.core.kernel_ridge import mean_over_rows
from sklearn_looped.core.stacking import TargetScale

PENALTIES = tuple(10.0 ** (k / 2) for k in range(-8, 9))  # times the number of rows over 100


@dataclass(frozen=True)
class Ridge:
    r"""Linear regression with an intercept and a penalty, on B tables, each target by itself.

    With the centred, weighted rows :math:`W^{1/2} X = U S V^T` a row that is left out with all
    its copies is missed by :math:`(y_i - \hat y_i) / (1 - h_i)`, where
    :math:`h_i = w_i / \sum w + (U S^2 / (S^2 + \lambda) U^T)_{ii}` is its leverage.

    Attributes
    ----------
    coef : Tensor of shape (B, d, T)
    centre : Tensor of shape (B, 1, d)
        Means of the columns.
    intercept : Tensor of shape (B, 1, T)
        Predictions at the centre.
    relative_error : Tensor of shape (B,)
        Mean square of the leave-one-out residuals over the targets' variance.
    left_out, left_out_std : Tensor of shape (B, n, T)
        Predictions of the rows, each left out with all its copies, and standard deviations.
    vectors : Tensor of shape (B, d, d)
        V.
    shrunk : Tensor of shape (B, d, T)
        Eigenvalues :math:`1 / (S^2 + \lambda)` of the inverse of ``X' W X + penalty``.
    noise : Tensor of shape (B, 1, T)
        Standard deviation of the noise.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.core.ridge import Ridge
    >>> X = torch.rand(1, 50, 2, dtype=torch.float64, generator=torch.manual_seed(0))
    >>> Ridge.fit(X, X @ X.new_tensor([[[3.0], [-1.0]]])).coef[0].T.round(decimals=2)
    tensor([[ 3., -1.]], dtype=torch.float64)
    """

    coef: Tensor
    centre: Tensor
    intercept: Tensor
    relative_error: Tensor
    left_out: Tensor
    left_out_std: Tensor
    vectors: Tensor
    shrunk: Tensor
    noise: Tensor
    total: Tensor

    @classmethod
    def fit(cls, X: Tensor, Y: Tensor, weights: Tensor | None = None) -> "Ridge":
        """Fit to B tables at once; X (B, n, d), Y (B, n, T) in float64, weights (B, n)."""
        w = torch.ones_like(Y[..., 0]) if weights is None else weights
        root = w.sqrt()[..., None]
        centre, scale = mean_over_rows(X, w), TargetScale.fit(Y, w)
        mean = scale.mean
        values, vectors = torch.linalg.eigh((root * (X - centre)).mT @ (root * (X - centre)))
        values = values.clamp(min=0)
        total = w.sum(1)
        penalties = X.new_tensor(PENALTIES) * total[:, None] / 100  # (B, P)
        shrunk = 1 / (values[..., None] + penalties[:, None])  # (B, d, P)
        scores = (X - centre) @ vectors  # (B, n, d)
        sides = scores.mT @ (w[..., None] * (Y - mean))  # (B, d, T)
        leverage = w[..., None] * (scores.square() @ shrunk) + (w / total[:, None])[..., None]
        fitted = scores @ (sides[..., None] * shrunk[:, :, None]).flatten(2)
        fitted = fitted.view(*Y.shape, -1)  # (B, n, T, P)
        spare = (1 - leverage).clamp(min=1e-9)
        residual = ((Y - mean)[..., None] - fitted) / spare[:, :, None]
        error = mean_over_rows(residual.square().flatten(2), w).view(len(X), -1, len(PENALTIES))
        which = error.argmin(2)  # (B, T)
        pick = which[:, None, :, None].expand(-1, X.shape[1], -1, 1)
        residual = residual.gather(3, pick)[..., 0]
        spare = spare[:, :, None].expand_as(residual[..., None].expand(-1, -1, -1, len(PENALTIES)))
        spare = spare.gather(3, pick)[..., 0]
        shrunk = shrunk.gather(2, which[:, None].expand(-1, X.shape[2], -1))  # (B, d, T)
        coef = vectors @ (sides * shrunk)
        noise = mean_over_rows(residual.square() * spare, w).sqrt()
        variance = scale.spread[:, 0].square()
        relative = error.gather(2, which[..., None])[..., 0] / torch.where(
            variance > 0, variance, 1
        )
        return cls(
            coef, centre, mean, relative.mean(1), Y - residual, noise / spare.sqrt(), vectors,
            shrunk, noise, total,
        )  # fmt: skip

    def predict(
        self, Q: Tensor, known: Tensor | None = None, coarse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Predictions of queries (B, q, d) and their standard deviations, (B, q, T) each.

        `known` and `coarse` are what `KernelMachine.predict` takes, and are not used.
        """
        variance = 1 + 1 / self.total[:, None, None]
        spread = ((Q - self.centre) @ self.vectors).square() @ self.shrunk
        return self.mean(Q), self.noise * (variance + spread).sqrt()

    def mean(self, Q: Tensor, known: Tensor | None = None) -> Tensor:
        """Predictions of queries (B, q, d) alone, (B, q, T)."""
        return self.intercept + (Q - self.centre) @ self.coef
