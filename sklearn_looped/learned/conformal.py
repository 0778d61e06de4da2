"""Conformal quantiles: levels corrected by the levels that held-out targets reached.

Shapes: T targets, n rows.
"""

import numpy as np
from numpy.typing import NDArray

from sklearn_looped.learned.encoding import Array
from sklearn_looped.learned.readout import quantile_levels

N_FOLDS = 5
MIN_ROWS = 20


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


def reached_levels(quantiles: Array, target: Array) -> Array:
    """Level at which each target lies among its predicted quantiles, (T, n, m), (T, n) -> (T, n).

    Between known quantiles linear, beyond them the outermost level.
    """
    levels = quantile_levels(quantiles.shape[-1]).double().numpy()
    pairs = zip(target.ravel(), quantiles.reshape(-1, len(levels)), strict=True)
    return np.array([np.interp(value, known, levels) for value, known in pairs]).reshape(
        target.shape
    )


def conformal_levels(reached: Array, weights: Array | None, wanted: Array) -> Array:
    """Levels to ask the prediction for, so that the wanted shares of targets lie below.

    Distributional conformal prediction [1]_: of n held-out targets the i-th smallest reached level
    stands for the share i / (n + 1), linear between; beyond the outermost it is that.

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
    >>> from sklearn_looped.learned.conformal import conformal_levels
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
