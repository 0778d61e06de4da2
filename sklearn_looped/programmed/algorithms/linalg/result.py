"""What the routines of linear algebra take and give: checked matrices, and a certified result."""

from numbers import Integral, Real
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints

from sklearn_looped.core.arrays import Array, refuse_masked
from sklearn_looped.core.warning import warn_user
from sklearn_looped.programmed.transformer.certificate import Certificate

Exponents = NDArray[np.intp]
UNIT_ROUNDOFF = float(np.finfo(np.float64).eps) / 2
SMALLEST = float(np.finfo(np.float64).smallest_subnormal)
Value = TypeVar("Value")


class Result(NamedTuple, Generic[Value]):
    """What a routine computed, and why it may be believed.

    Parameters
    ----------
    value : ndarray or EighResult
        The answer, as numpy's function of the same name has it.
    n_loops : int
        Loops that the transformer ran.
    tol : float
        The relative error that was asked for; 0 for routines of a single loop.
    certificate : Certificate
        ``certificate.error_bound`` bounds the absolute error of every entry of the value (of the
        eigenvalues, for `eigh`) against exact arithmetic.
    """

    value: Value
    n_loops: int
    tol: float
    certificate: Certificate


def warn_if_above_tol(result: Result[Any], scale: ArrayLike, advice: str) -> None:
    """Warn if the certificate does not promise `tol` relative to the largest entry of `scale`."""
    bound, size = result.certificate.error_bound, float(np.abs(scale).max())
    if bound > max(result.tol * size, float(np.finfo(np.float64).tiny)):
        warn_user(
            f"The result is certified to a relative error of {bound / max(size, SMALLEST):.1e} "
            f"only, after {result.n_loops} loops, but tol={result.tol:g}. {advice}",
            ConvergenceWarning,
        )


def check_options(**options: Any) -> None:
    """Check the options that the routines share, by name."""
    constraints: dict[str, list[Any]] = {
        "tol": [Interval(Real, 0, None, closed="neither")],
        "product": [StrOptions({"linear", "softmax"})],
        "max_loops": [Interval(Integral, 1, None, closed="left")],
    }
    given = {name: constraints[name] for name in options}
    validate_parameter_constraints(given, options, caller_name="linalg")


def check_matrix(a: ArrayLike, name: str) -> Array:
    """Finite real matrix, or the error that numpy has for another number of dimensions."""
    refuse_masked(**{name: a})
    if not issparse(a):
        a = np.asarray(a)
        if a.ndim != 2:
            raise LinAlgError(f"{a.ndim}-dimensional array given for {name!r}. Array must be 2-D.")
    return check_array(a, dtype=np.float64, input_name=name)


def check_square(a: ArrayLike) -> Array:
    """Finite real square matrix."""
    matrix = check_matrix(a, "a")
    if matrix.shape[0] != matrix.shape[1]:
        raise LinAlgError(f"Got 'a' of shape {matrix.shape}, but it must be square.")
    return matrix


def check_symmetric(a: ArrayLike, advice: str) -> Array:
    """Finite real square matrix that is symmetric to 1e-10 of its largest entry."""
    matrix = check_square(a)
    asymmetry = np.abs(matrix / 2 - matrix.T / 2).max()  # halves: a difference may overflow
    if asymmetry > 0.5e-10 * np.abs(matrix).max():
        raise LinAlgError(
            f"Got 'a' that is not symmetric: entries differ from their mirror by "
            f"{2 * asymmetry:.1e}; {advice}"
        )
    return matrix


def rounding_of_product(left: Array, right: Array) -> Array:
    """Bound on the error of ``left @ right``, entry by entry.

    Rounding of the sum (Higham 2002, Equation 3.13) and of this bound itself; and what underflow
    takes from each product, and took from each entry when the operands were scaled.
    """
    n = left.shape[-1]
    terms = n * UNIT_ROUNDOFF
    lefts, rights = np.abs(left), np.abs(right)
    lost = n + lefts.sum(axis=1, keepdims=True) + rights.sum(axis=0, keepdims=True)
    with np.errstate(under="ignore"):
        return terms / (1 - 4 * terms) * (lefts @ rights) + 2 * SMALLEST * lost


def exponents(a: Array, axis: int | None = None) -> Exponents:
    """Exponents e of the powers of two above all entries: ``2**(e - 1) <= max |a| < 2**e``.

    0 where all entries are 0. Dividing by these powers with :func:`numpy.ldexp` is exact but for
    underflow, and needs no power that float64 does not hold.

    Parameters
    ----------
    a : ndarray
    axis : int, default=None
        The axis that is reduced; None: all.

    Returns
    -------
    exponents : ndarray of intp
    """
    return np.frexp(np.abs(a).max(axis=axis, initial=0.0))[1].astype(np.intp)


def row_exponents(a: Array, shift: Exponents) -> Exponents:
    """Exponents of the rows of ``a * 2**shift``, which may be beyond float64; 0 of empty rows."""
    own = np.where(a != 0, np.frexp(a)[1] + shift, np.iinfo(np.int32).min)
    return np.where(a.any(axis=1), own.max(axis=1), 0)


def scale_back(value: Array, bound: Array | float, exponent: ArrayLike) -> tuple[Array, float]:
    """Multiply a result and the bounds on its error by powers of two.

    Parameters
    ----------
    value : ndarray
    bound : float or ndarray
        On the error of the values.
    exponent : array-like of int
        Of the powers of two, one for all or one a value.

    Returns
    -------
    value : ndarray
    bound : float
        The largest one, with what underflow takes from a value.

    Raises
    ------
    LinAlgError
        If a value, or the bound on its error, is beyond the range of float64.
    """
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(value, exponent)
        lost = (np.ldexp(scaled, -np.asarray(exponent)) != value) | (np.asarray(bound) > 0)
        bounds = np.ldexp(bound, exponent) + SMALLEST * lost
    if not (np.isfinite(scaled).all() and np.isfinite(bounds).all()):
        raise LinAlgError(
            "Got a result, or terms that cancel in it, beyond the range of float64; measure the "
            "operands in other units."
        )
    return scaled, float(bounds.max(initial=0.0))
