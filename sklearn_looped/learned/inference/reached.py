"""Levels that known targets reached among their predicted quantiles, and what follows for others.

Shapes: T targets, n rows, q queries, m quantiles.
"""

import numpy as np
from scipy.special import ndtr, ndtri

from sklearn_looped.core.arrays import Array
from sklearn_looped.learned.model.readout import (
    interpolate_quantiles,
    quantile_levels,
    tail_scales,
)

LARGEST_SCORE = 6.0  # standard deviations; beyond, levels round to 1 in float64
PRIOR_ROWS = 100.0  # rows that the quantiles as they are predicted count as


def reached_levels(quantiles: Array, target: Array) -> Array:
    """Level at which each target lies among its predicted quantiles, (T, n, m), (T, n) -> (T, n).

    The inverse of `interpolate_quantiles`: between known quantiles linear, beyond them on the
    normal tails, cut at 6 standard deviations.
    """
    return ndtr(reached_scores(quantiles, target))


def reached_scores(quantiles: Array, target: Array) -> Array:
    """Return the normal scores of `reached_levels`, within 6 standard deviations."""
    levels = quantile_levels(quantiles.shape[-1]).double().numpy()
    below = (quantiles <= target[..., None]).sum(axis=-1)  # quantiles that are not above
    first, second = (below - 1).clip(min=0), below.clip(max=len(levels) - 1)
    start, end = (np.take_along_axis(quantiles, k[..., None], -1)[..., 0] for k in (first, second))
    with np.errstate(over="ignore"):
        part = np.where(end > start, target - start, 0) / np.where(end > start, end - start, 1)
    inside = levels[first] + part.clip(0, 1) * (levels[second] - levels[first])
    beyond = np.minimum(target - quantiles[..., 0], 0) + np.maximum(target - quantiles[..., -1], 0)
    low, high = tail_scales(quantiles)
    scale = np.where(beyond < 0, low, high)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        score = ndtri(inside) + np.where(beyond == 0, 0, beyond / scale)
    return np.asarray(score.clip(-LARGEST_SCORE, LARGEST_SCORE))


def conformal_levels(reached: Array, weights: Array | None, wanted: Array) -> Array:
    """Levels to ask the prediction for, so that the wanted shares of targets lie below.

    Distributional conformal prediction [1]_: of n held-out targets the i-th smallest reached level
    stands for the share i / (n + 1), linear between, and the outermost for what is beyond.

    Parameters
    ----------
    reached : ndarray of shape (n,)
        From `reached_levels`.
    weights : ndarray of shape (n,) or None
        How often each row counts. None: once.
    wanted : ndarray of shape (n_wanted,)

    Returns
    -------
    ndarray of shape (n_wanted,)

    References
    ----------
    .. [1] V. Chernozhukov, K. Wüthrich, Y. Zhu, "Distributional conformal prediction", PNAS 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.learned.inference.reached import conformal_levels
    >>> too_narrow = np.array([0.02, 0.05, 0.2, 0.5, 0.8, 0.9, 0.95, 0.97, 0.99])
    >>> conformal_levels(too_narrow, None, np.array([0.2, 0.8]))
    array([0.05, 0.97])
    """
    w = np.ones(len(reached)) if weights is None else weights
    order = np.argsort(reached, kind="stable")
    reached, w = reached[order], w[order]
    middle, half = np.cumsum(w) - w / 2 + 1 / 2, np.maximum(w - 1, 0) / 2
    # A row of weight 3 takes three places, one of less than 1 the middle of its part of one.
    places = np.stack([middle - half, middle + half], axis=1).ravel() / (w.sum() + 1)
    return np.interp(wanted, places, reached.repeat(2))


def calibrate(output: Array, reached: Array, weights: Array | None) -> Array:
    """Read quantiles at the levels that the wanted shares of known targets lie below.

    As `conformal_levels`, but on rows that the prediction is made from, each predicted without its
    target; so the levels as they are count as `PRIOR_ROWS` rows more. So do rows that have copies,
    those of a weight between 1 and 2 in part: they are left out with all of them, where queries
    like them will find them.

    Parameters
    ----------
    output : ndarray of shape (T, q, 1 + m)
        The mean, which stays, and the quantiles at `quantile_levels`.
    reached : ndarray of shape (T, n)
        Levels that the known targets reached.
    weights : ndarray of shape (n,) or None
        How often each of their rows counts.

    Returns
    -------
    ndarray of shape (T, q, 1 + m)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.learned.inference.reached import calibrate
    >>> too_wide = np.linspace(0.3, 0.7, 400)[None]
    >>> calibrate(np.array([[[0.0, -3.0, -1.0, 1.0, 3.0]]]), too_wide, None).round(2)
    array([[[ 0.  , -1.56, -0.52,  0.52,  1.56]]])
    """
    wanted = quantile_levels(output.shape[-1] - 1).double().numpy()
    counts = np.ones(reached.shape[1]) if weights is None else weights
    alone = counts @ (2 - counts).clip(0, 1)  # fades from weight 1 to 2, as rounding may add to 1
    total = counts.sum() + PRIOR_ROWS
    calibrated = [
        wanted + alone / total * (conformal_levels(each, counts, wanted) - wanted)
        for each in reached
    ]
    found = [*map(interpolate_quantiles, output[..., 1:], calibrated)]
    return np.concatenate([output[..., :1], np.stack(found)], axis=-1)
