"""One case: an estimator of ours, its baseline, data, and what of both is compared."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

N_ULPS = 3  # times that scikit-learn's own data are moved by one unit in the last place


class Case(NamedTuple):
    """A comparison to be made.

    Parameters
    ----------
    ours, theirs : callable
        Data X -> arrays of the fitted model, in one order.
    X : ndarray of shape (n, d)
    bound : float
        Of the largest difference, relative to the largest entry above one.
    """

    ours: Callable[[np.ndarray], Sequence[Any]]
    theirs: Callable[[np.ndarray], Sequence[Any]]
    X: np.ndarray
    bound: float


class Outcome(NamedTuple):
    """What came out: the difference, and how far scikit-learn's result moves by one ulp."""

    difference: float
    own: float
    bound: float

    @property
    def chaotic(self) -> bool:
        """Whether scikit-learn's own result moves by more than the bound."""
        return self.own > self.bound


def difference(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """Return the largest difference of all arrays, relative to their largest entry above one.

    Another number of epochs or another label counts as one at least; what is not a number, where
    the other is one, as infinity.
    """
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(ours, theirs, strict=True)]
    if any(a.shape != b.shape for a, b in pairs):
        return np.inf
    counts = [(a, b) for a, b in pairs if b.dtype.kind == "i"]
    reals = [(a, b) for a, b in pairs if b.dtype.kind == "f"]
    if any((np.isfinite(a) != np.isfinite(b)).any() for a, b in reals):
        return np.inf
    scale = max(1.0, *(np.abs(b).max(initial=0) for _, b in reals))
    largest = max(float(np.abs(a - b).max(initial=0)) for a, b in reals) / scale
    return largest if all((a == b).all() for a, b in counts) else max(1.0, largest)


def attempt(fit: Callable[[np.ndarray], Sequence[Any]], X: np.ndarray) -> Sequence[Any] | None:
    """Fit; None where it diverges, which both refuse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return fit(X)
        except ValueError as error:
            if any(word in str(error) for word in ("diverges", "overflow", "non-finite")):
                return None
            raise


def compare(case: Case, rng: np.random.Generator) -> Outcome | None:
    """Fit both, and scikit-learn's again on data of which each entry moved by one ulp.

    None where the descent diverges: ours raises, and scikit-learn's does too or leaves weights
    above 1e10.
    """
    theirs = attempt(case.theirs, case.X)
    ours = attempt(case.ours, case.X)
    huge = theirs is None or not max(np.abs(a).max(initial=0) for a in theirs) <= 1e10
    if ours is None and huge:
        return None
    if ours is None or theirs is None:
        return Outcome(np.inf, 0.0, case.bound)
    own = 0.0
    for _ in range(N_ULPS):
        moved = np.nextafter(case.X, rng.choice([-np.inf, np.inf], case.X.shape))
        again = attempt(case.theirs, moved)
        own = max(own, np.inf if again is None else difference(again, theirs))
    return Outcome(difference(ours, theirs), own, case.bound)
