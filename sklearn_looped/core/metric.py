"""Weights of a table's columns: how steeply predictors rise along each, and what each explains.

Shapes: B tables, n rows, p points, d columns, T targets.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sklearn_looped.core.kernel_ridge import coefficients
from sklearn_looped.core.kernels import Kernel

N_BINS = 8  # of a column, in which the targets' means are compared
LEAST_WEIGHT = 1e-4  # of a column, whose mean weight is 1: no column is lost for good
MANY_COLUMNS = 50  # from so many on the largest negative product measures the noise in full


def metric_of(first: Tensor, second: Tensor, weights: Tensor) -> Tensor:
    """Mean products of two predictors' gradients (B, p, d, T), summed over targets: (B, d).

    Of mean 1 and at least `LEAST_WEIGHT`; weights (B, p) are those of the points. The product is
    as often negative as positive along a column of no use, as the statistics of knockoffs are [1]_.
    So what the negative ones reach is taken off: in full with many columns, in part with few.

    References
    ----------
    .. [1] R. F. Barber, E. Candes, "Controlling the false discovery rate via knockoffs", Annals of
       Statistics 43, 2015.
    """
    products = torch.einsum("bp,bpdt,bpdt->bd", weights, first, second)
    noise = F.pad(-products, (1, 0)).amax(1, keepdim=True)
    products = (products - min(1, products.shape[1] / MANY_COLUMNS) * noise).clamp(min=0)
    mean = products.mean(1, keepdim=True)
    # Where nothing has a slope all columns weigh the same.
    return torch.where(mean > 0, products / mean, 1).clamp(min=LEAST_WEIGHT)


def cross_fitted_metric(
    X: Tensor, Z: Tensor, weights: Tensor, kernel: Kernel, penalty: Tensor, points: Tensor
) -> Tensor:
    """Metric from the predictors of every other row and of the rows between, (B, d).

    What noise does to the slopes of one predictor it does not do to those of the other: the mean
    product is zero along columns of no use, where the mean square of one is not. `points` (p,) are
    the rows whose slopes are taken.
    """
    P, gradients = X[:, points], []
    for rows in (slice(0, None, 2), slice(1, None, 2)):
        A = X[:, rows]
        coef = coefficients(kernel(A, A), Z[:, rows], weights[:, rows], penalty)
        gradients.append(kernel.gradients(P, A, coef))
    first, second = gradients
    return metric_of(first, second, weights[:, points])


def strengths(X: Tensor, Z: Tensor, weights: Tensor) -> Tensor:
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


def shrunk(metric: Tensor, alone: Tensor, weights: Tensor, enough: float) -> Tensor:
    """Shrink a metric from few rows towards the mean of equal weights and `strengths`, (B, d).

    These need few rows, and leave-one-out errors stay honest with them.

    Parameters
    ----------
    metric, alone : Tensor of shape (B, d)
        `alone`: the columns' `strengths`.
    weights : Tensor of shape (B, n)
    enough : float
        Rows, by weight, from which on the metric is left as it is.
    """
    share = (weights.sum(1, keepdim=True) / enough).clamp(max=1)
    return torch.lerp((1 + alone) / 2, metric, share)
