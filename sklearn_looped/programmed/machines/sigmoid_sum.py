"""Sums of sigmoids and of ReLU units for functions of one variable, with a certified error."""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from sklearn_looped.programmed.machines.certified_error import Bounds, Function, Target, chebyshev
from sklearn_looped.programmed.machines.taylor import Taylor, logistic

LARGEST_BOUND = 2.0**960  # of an interval: the machine subtracts it from any operand
STEEPNESS = 2.0 ** np.arange(-1, 6.5, 0.5)  # slopes tried, per width of the interval
MARGINS = (0.0, 0.4, 1.0)  # how far centres lie outside of the interval, in half-widths
CUTOFFS = (1e-15, 1e-11)  # of the least squares: a larger one gives smaller coefficients
UNIT = 2.0**-53  # rounding of float64
Parameters = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], float]


@dataclass(frozen=True)
class SigmoidSum:
    r"""A sum of sigmoids for a function of one variable, with a certified bound of its error.

    :math:`s(x) = c_0 + \sum_j c_j \sigma(a_j x + b_j)` (Barron 1993; Giannou et al. 2023, Lemma 5).
    Make one with `fit`.

    Parameters
    ----------
    slopes, offsets, coefficients : tuple of float
        The :math:`a_j, b_j, c_j`.
    constant : float
        The :math:`c_0`.
    domain : tuple of float
        The interval on which the bound holds.
    error_bound : float
        Bound of :math:`|f(x) - s(x)|` for every x of the interval, s evaluated in float64.
    bounds : Bounds
        Values and slopes of f on the interval.

    References
    ----------
    A. R. Barron, "Universal Approximation Bounds for Superpositions of a Sigmoidal Function",
    IEEE Transactions on Information Theory, 1993.
    A. Giannou et al., "Looped Transformers as Programmable Computers", ICML 2023, Lemma 5.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped import SigmoidSum
    >>> logarithm = SigmoidSum.fit(np.log, (1.0, 2.0), tol=1e-6)
    >>> logarithm.n_terms < 9, logarithm.error_bound <= 1e-6
    (True, True)
    >>> bool(abs(logarithm(1.5) - np.log(1.5)) <= logarithm.error_bound)
    True
    """

    slopes: tuple[float, ...]
    offsets: tuple[float, ...]
    coefficients: tuple[float, ...]
    constant: float
    domain: tuple[float, float]
    error_bound: float
    bounds: Bounds

    @property
    def n_terms(self) -> int:
        """Number of sigmoids."""
        return len(self.slopes)

    @classmethod
    def fit(
        cls,
        f: Function,
        interval: tuple[float, float],
        tol: float,
        *,
        max_terms: int = 32,
        curvature: float | None = None,
    ) -> "SigmoidSum":
        """Find a sum of few sigmoids whose error is at most `tol` on all of the interval.

        Centres are Chebyshev points, coefficients are least squares, and the number of terms,
        their common slope and the spread of the centres are searched. The bound is not the
        largest error on a grid: it comes from Taylor series in interval arithmetic, see
        `Target.largest_error`.

        Parameters
        ----------
        f : callable
            Written with numpy's arithmetic, exp, log, sqrt, sin, cos, tanh and constant powers;
            any other function takes `curvature`.
        interval : tuple of float
            Where the function is wanted.
        tol : float
            Largest absolute error.
        max_terms : int, default=32
            Most sigmoids to try.
        curvature : float or None, default=None
            Bound of the absolute second derivative of f on the interval, which is then taken on
            trust, as is f to be rounded to four units in the last place.

        Returns
        -------
        sum : SigmoidSum

        Raises
        ------
        ValueError
            If no sum of so few terms reaches the tolerance, the function is not finite on the
            interval, or no bound of it is known; with what to change.
        """
        low, high = _check(interval, tol, max_terms, curvature)
        target = Target(f, low, high, curvature)
        bounds, best = target.bounds(), math.inf
        for n_terms in range(1, max_terms + 1):
            error, parameters = _best_fit(target, n_terms)
            if error <= tol:
                candidate = cls(*parameters, (low, high), math.inf, bounds)
                rounding = candidate.rounding(UNIT)
                error = target.largest_error(candidate.series, tol - rounding) + rounding
                if error <= tol:
                    return replace(candidate, error_bound=error)
            best = min(best, error)
        raise ValueError(
            f"Got tol={tol:g}, but {max_terms} sigmoids are known to reach {best:.2g} only on "
            f"[{low:g}, {high:g}]; raise tol or max_terms, or shorten the interval."
        )

    def __call__(self, x: ArrayLike) -> NDArray[np.float64]:
        """Evaluate the sum in float64, term after term."""
        x = np.asarray(x, dtype=float)
        total = np.full(x.shape, self.constant)
        for a, b, c in zip(self.slopes, self.offsets, self.coefficients, strict=True):
            total = total + c * _sigmoid(a * x + b)
        return total

    def series(self, x: Taylor) -> Taylor:
        """Taylor series of the sum in interval arithmetic.

        Parameters
        ----------
        x : Taylor

        Returns
        -------
        series : Taylor
        """
        total = x * 0.0 + self.constant
        for a, b, c in zip(self.slopes, self.offsets, self.coefficients, strict=True):
            total = total + c * logistic(a * x + b)
        return total

    def rounding(self, unit: float) -> float:
        """Bound of what evaluation in a number format of unit roundoff `unit` adds to the error.

        The argument of a sigmoid is off by three roundings and weights and bias by one each, its
        slope is at most 1/4, the softmax rounds five times, and the sum once for every term.

        Parameters
        ----------
        unit : float

        Returns
        -------
        bound : float
        """
        reach = max(map(abs, self.domain))
        a, b, c = (np.abs(each) for each in (self.slopes, self.offsets, self.coefficients))
        terms = c @ (5 * unit * (a * reach + b) / 4 + 8 * unit)
        sums = (self.n_terms + 2) * unit * (c.sum() + abs(self.constant))
        return float(1.01 * (terms + sums))


@dataclass(frozen=True)
class ReluSum:
    r"""A sum of ReLU units for a function of one variable, with a certified bound of its error.

    :math:`s(x) = c_0 + \sum_j c_j \mathrm{relu}(x - t_j)` interpolates f at the knots
    :math:`t_j`. Make one with `fit`. It takes many more terms than a `SigmoidSum` of the same
    error, but no attention head.

    Parameters
    ----------
    knots, coefficients : tuple of float
        The :math:`t_j, c_j`.
    constant : float
        The :math:`c_0`.
    domain, error_bound, bounds
        As in `SigmoidSum`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.programmed.machines.sigmoid_sum import ReluSum
    >>> root = ReluSum.fit(np.sqrt, (1.0, 4.0), tol=1e-3)
    >>> root.n_terms, root.error_bound <= 1e-3, bool(abs(root(2.0) - np.sqrt(2.0)) <= 1e-3)
    (10, True, True)
    """

    knots: tuple[float, ...]
    coefficients: tuple[float, ...]
    constant: float
    domain: tuple[float, float]
    error_bound: float
    bounds: Bounds

    @property
    def n_terms(self) -> int:
        """Number of ReLU units."""
        return len(self.knots)

    @classmethod
    def fit(
        cls,
        f: Function,
        interval: tuple[float, float],
        tol: float,
        *,
        max_terms: int = 512,
        curvature: float | None = None,
    ) -> "ReluSum":
        """Find a sum of few ReLU units; parameters and errors are those of `SigmoidSum.fit`.

        Between knots at a distance h the error of interpolation is at most h^2 / 8 times the
        largest second derivative there; each knot is set as far behind the last as that allows.
        """
        low, high = _check(interval, tol, max_terms, curvature)
        target = Target(f, low, high, curvature)
        bounds, values = target.bounds(), target.values(np.array([low, high]))
        reserve = 1e-3 + 64 * UNIT * max_terms * (1 + np.abs(values).max() / tol)
        edges = [low]
        step = high - low
        while edges[-1] < high:
            if len(edges) > max_terms or reserve > 0.5:
                raise ValueError(
                    f"Got tol={tol:g}, but {max_terms} ReLU units reach up to {edges[-1]:g} only; "
                    "raise tol or max_terms, or shorten the interval."
                )
            step = _longest_step(target, edges[-1], min(4 * step, high - edges[-1]), tol, reserve)
            end = edges[-1] + step
            edges.append(high if high - end < 1e-9 * (high - low) else end)
        x = np.array(edges)
        y = target.values(x)
        coefficients = np.diff(np.diff(y) / np.diff(x), prepend=0.0)
        parts = (tuple(x[:-1].tolist()), tuple(coefficients.tolist()), float(y[0]))
        result = cls(*parts, (low, high), math.inf, bounds)
        missed = float(np.abs(result(x) - y).max())  # at the knots, with the rounding of f
        chords = max(
            _chord_error(target, start, end - start) for start, end in itertools.pairwise(edges)
        )
        bound = chords + missed + result.rounding(UNIT)
        if bound > tol:
            raise ValueError(f"Got tol={tol:g}, but rounding leaves {bound:.2g}; raise tol.")
        return replace(result, error_bound=bound)

    def __call__(self, x: ArrayLike) -> NDArray[np.float64]:
        """Evaluate the sum in float64, term after term."""
        x = np.asarray(x, dtype=float)
        total = np.full(x.shape, self.constant)
        for knot, c in zip(self.knots, self.coefficients, strict=True):
            total = total + c * np.maximum(x - knot, 0.0)
        return total

    def rounding(self, unit: float) -> float:
        """Bound of what evaluation in a number format of unit roundoff `unit` adds to the error.

        Parameters
        ----------
        unit : float

        Returns
        -------
        bound : float
        """
        c, lengths = np.abs(self.coefficients), self.domain[1] - np.array(self.knots)
        reach = max(map(abs, self.domain))
        sums = (self.n_terms + 4) * unit * (c @ lengths + abs(self.constant))
        return float(1.01 * (sums + 3 * unit * reach * c.sum()))


def _check(
    interval: tuple[float, float], tol: float, max_terms: int, curvature: float | None
) -> tuple[float, float]:
    low, high = map(float, interval)
    if not -LARGEST_BOUND <= low < high <= LARGEST_BOUND:
        raise ValueError(
            f"Got interval={interval}, expected two numbers, the smaller one first, of at most "
            f"{LARGEST_BOUND:.3g} in absolute value."
        )
    if not (0 < tol < math.inf):
        raise ValueError(f"Got tol={tol}, expected a number above 0.")
    if max_terms < 1:
        raise ValueError(f"Got max_terms={max_terms}, expected at least 1.")
    if curvature is not None and not 0 <= curvature < math.inf:
        raise ValueError(f"Got curvature={curvature}, expected a finite number of at least 0.")
    return low, high


def _sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax over {z, 0}, as the machine's heads compute it."""
    top = np.maximum(z, 0.0)
    up, down = np.exp(z - top), np.exp(-top)
    return up / (up + down)


def _best_fit(target: Target, n_terms: int) -> tuple[float, Parameters]:
    """Search the slope, the spread of the centres and the cutoff; see `_least_squares`."""
    options = itertools.product(STEEPNESS.tolist(), MARGINS, CUTOFFS)
    fits = {each: _least_squares(target, n_terms, *each) for each in options}
    (steepness, margin, cutoff), best = min(fits.items(), key=lambda item: item[1][0])
    refined = minimize_scalar(
        lambda log_slope: _least_squares(target, n_terms, 2.0**log_slope, margin, cutoff)[0],
        bounds=(math.log2(steepness) - 0.5, math.log2(steepness) + 0.5),
        method="bounded",
        options={"maxiter": 40, "xatol": 1e-12},
    )
    finer = _least_squares(target, n_terms, 2.0 ** float(refined.x), margin, cutoff)
    return min(best, finer, key=lambda fit: fit[0])


def _least_squares(
    target: Target, n_terms: int, steepness: float, margin: float, cutoff: float
) -> tuple[float, Parameters]:
    """Largest error on a grid, rounding included, and the parameters."""
    low, high = target.low, target.high
    middle, half = (low + high) / 2, (high - low) / 2
    x, y = target.sample(max(64, 4 * n_terms))
    slope = steepness / (high - low)
    offsets = -slope * (middle + (1 + margin) * half * chebyshev(n_terms))
    design = np.hstack([_sigmoid(slope * x[:, None] + offsets), np.ones((len(x), 1))])
    coefficients = np.linalg.lstsq(design, y, rcond=cutoff)[0]
    *c, constant = coefficients.tolist()
    parameters = ((slope,) * n_terms, tuple(offsets.tolist()), tuple(c), constant)
    estimate = float(np.abs(design @ coefficients - y).max())
    rounding = SigmoidSum(*parameters, (low, high), 0.0, Bounds(0, 0, 0)).rounding(UNIT)
    return estimate + rounding, parameters


def _chord_error(target: Target, start: float, step: float) -> float:
    return step**2 / 8 * target.largest_curvature(start, start + step) * (1 + 8 * UNIT)


def _longest_step(target: Target, start: float, step: float, tol: float, reserve: float) -> float:
    """Longest step from a knot whose chord keeps the tolerance, to a few per cent."""
    allowed = tol * (1 - reserve)
    while (error := _chord_error(target, start, step)) > allowed:
        step *= max(0.1, min(0.98, math.sqrt(allowed / error))) if error < math.inf else 0.5
    return step
