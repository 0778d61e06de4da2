"""Sums of sigmoids and of ReLU units for functions of one variable, with a certified error."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from sklearn_looped.programmed.machines.certified_error import Bounds, Target, chebyshev
from sklearn_looped.programmed.machines.taylor import Taylor, logistic
from sklearn_looped.programmed.machines.unit_sum import UnitSum

STEEPNESS = 2.0 ** np.arange(-1, 6.5, 0.5)  # slopes tried, per width of the interval
MARGINS = (0.0, 0.4, 1.0)  # how far centres lie outside of the interval, in half-widths
CUTOFFS = (1e-15, 1e-11)  # of the least squares: a larger one gives smaller coefficients
UNIT = 2.0**-53  # rounding of float64
MAX_UNCERTAIN = 4  # fits that are good on a grid, but may not be between its points
Parameters = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], float]


@dataclass(frozen=True)
class SigmoidSum(UnitSum):
    r"""A sum of sigmoids for a function of one variable, with a certified bound of its error.

    :math:`s(x) = c_0 + \sum_j c_j \sigma(a_j x + b_j)` (Barron 1993; Giannou et al. 2023, Lemma 5).
    Make one with `fit`: centres are Chebyshev points, coefficients are least squares; the number
    of terms, their common slope and the spread of the centres are searched.

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

    most_terms: ClassVar[int] = 32
    slopes: tuple[float, ...]
    offsets: tuple[float, ...]
    coefficients: tuple[float, ...]
    constant: float
    domain: tuple[float, float]
    error_bound: float
    bounds: Bounds

    @classmethod
    def _fit(cls, target: Target, tol: float, max_terms: int) -> Self:
        low, high, bounds, best = target.low, target.high, target.bounds(), math.inf
        uncertain = 0
        for n_terms in range(1, max_terms + 1):
            error, parameters = _best_fit(target, n_terms)
            if error <= tol:
                candidate = cls(*parameters, (low, high), math.inf, bounds)
                rounding = candidate.rounding(UNIT)
                error = target.largest_error(candidate.series, tol - rounding) + rounding
                if error <= tol:
                    return replace(candidate, error_bound=error)
                uncertain += error > 2 * tol
            best = min(best, error)
            if uncertain == MAX_UNCERTAIN:
                break
        raise ValueError(
            f"Got tol={tol:g}, but {n_terms} sigmoids are known to reach {best:.2g} only on "
            f"[{low:g}, {high:g}]; raise tol or max_terms, or shorten the interval."
        )

    def _units(self, x: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
        return (_sigmoid(a * x + b) for a, b in zip(self.slopes, self.offsets, strict=True))

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
class ReluSum(UnitSum):
    r"""A sum of ReLU units for a function of one variable, with a certified bound of its error.

    :math:`s(x) = c_0 + \sum_j c_j \mathrm{relu}(x - t_j)` interpolates f at the knots
    :math:`t_j`. Make one with `fit`. It takes many more terms than a `SigmoidSum` of the same
    error, but no attention head. Between knots at a distance h the error of interpolation is at
    most h^2 / 8 times the largest second derivative there; each knot is set as far behind the last
    as that allows.

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

    most_terms: ClassVar[int] = 512
    knots: tuple[float, ...]
    coefficients: tuple[float, ...]
    constant: float
    domain: tuple[float, float]
    error_bound: float
    bounds: Bounds

    @classmethod
    def _fit(cls, target: Target, tol: float, max_terms: int) -> Self:
        low, high, bounds = target.low, target.high, target.bounds()
        values = target.values(np.array([low, high]))
        reserve = 1e-3 + 64 * UNIT * max_terms * (1 + np.abs(values).max() / tol)
        edges = [low]
        step = high - low
        while edges[-1] < high:
            if len(edges) > max_terms or reserve > 0.5 or edges[-1] + step == edges[-1]:
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
        below, above = target.enclosure(x)  # y is rounded
        missed = float(np.maximum(result(x) - below, above - result(x)).max())  # at the knots
        chords = max(
            _chord_error(target, start, end - start) for start, end in itertools.pairwise(edges)
        )
        bound = chords + missed + result.rounding(UNIT)
        if not bound <= tol:
            raise ValueError(f"Got tol={tol:g}, but rounding leaves {bound:.2g}; raise tol.")
        return replace(result, error_bound=bound)

    def _units(self, x: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
        return (np.maximum(x - knot, 0.0) for knot in self.knots)

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
    """Bound of the error of a chord, infinite where none is known."""
    error = step * (step / 8 * target.largest_curvature(start, start + step)) * (1 + 8 * UNIT)
    return math.inf if math.isnan(error) else error


def _longest_step(target: Target, start: float, step: float, tol: float, reserve: float) -> float:
    """Longest step whose chord keeps the tolerance, to a few per cent; or hardly any."""
    allowed = tol * (1 - reserve)
    while start + step > start and (error := _chord_error(target, start, step)) > allowed:
        step *= max(0.1, min(0.98, math.sqrt(allowed / error))) if error < math.inf else 0.5
    return step
