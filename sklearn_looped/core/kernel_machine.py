"""Kernel ridge regression whose metric is learned in a loop, chosen by leave-one-out throughout.

Batched over tables, and free of training: everything is a closed form or a choice among a few.

Shapes: B tables, n rows, q queries, d columns, T targets, M members.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sklearn_looped.core.kernel_ridge import Solution, errors_by_penalty, mean_over_rows
from sklearn_looped.core.kernels import KINDS, Kernel, median_distance
from sklearn_looped.core.metric import cross_fitted_metric, metric_of, shrunk, strengths
from sklearn_looped.core.ridge import Ridge
from sklearn_looped.core.stacking import TargetScale, stacking_shares

LENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0)  # multiples of the median distance between rows
PENALTIES = tuple(10.0**k for k in range(-5, 3))
TOGETHER = 2**19  # pairs of rows of kernels whose errors are found at once: 8 of 256 rows
FEW_COLUMNS = 16  # up to so many, what suits equal weights suits those of the first loop too
N_ROWS = 256  # that lengths and penalties are chosen on, and slopes taken at


@dataclass(frozen=True)
class Search:
    """What a kernel machine chooses from by leave-one-out error.

    Parameters
    ----------
    kinds : tuple of str, default=("manhattan", "gauss")
        Kernels, of `KINDS`. Each is a path of its own.
    lengths : tuple of float, default=(0.5, 1, 2, 4, 8)
        Multiples of the median distance between rows.
    n_loops : int, default=3
        Rounds of the metric; 0: all columns weigh the same.
    n_rows : int, default=256
        Rows, evenly spaced, that length and penalty are chosen on and the slopes are taken at
        that the metric is made of. All else sees all rows.
    plain : bool, default=True
        Whether the mixture has each kernel as it is before the rounds of the metric, too.
    metric_rows : float, default=0
        Rows, by weight, from which on the last metric is taken as it is; from fewer it is `shrunk`.
    """

    kinds: tuple[str, ...] = ("manhattan", "gauss")
    lengths: tuple[float, ...] = LENGTHS
    n_loops: int = 3
    n_rows: int = N_ROWS
    plain: bool = True
    metric_rows: float = 0.0


DEFAULT_SEARCH = Search()


class Member(NamedTuple):
    """Kernel ridge in one kernel for each of B tables.

    Attributes
    ----------
    kernel : Kernel
    solution : Solution
    error : Tensor of shape (B,)
        Mean square of the leave-one-out residuals.
    """

    kernel: Kernel
    solution: Solution
    error: Tensor

    @classmethod
    def fit(
        cls, kernel: Kernel, X: Tensor, Z: Tensor, weights: Tensor, penalty: Tensor
    ) -> "Member":
        """Fit to rows X (B, n, d) and targets Z (B, n, T)."""
        solution = Solution.of(kernel(X, X), Z, weights, penalty)
        return cls(kernel, solution, solution.error(weights))

    def or_better(self, other: "Member") -> "Member":
        """Take of each table the member with the smaller leave-one-out error, self if equal."""
        better = other.error < self.error
        if not better.any():
            return self
        if better.all():
            return other
        return Member(
            Kernel(*_where(better, other.kernel, self.kernel)),
            Solution(*_where(better, other.solution, self.solution)),
            torch.where(better, other.error, self.error),
        )


def _where(better: Tensor, new: tuple[Tensor, ...], old: tuple[Tensor, ...]) -> list[Tensor]:
    """Take from `new` the tables of a mask (B,), from `old` the others."""
    return [
        torch.where(better.view(-1, *[1] * (a.ndim - 1)), a, b)
        for a, b in zip(new, old, strict=True)
    ]


def evenly_spaced(n_rows: int, most: int) -> Tensor:
    """Numbers of at most so many of the rows."""
    count = min(n_rows, most)
    return torch.arange(count) * n_rows // count


def _unit_kernel(kind: str, metric: Tensor) -> Kernel:
    """Kernel of length 1 in a metric (B, d)."""
    place = torch.full((len(metric),), KINDS.index(kind), device=metric.device)
    return Kernel(place, metric.new_ones(len(metric)), metric)


def _choose(
    kernel: Kernel, X: Tensor, Z: Tensor, weights: Tensor, search: Search
) -> tuple[Tensor, Tensor, Tensor]:
    """Length over the median distance, and penalty, with the least leave-one-out error, (B,).

    The median distance is returned as well.
    """
    D = kernel.distances(X, X)
    median = median_distance(D)
    penalties, lengths = X.new_tensor(PENALTIES), X.new_tensor(search.lengths)
    errors = []
    for some in lengths.split(max(1, TOGETHER // (len(X) * X.shape[1] ** 2))):
        radial = [kernel.radial_(D / (factor * median)[:, None, None]) for factor in some]
        K = torch.cat([kernel.add_products(each, X, X) for each in radial])
        rows = Z.repeat(len(some), 1, 1), weights.repeat(len(some), 1)
        errors += errors_by_penalty(K, *rows, penalties).split(len(X))
    best = torch.cat(errors, 1).nan_to_num(torch.inf).argmin(1)
    return lengths[best // len(penalties)], penalties[best % len(penalties)], median


def _path(X: Tensor, Z: Tensor, weights: Tensor, kind: str, search: Search) -> list[Member]:
    """Members of one kind: with equal weights of the columns, and with the learned metric."""
    points = evenly_spaced(X.shape[1], search.n_rows)
    P = X[:, points]
    chosen_on = P, Z[:, points], weights[:, points], search

    kernel = _unit_kernel(kind, X.new_ones(len(X), X.shape[2]))
    factor, penalty, median = _choose(kernel, *chosen_on)
    kernel = kernel._replace(length=factor * median)
    members = []
    if search.plain or not search.n_loops:
        members.append(Member.fit(kernel, X, Z, weights, penalty))
    if not search.n_loops:
        return members
    alone = strengths(X, Z, weights)
    # Of indicators of classes, which share a metric, more columns keep weight: no gain was found.
    is_wide = X.shape[2] > FEW_COLUMNS and Z.shape[2] == 1
    for loop in range(search.n_loops):
        last = loop == search.n_loops - 1
        metric = cross_fitted_metric(X, Z, weights, kernel, penalty, points)
        if loop == 0:
            metric = (metric + alone) / 2
        if last:
            metric = shrunk(metric, alone, weights, search.metric_rows)
        kernel = _unit_kernel(kind, metric)
        if last or (loop == 0 and is_wide):
            factor, penalty, median = _choose(kernel, *chosen_on)
        else:
            median = median_distance(kernel.distances(P, P))
        kernel = kernel._replace(length=factor * median)
    members.append(Member.fit(kernel, X, Z, weights, penalty))
    return members


@dataclass(frozen=True)
class KernelMachine:
    r"""Recursive feature machines on B tables: kernel ridge in a loop that learns its metric.

    For each kernel, starting from equal weights of the columns, every loop solves and takes as new
    weights how steeply the predictor rises along each, the diagonal of the average gradient outer
    product [1]_, which makes up the next loop's kernel. It is cross-fitted,
    :math:`m_j \propto \sum_p \partial_j f(x_p) \, \partial_j g(x_p)` with f fitted to every other
    row and g to the rows between: noise that one learned by heart is none of the other's, so that
    columns of no use go and leave-one-out errors stay honest, also where columns are as many as
    rows. The first time it is averaged with the share of the targets' variance that each column
    explains by itself. Length and penalty are chosen by leave-one-out error, before the first loop
    and after the last, and of one target and more than `FEW_COLUMNS` columns also after the first:
    the few that then weigh ask for another length than all. The prediction is a mixture of each
    kernel before and after the loops, ridge regression and the mean, with the shares that the
    leave-one-out error is least with (`stacking_shares`): a choice of the best alone overfits.

    Attributes
    ----------
    X : Tensor of shape (B, n, d)
    weights : Tensor of shape (B, n)
    kernel : Kernel
        Of the member with the least leave-one-out error.
    solution : Solution
        Of the same member, for the standardised targets.
    scale : TargetScale
    parts : list of (Kernel, Tensor of shape (B, n, T))
        The mixture's kernels and coefficients.
    linear : Tensor of shape (B, d, T)
        Its linear part.
    intercept : Tensor of shape (B, 1, T)
    relative_error : Tensor of shape (B,)
        Mean square of the leave-one-out residuals over the targets' variance.
    left_out, left_out_std : Tensor of shape (B, n, T)
        Predictions of the rows, each left out with all its copies, and standard deviations.
    noise : Tensor of shape (B, 1, T)
        Standard deviation of what is missed where the kernel's own variance is one.
    of_known : Tensor of shape (B, 1, T) or None
        Share in the mixture of predictions that come from elsewhere.

    References
    ----------
    .. [1] A. Radhakrishnan, D. Beaglehole, P. Pandit, M. Belkin, "Mechanism for feature learning
       in neural networks and backpropagation-free machine learning models", Science 383, 2024.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.core.kernel_machine import KernelMachine
    >>> X = torch.rand(1, 100, 4, dtype=torch.float64, generator=torch.manual_seed(0))
    >>> machine = KernelMachine.fit(X, torch.sin(6 * X[..., :1]))
    >>> machine.metric().argmax()  # the first column alone matters
    tensor(0)
    """

    X: Tensor
    weights: Tensor
    kernel: Kernel
    solution: Solution
    scale: TargetScale
    parts: list[tuple[Kernel, Tensor]]
    linear: Tensor
    intercept: Tensor
    relative_error: Tensor
    left_out: Tensor
    left_out_std: Tensor
    noise: Tensor
    of_known: Tensor | None = None

    @classmethod
    def fit(
        cls,
        X: Tensor,
        Y: Tensor,
        weights: Tensor | None = None,
        search: Search = DEFAULT_SEARCH,
        known: Tensor | None = None,
    ) -> "KernelMachine":
        """Fit to B tables at once.

        Parameters
        ----------
        X : Tensor of shape (B, n, d)
            Columns of comparable scale, in float64, no missing cells; at least two rows. Evenly
            spaced rows choose and every other one learns the metric, so that rows sorted by their
            content lead to results that do not depend on their order.
        Y : Tensor of shape (B, n, T)
        weights : Tensor of shape (B, n), default=None
            How often each row counts: a row is left out with all its copies. None: once.
        search : Search, default=DEFAULT_SEARCH
            What to choose from.
        known : Tensor of shape (B, n, T), default=None
            Predictions of the rows by a model that did not see them: one more member of the
            mixture.

        Returns
        -------
        KernelMachine
        """
        w = torch.ones_like(Y[..., 0]) if weights is None else weights
        scale = TargetScale.fit(Y, w)
        Z = scale.standardised(Y)
        ridge = Ridge.fit(X, Z, w)
        members = [m for kind in search.kinds for m in _path(X, Z, w, kind, search)]
        residuals = [m.solution.residual for m in members]
        candidates = [ridge.left_out, *(Z - residual for residual in residuals)]
        if known is not None:
            candidates.append(scale.standardised(known))
        left_out = torch.stack(candidates, -1)
        others = w.sum(1, keepdim=True) - w
        others = torch.maximum(others, torch.finfo(w.dtype).eps * w)  # one row may have all weight
        mean = -(w / others)[..., None] * Z  # each row left out
        gains = left_out - mean[..., None]
        shares = stacking_shares(gains, Z - mean, w)[:, None]  # (B, 1, T, M)
        residual = Z - mean - (shares * gains).sum(-1)
        of_ridge, *of_members = shares.unbind(-1)
        of_known = None if known is None else of_members.pop()
        linear = of_ridge * ridge.coef
        intercept = of_ridge * ridge.intercept - ridge.centre @ linear
        parts = []
        for share, member in zip(of_members, members, strict=True):
            intercept = intercept + share * member.solution.intercept
            parts.append((member.kernel, share * member.solution.coef))
        best = functools.reduce(Member.or_better, members)
        precision = best.solution.precision
        noise = mean_over_rows(residual.square() * precision, w).sqrt() * scale.spread
        return cls(
            X, w, best.kernel, best.solution, scale, parts, linear, intercept,
            mean_over_rows(residual.square(), w)[:, 0].mean(-1),
            scale.restored(Z - residual), noise / precision.sqrt(), noise, of_known,
        )  # fmt: skip

    def predict(
        self, Q: Tensor, known: Tensor | None = None, coarse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Predictions of queries (B, q, d) and their standard deviations, (B, q, T) each.

        `known` (B, q, T) are the predictions of the queries by the model that `fit` was told of.
        `coarse`: deviations to a thousandth are exact enough, as in `Solution.variances`.
        """
        K = self.kernel(Q, self.X)
        variances = self.solution.variances(K, self.kernel.variances(Q), coarse)
        return self.mean(Q, known, K), self.noise * variances.sqrt()[..., None]

    def mean(self, Q: Tensor, known: Tensor | None = None, K: Tensor | None = None) -> Tensor:
        """Predictions of queries (B, q, d) alone, (B, q, T); K (B, q, n) is `kernel` of them."""
        Z = self.intercept + Q @ self.linear
        if self.of_known is not None and known is not None:
            Z = Z + self.of_known * self.scale.standardised(known)
        for kernel, coef in self._shared():
            if K is not None and all(map(torch.equal, kernel, self.kernel)):
                values = K
            else:
                values = kernel(Q, self.X)
            Z = Z + values @ coef
        return self.scale.restored(Z)

    def metric(self) -> Tensor:
        """Mean squares of the mixture's own gradients at up to `N_ROWS` rows, (B, d), of mean 1."""
        points = evenly_spaced(self.X.shape[1], N_ROWS)
        gradients = self.linear[:, None].expand(-1, len(points), -1, -1)
        for kernel, coef in self._shared():
            gradients = gradients + kernel.gradients(self.X[:, points], self.X, coef)
        return metric_of(gradients, gradients, self.weights[:, points])

    def _shared(self) -> Iterator[tuple[Kernel, Tensor]]:
        """Yield the parts with a share in the mixture: most have none, and cost as much."""
        return (part for part in self.parts if part[1].any())

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the one large matrix, which can be computed again."""
        return self.__dict__ | {"solution": self.solution._replace(root=self.X[:, :0])}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        K = self.kernel(self.X, self.X)
        solution = Solution.of(K, self.solution.coef, self.weights, self.solution.penalty)
        self.__dict__["solution"] = self.solution._replace(root=solution.root)
