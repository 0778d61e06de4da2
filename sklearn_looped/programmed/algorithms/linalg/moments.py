"""Means and Gram matrix of a table, by an attention average and a linear head."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.transformer.block import Block
from sklearn_looped.programmed.transformer.layers import make_layer
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import average, broadcast, linear_product


class Moments(NamedTuple):
    """Means of shape (d,), the centred table of shape (n, d), and its Gram matrix (d, d)."""

    mean: Array
    centred: Array
    gram: Array


def moments(X: Array, *, centre: bool = True, penalty: Array | float = 0.0) -> Moments:
    r"""Centre a table and compute its Gram matrix, in one loop of three attention layers.

    A scratch token averages all rows with a softmax of equal scores; all rows add its negative
    mean; and linear attention computes row i of the Gram matrix,
    :math:`p_i e_i + \sum_j (e_i^\top x_j)\, x_j`. The host loads the tape and reads it.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    centre : bool, default=True
        Whether to take the means off; they are 0 otherwise.
    penalty : float or ndarray of shape (d,), default=0.0
        Diagonal :math:`p` that the Gram matrix is added to.

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
    block, tokens = _moments_block(d, centre), Layout(scratch=1, null=1, row=n, column=d)
    column = {"unit": np.eye(d), "gram": np.diag(np.broadcast_to(penalty, d))}
    end, _ = block.run(block.load(tokens, row={"x": X}, column=column))
    mean = 0.0 - end.read("scratch", "shift")[0]
    return Moments(mean, end.read("row", "x"), end.read("column", "gram"))


@lru_cache(maxsize=16)
def _moments_block(d: int, centre: bool) -> Block:
    fields = Layout(one=1, scratch=1, null=1, row=1, x=d, shift=d, unit=d, gram=d)
    mean = average(fields, {"x": "shift"}, "scratch", ("row",), scale=-1.0)
    subtract = broadcast(fields, "scratch", {"shift": "x"}, ("row",))
    product = linear_product(fields, "unit", "x", {"x": "gram"}, ("column",), ("row",))
    heads = (mean, subtract, product) if centre else (product,)
    return Block(fields, [make_layer(fields, [head]) for head in heads])
