"""Least squares of least norm, where the normal equations are singular."""

from dataclasses import replace

import numpy as np

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.linalg.multiply import matmul
from sklearn_looped.programmed.algorithms.linalg.newton import solve
from sklearn_looped.programmed.algorithms.linalg.power import eigh
from sklearn_looped.programmed.algorithms.linalg.result import (
    Result,
    rounding_of_product,
    warn_if_above_tol,
)

SMALLEST_EIGENVALUE = 1e-12  # of the largest; scikit-learn's 1e-6 for singular values
_ADVICE = (
    "Features are so nearly combinations of others that their number is not certain; drop some or "
    "use ProgrammedRidge."
)


def least_norm(
    gram: Array,
    b: Array,
    *,
    floor: float = 0.0,
    tol: float = 1e-8,
    max_loops: int = 128,
) -> Result[Array]:
    r"""Solution of least norm of normal equations :math:`G w = b`, in the eigenbasis of G.

    `eigh` finds the eigenvectors V of the eigenvalues above `SMALLEST_EIGENVALUE` of the largest,
    and `solve` the equations :math:`(V^\top G V) z = V^\top b` in their space; :math:`w = V z`.
    The host counts the eigenvalues and copies results from one program to the next.

    Parameters
    ----------
    gram : ndarray of shape (d, d)
        Symmetric, with no negative eigenvalue but by rounding.
    b : ndarray of shape (d, k)
    floor : float, default=0.0
        Eigenvalues up to it are rounding.
    tol : float, default=1e-8
        Error relative to the largest entry that the certificate is to promise.
    max_loops : int, default=128
        Cap on the number of loops of each program.

    Returns
    -------
    result : Result
        With ``value`` of shape (d, k). ``certificate.error_bound`` is against the solution in the
        exact space of those eigenvalues: that of z, by V, and the angle between both spaces, the
        residual of `eigh` over the gap behind them (Davis and Kahan 1970), times the norm of z.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the equations within the space need more loops.

    Warns
    -----
    ConvergenceWarning
        If the certificate does not promise `tol`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.programmed.algorithms.linalg import least_norm
    >>> least_norm(np.ones((2, 2)), np.array([[2.0], [2.0]])).value.round(12)
    array([[1.],
           [1.]])
    """
    spectrum = eigh(gram, tol=1.0, max_loops=max_loops)
    values, vectors = spectrum.value
    known = values > max(floor, SMALLEST_EIGENVALUE * values[-1])
    residual = spectrum.certificate.error_bound
    if not known.any():
        certificate = replace(spectrum.certificate, error_bound=0.0)
        return Result(np.zeros_like(b), spectrum.n_loops, tol, certificate)
    V, smallest = vectors[:, known], values[known].min()
    products = [matmul(V.T, gram), matmul(V.T, b)]
    inner = matmul(products[0].value, V)
    found = solve(inner.value, products[1].value, tol=1.0, max_loops=max_loops)
    value = matmul(V, found.value)
    gap = smallest - np.abs(values[~known]).max(initial=0.0) - residual
    angle = min(1.0, residual / gap) if gap > 0 else 1.0
    angle = 0.0 if known.all() else angle
    size = np.linalg.norm(found.value, axis=0) + np.linalg.norm(b, axis=0) / smallest * angle
    rounded = found.certificate.error_bound + np.abs(rounding_of_product(V, found.value)).max()
    bound = float((np.abs(V).sum(axis=1) * rounded).max() + (angle * size).max())
    n_loops = spectrum.n_loops + found.n_loops + 4
    certificate = replace(found.certificate, error_bound=bound)
    result = Result(value.value, n_loops, tol, certificate)
    warn_if_above_tol(result, value.value, _ADVICE)
    return result
