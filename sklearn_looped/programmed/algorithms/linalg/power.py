"""Eigenvalues of a symmetric matrix by power iteration with deflation."""

from functools import lru_cache, partial
from numbers import Integral
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_scalar

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.linalg.result import (
    UNIT_ROUNDOFF,
    Result,
    check_options,
    check_symmetric,
    exponents,
    rounding_of_product,
    scale_back,
    warn_if_above_tol,
)
from sklearn_looped.programmed.algorithms.linalg.unit_vector import unit_vector
from sklearn_looped.programmed.transformer.block import Block, Tape
from sklearn_looped.programmed.transformer.layers import Unit, make_layers
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    AttentionKind,
    attention_product,
    clear,
    gate,
    products,
)

_RANK_ONE = 1e-9  # one loop squares it, so one loop later B is of rank one to rounding
_SKEW = 0.01  # rounding of a multiple eigenvalue; a loop doubles it
_STAGNANT = 4 * np.finfo(np.float64).eps
_ADVICE = "Raise max_loops or tol."


class EighResult(NamedTuple):
    """Eigenvalues of shape (k,), ascending, and eigenvectors in the columns of shape (n, k)."""

    eigenvalues: Array
    eigenvectors: Array


def eigh(
    a: ArrayLike,
    n_components: int | None = None,
    *,
    tol: float = 1e-8,
    product: AttentionKind = "linear",
    max_loops: int = 100,
) -> Result[EighResult]:
    r"""Largest eigenvalues of a symmetric matrix by powers and deflation, as `numpy.linalg.eigh`.

    Three programs of fixed weights, after Giannou et al. 2023, Table 1, whose loops multiply a
    vector by A once. Here a loop squares, so k loops reach the power :math:`2^k` and
    eigenvalues with a relative gap g part in about :math:`\log_2(1 / g) + 9` loops rather than
    :math:`36 / g`.

    1. :math:`B \leftarrow c(t)\, B^2` with the trace t of :math:`B^2` and
       :math:`c(t) \approx 1 / t`, the piecewise linear function that touches it at powers of
       two, until B is of rank one;
    2. :math:`v \leftarrow v\,(3 - v^\top v) / 2` on a row of B, until it has unit length: their
       inverse square root;
    3. :math:`M \leftarrow M - (v^\top M v)\, v v^\top`, once, and on with B = M.

    The host measures A in a power of two and loads :math:`M = (A + \sigma I) / 2^p`, positive
    definite with
    :math:`\sigma \ge 2 \|A\|_\infty`, picks the row of the largest diagonal entry, copies v and M
    from one tape to the next, stops the loops, and subtracts the shift from the eigenvalues.

    Parameters
    ----------
    a : array-like of shape (n, n)
        Symmetric to 1e-10 of its largest entry; the lower triangle is used, as numpy does.
    n_components : int or None, default=None
        How many eigenvalues, from the largest (not in absolute value) on. None: all.
    tol : float, default=1e-8
        Error of the eigenvalues relative to the largest absolute one that the certificate is to
        promise.
    product : {"linear", "softmax"}, default="linear"
        As in `inv`; the linearised softmax reaches about 1e-9.
    max_loops : int, default=100
        Cap on the number of squarings for an eigenvector. Gaps below the rounding of A are not
        resolved, by this or any method: any orthogonal basis of their space is right then.

    Returns
    -------
    result : Result
        With ``value`` an `EighResult`. ``certificate.error_bound`` bounds the distance from each
        value to an eigenvalue of A: :math:`\sqrt{2}\,\|A V - V \Lambda\|_F / \sigma_{\min}(V)`
        (Kahan), rounding included. An eigenvector is off by about this bound over the distance to
        the next eigenvalue.

    Raises
    ------
    numpy.linalg.LinAlgError
        If `a` is not square or not symmetric, or an eigenvalue is beyond the range of float64.
    ValueError
        If `a` is not finite and real, or an option is not valid.

    Warns
    -----
    ConvergenceWarning
        If the certificate does not promise `tol`.

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.linalg import eigh
    >>> result = eigh([[2.0, 1.0], [1.0, 2.0]])
    >>> result.value.eigenvalues.round(12), abs(result.value.eigenvectors).round(6)
    (array([1., 3.]), array([[0.707107, 0.707107],
           [0.707107, 0.707107]]))
    """
    check_options(tol=tol, product=product, max_loops=max_loops)
    a = check_symmetric(a, "give (a + a.T) / 2 if that is what is meant.")
    scale = int(exponents(a))
    a = np.ldexp(np.tril(a) + np.tril(a, -1).T, -scale)
    n = len(a)
    k = n if n_components is None else n_components
    check_scalar(k, "n_components", Integral, min_val=1, max_val=n)
    size = np.abs(a).sum(axis=1).max() or 1.0
    shift = 2.0 ** (np.frexp(size)[1] + 1)
    unit = 2.0 ** np.frexp(np.trace(a) + n * shift)[1]
    m = (a + shift * np.eye(n)) / unit
    values, vectors, n_loops = np.empty(k), np.empty((n, k)), 0
    n_steps = n.bit_length() + 8  # to length 1 from 1/sqrt(n), by 3/2 a loop, then quadratically
    for i in reversed(range(k)):
        b, n_squarings = _square(m, product, max_loops)
        v, _ = unit_vector(b[np.argmax(np.diag(b))], n_steps)
        m, value = _deflate(m, v, product)
        values[i], vectors[:, i] = value * unit - shift, v
        n_loops += n_squarings + n_steps + 1
    order = np.argsort(values)
    values, vectors = values[order], vectors[:, order]
    error = _error_bound(a, values, vectors)
    largest = max(np.abs(values).max() - error, np.linalg.norm(a, axis=1).max())
    values, bound = scale_back(values, error, scale)
    certificate = _square_block(n, product).certify(bound)
    result = Result(EighResult(values, vectors), n_loops, tol, certificate)
    warn_if_above_tol(result, np.ldexp(largest or 1.0, scale), _ADVICE)
    return result


def _error_bound(a: Array, values: Array, vectors: Array) -> float:
    images = vectors * values
    left = np.abs(a @ vectors - images)
    left += rounding_of_product(a, vectors) + UNIT_ROUNDOFF * (np.abs(images) + left)
    smallest = np.linalg.svd(vectors, compute_uv=False)[-1]
    return float(np.sqrt(2) * np.linalg.norm(left) / smallest)


def _square(m: Array, kind: AttentionKind, max_loops: int) -> tuple[Array, int]:
    """Program 1: the matrix that the powers of m tend to, and the number of loops."""
    n = len(m)
    block = _square_block(n, kind)
    b, almost = m, False

    def settled(end: Tape) -> bool:
        nonlocal b, almost
        previous, b, was_almost = b, end.read("row", "b"), almost
        almost = 1 - (b * b).sum() / np.trace(b) ** 2 <= _RANK_ONE
        size = np.abs(b).max()
        stagnant = np.abs(b - previous).max() <= _STAGNANT * size
        return bool(was_almost or stagnant or np.abs(b - b.T).max() > _SKEW * size)

    tape = block.load(Layout(null=1, row=n), row={"unit": np.eye(n), "b": m})
    end, n_loops = block.run(tape, max_loops, until=settled)
    return end.read("row", "b"), n_loops


def _deflate(m: Array, v: Array, kind: AttentionKind) -> tuple[Array, float]:
    """Program 3: the matrix without its eigenvector v, and the eigenvalue."""
    n = len(m)
    block, row = _deflate_block(n, kind), {"unit": np.eye(n), "a": m, "v": v}
    end, _ = block.run(block.load(Layout(null=1, row=n), row=row))
    return end.read("row", "a"), float(end.read("row", "value")[0, 0])


@lru_cache(maxsize=8)
def _square_block(n: int, kind: AttentionKind) -> Block:
    rows = ("row",)
    fields = Layout(one=1, null=1, row=1, unit=n, b=n, square=n, diagonal=1, trace=1, inverse=1)
    multiply = partial(attention_product, kind, fields, rows=rows, keys=rows)
    square = clear(fields, "b") + products(fields, "unit", "square", "diagonal")
    scale = [
        unit
        for entry, b in fields.pairs({"square": "b"})
        for unit in gate(fields.at("inverse"), {entry: 1.0}, b)
    ]
    layers = make_layers(
        fields,
        rows,
        (multiply("b", "unit", {"b": "square"}), square),
        (multiply("row", "diagonal", {"row": "trace"}), _reciprocal(fields, n)),
        ((), scale + clear(fields, "square", "diagonal", "trace", "inverse")),
    )
    return Block(fields, layers)


def _reciprocal(fields: Layout, n: int) -> list[Unit]:
    r"""``inverse += c(trace)``: the maximum of the tangents of 1/t at :math:`t = 2^{-m}`.

    Between 8/9 and 1 times 1/t for :math:`2^{-m} \le t \le 1`, and :math:`2 - t` near 1, so
    that a trace near 1 comes closer quadratically. The tangents at p and 2p meet at 4p/3.
    """
    row, trace, inverse = map(fields.at, ("row", "trace", "inverse"))
    first = [Unit({row: 1.0}, {inverse: 2.0}), Unit({trace: 1.0}, {inverse: -1.0})]
    return first + [
        Unit({row: 4 * p / 3, trace: -1.0}, {inverse: 0.75 / p**2})
        for p in 0.5 ** np.arange(1, 2 * n.bit_length() + 8)
    ]


@lru_cache(maxsize=8)
def _deflate_block(n: int, kind: AttentionKind) -> Block:
    """Row i: its entry of v and of M v; the sum of their products; its row of M less the rest."""
    rows = ("row",)
    fields = Layout(one=1, null=1, row=1, unit=n, a=n, v=n, entry=1, image=1, value=1, factor=1)
    multiply = partial(attention_product, kind, fields, rows=rows, keys=rows)
    images = products(fields, "unit", "v", "entry") + products(fields, "a", "v", "image")
    value = products(fields, "value", "entry", "factor")
    layers = make_layers(
        fields,
        rows,
        ((), images),
        (multiply("row", "image", {"entry": "value"}), value),
        ((), products(fields, "factor", "v", "a", -1.0)),
    )
    return Block(fields, layers)
