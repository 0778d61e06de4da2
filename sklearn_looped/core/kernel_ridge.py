"""Kernel ridge regression with closed-form leave-one-out, batched over tables.

Shapes: B tables, n rows, T targets, P penalties.
"""

from typing import NamedTuple

import torch
from torch import Tensor

LEAST_PENALTY = 1e-10  # of a row of many copies: what rounding of the kernel may need


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
    sides = torch.cat([torch.ones_like(Y[..., :1]), Y], -1)
    solved = torch.cholesky_solve(sides, _penalised(K, weights, penalty))
    u, solved = solved[..., :1], solved[..., 1:]
    return solved - u * (u.mT @ Y / u.sum(1, keepdim=True))


class Solution(NamedTuple):
    r"""Kernel ridge with an intercept, solved for B tables.

    With :math:`A = K + \lambda W^{-1}`, :math:`u = A^{-1} 1` and the intercept eliminated,
    :math:`C = A^{-1} - u u^T / 1^T u`, the coefficients are :math:`C Y`, and a row that is left
    out with all its copies is missed by :math:`(C Y)_i / C_{ii}`.

    Attributes
    ----------
    penalty : Tensor of shape (B,)
        lambda.
    inverse : Tensor of shape (B, n, n)
        C.
    precision : Tensor of shape (B, n, 1)
        Its diagonal, positive also where one row has all the weight.
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
    inverse: Tensor
    precision: Tensor
    share: Tensor
    total: Tensor
    coef: Tensor
    intercept: Tensor
    residual: Tensor

    @classmethod
    def of(cls, K: Tensor, Y: Tensor, weights: Tensor, penalty: Tensor) -> "Solution":
        """Solve for targets (B, n, T), weights (B, n) and penalties (B,)."""
        inverse = torch.cholesky_inverse(_penalised(K, weights, penalty))
        diagonal = inverse.diagonal(dim1=1, dim2=2).clone()[..., None]
        u = inverse.sum(-1, keepdim=True)
        total = u.sum(1, keepdim=True)
        C = inverse.baddbmm_(u / total, u.mT, alpha=-1)
        rounding = torch.finfo(C.dtype).eps * diagonal
        precision = torch.maximum(C.diagonal(dim1=1, dim2=2)[..., None], rounding)
        coef, share = C @ Y, u / total
        intercept, residual = share.mT @ Y, coef / precision
        return cls(penalty, C, precision, share, total[:, 0, 0], coef, intercept, residual)

    def error(self, weights: Tensor) -> Tensor:
        """Mean square of the leave-one-out residuals over rows and targets, (B,)."""
        return mean_over_rows(self.residual.square(), weights)[:, 0].mean(-1)


def errors_by_penalty(K: Tensor, Y: Tensor, weights: Tensor, penalties: Tensor) -> Tensor:
    """Leave-one-out errors as `Solution.error` has them, (B, P), for P penalties at once.

    One eigendecomposition of the weighted kernel serves all penalties and targets.
    """
    root = weights.sqrt()[..., None]
    values, vectors = torch.linalg.eigh(root * K * root.mT)
    inverse = 1 / (values.clamp(min=0)[..., None] + penalties)  # (B, n, P)
    sides = torch.cat([root, root * Y], -1)  # (B, n, 1 + T)
    turned = (vectors.mT @ sides)[..., None] * inverse[:, :, None]  # (B, n, 1 + T, P)
    solved = (vectors @ turned.flatten(2)).view(turned.shape)
    u, solved = solved[:, :, :1], solved[:, :, 1:]
    total = (root[..., None] * u).sum(1, keepdim=True)
    means = (u * (root * Y)[..., None]).sum(1, keepdim=True) / total
    before = vectors.square() @ inverse
    diagonal = before - u[:, :, 0].square() / total[:, :, 0]
    diagonal = torch.maximum(diagonal, torch.finfo(K.dtype).eps * before)
    residual = (solved - u * means) / diagonal[:, :, None] / root[..., None]
    return mean_over_rows(residual.square().mean(2), weights)[:, 0]
