"""Tables whose rows are all the same: nothing to learn from, so the target's own distribution."""

import numpy as np

from sklearn_looped.core.arrays import Array
from sklearn_looped.learned.inference.support import Support
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.readout import quantile_levels


def is_constant(X: Array) -> bool:
    """Whether all rows of X (n, d) are the same, missing cells included."""
    return bool(((X[:1] == X) | (np.isnan(X) & np.isnan(X[:1]))).all())


def target_distribution(support: Support, config: NetworkConfig) -> Array:
    """Weighted mean and quantiles of each target, or the share of each class, (T, n_outputs)."""
    mean, counts = support.shares()[:, None], support.counts
    if config.classifies:
        return mean
    wanted = quantile_levels(config.n_quantiles).double().numpy()
    quantiles = []
    for y in support.Y.T:
        order = np.argsort(y)
        levels = (np.cumsum(counts[order]) - counts[order] / 2) / counts.sum()
        quantiles.append(np.interp(wanted, levels, y[order]))
    return np.hstack([mean, quantiles])


def repeated(distribution: Array, n_queries: int) -> Array:
    """Output (T, q, n_outputs) that is the same for all queries."""
    return np.repeat(distribution[:, None], n_queries, axis=1)
