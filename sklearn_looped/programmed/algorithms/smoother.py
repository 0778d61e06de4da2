"""The Nadaraya-Watson smoother: softmax attention of queries to samples."""

from functools import lru_cache

import numpy as np

from sklearn_looped.programmed.algorithms.linalg import Array, Machine
from sklearn_looped.programmed.transformer.layers import FeedForward, Layer
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import add, make_head, product

_FAR = 2.0**500  # below every score, above which nothing may be


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
    (n, d), m = X.shape, len(queries)
    machine, tokens = _smoother_machine(d), Layout(null=1, sample=n, query=m)
    origin = np.median(X, axis=0)
    state = machine.load(
        tokens,
        sample={"x": X, "origin": origin, "y": y[:, None]},
        query={"x": queries, "origin": origin},
    )
    (end,) = machine.transformer(tokens).run(state, 1, evaluation="masked")
    return machine.read(end, tokens, "query", "prediction")[:, 0]


@lru_cache(maxsize=8)
def _smoother_machine(d: int) -> Machine:
    fields = Layout(one=1, null=1, sample=1, query=1, x=d, origin=d)
    fields = fields.extend(half_square=1, y=1, prediction=1)
    rows = ("sample", "query")
    subtract = FeedForward(add(fields, {"origin": "x"}, -1.0), fields.width, rows)
    half = fields.at("half_square")
    squares = [u for i in fields.index("x") for u in product({i: 1.0}, {i: 1.0}, half, 0.5)]
    norms = FeedForward(squares, fields.width, rows, fields.at("one"))
    # Query dimensions d and d + 1: 1 on queries, and 1 elsewhere, where the null token is read.
    Wq = {(i, j): 1.0 for j, i in enumerate(fields.index("x"))}
    Wq |= {(fields.at("query"), d): 1.0, (fields.at("one"), d + 1): 1.0}
    Wq |= {(fields.at("query"), d + 1): -1.0}
    Wk = {(i, j): 1.0 for j, i in enumerate(fields.index("x"))}
    # Summed in the order of the columns: the indicators cancel before the score is added.
    Wk |= {(half, d): -1.0, (fields.at("one"), d): -_FAR, (fields.at("sample"), d): _FAR}
    Wk |= {(fields.at("null"), d + 1): _FAR}
    read = make_head(
        fields,
        "softmax",
        Wq,
        Wk,
        fields.pairs({"y": "prediction"}),
        rows=("query",),
        keys=("sample",),
    )
    return Machine(fields, [Layer((), subtract), Layer((), norms), Layer((read,))])
