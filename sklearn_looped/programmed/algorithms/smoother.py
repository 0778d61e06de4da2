"""The Nadaraya-Watson smoother: softmax attention of queries to samples."""

from functools import lru_cache

import numpy as np

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.transformer.block import Block
from sklearn_looped.programmed.transformer.layers import make_layers
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import add, dot, masked_head, products


def smooth(X: Array, y: Array, queries: Array) -> Array:
    r"""Mean of targets weighted by a Gaussian kernel, as softmax attention.

    With lengths in units of the bandwidth, :math:`-\|q - x\|^2 / 2` is, up to a constant of the
    query, the score :math:`q^\top x - \|x\|^2 / 2`, so attention with the query q and the key
    :math:`(x, -\|x\|^2 / 2)` is the smoother, exactly. One loop: one layer takes the medians of the
    samples off, for accuracy that a far sample does not spoil; gated units compute the squared
    norms; one softmax head reads.
    The largest score of a query is taken off before the exponential, so far queries get the
    target of their nearest sample and never 0 / 0. The host takes the medians, and loads and reads
    the tape.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Samples, in units of the bandwidth, below 1e70.
    y : ndarray of shape (n,)
        Targets.
    queries : ndarray of shape (m, d)
        As X.

    Returns
    -------
    prediction : ndarray of shape (m,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.programmed.algorithms.smoother import smooth
    >>> smooth(np.array([[-1.0], [1.0]]), np.array([0.0, 4.0]), np.array([[0.0], [1e9]]))
    array([2., 4.])
    """
    block, origin = _smoother_block(X.shape[1]), np.median(X, axis=0)
    tape = block.load(
        Layout(null=1, sample=len(X), query=len(queries)),
        sample={"x": X, "origin": origin, "y": y[:, None]},
        query={"x": queries, "origin": origin},
    )
    return block.run(tape)[0].read("query", "prediction")[:, 0]


@lru_cache(maxsize=8)
def _smoother_block(d: int) -> Block:
    fields = Layout(one=1, null=1, sample=1, query=1, x=d, origin=d)
    fields, rows = fields.extend(half_square=1, y=1, prediction=1), ("sample", "query")
    subtract = add(fields, {"origin": "x"}, -1.0)
    norms = products(fields, "x", "x", "half_square", 0.5)
    scores = [*dot(fields, "x", "x"), (fields.terms(query=1.0), fields.terms(half_square=-1.0))]
    pairs = fields.pairs({"y": "prediction"})
    read = masked_head(fields, scores, pairs, ("query",), ("sample",))
    layers = make_layers(fields, rows, ((), subtract), ((), norms), ([read], ()))
    return Block(fields, layers)
