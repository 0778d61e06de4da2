"""Conformal quantiles: levels corrected by the levels that held-out targets reached.

Shapes: T targets, n rows.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from sklearn_looped.learned.inference.encoding import Array, Support
from sklearn_looped.learned.inference.halting import Exit
from sklearn_looped.learned.inference.predictor import SupportPredictor
from sklearn_looped.learned.model.readout import quantile_levels, tail_scales

N_FOLDS = 5
MIN_ROWS = 20
LARGEST_SCORE = 6.0  # standard deviations; beyond, levels round to 1 in float64


def folds_of(n_rows: int) -> NDArray[np.intp]:
    """Fold of each support row: dealt in turn, which in the order of targets stratifies.

    Raises
    ------
    ValueError
        If fewer than 20 rows are there.
    """
    if n_rows < MIN_ROWS:
        raise ValueError(
            f"Got {n_rows} support rows, but conformal=True needs at least {MIN_ROWS}: each fifth "
            "of them is predicted from the others. Use conformal=False."
        )
    return np.arange(n_rows) % N_FOLDS


def corrected_levels(predictor: SupportPredictor, exit: Exit, wanted: Array) -> list[Array]:
    """Levels that stand for the wanted ones, for each target: each fifth from the other rows."""
    support = predictor.support
    output = predictor.predict_support(folds_of(len(support.X)), exit)
    reached = reached_levels(output[..., 1:], support.Y.T)
    return [conformal_levels(each, support.weights, wanted) for each in reached]


def reached_levels(quantiles: Array, target: Array) -> Array:
    """Level at which each target lies among its predicted quantiles, (T, n, m), (T, n) -> (T, n).

    The inverse of `interpolate_quantiles`: between known quantiles linear, beyond them on the
    normal tails, cut at 6 standard deviations.
    """
    levels = quantile_levels(quantiles.shape[-1]).double().numpy()
    pairs = zip(target.ravel(), quantiles.reshape(-1, len(levels)), strict=True)
    inside = np.array([np.interp(value, known, levels) for value, known in pairs])
    inside = inside.reshape(target.shape)
    beyond = np.minimum(target - quantiles[..., 0], 0) + np.maximum(target - quantiles[..., -1], 0)
    low, high = tail_scales(quantiles)
    scale = np.where(beyond < 0, low, high)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        score = ndtri(inside) + np.where(beyond == 0, 0, beyond / scale)
    return np.where(beyond == 0, inside, ndtr(score.clip(-LARGEST_SCORE, LARGEST_SCORE)))


def check_conformal(wanted: Array, support: Support) -> None:
    """Refuse levels that the support cannot tell from more extreme ones.

    Raises
    ------
    ValueError
        If a level lies outside 1 / (n + 1) and n / (n + 1), of n rows or their summed weight.
    """
    weight = len(support.X) if support.weights is None else support.weights.sum()
    least = 1 / (weight + 1)
    if (wanted < least).any() or (wanted > 1 - least).any():
        raise ValueError(
            f"Got levels from {wanted.min():g} to {wanted.max():g}, but conformal=True with "
            f"{weight:g} support rows corrects those from {least:.3g} to {1 - least:.3g}. Ask for "
            "levels within, or use conformal=False."
        )


def conformal_levels(reached: Array, weights: Array | None, wanted: Array) -> Array:
    """Levels to ask the prediction for, so that the wanted shares of targets lie below.

    Distributional conformal prediction [1]_: of n held-out targets the i-th smallest reached level
    stands for the share i / (n + 1), linear between; `check_conformal` refuses what is beyond.

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
    >>> from sklearn_looped.learned.inference.conformal import conformal_levels
    >>> too_narrow = np.array([0.02, 0.05, 0.2, 0.5, 0.8, 0.9, 0.95, 0.97, 0.99])
    >>> conformal_levels(too_narrow, None, np.array([0.2, 0.8]))
    array([0.05, 0.97])
    """
    w = np.ones(len(reached)) if weights is None else weights
    order = np.argsort(reached, kind="stable")
    reached, w = reached[order], w[order]
    last = np.cumsum(w)
    first = last - np.maximum(w, 1) + 1  # a row of weight 3 takes three places
    places = np.stack([first, last], axis=1).ravel() / (last[-1] + 1)
    return np.interp(wanted, places, reached.repeat(2))
