"""Inverses of a symmetric matrix with many different diagonals added, from one reduction.

Shapes: B tables, n rows, S right-hand sides, P penalties.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import lapack
from torch import Tensor

from sklearn_looped.core.arrays import Array
from sklearn_looped.core.blas import one_blas_thread

BLOCK = 8  # columns that LAPACK reduces at a time
BLOCK_OF_BASIS = 32  # columns of the basis that LAPACK forms at a time


class Tridiagonal(NamedTuple):
    r"""Positive semidefinite matrices :math:`A = Q T Q^T` with tridiagonal T [1]_.

    That takes a third of the time of eigenvalues and eigenvectors. :math:`T + \lambda` has the
    factors :math:`L D L^T`, where L has ones on its diagonal and numbers beside it, so that
    :math:`W = Q L^{-T}` costs few products a column, and
    :math:`(A + \lambda)^{-1} = W D^{-1} W^T`.

    Attributes
    ----------
    basis : Tensor of shape (B, n, n)
        Q transposed.
    diagonal : ndarray of shape (B, n)
        Of T.
    beside : ndarray of shape (B, n - 1)
        What T has beside its diagonal.

    References
    ----------
    .. [1] G. H. Golub, C. F. Van Loan, "Matrix Computations", 4th edition, 2013, Section 8.3.1.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.core.tridiagonal import Tridiagonal
    >>> A = torch.tensor([[[2.0, 1.0], [1.0, 2.0]]], dtype=torch.float64)
    >>> sides = torch.tensor([[[8.0], [0.0]]], dtype=torch.float64)
    >>> diagonals, solved = Tridiagonal.of(A).inverses(sides, torch.tensor([1.0]))
    >>> diagonals.flatten().tolist(), solved.flatten().round(decimals=9).tolist()
    ([0.375, 0.375], [3.0, -1.0])
    """

    basis: Tensor
    diagonal: Array
    beside: Array

    @classmethod
    def of(cls, A: Tensor) -> "Tridiagonal":
        """Reduce matrices (B, n, n) in float64, n > 1."""
        with one_blas_thread():
            reduced = [_reduced(each) for each in A.cpu().numpy()]
        basis, diagonal, beside = map(np.stack, zip(*reduced, strict=True))
        return cls(torch.from_numpy(basis).to(A.device), diagonal, beside)

    def inverses(self, sides: Tensor, penalties: Tensor) -> tuple[Tensor, Tensor]:
        """Diagonals of the inverses of A + penalty, and these inverses' products.

        Parameters
        ----------
        sides : Tensor of shape (B, n, S)
        penalties : Tensor of shape (P,)
            Positive; what rounding of A may need is their least.

        Returns
        -------
        diagonals : Tensor of shape (B, n, P)
        solved : Tensor of shape (B, n, S, P)
        """
        n_tables, n, n_sides = sides.shape
        added = torch.cat([self.basis, self.basis @ sides], -1)[:, :, None].unbind(1)
        pivots, ratios = (
            torch.from_numpy(each).to(sides)[..., None] for each in self._factors(penalties)
        )
        column = sides.new_zeros(n_tables, len(penalties), n + n_sides)  # of W and L^-1 Q' sides
        scaled = torch.empty_like(column)
        of_rows, of_sides = column[..., :n], column[..., n:, None]
        scaled_rows, across = scaled[..., :n], scaled[..., None, :n]
        diagonals = torch.zeros_like(of_rows)
        solved = sides.new_zeros(n_tables, len(penalties), n_sides, n)
        for each, inverse, ratio in zip(added, (1 / pivots).unbind(), ratios.unbind(), strict=True):
            torch.addcmul(each, ratio, column, value=-1, out=column)
            torch.mul(column, inverse, out=scaled)
            diagonals.addcmul_(scaled_rows, of_rows)
            solved.addcmul_(across, of_sides)
        return diagonals.mT, solved.permute(0, 3, 2, 1)

    def _factors(self, penalties: Tensor) -> tuple[Array, Array]:
        """D, and what L has beside its diagonal, led by zeros, (n, B, P) each."""
        n_tables, n = self.diagonal.shape
        pivots = np.empty((n, n_tables, len(penalties)))
        ratios = np.zeros_like(pivots)
        least = n * np.finfo(np.float64).eps * self.diagonal.sum(axis=1)
        for table, (d, e, floor) in enumerate(zip(self.diagonal, self.beside, least, strict=True)):
            for place, penalty in enumerate(penalties.tolist()):
                found = lapack.dpttrf(d + max(penalty, floor), e)
                pivots[:, table, place], ratios[1:, table, place], _ = found
        return pivots, ratios


def _reduced(A: Array) -> tuple[Array, Array, Array]:
    """Reduce one matrix by Householder's reflections."""
    n = len(A)
    reflections, diagonal, beside, scales, _ = lapack.dsytrd(A.T, lower=1, lwork=BLOCK * n)
    basis = np.zeros_like(A)
    basis[0, 0] = 1
    basis[1:, 1:] = lapack.dorgqr(reflections[1:, :-1], scales, lwork=BLOCK_OF_BASIS * n)[0].T
    return basis, diagonal, beside
