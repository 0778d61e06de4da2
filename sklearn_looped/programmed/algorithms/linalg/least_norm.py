"""Least squares of least norm: singular normal equations, and fewer equations than unknowns."""

from dataclasses import replace

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.linalg.multiply import matmul
from sklearn_looped.programmed.algorithms.linalg.newton import solve
from sklearn_looped.programmed.algorithms.linalg.power import eigh
from sklearn_looped.programmed.algorithms.linalg.result import (
    UNIT_ROUNDOFF,
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
    Where these are all eigenvalues, it solves :math:`G w = b` itself. The host counts the
    eigenvalues, copies results from one program to the next and computes the certificate.

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
        exact space of those eigenvalues: the error of z, the rounding of the products included,
        and what the angle between both spaces, the residual of `eigh` over the gap behind them
        (Davis and Kahan 1970), changes in w and in b.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the equations within the space need more loops, or an eigenvalue that counts is not
        known to differ from 0.

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
    if known.all():
        found = solve(gram, b, tol=tol, max_loops=max_loops)
        return found._replace(n_loops=spectrum.n_loops + found.n_loops)
    V = vectors[:, known]
    images, targets = matmul(V.T, gram), matmul(V.T, b)
    inner = matmul(images.value, V)
    found = solve(inner.value, targets.value, tol=1.0, max_loops=max_loops)
    value = matmul(V, found.value)
    error = _error_within(V, images, inner, targets, found)
    size = np.linalg.norm(V, 2) * (np.linalg.norm(found.value, axis=0) + error)
    inside, rest = np.linalg.norm(b, axis=0), b - V @ targets.value
    outside = np.linalg.norm(np.abs(rest) + rounding_of_product(V, targets.value), axis=0)
    turned = _error_of_turn(values, known, residual, size, inside, outside)
    bound = value.certificate.error_bound + np.linalg.norm(V, axis=1).max() * error + turned
    certificate = replace(found.certificate, error_bound=float(bound.max()))
    result = Result(value.value, spectrum.n_loops + found.n_loops + 4, tol, certificate)
    warn_if_above_tol(result, value.value, _ADVICE)
    return result


def least_norm_of_rows(
    X: Array, b: Array, *, centred: bool, tol: float = 1e-8, max_loops: int = 128
) -> Result[Array] | None:
    r"""Solution of least norm of fewer equations than unknowns, :math:`X w = b`.

    :math:`w = X^\top (X X^\top)^{-1} b`: `matmul` computes the Gram matrix of the rows, `solve`
    inverts it, and `matmul` maps back. It has n rows where the normal equations have d. Rows that
    are `centred` have a weighted sum of 0, and so has b: then :math:`s^2\, 1 1^\top` is added,
    which makes the matrix regular and leaves w as it is. The host chooses s and computes the
    certificate: the residual of :math:`\alpha = (X X^\top)^{-1} b`, the rounding of the matrix
    included, over the square root of its smallest eigenvalue, as the norm of
    :math:`X^\top (X X^\top)^{-1}` is at most 1 over that.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Fewer rows than columns, or as many; one more if they are centred.
    b : ndarray of shape (n, k)
    centred : bool
        Whether a weighted sum of the rows, and of those of b, is 0.
    tol : float, default=1e-8
        Error relative to the largest entry that the certificate is to promise.
    max_loops : int, default=128
        Cap on the number of loops of `solve`.

    Returns
    -------
    result : Result or None
        With ``value`` of shape (d, k), and the error against exact arithmetic on X and b. None if
        the rows depend on each other, up to `SMALLEST_EIGENVALUE`: take `least_norm`.

    Raises
    ------
    numpy.linalg.LinAlgError
        If `max_loops` is too small.

    Warns
    -----
    ConvergenceWarning
        If the certificate does not promise `tol`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.programmed.algorithms.linalg import least_norm_of_rows
    >>> least_norm_of_rows(np.ones((1, 2)), np.array([[2.0]]), centred=False).value.round(12)
    array([[1.],
           [1.]])
    """
    n = len(X)
    size = float(np.linalg.norm(X)) / n  # its square is the mean eigenvalue over n
    ones = np.full((n, 1), np.ldexp(float(centred), np.frexp(size)[1]))
    rows = np.hstack([X, ones])
    gram = matmul(rows, rows.T)
    singular = np.linalg.svd(gram.value, compute_uv=False)
    off = gram.certificate.error_bound * n + 8 * n * UNIT_ROUNDOFF * singular[0]
    if not singular[-1] - off > SMALLEST_EIGENVALUE * singular[0]:
        return None
    found = solve(gram.value, b, tol=1.0, max_loops=max_loops)
    value = matmul(X.T, found.value)
    residual = np.abs(gram.value @ found.value - b) + rounding_of_product(gram.value, found.value)
    missed = np.linalg.norm(residual, axis=0) + off * np.linalg.norm(found.value, axis=0)
    bound = value.certificate.error_bound + missed / np.sqrt(singular[-1] - off)
    certificate = replace(found.certificate, error_bound=float(bound.max()))
    result = Result(value.value, found.n_loops + 2, tol, certificate)
    warn_if_above_tol(result, value.value, _ADVICE)
    return result


def _error_within(
    V: Array, images: Result[Array], inner: Result[Array], targets: Result[Array], z: Result[Array]
) -> Array:
    r"""Bounds of the error of z, column by column, against :math:`(V^\top G V)^{-1} V^\top b`.

    With E and e the rounding of both products, that of `solve` and
    :math:`(\|E\| \|z\| + \|e\|) / \sigma` with the smallest singular value of :math:`V^\top G V`.
    """
    d, k = V.shape
    singular = np.linalg.svd(inner.value, compute_uv=False)
    off = images.certificate.error_bound * np.sqrt(k * d) * np.linalg.norm(V, 2)
    off += inner.certificate.error_bound * k
    smallest = singular[-1] - off - 8 * k * UNIT_ROUNDOFF * singular[0]
    if not smallest > 0:
        raise LinAlgError(
            f"Got {k} eigenvalues above 0, the smallest {singular[-1]:.1e} and known to {off:.1e} "
            f"only. {_ADVICE}"
        )
    solved: float = z.certificate.error_bound * np.sqrt(k)
    size = np.linalg.norm(z.value, axis=0) + solved
    missed: float = targets.certificate.error_bound * np.sqrt(k)
    return np.asarray(solved + (off * size + missed) / smallest)


def _error_of_turn(
    values: Array, known: NDArray[np.bool_], residual: float, size: Array, b: Array, outside: Array
) -> Array:
    r"""Bounds of what the angle :math:`\theta` between the found and the exact space changes.

    With norms of w, b and the part c of b outside of the found space, and the smallest eigenvalue
    :math:`\lambda` that counts, it is at most :math:`\sin\theta\,|w|`, the part of w outside of
    the exact space, and within that :math:`\tan\theta\,((|c| + \sin\theta\,|b|) / \lambda +
    \sin\theta\,|w|)`. It is never more than the norms of both solutions.
    """
    smallest = values[known].min()
    if not smallest > residual:
        raise LinAlgError(
            f"Got eigenvalues from {smallest:.1e} on, known to {residual:.1e} only; raise "
            f"max_loops. {_ADVICE}"
        )
    lowest = smallest - residual
    gap = smallest - np.abs(values[~known]).max() - residual
    if not gap > residual:
        return np.asarray(size + b / lowest)
    sine = residual / gap
    tangent = sine / np.sqrt(1 - sine**2)
    within = tangent * ((outside + sine * b) / lowest + sine * size)
    return np.minimum(size + b / lowest, sine * size + within)
