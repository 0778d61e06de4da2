"""Kernel ridge regression on any number of rows, through landmarks, with closed-form leave-one-out.

One table at a time. Shapes: n rows, q queries, m landmarks, d columns, T targets, P penalties.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_looped.core.column_warp import ColumnWarp
from sklearn_looped.core.kernel_machine import KernelMachine, Search
from sklearn_looped.core.kernels import Kernel
from sklearn_looped.core.metric import metric_of
from sklearn_looped.core.rows import evenly_spaced

N_LANDMARKS = 1024
N_CHOSEN_ON = 8192  # rows, evenly spaced, that the penalty is chosen on
N_POINTS = 4096  # rows at most, evenly spaced, at which slopes are taken
N_SLOPES = 2**25  # numbers: of many columns and targets slopes are taken at fewer rows
N_TUNED_ON = 4096  # rows, evenly spaced, that the kernel's length is chosen on at last
TRIED = (1.0, 0.5, 2.0)  # lengths, of the one chosen on few rows: of equal ones the first is taken
N_WARPS = 3  # rounds of the warp: a fourth changes little
WARP_ROWS = 100  # what a round has to save: the warp has seen the rows that are left out
BLOCK = 4096  # rows at a time
JITTER = 1e-8  # on the landmarks' kernel, whose diagonal is about one
PENALTIES = tuple(10.0 ** (k / 2) for k in range(-8, 5))
LEAST_SPARE = 1e-9
WARPED = "manhattan"  # kernel that suits steps


class _Features(NamedTuple):
    """Kernel values with landmarks, turned to the principal axes of all rows.

    Attributes
    ----------
    kernel : Kernel
    landmarks : Tensor of shape (m, d)
    centre : Tensor of shape (m,)
        Weighted mean of the kernel values.
    turn : Tensor of shape (m, m)
    sizes : Tensor of shape (m,)
        Sums of squares of the features.
    """

    kernel: Kernel
    landmarks: Tensor
    centre: Tensor
    turn: Tensor
    sizes: Tensor

    def values(self, X: Tensor) -> Tensor:
        """Kernel values less their means, (q, d) -> (q, m)."""
        return _kernel(self.kernel, X, self.landmarks) - self.centre

    def __call__(self, X: Tensor) -> Tensor:
        """Features, (q, d) -> (q, m)."""
        return self.values(X) @ self.turn


def _kernel(kernel: Kernel, X: Tensor, Z: Tensor) -> Tensor:
    return kernel(X[None], Z[None])[0]


def _blocks(n_rows: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, n_rows, BLOCK))


@dataclass(frozen=True)
class NystroemRidge:
    r"""Ridge regression on the features that m landmarks span in a kernel.

    With :math:`K_{mm} = L L^T` the features are :math:`L^{-1} k_m(x)` [1]_, and everything is as
    in `Ridge`: the penalty is chosen by leave-one-out, and a row that is left out with all its
    copies is missed by :math:`(y_i - \hat y_i) / (1 - h_i)`. Time grows with n m^2 and memory with
    n T: kernel values are computed for `BLOCK` rows at a time, twice. The landmarks themselves are
    not left out.

    Attributes
    ----------
    features : _Features
    coef : Tensor of shape (m, T)
        Of the landmarks' kernel values.
    intercept : Tensor of shape (T,)
    left_out : Tensor of shape (n, T)
        Predictions of the rows, each left out with all its copies.

    References
    ----------
    .. [1] C. Williams, M. Seeger, "Using the Nyström method to speed up kernel machines",
       NeurIPS 2000.
    """

    features: _Features
    coef: Tensor
    intercept: Tensor
    left_out: Tensor

    @classmethod
    def fit(
        cls, kernel: Kernel, X: Tensor, Y: Tensor, weights: Tensor, landmarks: Tensor
    ) -> "NystroemRidge":
        """Fit to rows X (n, d), targets Y (n, T) and weights (n,); landmarks (m, d)."""
        total = weights.sum()
        intercept = weights @ Y / total
        features, sides = _principal(kernel, X, Y - intercept, weights, landmarks)
        some = evenly_spaced(len(X), N_CHOSEN_ON)
        known = torch.cat([features(X[some[rows]]) for rows in _blocks(len(some))])
        shrunk = _choose(features, sides, known, Y[some] - intercept, weights[some], total)
        left_out = torch.empty_like(Y)
        beta = shrunk[:, None] * sides
        for rows in _blocks(len(X)):
            scores = known[rows] if len(known) == len(X) else features(X[rows])
            spare = _spare(scores, shrunk[:, None], weights[rows], total)
            residual = Y[rows] - intercept - scores @ beta
            left_out[rows] = Y[rows] - residual / spare
        return cls(features, features.turn @ beta, intercept, left_out)

    def predict(self, Q: Tensor) -> Tensor:
        """Predictions of queries, (q, d) -> (q, T)."""
        parts = [self.features.values(Q[rows]) @ self.coef for rows in _blocks(len(Q))]
        return torch.cat(parts) + self.intercept if parts else Q.new_empty(0, len(self.intercept))

    def error(self, Y: Tensor, weights: Tensor) -> float:
        """Sum of the squared leave-one-out residuals."""
        return float(weights @ (Y - self.left_out).square().sum(1))

    def gradients(self, P: Tensor) -> Tensor:
        """Slopes of the predictions at points, (p, d) -> (p, d, T)."""
        kernel, Z = self.features.kernel, self.features.landmarks
        return kernel.gradients(P[None], Z[None], self.coef[None])[0]


def _principal(
    kernel: Kernel, X: Tensor, Y: Tensor, weights: Tensor, landmarks: Tensor
) -> tuple[_Features, Tensor]:
    """Features of all rows on their principal axes, and their products with the targets (m, T)."""
    m = len(landmarks)
    gram, mean = X.new_zeros(m, m), X.new_zeros(m)
    products = X.new_zeros(m, Y.shape[1])
    for rows in _blocks(len(X)):
        K, w = _kernel(kernel, X[rows], landmarks), weights[rows]
        weighted = w[:, None] * K
        gram.addmm_(weighted.T, K)
        mean += weighted.sum(0)
        products.addmm_(weighted.T, Y[rows])  # the targets' mean is zero: no need to centre K
    total = weights.sum()
    mean /= total
    gram.addr_(mean, mean, alpha=-float(total))
    own = _kernel(kernel, landmarks, landmarks)
    own.diagonal().add_(JITTER * own.diagonal().mean())
    L = torch.linalg.cholesky(own)
    half = torch.linalg.solve_triangular(L, gram, upper=False)
    sizes, axes = torch.linalg.eigh(torch.linalg.solve_triangular(L, half.T, upper=False))
    turn = torch.linalg.solve_triangular(L.T, axes, upper=True)
    return _Features(kernel, landmarks, mean, turn, sizes.clamp(min=0)), turn.T @ products


def _spare(scores: Tensor, shrunk: Tensor, weights: Tensor, total: Tensor) -> Tensor:
    """One less each row's leverage, for features (n, m) and inverse sizes (m, P): (n, P)."""
    leverage = scores.square() @ shrunk + 1 / total
    return (1 - weights[:, None] * leverage).clamp(min=LEAST_SPARE)


def _choose(
    features: _Features, sides: Tensor, scores: Tensor, Y: Tensor, weights: Tensor, total: Tensor
) -> Tensor:
    """Inverse sizes (m,) with the penalty of least error on some rows' features (n, m)."""
    inverse = 1 / (features.sizes[:, None] + scores.new_tensor(PENALTIES))  # (m, P)
    spare = _spare(scores, inverse, weights, total)
    spread = (weights @ Y.square()).clamp(min=torch.finfo(Y.dtype).tiny)
    errors = [
        (weights @ ((Y - scores @ (one[:, None] * sides)) / left[:, None]).square() / spread).sum()
        for one, left in zip(inverse.T, spare.T, strict=True)
    ]
    return inverse[:, int(torch.stack(errors).nan_to_num(torch.inf).argmin())]


@dataclass(frozen=True)
class LargeKernelMachine:
    """Kernel machine on any number of rows: the metric from some of them, the fit from all.

    A `KernelMachine` on evenly spaced rows chooses kernel and metric, and a length that is then
    compared with half and twice of it on up to `N_TUNED_ON` rows; the same rows are the landmarks
    of a `NystroemRidge` on all rows. For the Manhattan distance the columns are then stretched by
    the slopes of two such predictors, of every other row and of the rows between (`ColumnWarp`),
    and all is done again, up to `n_warps` times while the leave-one-out error falls by more than
    the share that `WARP_ROWS` rows are of all: steps of the target become sharp.

    Attributes
    ----------
    warp : ColumnWarp or None
    ridge : NystroemRidge
    """

    warp: ColumnWarp | None
    ridge: NystroemRidge

    @classmethod
    def fit(
        cls, X: Tensor, Y: Tensor, weights: Tensor, kind: str, n_warps: int = N_WARPS
    ) -> "LargeKernelMachine":
        """Fit to rows X (n, d) in canonical order, standardised targets Y (n, T), weights (n,)."""
        best = cls(None, _ridge(X, Y, weights, kind))
        for _ in range(n_warps if kind == WARPED else 0):
            warp = best._steeper(X, Y, weights)
            new = cls(warp, _ridge(warp(X), Y, weights, kind))
            before, after = (each.ridge.error(Y, weights) for each in (best, new))
            if (1 + WARP_ROWS / len(X)) * after >= before:
                break
            best = new
        return best

    @property
    def left_out(self) -> Tensor:
        """Predictions of the rows, each left out with all its copies, (n, T)."""
        return self.ridge.left_out

    def predict(self, Q: Tensor) -> Tensor:
        """Predictions of queries, (q, d) -> (q, T)."""
        return self.ridge.predict(self._warped(Q))

    def metric(self, X: Tensor, weights: Tensor) -> Tensor:
        """Mean squares of the slopes at some of the rows (n, d), (d,), of mean 1."""
        points = _points(X, self.left_out.shape[1])
        slopes = self.ridge.gradients(self._warped(X[points]))
        if self.warp is not None:
            slopes = slopes * self.warp.slopes(X[points])[..., None]
        return metric_of(slopes[None], slopes[None], weights[points][None])[0]

    def _warped(self, X: Tensor) -> Tensor:
        return X if self.warp is None else self.warp(X)

    def _steeper(self, X: Tensor, Y: Tensor, weights: Tensor) -> ColumnWarp:
        """Warp of the columns by cross-fitted slopes, in the columns' own units."""
        points = _points(X, Y.shape[1])
        P, warped, slopes = X[points], self._warped(X), []
        for half in (slice(0, None, 2), slice(1, None, 2)):
            part = warped[half], Y[half], weights[half]
            landmarks = part[0][evenly_spaced(len(part[0]), N_LANDMARKS // 2)]
            ridge = NystroemRidge.fit(self.ridge.features.kernel, *part, landmarks)
            slopes.append(ridge.gradients(warped[points]))
        squares = (slopes[0] * slopes[1]).sum(2)
        if self.warp is not None:
            squares = squares * self.warp.slopes(P).square()
        return ColumnWarp.fit(X, P, squares, weights[points])


def _points(X: Tensor, n_targets: int) -> Tensor:
    """Numbers of the rows at which slopes are taken: fewer where columns or targets are many."""
    return evenly_spaced(len(X), max(1, min(N_POINTS, N_SLOPES // (X.shape[1] * n_targets))))


def _ridge(X: Tensor, Y: Tensor, weights: Tensor, kind: str) -> NystroemRidge:
    """Kernel and landmarks from evenly spaced rows, the fit from all."""
    chosen = evenly_spaced(len(X), N_LANDMARKS)
    some = X[chosen]
    machine = KernelMachine.fit(some[None], Y[chosen][None], weights[chosen][None], Search((kind,)))
    kernel = _of_best_length(machine.kernel, X, Y, weights)
    return NystroemRidge.fit(kernel, X, Y, weights, some)


def _of_best_length(kernel: Kernel, X: Tensor, Y: Tensor, weights: Tensor) -> Kernel:
    """Choose the length again, on more rows than a `KernelMachine` does and on fewer landmarks."""
    some = evenly_spaced(len(X), N_TUNED_ON)
    X, Y, weights = X[some], Y[some], weights[some]
    landmarks = X[evenly_spaced(len(X), max(1, min(len(X) // 4, N_LANDMARKS // 2)))]
    kernels = [kernel._replace(length=factor * kernel.length) for factor in TRIED]
    fits = [NystroemRidge.fit(each, X, Y, weights, landmarks) for each in kernels]
    errors = torch.tensor([fit.error(Y, weights) for fit in fits])
    return kernels[int(errors.nan_to_num(torch.inf).argmin())]
