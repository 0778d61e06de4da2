"""Linear systems by the Gauss-Seidel iteration."""

from functools import lru_cache

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import ArrayLike

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.linalg.result import (
    UNIT_ROUNDOFF,
    Result,
    check_matrix,
    check_options,
    check_square,
    exponents,
    rounding_of_product,
    scale_back,
    warn_if_above_tol,
)
from sklearn_looped.programmed.transformer.block import Block
from sklearn_looped.programmed.transformer.layers import Unit, make_layers
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import add, clear, linear_product, product

_N_NEWTON = 7  # loops until the reciprocals of the diagonal are exact to rounding
_ADVICE = "Raise max_loops or tol."


def gauss_seidel(
    a: ArrayLike, b: ArrayLike, *, tol: float = 1e-8, max_loops: int = 100_000
) -> Result[Array]:
    r"""Solution of a linear system by Gauss-Seidel loops, as :func:`numpy.linalg.solve`.

    A loop updates one unknown, so n loops are a sweep: the token of the row whose turn it is
    reads x, and writes

    .. math:: x_i \leftarrow x_i + (b_i - a_i^\top x) / a_{ii}

    to the token that holds x; the turn passes to the next row. The reciprocals of the diagonal
    are Newton steps of the first loops, for which no row has the turn. It converges for symmetric
    positive definite and for strictly diagonally dominant matrices.

    The host loads the tape, with the matrix and b in units of powers of two, stops the loops
    when a sweep no longer changes x, and bounds the error from the residual.

    Parameters
    ----------
    a : array-like of shape (n, n)
    b : array-like of shape (n,)
    tol : float, default=1e-8
        Relative error that the certificate is to promise: its bound over the largest entry of x.
    max_loops : int, default=100_000
        Cap on the number of loops.

    Returns
    -------
    result : Result
        With ``value`` of shape (n,). ``certificate.error_bound`` is
        :math:`\|b - A x\|_2 / \sigma_{\min}(A)`, rounding included.

    Raises
    ------
    numpy.linalg.LinAlgError
        If `a` is not square, singular, has a 0 on its diagonal, or the loops do not converge.
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
    >>> from sklearn_looped.programmed.algorithms.linalg import gauss_seidel
    >>> result = gauss_seidel([[4.0, 1.0], [1.0, 3.0]], [1.0, 2.0])
    >>> result.value.round(12).tolist(), result.certificate.error_bound < 1e-12
    ([0.090909090909, 0.636363636364], True)
    """
    check_options(tol=tol, max_loops=max_loops)
    a = check_square(a)
    n = len(a)
    sides = check_matrix(np.reshape(b, (1, -1)), "b")[0]
    if len(sides) != n:
        raise LinAlgError(
            f"Got 'b' of shape {np.shape(b)}, expected a number for each of {n} rows."
        )
    rows = exponents(a, axis=1)
    scaled = np.ldexp(a, -rows[:, None])
    unit = int((np.frexp(sides)[1] - rows)[sides != 0].max()) if sides.any() else 0
    right = np.ldexp(sides, -rows - unit)
    smallest = float(np.linalg.svd(scaled, compute_uv=False)[-1])
    if not smallest > n * UNIT_ROUNDOFF:
        raise LinAlgError("Got a singular matrix 'a', to rounding.")
    if not np.diag(scaled).all():
        raise LinAlgError("Got a 0 on the diagonal of 'a'; exchange rows so that there is none.")
    x, n_loops = _sweep(scaled, right, max_loops)
    left = np.abs(right - scaled @ x) + rounding_of_product(scaled, x[:, None])[:, 0]
    error = float(np.linalg.norm(left)) * (1 + 1e-12) / (smallest - n * UNIT_ROUNDOFF)
    value, bound = scale_back(x, error, unit)
    result = Result(value, n_loops, tol, _block(n).certify(bound))
    warn_if_above_tol(result, value, _ADVICE)
    return result


def _sweep(a: Array, b: Array, max_loops: int) -> tuple[Array, int]:
    n = len(a)
    block, tokens = _block(n), Layout(unknown=1, wait=_N_NEWTON, row=n)
    places = np.eye(_N_NEWTON + n)
    after = np.roll(places, 1, axis=1)
    after[-1] = places[_N_NEWTON]  # from the last row to the first
    diagonal = np.diag(a)
    tape = block.load(
        tokens,
        wait={
            "place": places[:_N_NEWTON], "after": after[:_N_NEWTON],
            "turn": places[:_N_NEWTON, :1],
        },
        row={
            "place": places[_N_NEWTON:], "after": after[_N_NEWTON:], "unit": np.eye(n), "a": a,
            "b": b[:, None], "d": diagonal[:, None],
            "inverse": np.copysign(2.0 ** -np.frexp(diagonal)[1], diagonal)[:, None] * 1.5,
        },
    )  # fmt: skip
    last, n_loops = np.zeros(n), 0
    for n_loops, end in enumerate(block.states(tape, max_loops), 1):
        if n_loops > _N_NEWTON and (n_loops - _N_NEWTON) % n == 0:
            x = end.read("unknown", "x")[0]
            if not np.abs(x).max() < 1e100:
                break
            if np.abs(x - last).max() <= 2 * UNIT_ROUNDOFF * np.abs(x).max():
                return x, n_loops
            last = x
    raise LinAlgError(
        f"The loops do not converge: after {n_loops} a sweep still changes the unknowns. Give a "
        "symmetric positive definite or strictly diagonally dominant matrix, or raise max_loops."
    )


@lru_cache(maxsize=8)
def _block(n: int) -> Block:
    """Read x and pass the turn; what is left times the reciprocal; write it to x."""
    places = _N_NEWTON + n
    fields = Layout(
        one=1, unknown=1, wait=1, row=1, place=places, after=places, unit=n, a=n, x=n, b=1, d=1,
        inverse=1, turn=1, next=1, image=1, rest=1, error=1, step=1,
    )  # fmt: skip
    turning, rows, unknown = ("wait", "row"), ("row",), ("unknown",)
    at = {name: {fields.at(name): 1.0} for name in fields.names}
    read = (
        linear_product(fields, "a", "x", {"unknown": "image"}, rows=rows, keys=unknown),
        linear_product(fields, "place", "after", {"turn": "next"}, rows=turning, keys=turning),
    )
    what_is_left = {fields.at("b"): 1.0, fields.at("image"): -1.0}
    first = [
        *product(at["turn"], what_is_left, fields.at("rest")),
        Unit(at["row"], {fields.at("error"): 1.0}),  # 1 - d * inverse
        *product(at["d"], at["inverse"], fields.at("error"), -1.0),
        *add(fields, {"next": "turn"}),
        *clear(fields, "turn", "image", "next"),
    ]
    second = [
        *product(at["rest"], at["inverse"], fields.at("step")),
        *product(at["error"], at["inverse"], fields.at("inverse")),
        *clear(fields, "rest", "error"),
    ]
    write = linear_product(fields, "unknown", "step", {"unit": "x"}, rows=unknown, keys=rows)
    parts = (read, first), ((), second), ((write,), clear(fields, "step"))
    return Block(fields, make_layers(fields, turning, *parts))
