"""Kernel ridge regression whose metric is learned in a loop, chosen by leave-one-out throughout.

Batched over tables, and free of training: everything is a closed form or a choice among a few.

Shapes: B tables, n rows, q queries, d columns, T targets, M members.
"""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from sklearn.utils import gen_batches
from torch import Tensor

from sklearn_looped.core.kernel_ridge import Solution, errors_by_penalty, mean_over_rows
from sklearn_looped.core.kernels import KINDS, TOUCHING, Kernel
from sklearn_looped.core.ridge import Ridge
from sklearn_looped.core.stacking import TargetScale, stacking_shares

LENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0)  # multiples of the median distance between rows
PENALTIES = tuple(10.0**k for k in range(-5, 3))
N_BINS = 8  # of a column, in which the targets' means are compared
GRADIENTS = 2**22  # numbers held at a time
LEAST_WEIGHT = 1e-4  # of a column, whose mean weight is 1: no column is lost for good


@dataclass(frozen=True)
class Search:
    """What a kernel machine chooses from by leave-one-out error.

    Parameters
    ----------
    kinds : tuple of str, default=("manhattan", "gauss")
        Kernels, of `KINDS`. Each is a path of its own.
    lengths : tuple of float, default=(0.5, 1, 2, 4, 8)
        Multiples of the median distance between rows.
    n_loops : int, default=2
        Rounds of the metric; 0: all columns weigh the same. The best round is kept.
    n_rows : int, default=256
        Rows, evenly spaced, that length and penalty are chosen on. All else sees all rows.
    """

    kinds: tuple[str, ...] = ("manhattan", "gauss")
    lengths: tuple[float, ...] = LENGTHS
    n_loops: int = 2
    n_rows: int = 256


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

    def or_better(self, other: "Member") -> "Member":
        """Take of each table the member with the smaller leave-one-out error, self if equal."""
        better = other.error < self.error
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


def _choose(
    kind: str, X: Tensor, Z: Tensor, weights: Tensor, metric: Tensor, search: Search
) -> tuple[Kernel, Tensor]:
    """Kernel of a kind in a metric, and penalty (B,), with the least leave-one-out error."""
    place = torch.full((len(X),), KINDS.index(kind), device=X.device)
    plain = Kernel(place, torch.ones_like(Z[:, 0, 0]), metric)
    D, linear = plain.distances(X, X), plain.products(X, X)
    first, second = torch.triu_indices(X.shape[1], X.shape[1], 1, device=X.device)
    between = D[:, first, second]
    median = between.median(1).values
    median = torch.where(median > 0, median, between.amax(1)).clamp(min=TOUCHING)
    penalties, lengths = X.new_tensor(PENALTIES), X.new_tensor(search.lengths)
    errors = [
        errors_by_penalty(
            plain.radial(D / (factor * median)[:, None, None]) + linear, Z, weights, penalties
        )
        for factor in search.lengths
    ]
    best = torch.cat(errors, 1).nan_to_num(torch.inf).argmin(1)
    length = lengths[best // len(penalties)] * median
    return plain._replace(length=length), penalties[best % len(penalties)]


def _path(X: Tensor, Z: Tensor, weights: Tensor, kind: str, search: Search) -> list[Member]:
    """Members of one kind: with equal weights of the columns, and the best learned metric."""
    n = X.shape[1]
    part = torch.arange(min(n, search.n_rows), device=X.device) * n // min(n, search.n_rows)
    metric, strengths = X.new_ones(len(X), X.shape[2]), _strengths(X, Z, weights)
    members: list[Member] = []
    for loop in range(search.n_loops + 1):
        kernel, penalty = _choose(kind, X[:, part], Z[:, part], weights[:, part], metric, search)
        r = kernel.distances(X, X)
        solution = Solution.of(kernel.radial(r) + kernel.products(X, X), Z, weights, penalty)
        member = Member(kernel, solution, solution.error(weights))
        if loop < search.n_loops:
            metric = _metric(X, weights, [(kernel, kernel.slopes(r), solution.coef)])
        if loop == 0 and search.n_loops:
            metric = (metric + strengths) / 2
        if loop < 2:
            members.append(member)
        else:
            members[1] = members[1].or_better(member)
    return members


def _metric(
    X: Tensor,
    weights: Tensor,
    parts: list[tuple[Kernel, Tensor, Tensor]],
    linear: Tensor | None = None,
) -> Tensor:
    """Columns' weights (B, d) from a predictor's gradients, summed over targets.

    `parts` are its kernels, their slopes and coefficients, `linear` (B, d, T) its linear part.
    """
    squares = torch.zeros_like(X[:, 0])
    n_targets = (parts[0][2] if linear is None else linear).shape[2]
    for some in gen_batches(n_targets, max(1, GRADIENTS // max(1, X.numel()))):
        gradients = X.new_zeros(()) if linear is None else linear[:, None, :, some]
        for kernel, slopes, coef in parts:
            gradients = gradients + kernel.gradients(X, slopes, coef[..., some])
        squares += mean_over_rows(gradients.square().sum(-1).expand_as(X), weights)[:, 0]
    mean = squares.mean(1, keepdim=True)
    # Where nothing has a slope all columns weigh the same.
    metric = torch.where(mean > 0, squares / mean, 1)
    return metric.clamp(min=LEAST_WEIGHT)


def _strengths(X: Tensor, Z: Tensor, weights: Tensor) -> Tensor:
    """Share of the targets' variance that each column explains by itself, (B, d), of mean 1.

    The adjusted correlation ratio over bins of equally many rows. Among many columns of no use
    the first predictor, for which all columns weigh the same, overlooks some that matter.
    """
    n_rows = X.shape[1]
    columns = X.mT.contiguous()
    rank = torch.searchsorted(columns.sort(-1).values, columns)  # equal cells share a bin
    member = F.one_hot(rank * N_BINS // n_rows, N_BINS).to(X)  # (B, d, n, bins)
    sums = torch.einsum("bn,bnt,bdnk->bdkt", weights, Z, member)
    counts = torch.einsum("bn,bdnk->bdk", weights, member)[..., None]
    between = (sums.square() / torch.where(counts > 0, counts, 1)).sum(2)  # (B, d, T)
    total = (weights[..., None] * Z.square()).sum(1)[:, None]
    explained = between / torch.where(total > 0, total, 1)
    adjusted = 1 - (1 - explained) * (n_rows - 1) / max(n_rows - N_BINS, 1)
    strength = adjusted.clamp(min=0).sum(-1)
    mean = strength.mean(1, keepdim=True)
    return torch.where(mean > 0, strength / torch.where(mean > 0, mean, 1), 1)


@dataclass(frozen=True)
class KernelMachine:
    r"""Recursive feature machines on B tables: kernel ridge in a loop that learns its metric.

    For each kernel, starting from equal weights, every loop chooses length and penalty by
    leave-one-out error, solves, and takes as new weights of the columns the mean squares of the
    predictor's own gradient, :math:`m_j \propto \frac1n \sum_p (\partial_j f(x_p))^2`, the
    diagonal of the average gradient outer product [1]_; the first time averaged with the share of
    the targets' variance that each column explains by itself. The prediction is a mixture of each
    kernel's first loop, its best later loop, ridge regression and the mean, with the shares that
    the leave-one-out error is least with (`stacking_shares`): a choice of the best alone overfits.

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

    @classmethod
    def fit(
        cls, X: Tensor, Y: Tensor, weights: Tensor | None = None, search: Search = DEFAULT_SEARCH
    ) -> "KernelMachine":
        """Fit to B tables at once.

        Parameters
        ----------
        X : Tensor of shape (B, n, d)
            Columns of comparable scale, in float64, no missing cells; at least two rows.
        Y : Tensor of shape (B, n, T)
        weights : Tensor of shape (B, n), default=None
            How often each row counts: a row is left out with all its copies. None: once.
        search : Search, default=DEFAULT_SEARCH
            What to choose from.

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
        left_out = torch.stack([ridge.left_out, *(Z - residual for residual in residuals)], -1)
        others = w.sum(1, keepdim=True) - w
        others = torch.maximum(others, torch.finfo(w.dtype).eps * w)  # one row may have all weight
        mean = -(w / others)[..., None] * Z  # each row left out
        gains = left_out - mean[..., None]
        shares = stacking_shares(gains, Z - mean, w)[:, None]  # (B, 1, T, M)
        residual = Z - mean - (shares * gains).sum(-1)
        of_ridge, *of_members = shares.unbind(-1)
        linear = of_ridge * ridge.coef
        intercept = of_ridge * ridge.intercept - ridge.centre @ linear
        parts = []
        for share, member in zip(of_members, members, strict=True):
            intercept = intercept + share * member.solution.intercept
            if share.any():  # most have none of the mixture, and cost as much as the others
                parts.append((member.kernel, share * member.solution.coef))
        best = functools.reduce(Member.or_better, members)
        precision = best.solution.precision
        noise = mean_over_rows(residual.square() * precision, w).sqrt() * scale.spread
        return cls(
            X, w, best.kernel, best.solution, scale, parts, linear, intercept,
            mean_over_rows(residual.square(), w)[:, 0].mean(-1),
            scale.restored(Z - residual), noise / precision.sqrt(), noise,
        )  # fmt: skip

    def predict(self, Q: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions of queries (B, q, d) and their standard deviations, (B, q, T) each."""
        return self.mean(Q), self._std(Q)

    def mean(self, Q: Tensor) -> Tensor:
        """Predictions of queries (B, q, d) alone, (B, q, T)."""
        Z = self.intercept + Q @ self.linear
        for kernel, coef in self.parts:
            Z = Z + kernel(Q, self.X) @ coef
        return self.scale.restored(Z)

    def metric(self) -> Tensor:
        """Metric that another loop would use, that of the mixture's own gradients, (B, d)."""
        parts = [
            (kernel, kernel.slopes(kernel.distances(self.X, self.X)), coef)
            for kernel, coef in self.parts
        ]
        return _metric(self.X, self.weights, parts, self.linear)

    def _std(self, Q: Tensor) -> Tensor:
        solution, K = self.solution, self.kernel(Q, self.X)
        known = ((K @ solution.inverse) * K).sum(-1) + 2 * (K @ solution.share)[..., 0]
        variance = self.kernel.variances(Q) + (solution.penalty + 1 / solution.total)[:, None]
        least = solution.penalty[:, None]  # rounding must not make it less
        return self.noise * torch.maximum(variance - known, least).sqrt()[..., None]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the one large matrix, which can be computed again."""
        return self.__dict__ | {"solution": self.solution._replace(inverse=self.X[:, :0])}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        K = self.kernel(self.X, self.X)
        solution = Solution.of(K, self.solution.coef, self.weights, self.solution.penalty)
        self.__dict__["solution"] = self.solution._replace(inverse=solution.inverse)
