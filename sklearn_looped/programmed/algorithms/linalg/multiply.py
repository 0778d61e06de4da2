"""Transpose, matrix product and affine map: one attention layer, one loop."""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.linalg.result import (
    Exponents,
    Result,
    check_matrix,
    check_options,
    exponents,
    rounding_of_product,
    row_exponents,
    scale_back,
)
from sklearn_looped.programmed.transformer.block import Block
from sklearn_looped.programmed.transformer.layers import make_layer
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    AttentionKind,
    attention_product,
    product_error,
)


def transpose(a: ArrayLike, *, product: AttentionKind = "linear") -> Result[Array]:
    r"""Transpose of a matrix by one attention layer, as :func:`numpy.transpose`.

    Token i holds row :math:`a_i` or the unit vector :math:`e_i`, and attention computes
    :math:`\sum_j (e_i^\top a_j)\, e_j`: one layer and one loop where Giannou et al. 2023, Table 1,
    take four layers. The host loads the tape and reads the result off it.

    Parameters
    ----------
    a : array-like of shape (m, n)
    product : {"linear", "softmax"}, default="linear"
        Linear attention, exact here; or the linearised softmax of the paper, which errs by at most
        ``product_error()``, 4.4e-12, times the power of two above the largest entry of a row.

    Returns
    -------
    result : Result
        With ``value`` of shape (n, m).

    Raises
    ------
    numpy.linalg.LinAlgError
        If `a` is not 2-D.
    ValueError
        If `a` is not finite and real, or `product` unknown.

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.linalg import transpose
    >>> transpose([[1.0, 2.0], [3.0, 4.0]]).value
    array([[1., 3.],
           [2., 4.]])
    """
    check_options(product=product)
    a = check_matrix(a, "a")
    m, n = a.shape
    # Linear attention only copies; the linearised softmax takes rows of a declared size.
    unit = exponents(a, 1) if product == "softmax" else np.zeros(m, dtype=int)
    block = _transpose_block(m, n, product)
    rows = {"a": np.ldexp(a, -unit[:, None]), "out_unit": np.eye(m)}
    tape = block.load(Layout(null=1, column=n, row=m), row=rows, column={"unit": np.eye(n)})
    end, _ = block.run(tape)
    error = product_error() if product == "softmax" else 0.0
    value, bound = scale_back(end.read("column", "out"), error, unit)
    return Result(value, 1, 0.0, block.certify(bound))


def matmul(x1: ArrayLike, x2: ArrayLike, *, product: AttentionKind = "linear") -> Result[Array]:
    r"""Product of two matrices by one attention layer, as :func:`numpy.matmul`.

    Tokens hold the rows :math:`a_i` of `x1`, others the rows :math:`b_j` of `x2` beside unit
    vectors, and attention computes :math:`\sum_j (a_i^\top e_j)\, b_j`: one layer and one loop
    where Giannou et al. 2023, Table 1, take two layers. The host loads the tape and
    reads the result off it, both in units of powers of two: one for each row of `x1` and each
    column of `x2`, so that neither large nor small operands leave the range of float64.

    Parameters
    ----------
    x1 : array-like of shape (m, k)
    x2 : array-like of shape (k, n)
    product : {"linear", "softmax"}, default="linear"
        Linear attention errs by at most :math:`\gamma_k |A| |B|`, the rounding of a sum of
        k products, and by underflow. The linearised softmax of the paper errs by
        :math:`p\, \epsilon_k \sum_j |b_j|` more, with :math:`\epsilon_k` of `product_error`,
        4.4e-12 and a little more for long sums, and the power of two p above :math:`|a_i|`.

    Returns
    -------
    result : Result
        With ``value`` of shape (m, n).

    Raises
    ------
    numpy.linalg.LinAlgError
        If one is not 2-D, or the product, or terms that cancel in it, are beyond float64.
    ValueError
        If the shapes do not fit, one is not finite and real, or `product` is unknown.

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.linalg import matmul
    >>> matmul([[1.0, 2.0]], [[3.0], [4.0]]).value
    array([[11.]])
    """
    check_options(product=product)
    x1, x2 = check_matrix(x1, "x1"), check_matrix(x2, "x2")
    if x1.shape[1] != x2.shape[0]:
        raise ValueError(
            f"Got x1 of shape {x1.shape} and x2 of shape {x2.shape}, but the columns of x1 must "
            "be as many as the rows of x2."
        )
    k, n = x2.shape
    left, right, unit = _in_units(x1, x2)
    value = _multiply(left, right, np.zeros(k), np.zeros(n), product)
    errors = rounding_of_product(left, right)
    if product == "softmax":
        errors += product_error(k) * np.abs(right).sum(axis=0)
    value, bound = scale_back(value, errors, unit)
    return Result(value, 1, 0.0, _multiply_block(k, n, product).certify(bound))


def _in_units(x1: Array, x2: Array) -> tuple[Array, Array, Exponents]:
    """Scale operands to entries below 1; exponents of the product's entries.

    First the columns of `x1` are balanced with the rows of `x2`, then each row of `x1` and each
    column of `x2` is measured in a power of two.
    """
    inner = (exponents(x2, 1) - exponents(x1, 0)) // 2
    meets = np.logical_and(x1.any(axis=0), x2.any(axis=1))  # other products are all 0
    x1, x2 = np.where(meets, x1, 0.0), np.where(meets[:, None], x2, 0.0)
    shift1, shift2 = row_exponents(x1, inner), row_exponents(x2.T, -inner)
    left = np.ldexp(x1, inner - shift1[:, None])
    right = np.ldexp(x2, -inner[:, None] - shift2)
    return left, right, shift1[:, None] + shift2


def affine(X: Array, W: Array, origin: Array, offset: Array) -> Array:
    r"""Affine map ``(X - origin) @ W + offset`` by one linear-attention layer.

    As `matmul`; the origin rides on the score, :math:`x_i^\top e_j - o_j`, and the offset in the
    field that the result is added to.

    Parameters
    ----------
    X : ndarray of shape (m, k)
    W : ndarray of shape (k, n)
    origin : ndarray of shape (k,)
    offset : ndarray of shape (n,)

    Returns
    -------
    Y : ndarray of shape (m, n)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.programmed.algorithms.linalg import affine
    >>> affine(np.array([[3.0]]), np.array([[2.0]]), np.array([1.0]), np.array([5.0]))
    array([[9.]])
    """
    return _multiply(X, W, origin, offset, "linear")


def _multiply(X: Array, W: Array, origin: Array, offset: Array, product: AttentionKind) -> Array:
    block = _multiply_block(*W.shape, product)
    term = {"unit": np.eye(len(W)), "shift": -origin[:, None], "b": W}
    tokens = Layout(null=1, row=len(X), term=len(W))
    end, _ = block.run(block.load(tokens, row={"a": X, "out": offset}, term=term))
    return end.read("row", "out")


@lru_cache(maxsize=16)
def _multiply_block(k: int, n: int, product: AttentionKind) -> Block:
    fields = Layout(one=1, null=1, row=1, term=1, a=k, unit=k, shift=1, b=n, out=n)
    factors = (("a", "row"), ("unit", "shift"), {"b": "out"}, ("row",), ("term",))
    heads = attention_product(product, fields, *factors)
    return Block(fields, [make_layer(fields, heads)])


@lru_cache(maxsize=16)
def _transpose_block(m: int, n: int, product: AttentionKind) -> Block:
    fields = Layout(one=1, null=1, row=1, column=1, a=n, unit=n, out_unit=m, out=m)
    factors = ("unit", "a", {"out_unit": "out"}, ("column",), ("row",))
    heads = attention_product(product, fields, *factors)
    return Block(fields, [make_layer(fields, heads)])
