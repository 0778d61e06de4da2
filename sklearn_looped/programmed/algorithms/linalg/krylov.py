"""Orthonormal bases by attention: QR decomposition, Arnoldi and Lanczos iterations."""

from functools import lru_cache
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import ArrayLike
from sklearn.utils import check_scalar

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.linalg.result import (
    UNIT_ROUNDOFF,
    Result,
    check_matrix,
    check_options,
    check_square,
    check_symmetric,
    exponents,
    rounding_of_product,
    scale_back,
    warn_if_above_tol,
)
from sklearn_looped.programmed.algorithms.linalg.unit_vector import unit_vector
from sklearn_looped.programmed.transformer.block import Block
from sklearn_looped.programmed.transformer.layers import make_layer
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import clear, linear_product

_N_PASSES = 2  # of Gram and Schmidt: twice is enough for orthogonality to rounding
_N_NEWTON = 12  # a vector of length 1/2 to 1 has length 1 to rounding after seven
_ADVICE = "Raise tol, or measure the columns in other units."


class QRResult(NamedTuple):
    """Orthonormal columns Q of shape (m, n), and the upper triangular R of shape (n, n)."""

    Q: Array
    R: Array


class ArnoldiResult(NamedTuple):
    """Basis of shape (n, k + 1) and Hessenberg matrix of shape (k + 1, k), A V_k = V H.

    Where the Krylov space is invariant they end there, with shapes (n, k) and (k, k).
    """

    basis: Array
    hessenberg: Array


class LanczosResult(NamedTuple):
    """Basis (n, k), and the diagonal (k,) and off-diagonal (k - 1,) of the tridiagonal matrix.

    `scipy.linalg.eigh_tridiagonal` takes the two.
    """

    basis: Array
    diagonal: Array
    off_diagonal: Array


def qr(a: ArrayLike, *, tol: float = 1e-8) -> Result[QRResult]:
    r"""QR decomposition by Gram-Schmidt loops, as :func:`numpy.linalg.qr` in mode "reduced".

    Gram and Schmidt's projection is linear attention from a vector to the basis,

    .. math:: w \leftarrow w - \sum_j (w^\top q_j)\, q_j, \qquad h_j \leftarrow h_j + q_j^\top w,

    one layer of two heads; two loops a column make the basis orthogonal to rounding. Loops of
    :math:`v \leftarrow v (3 - v^\top v) / 2` give it length 1. The diagonal of R is positive,
    numpy's may be negative.

    The host loads the tapes, measures vectors in powers of two, copies a finished column to the
    basis, and bounds the error.

    Parameters
    ----------
    a : array-like of shape (m, n), m >= n
    tol : float, default=1e-8
        Error that the certificate is to promise, relative to the largest entry of a.

    Returns
    -------
    result : Result
        With ``value`` a `QRResult`. ``certificate.error_bound`` bounds every entry of
        :math:`A - QR`, plus :math:`\|Q^\top Q - I\|_F \|r\|` with the column r of R, rounding
        included.

    Raises
    ------
    numpy.linalg.LinAlgError
        If `a` is not a matrix, has more columns than rows, or columns that depend on each other
        to rounding.
    ValueError
        If `a` is not finite and real, or `tol` is not above 0.

    Warns
    -----
    ConvergenceWarning
        If the certificate does not promise `tol`.

    References
    ----------
    A. Giannou et al., "Looped Transformers as Programmable Computers", ICML 2023, Section 6.
    L. Giraud et al., "Rounding error analysis of the classical Gram-Schmidt orthogonalization
    process", Numerische Mathematik, 2005.

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.linalg import qr
    >>> result = qr([[3.0, 1.0], [4.0, 2.0]])
    >>> result.value.R.round(12), result.certificate.error_bound < 1e-13
    (array([[5. , 2.2],
           [0. , 0.4]]), True)
    """
    check_options(tol=tol)
    a = check_matrix(a, "a")
    m, n = a.shape
    if m < n:
        raise LinAlgError(
            f"Got 'a' of shape {a.shape}, but it must have no more columns than rows."
        )
    columns = exponents(a, axis=0)
    scaled = np.ldexp(a, -columns)
    q, r, n_loops = np.zeros((m, n)), np.zeros((n, n)), 0
    for k in range(n):
        w, h = _orthogonalise(scaled[:, k], q[:, :k])
        start = np.linalg.norm(scaled[:, k])
        if not np.linalg.norm(w) > 8 * m * UNIT_ROUNDOFF * start:
            raise LinAlgError(
                f"Got 'a' whose column {k} depends on those before it, to rounding; leave it out."
            )
        q[:, k], r[k, k], n_steps = _normalise(w)
        r[:k, k] = h
        n_loops += _N_PASSES + n_steps
    errors = np.tile(_decomposition_error(scaled, q, r), (n, 1))
    r, bound = scale_back(r, errors, columns)
    certificate = _gram_schmidt(m).certify(bound)
    result = Result(QRResult(q, r), n_loops, tol, certificate)
    warn_if_above_tol(result, a, _ADVICE)
    return result


def arnoldi(
    a: ArrayLike, v: ArrayLike, n_steps: int | None = None, *, tol: float = 1e-8
) -> Result[ArnoldiResult]:
    r"""Arnoldi iteration: an orthonormal basis of the Krylov space of a matrix and a vector.

    One head more than for `qr`: :math:`w \leftarrow \sum_i (a_i^\top v)\, e_i = A v` is linear
    attention from a vector to the rows of A.

    Parameters
    ----------
    a : array-like of shape (n, n)
    v : array-like of shape (n,)
        The start; not 0.
    n_steps : int or None, default=None
        Products with A, at most n; None: n.
    tol : float, default=1e-8
        Error that the certificate is to promise, relative to the largest entry of a.

    Returns
    -------
    result : Result
        With ``value`` an `ArnoldiResult`. ``certificate.error_bound`` bounds every entry of
        :math:`A V_k - V H`, plus :math:`\|V^\top V - I\|_F \|h\|` with the column h of H, rounding
        included.

    Raises
    ------
    numpy.linalg.LinAlgError
        If `a` is not square, or `v` has another length or is 0.
    ValueError
        If an array is not finite and real, or an option is not valid.

    Warns
    -----
    ConvergenceWarning
        If the certificate does not promise `tol`.

    References
    ----------
    A. Giannou et al., "Looped Transformers as Programmable Computers", ICML 2023, Section 6.

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.linalg import arnoldi
    >>> V, H = arnoldi([[2.0, 1.0], [1.0, 3.0]], [1.0, 0.0], n_steps=1).value
    >>> V.round(12).tolist(), H.round(12).tolist()
    ([[1.0, 0.0], [0.0, 1.0]], [[2.0], [1.0]])
    """
    check_options(tol=tol)
    a = check_square(a)
    scale = int(exponents(a))
    basis, h, n_loops = _krylov(np.ldexp(a, -scale), v, n_steps)
    error = _decomposition_error(np.ldexp(a, -scale) @ basis[:, : h.shape[1]], basis, h)
    error = error + rounding_of_product(np.ldexp(a, -scale), basis).max()
    largest = error.max() if a.any() else 0.0  # products with 0 are exact
    h, bound = scale_back(h, largest, scale)
    certificate = _gram_schmidt(len(a), matrix=True).certify(bound)
    result = Result(ArnoldiResult(basis, h), n_loops, tol, certificate)
    warn_if_above_tol(result, a, _ADVICE)
    return result


def lanczos(
    a: ArrayLike, v: ArrayLike, n_steps: int | None = None, *, tol: float = 1e-8
) -> Result[LanczosResult]:
    r"""Lanczos iteration: a symmetric matrix in tridiagonal form on its Krylov space.

    The loops of `arnoldi`, which orthogonalise against the whole basis: the short recurrence
    alone loses orthogonality.

    Parameters
    ----------
    a : array-like of shape (n, n)
        Symmetric to 1e-10 of its largest entry.
    v, n_steps, tol
        As in `arnoldi`.

    Returns
    -------
    result : Result
        With ``value`` a `LanczosResult`. ``certificate.error_bound`` bounds every entry of
        :math:`V^\top A V - T`, rounding included.

    Raises
    ------
    numpy.linalg.LinAlgError
        If `a` is not square or not symmetric, or `v` has another length or is 0.
    ValueError
        If an array is not finite and real, or an option is not valid.

    Warns
    -----
    ConvergenceWarning
        If the certificate does not promise `tol`.

    References
    ----------
    A. Giannou et al., "Looped Transformers as Programmable Computers", ICML 2023, Section 6.

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.linalg import lanczos
    >>> basis, diagonal, off_diagonal = lanczos([[2.0, 1.0], [1.0, 3.0]], [1.0, 0.0]).value
    >>> diagonal.round(12).tolist(), off_diagonal.round(12).tolist()
    ([2.0, 3.0], [1.0])
    """
    check_options(tol=tol)
    a = check_symmetric(a, "use arnoldi, or give (a + a.T) / 2 if that is what is meant.")
    scale = int(exponents(a))
    scaled = np.ldexp(a, -scale)
    basis, h, n_loops = _krylov(scaled, v, n_steps)
    k = h.shape[1]
    basis, diagonal, off_diagonal = basis[:, :k], np.diag(h[:k]), np.diag(h[:k], -1)
    tridiagonal = np.diag(diagonal) + np.diag(off_diagonal, 1) + np.diag(off_diagonal, -1)
    images = scaled @ basis
    error = np.abs(basis.T @ images - tridiagonal).max()
    error += rounding_of_product(basis.T, images).max()
    error += np.abs(basis).sum(axis=0).max() * rounding_of_product(scaled, basis).max()
    largest = float(error) if a.any() else 0.0  # products with 0 are exact
    (diagonal, bound), (off_diagonal, _) = (
        scale_back(each, largest, scale) for each in (diagonal, off_diagonal)
    )
    certificate = _gram_schmidt(len(a), matrix=True).certify(bound)
    result = Result(LanczosResult(basis, diagonal, off_diagonal), n_loops, tol, certificate)
    warn_if_above_tol(result, a, _ADVICE)
    return result


def _krylov(a: Array, v: ArrayLike, n_steps: int | None) -> tuple[Array, Array, int]:
    """Basis, Hessenberg matrix and number of loops, of a matrix with entries below 1."""
    n = len(a)
    start = check_matrix(np.reshape(v, (1, -1)), "v")[0]
    if len(start) != n or not start.any():
        raise LinAlgError(f"Got 'v' of shape {np.shape(v)}, expected {n} numbers, not all 0.")
    n_steps = n if n_steps is None else n_steps
    check_scalar(n_steps, "n_steps", Integral, min_val=1, max_val=n)
    basis, h = np.zeros((n, n_steps + 1)), np.zeros((n_steps + 1, n_steps))
    basis[:, 0], _, n_loops = _normalise(np.ldexp(start, -exponents(start)))
    size = np.linalg.norm(a)
    for k in range(n_steps):
        w, h[: k + 1, k] = _orthogonalise(basis[:, k], basis[:, : k + 1], a)
        n_loops += _N_PASSES
        if np.linalg.norm(w) <= 8 * n * UNIT_ROUNDOFF * size:  # the space is invariant
            return basis[:, : k + 1], h[: k + 1, : k + 1], n_loops
        basis[:, k + 1], h[k + 1, k], n_newton = _normalise(w)
        n_loops += n_newton
    return basis, h, n_loops


def _orthogonalise(v: Array, basis: Array, a: Array | None = None) -> tuple[Array, Array]:
    """Return what of v, or of A v, is orthogonal to the basis, and coefficients of the rest."""
    n, k = basis.shape
    if k == 0:
        return v, np.zeros(0)
    block = _gram_schmidt(n, matrix=a is not None)
    tokens = Layout(vector=1, basis=k, **({} if a is None else {"row": n}))
    values: dict[str, Any] = {"vector": {"w" if a is None else "v": v}, "basis": {"q": basis.T}}
    if a is not None:
        values["row"] = {"unit": np.eye(n), "a": a}
    end, _ = block.run(block.load(tokens, **values), _N_PASSES)
    return end.read("vector", "w")[0], end.read("basis", "h")[:, 0]


def _normalise(w: Array) -> tuple[Array, float, int]:
    """Vector of length 1, the length of w, and the number of loops."""
    exponent = int(np.frexp(np.linalg.norm(w))[1])
    v, length = unit_vector(np.ldexp(w, -exponent), _N_NEWTON)
    return v, float(np.ldexp(length, exponent)), _N_NEWTON


def _decomposition_error(a: Array, q: Array, r: Array) -> Array:
    """Bound on the entries of A - QR by column, plus how far Q is from orthonormal, times R."""
    left = np.abs(a - q @ r) + rounding_of_product(q, r) + UNIT_ROUNDOFF * np.abs(a)
    gram = np.abs(q.T @ q - np.eye(q.shape[1])) + rounding_of_product(q.T, q)
    return left.max(axis=0) + np.linalg.norm(gram) * np.linalg.norm(r, axis=0)


@lru_cache(maxsize=8)
def _gram_schmidt(n: int, *, matrix: bool = False) -> Block:
    """One pass a loop; with the matrix, w = A v in the first layer of the first loop."""
    fields = Layout(one=1, vector=1, basis=1, row=1, q=n, w=n, h=1, v=n, a=n, unit=n)
    vector, basis = ("vector",), ("basis",)
    project = (
        linear_product(fields, "w", "q", {"q": "w"}, rows=vector, keys=basis, scale=-1.0),
        linear_product(fields, "q", "w", {"vector": "h"}, rows=basis, keys=vector),
    )
    layers = [make_layer(fields, project)]
    if matrix:
        multiply = linear_product(fields, "v", "a", {"unit": "w"}, rows=vector, keys=("row",))
        layers.insert(0, make_layer(fields, (multiply,), clear(fields, "v"), vector))
    return Block(fields, layers)
