"""Means and Gram matrix of a table, by an attention average and a linear head."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.transformer.block import Block
from sklearn_looped.programmed.transformer.layers import make_layer
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    average,
    broadcast,
    gate,
    linear_product,
)


class Moments(NamedTuple):
    """Means of shape (d,), the centred table of shape (n, d), and its Gram matrix (d, d)."""

    mean: Array
    centred: Array
    gram: Array


def moments(
    X: Array,
    *,
    centre: bool = True,
    penalty: Array | float = 0.0,
    weights: Array | None = None,
) -> Moments:
    r"""Centre a table and compute its Gram matrix, in one loop of three attention layers.

    A scratch token averages all rows with a softmax of equal scores; all rows add its negative
    mean; and linear attention computes row i of the Gram matrix,
    :math:`p_i e_i + \sum_j (e_i^\top x_j)\, w_j x_j`. The host loads the tape and reads it. With
    weights w the average is linear attention over the shares :math:`w_j / \sum_i w_i` that the
    host writes, and hidden units form :math:`w_j x_j`.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    centre : bool, default=True
        Whether to take the means off; they are 0 otherwise.
    penalty : float or ndarray of shape (d,), default=0.0
        Diagonal :math:`p` that the Gram matrix is added to.
    weights : ndarray of shape (n,) or None, default=None
        Weights of the rows, not negative and not all 0. None: 1.

    Returns
    -------
    moments : Moments

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.programmed.algorithms.linalg import moments
    >>> moments(np.array([[1.0], [3.0]]))
    Moments(mean=array([2.]), centred=array([[-1.],
           [ 1.]]), gram=array([[2.]]))
    """
    n, d = X.shape
    block, row = _moments_block(d, centre, weights is not None), {"x": X}
    if weights is not None:
        row |= {"weight": weights[:, None], "share": weights[:, None] / weights.sum()}
    tokens = Layout(scratch=1, null=1, row=n, column=d)
    column = {"unit": np.eye(d), "gram": np.diag(np.broadcast_to(penalty, d))}
    end, _ = block.run(block.load(tokens, row=row, column=column))
    mean = 0.0 - end.read("scratch", "shift")[0]
    return Moments(mean, end.read("row", "x"), end.read("column", "gram"))


@lru_cache(maxsize=16)
def _moments_block(d: int, centre: bool, weighted: bool) -> Block:
    fields = Layout(one=1, scratch=1, null=1, row=1, x=d, shift=d, unit=d, gram=d)
    if weighted:
        return _weighted_block(fields.extend(weight=1, share=1, weighted=d), centre)
    mean = average(fields, {"x": "shift"}, "scratch", ("row",), scale=-1.0)
    subtract = broadcast(fields, "scratch", {"shift": "x"}, ("row",))
    product = linear_product(fields, "unit", "x", {"x": "gram"}, ("column",), ("row",))
    heads = (mean, subtract, product) if centre else (product,)
    return Block(fields, [make_layer(fields, [head]) for head in heads])


def _weighted_block(fields: Layout, centre: bool) -> Block:
    scratch, rows = ("scratch",), ("row",)
    mean = linear_product(fields, "scratch", "share", {"x": "shift"}, scratch, rows, scale=-1.0)
    subtract = broadcast(fields, "scratch", {"shift": "x"}, rows)
    multiply = [
        unit
        for x, weighted in fields.pairs({"x": "weighted"})
        for unit in gate(fields.at("weight"), {x: 1.0}, weighted)
    ]
    product = linear_product(fields, "unit", "x", {"weighted": "gram"}, ("column",), rows)
    layers = [make_layer(fields, [mean])] if centre else []
    layers.append(make_layer(fields, [subtract] if centre else [], multiply, rows))
    return Block(fields, [*layers, make_layer(fields, [product])])
