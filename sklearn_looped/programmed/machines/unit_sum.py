"""What sums of sigmoids and of ReLU units share: how they are fitted and evaluated."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_looped.programmed.machines.certified_error import Function, Target
from sklearn_looped.programmed.machines.checks import check_sizes

LARGEST_BOUND = 2.0**960  # of an interval: the machine subtracts it from any operand


class UnitSum(ABC):
    """Base of the sums of hidden units: how they are fitted and evaluated."""

    most_terms: ClassVar[int]
    coefficients: tuple[float, ...]
    constant: float

    @classmethod
    def fit(
        cls,
        f: Function,
        interval: tuple[float, float],
        tol: float,
        *,
        max_terms: int | None = None,
        curvature: float | None = None,
    ) -> Self:
        """Find a sum of few terms whose error is at most `tol` on all of the interval.

        The bound is not the largest error on a grid: it comes from Taylor series in interval
        arithmetic, see `Target.largest_error`.

        Parameters
        ----------
        f : callable
            Written with numpy's arithmetic, exp, log, sqrt, sin, cos, tanh and constant powers;
            any other function needs `curvature`.
        interval : tuple of float
            Ends of the interval on which f is approximated.
        tol : float
            Largest absolute error, above 0.
        max_terms : int or None, default=None
            Largest number of terms tried, at least 1. None: 32 sigmoids, or 512 ReLU units.
        curvature : float or None, default=None
            Bound of the absolute second derivative of f on the interval. It is not checked, nor is
            the assumption that f is accurate to four units in the last place. None: a bound is
            derived from the formula of f.

        Returns
        -------
        sum : SigmoidSum or ReluSum
            Of the class that it is called on.

        Raises
        ------
        ValueError
            If no sum of `max_terms` terms reaches the tolerance, the function is not finite on the
            interval, or no bound of its error is known; the message says what to change.
        """
        max_terms = cls.most_terms if max_terms is None else max_terms
        return cls._fit(
            Target(f, *_check(interval, tol, max_terms, curvature), curvature), tol, max_terms
        )

    @classmethod
    @abstractmethod
    def _fit(cls, target: Target, tol: float, max_terms: int) -> Self:
        """Find a sum for a target."""

    @abstractmethod
    def _units(self, x: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
        """Values of the hidden units."""

    @property
    def n_terms(self) -> int:
        """Number of hidden units."""
        return len(self.coefficients)

    def __call__(self, x: ArrayLike) -> NDArray[np.float64]:
        """Evaluate the sum in float64, term after term."""
        x = np.asarray(x, dtype=float)
        total = np.full(x.shape, self.constant)
        for c, unit in zip(self.coefficients, self._units(x), strict=True):
            total = total + c * unit
        return total


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
    check_sizes(max_terms=max_terms)
    if curvature is not None and not 0 <= curvature < math.inf:
        raise ValueError(f"Got curvature={curvature}, expected a finite number of at least 0.")
    return low, high
