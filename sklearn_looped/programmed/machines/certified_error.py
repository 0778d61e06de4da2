"""Certified bounds of a function and of its approximations, over a whole interval."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_looped.programmed.machines.taylor import Taylor, outward

ORDER = 10  # of the Taylor series around the middle of each part
N_PARTS = 256  # of the interval, on which values and slopes are bounded
MAX_PARTS = 2**14
MAX_POINTS = 2**20  # where only a bound of the second derivative is known

Function = Callable[[Any], Any]


class Bounds(NamedTuple):
    """What holds for f on all of an interval.

    Parameters
    ----------
    low, high : float
        Of the values.
    slope : float
        Largest absolute derivative.
    """

    low: float
    high: float
    slope: float


def chebyshev(n: int) -> NDArray[np.float64]:
    """Chebyshev points of [-1, 1], from left to right."""
    return -np.cos(np.pi * (np.arange(n) + 0.5) / n)


class Target:
    """A function of one variable on an interval, and bounds of it.

    Parameters
    ----------
    f : callable
        Takes and returns arrays; without `curvature` it is written with numpy's arithmetic and
        elementary functions, see `Taylor`.
    low, high : float
        The interval.
    curvature : float or None, default=None
        Bound of the absolute second derivative on the interval.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.programmed.machines.certified_error import Target
    >>> bool(Target(np.exp, 0.0, 1.0).largest_curvature(0.0, 1.0) >= np.exp(1.0))
    True
    """

    def __init__(self, f: Function, low: float, high: float, curvature: float | None = None):
        self.f, self.low, self.high, self.curvature = f, low, high, curvature
        self._samples: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def values(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Finite values of f at the points x; raises where there are none."""
        try:
            with np.errstate(all="ignore"):
                y = np.asarray(self.f(x), dtype=float)
        except TypeError as error:
            raise ValueError(
                "Got a function that does not take arrays; write it with numpy's functions, or "
                "wrap it in numpy.vectorize and give curvature."
            ) from error
        if y.shape != x.shape or not np.isfinite(y).all():
            raise ValueError(
                "Got a function that is not finite on its interval, or does not return one number "
                f"for each; change the interval [{self.low:g}, {self.high:g}] or the function."
            )
        return y

    def sample(self, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Chebyshev points of the interval, its ends, and f there."""
        if n not in self._samples:
            middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
            x = np.concatenate([[self.low], middle + half * chebyshev(n), [self.high]])
            self._samples[n] = x, self.values(x)
        return self._samples[n]

    def series(self, low: NDArray[np.float64], high: NDArray[np.float64], order: int) -> Taylor:
        """Taylor series of f on intervals."""
        try:
            with np.errstate(all="ignore"):
                series = self.f(Taylor.variable(low, high, order))
        except TypeError:  # f is not written for arrays
            series = None
        if isinstance(series, Taylor):
            return series
        if not isinstance(series, int | float):
            raise ValueError(
                "Got a function that does not work with numpy's arithmetic and functions alone, so "
                "no bound is known; give curvature, a bound of its absolute second derivative."
            )
        return Taylor.variable(low, high, order) * 0.0 + series

    def enclosure(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Bounds of f at the points x; with `curvature` f is as accurate as numpy's functions."""
        if self.curvature is not None:
            y = self.values(x)
            return outward(y, y, 4)
        series = self.series(x, x, 0)
        return series.low[0], series.high[0]

    def largest_curvature(self, low: float, high: float) -> float:
        """Bound of the absolute second derivative on a part of the interval."""
        if self.curvature is not None:
            return self.curvature
        series = self.series(np.array([low]), np.array([high]), 2)
        largest = 2 * float(np.maximum(-series.low[2], series.high[2])[0])
        return largest if np.isfinite(largest) else np.inf

    def bounds(self) -> Bounds:
        """Bound values and slopes; raises where f has none."""
        self.values(np.linspace(self.low, self.high, 3))
        edges = np.linspace(self.low, self.high, N_PARTS + 1)
        if self.curvature is None:
            series = self.series(edges[:-1], edges[1:], 1)
            slope = np.maximum(-series.low[1], series.high[1]).max()
            found = float(series.low[0].min()), float(series.high[0].max()), float(slope)
            if not np.isfinite(found).all():
                raise ValueError(
                    f"Got no bound of the values or slopes of the function on [{self.low:g}, "
                    f"{self.high:g}]: it may divide by 0 or take a root or logarithm there. "
                    "Shorten the interval, or give curvature, a bound of its absolute second "
                    "derivative."
                )
            return Bounds(*found)
        y, width = self.values(edges), edges[1] - edges[0]
        margin = self.curvature * width**2 / 8
        slope = np.abs(np.diff(y)).max() / width + self.curvature * width
        return Bounds(float(y.min() - margin), float(y.max() + margin), float(slope))

    def largest_error(self, approximation: Callable[[Taylor], Taylor], enough: float) -> float:
        r"""Bound of :math:`|f - s|` on the whole interval, for the smooth approximation s.

        The interval is cut into parts of half-width r around m, where with the coefficients
        :math:`e_k` of the error, those of the last order over the whole part,

        .. math:: |f(x) - s(x)| \le \sum_{k < K} |e_k(m)| r^k + |e_K| r^K.

        Parts are halved until the bound is at most `enough`, or hardly gets smaller.
        With `curvature` alone the error is bounded on a fine grid of width h by its values, and
        between two of them by h^2 / 8 times the curvature of f plus that of s.
        """
        if self.curvature is not None:
            return self._error_on_grid(approximation, enough)
        bound, n_parts = np.inf, 16
        while n_parts <= MAX_PARTS:
            last, bound = bound, self._error_on_parts(approximation, n_parts)
            if bound <= enough or (np.isfinite(last) and bound > 0.7 * last):
                break
            n_parts *= 2
        return bound

    def _error_on_parts(self, approximation: Callable[[Taylor], Taylor], n_parts: int) -> float:
        edges = np.linspace(self.low, self.high, n_parts + 1)
        low, high = edges[:-1], edges[1:]
        middle = (low + high) / 2
        radius = np.nextafter(np.maximum(high - middle, middle - low), np.inf)
        with np.errstate(all="ignore"):
            series = [
                self.series(*ends, ORDER) - approximation(Taylor.variable(*ends, ORDER))
                for ends in ((middle, middle), (low, high))
            ]
            at_middle, over = (np.maximum(-each.low, each.high) for each in series)
            total, power = np.zeros(n_parts), np.ones(n_parts)
            for k in range(ORDER + 1):
                size = at_middle[k] if k < ORDER else over[k]
                total = np.nextafter(total + np.nextafter(size * power, np.inf), np.inf)
                power = np.nextafter(power * radius, np.inf)
        return float(total.max()) if np.isfinite(total).all() else np.inf

    def _error_on_grid(self, approximation: Callable[[Taylor], Taylor], enough: float) -> float:
        assert self.curvature is not None
        bound, n_parts = np.inf, 256
        while n_parts <= MAX_POINTS and bound > enough:
            edges = np.linspace(self.low, self.high, n_parts + 1)
            curves = approximation(Taylor.variable(edges[:-1], edges[1:], 2))
            bend = self.curvature + 2 * np.maximum(-curves.low[2], curves.high[2])
            values = approximation(Taylor.variable(edges, edges, 0))
            low, high = self.enclosure(edges)
            error = np.maximum(high - values.low[0], values.high[0] - low)
            ends = np.maximum(error[:-1], error[1:])
            bound = float((ends + bend * ((edges[1] - edges[0]) ** 2 / 8)).max())
            n_parts *= 8
        return bound
