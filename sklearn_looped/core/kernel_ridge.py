"""Kernel ridge regression with closed-form leave-one-out, batched over tables.

Shapes: B tables, n rows, T targets, P penalties.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_looped.core.tridiagonal import Tridiagonal

LEAST_PENALTY = 1e-10  # of a row of many copies: what rounding of the kernel may need
FEW = 64  # rows below which the inverse of a triangle is not taken in halves
COARSE = 0.01  # variances from which float32, whose errors are about 1e-6, is enough


def mean_over_rows(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over rows, (B, n, T) -> (B, 1, T)."""
    share = weights / weights.sum(1, keepdim=True)
    return share[:, None] @ values


def _penalised(K: Tensor, weights: Tensor, penalty: Tensor) -> Tensor:
    """Cholesky factor of ``K + penalty / weights``."""
    A = K.clone()
    A.diagonal(dim1=1, dim2=2).add_((penalty[:, None] / weights).clamp(min=LEAST_PENALTY))
    return torch.linalg.cholesky(A)


def coefficients(K: Tensor, Y: Tensor, weights: Tensor, penalty: Tensor) -> Tensor:
    """Coefficients alone, (B, n, T), of the `Solution` for the same arguments, in less time."""
    return _eliminated(_penalised(K, weights, penalty), Y)[0]


def _eliminated(root: Tensor, Y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """C Y (B, n, T), u (B, n, 1) and 1'u (B, 1, 1) of `Solution`, from the Cholesky factor."""
    sides = torch.cat([torch.ones_like(Y[..., :1]), Y], -1)
    solved = torch.cholesky_solve(sides, root)
    u, solved = solved[..., :1], solved[..., 1:]
    total = u.sum(1, keepdim=True)
    return solved - u * (u.mT @ Y / total), u, total


def _diagonal_of_inverse(root: Tensor) -> Tensor:
    """Diagonal (B, n) of the inverse of L L', from L (B, n, n): the squares of columns of 1/L."""
    n_rows = root.shape[-1]
    if n_rows <= FEW:
        identity = torch.eye(n_rows, dtype=root.dtype, device=root.device)
        return torch.linalg.solve_triangular(root, identity, upper=False).square().sum(1)
    half = n_rows // 2
    first, below, second = root[:, :half, :half], root[:, half:, :half], root[:, half:, half:]
    right = torch.linalg.solve_triangular(first, below, upper=False, left=False)
    corner = torch.linalg.solve_triangular(second, right, upper=False)  # of 1/L, up to the sign
    before = _diagonal_of_inverse(first) + corner.square().sum(1)
    return torch.cat([before, _diagonal_of_inverse(second)], 1)


class Solution(NamedTuple):
    r"""Kernel ridge with an intercept, solved for B tables.

    With :math:`A = K + \lambda W^{-1}`, :math:`u = A^{-1} 1` and the intercept eliminated,
    :math:`C = A^{-1} - u u^T / 1^T u`, the coefficients are :math:`C Y`, and a row that is left
    out with all its copies is missed by :math:`(C Y)_i / C_{ii}`.

    Attributes
    ----------
    penalty : Tensor of shape (B,)
        lambda.
    root : Tensor of shape (B, n, n)
        Cholesky factor of A.
    precision : Tensor of shape (B, n, 1)
        Diagonal of C, positive also where one row has all the weight.
    share : Tensor of shape (B, n, 1)
        u / 1'u, each row's share of the intercept.
    total : Tensor of shape (B,)
        1'u.
    coef : Tensor of shape (B, n, T)
    intercept : Tensor of shape (B, 1, T)
    residual : Tensor of shape (B, n, T)
        What each row is missed by when it is left out.
    """

    penalty: Tensor
    root: Tensor
    precision: Tensor
    share: Tensor
    total: Tensor
    coef: Tensor
    intercept: Tensor
    residual: Tensor

    @classmethod
    def of(cls, K: Tensor, Y: Tensor, weights: Tensor, penalty: Tensor) -> "Solution":
        """Solve for targets (B, n, T), weights (B, n) and penalties (B,)."""
        root = _penalised(K, weights, penalty)
        coef, u, total = _eliminated(root, Y)
        diagonal = _diagonal_of_inverse(root)[..., None]
        rounding = torch.finfo(K.dtype).eps * diagonal
        precision, share = torch.maximum(diagonal - u.square() / total, rounding), u / total
        intercept, residual = share.mT @ Y, coef / precision
        return cls(penalty, root, precision, share, total[:, 0, 0], coef, intercept, residual)

    def variances(self, K: Tensor, own: Tensor, coarse: bool = False) -> Tensor:
        r"""Variances of new rows, (B, q), where the kernel's own variance is one.

        Kriging with an unknown mean,
        :math:`k(x, x) + \lambda - |L^{-1} k|^2 + (1 - u^T k)^2 / 1^T u` with :math:`L L^T = A`, at
        least :math:`\lambda`.

        Parameters
        ----------
        K : Tensor of shape (B, q, n)
            Kernel values k of new rows and those that were fitted to.
        own : Tensor of shape (B, q)
            Their kernel values with themselves.
        coarse : bool, default=False
            Whether a thousandth of a variance is exact enough: then :math:`L^{-1} k` is computed
            in float32, in half the time, where the variance is `COARSE` or more.
        """
        missing = 1 / self.total[:, None] - (K @ self.share)[..., 0]
        rest = own + self.total[:, None] * missing.square()
        if not coarse or (1 / self.precision).median() < COARSE:  # that of rows left out
            return self._at_least_penalty(rest, K, K.dtype)
        variance = self._at_least_penalty(rest, K, torch.float32)
        fine = (variance < COARSE).any(0).nonzero()[:, 0]
        if len(fine):
            variance[:, fine] = self._at_least_penalty(rest[:, fine], K[:, fine], K.dtype)
        return variance

    def _at_least_penalty(self, rest: Tensor, K: Tensor, dtype: torch.dtype) -> Tensor:
        """Variances (B, q): lambda + rest - the squares of L^-1 k, which is computed in `dtype`."""
        root, K = self.root.to(dtype), K.to(dtype)
        solved = torch.linalg.solve_triangular(root.mT, K, upper=True, left=False)
        variance = rest - solved.square_().sum(-1)
        return self.penalty[:, None] + variance.clamp(min=0)  # rounding must not make it less

    def error(self, weights: Tensor) -> Tensor:
        """Mean square of the leave-one-out residuals over rows and targets, (B,)."""
        return mean_over_rows(self.residual.square(), weights)[:, 0].mean(-1)


def errors_by_penalty(K: Tensor, Y: Tensor, weights: Tensor, penalties: Tensor) -> Tensor:
    """Leave-one-out errors as `Solution.error` has them, (B, P), for P penalties at once.

    One tridiagonal form of the weighted kernel serves all penalties and targets.
    """
    root = weights.sqrt()[..., None]
    sides = torch.cat([root, root * Y], -1)  # (B, n, 1 + T)
    before, solved = Tridiagonal.of(root * K * root.mT).inverses(sides, penalties)
    u, solved = solved[:, :, :1], solved[:, :, 1:]
    total = (root[..., None] * u).sum(1, keepdim=True)
    means = (u * (root * Y)[..., None]).sum(1, keepdim=True) / total
    diagonal = before - u[:, :, 0].square() / total[:, :, 0]
    diagonal = torch.maximum(diagonal, torch.finfo(K.dtype).eps * before)
    residual = (solved - u * means) / diagonal[:, :, None] / root[..., None]
    return mean_over_rows(residual.square().mean(2), weights)[:, 0]
