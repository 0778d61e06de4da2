"""Kernels in a diagonal metric, batched over tables.

Shapes: B tables, n rows, q other rows, d columns.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

KINDS = ("laplace", "matern", "gauss", "manhattan")
MANHATTAN = KINDS.index("manhattan")
LINEAR = 0.1  # share of the linear kernel: lets a smooth function rise beyond the rows
TOUCHING = 1e-6  # distance over the length below which two rows count as one point


# All may overwrite r: fresh memory for n^2 numbers costs more than the arithmetic.
def _laplace(r: Tensor) -> Tensor:
    return r.neg_().exp_()


def _laplace_slope(r: Tensor) -> Tensor:
    return torch.where(r > TOUCHING, torch.exp(-r) / r.clamp(min=TOUCHING), 0)


def _matern(r: Tensor) -> Tensor:
    r = math.sqrt(3) * r
    return (1 + r) * torch.exp(-r)


def _matern_slope(r: Tensor) -> Tensor:
    return 3 * torch.exp(-math.sqrt(3) * r)


def _gauss(r: Tensor) -> Tensor:
    return r.square_().mul_(-0.5).exp_()


Radial = Callable[[Tensor], Tensor]
VALUES: tuple[Radial, ...] = (_laplace, _matern, _gauss, _laplace)
SLOPES: tuple[Radial, ...] = (_laplace_slope, _matern_slope, _gauss, _laplace)


def _by_kind(kind: Tensor, r: Tensor, functions: tuple[Radial, ...]) -> Tensor:
    """Apply to each table's r the function of its kind."""
    first, *others = sorted(set(kind.tolist()))
    if not others:
        return functions[first](r)
    out = torch.empty_like(r)
    for each in (first, *others):
        out[kind == each] = functions[each](r[kind == each])
    return out


def _share(X: Tensor) -> float:
    """Linear part a column."""
    return LINEAR / max(1, X.shape[-1])


class Kernel(NamedTuple):
    r"""A kernel for each of B tables: a function of distances in a metric, and a linear part.

    .. math:: k(x, z) = \phi(|x - z|_M / L) + .1 \, \langle x, z \rangle_M / d

    The distance is Euclidean, :math:`|x|_M^2 = \sum_j m_j x_j^2`, or for "manhattan" the sum
    :math:`\sum_j \sqrt{m_j} |x_j|`: exp(-r) is then a product over columns, to which forests of
    random axis-parallel partitions tend (Balog et al. 2016), and suits steps as trees do.

    Attributes
    ----------
    kind : Tensor of shape (B,)
        Place of phi in `KINDS`: exp(-r), (1 + sqrt(3) r) exp(-sqrt(3) r), exp(-r^2 / 2), and
        exp(-r) of the Manhattan distance.
    length : Tensor of shape (B,)
        L.
    metric : Tensor of shape (B, d)
        Diagonal of M, the weights of the columns, of mean 1.
    """

    kind: Tensor
    length: Tensor
    metric: Tensor

    def distances(self, X: Tensor, Z: Tensor) -> Tensor:
        """Distances over the length, (B, n, d) x (B, q, d) -> (B, n, q)."""
        scale, origin = self.metric.sqrt() / self.length[:, None], Z[:, :1]
        X, Z = (part - origin for part in (X, Z))  # constant columns become exact zeros
        X, Z, sums = X * scale[:, None], Z * scale[:, None], self.kind == MANHATTAN
        if sums.all():
            return torch.cdist(X, Z, p=1)
        D = torch.cdist(X, Z)
        if sums.any():
            D[sums] = torch.cdist(X[sums], Z[sums], p=1)
        return D

    def add_products(self, K: Tensor, X: Tensor, Z: Tensor) -> Tensor:
        """Add to K (B, n, q) the linear part, (B, n, d) x (B, q, d), in place."""
        return K.baddbmm_(X * self.metric[:, None], Z.mT, alpha=_share(X))

    def radial_(self, r: Tensor) -> Tensor:
        """phi(r), (B, n, q); overwrites r."""
        return _by_kind(self.kind, r, VALUES)

    def __call__(self, X: Tensor, Z: Tensor) -> Tensor:
        """Kernel values, (B, n, d) x (B, q, d) -> (B, n, q)."""
        return self.add_products(self.radial_(self.distances(X, Z)), X, Z)

    def variances(self, X: Tensor) -> Tensor:
        """Kernel values k(x, x), (B, n, d) -> (B, n)."""
        return 1 + _share(X) * (X.square() * self.metric[:, None]).sum(-1)

    def slopes_(self, r: Tensor) -> Tensor:
        """-phi'(r) / (L^2 r), (B, n, q); of the Manhattan distance -phi'(r) / L; overwrites r."""
        power = torch.where(self.kind == MANHATTAN, 1, 2)
        return _by_kind(self.kind, r, SLOPES).div_(self.length.pow(power)[:, None, None])

    def gradients(self, P: Tensor, X: Tensor, coef: Tensor) -> Tensor:
        """Gradients at P (B, p, d) of sum_i coef_i k(x_i, .), coef (B, n, T): (B, p, d, T).

        Products -M (x_p sum_i S_pi coef_i - sum_i S_pi coef_i x_i), or for the Manhattan distance
        one a column, -sqrt(m_j) sum_i S_pi coef_i sign(x_pj - x_ij). All tables are of one kind.
        """
        slopes = self.slopes_(self.distances(P, X))
        linear = _share(X) * self.metric[:, None, :, None] * (X.mT @ coef)[:, None]
        if self.kind[0] != MANHATTAN:
            targets = coef.split(1, 2)
            drawn = torch.stack([slopes @ (each * X) for each in targets], -1)
            radial = drawn - P[..., None] * (slopes @ coef)[:, :, None]
            return self.metric[:, None, :, None] * radial + linear
        radial, sides = X.new_empty(*P.shape, coef.shape[2]), torch.empty_like(slopes)
        for j in range(X.shape[2]):  # column by column: p n numbers at a time, in one place
            torch.sub(X[:, None, :, j], P[:, :, None, j], out=sides)
            radial[:, :, j] = sides.sign_().mul_(slopes) @ coef
        return self.metric.sqrt()[:, None, :, None] * radial + linear


def median_distance(D: Tensor) -> Tensor:
    """Median distance between different rows, (B, n, n) -> (B,)."""
    first, second = torch.triu_indices(D.shape[1], D.shape[1], 1, device=D.device)
    between = D[:, first, second]
    median = between.median(1).values
    return torch.where(median > 0, median, between.amax(1)).clamp(min=TOUCHING)
