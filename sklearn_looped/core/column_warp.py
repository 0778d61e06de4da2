"""A metric that varies along a column: columns are stretched where a predictor is steep.

Shapes: n rows, p points, d columns.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_looped.core.arrays import Array
from sklearn_looped.core.rows import evenly_spaced

N_BINS = 128  # of equally many rows, in which a column is stretched alike
N_ROWS = 8192  # at most, evenly spaced, that the bins are made from
FLOOR = 0.02  # of a column's total stretch, spread evenly: no two values become one
LEAST_STRETCH = 0.05  # of the columns' mean stretch, added to each before the floor is taken


class ColumnWarp(NamedTuple):
    r"""Monotone, piecewise linear map of every column.

    The metric of a kernel machine has one weight a column, the mean square of the predictor's
    slope along it. Here the mean is taken bin by bin, and the column is integrated over its root,

    .. math:: w_j(x) = \int^x \sqrt{E[(\partial_j f)^2 \mid x_j = t]} \, dt,

    so that distances between warped columns are those of a metric that varies along each of them.
    Where the target has steps, what lies between two of them is drawn together to a point.

    Attributes
    ----------
    edges : list of ndarray
        Of each column, the bins' edges.
    places : list of ndarray
        What the edges are mapped to; values beyond the outermost are mapped as these.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.core.column_warp import ColumnWarp
    >>> X = torch.linspace(0, 1, 100, dtype=torch.float64)[:, None]
    >>> steep = (X > 0.5).double()  # squares of slopes: nothing happens below one half
    >>> warped = ColumnWarp.fit(X, X, steep, torch.ones(100))(X)[:, 0]
    >>> bool(warped[49] - warped[0] < 0.1 * (warped[99] - warped[50]))
    True
    """

    edges: list[Array]
    places: list[Array]

    @classmethod
    def fit(cls, X: Tensor, P: Tensor, squares: Tensor, weights: Tensor) -> "ColumnWarp":
        """Fit to rows X (n, d), and squares of slopes (p, d) at points P (p, d) of weights (p,)."""
        edges = [_edges(column) for column in X[evenly_spaced(len(X), N_ROWS)].T.numpy()]
        columns = zip(edges, P.T.numpy(), squares.T.numpy(), strict=True)
        stretches = [_stretches(*column, weights.numpy()) for column in columns]
        total = np.array([stretch.sum() for stretch in stretches])
        mean = total.mean() if total.any() else 1.0
        places = []
        for edge, stretch, whole in zip(edges, stretches, total / mean, strict=True):
            width = np.diff(edge) / max(edge[-1] - edge[0], np.finfo(float).tiny)
            stretched = stretch / mean + FLOOR * (whole + LEAST_STRETCH) * width
            place = np.append(0, np.cumsum(stretched))
            places.append(place - place[len(place) // 2])
        return cls(edges, places)

    def __call__(self, X: Tensor) -> Tensor:
        """Map rows, (q, d) -> (q, d)."""
        columns = zip(X.T.numpy(), self.edges, self.places, strict=True)
        return torch.from_numpy(np.column_stack([np.interp(*column) for column in columns]))

    def slopes(self, P: Tensor) -> Tensor:
        """Slopes of the map at points, (p, d) -> (p, d)."""
        columns = zip(P.T.numpy(), self.edges, self.places, strict=True)
        slopes = [
            (np.diff(places) / np.diff(edges))[_bin_of(points, edges)]
            if len(edges) > 1
            else np.zeros(len(points))
            for points, edges, places in columns
        ]
        return torch.from_numpy(np.column_stack(slopes))


def _edges(column: Array) -> Array:
    """Edges of bins of equally many rows; a column of one value gets one edge."""
    return np.unique(np.quantile(column, np.linspace(0, 1, N_BINS + 1)))


def _bin_of(points: Array, edges: Array) -> NDArray[np.intp]:
    """Return the number of the bin of each point."""
    return (np.searchsorted(edges, points) - 1).clip(0, len(edges) - 2)


def _stretches(edges: Array, points: Array, squares: Array, weights: Array) -> Array:
    """Root mean square slope times the width of each bin; nothing in bins without a point."""
    n_bins = len(edges) - 1
    if not n_bins:
        return np.zeros(0)
    place = _bin_of(points, edges)
    sums = np.bincount(place, weights * squares, n_bins)
    counts = np.bincount(place, weights, n_bins)
    mean = sums / np.where(counts > 0, counts, 1)
    return np.asarray(np.sqrt(mean.clip(min=0)) * np.diff(edges))
