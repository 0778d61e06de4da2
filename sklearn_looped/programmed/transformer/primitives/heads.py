"""Primitives that are attention heads: broadcast, average, argmin, sigmoid."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch

from sklearn_looped.programmed.transformer.certificate import required_temperature
from sklearn_looped.programmed.transformer.layers import Head, Pointer, Projection, Terms
from sklearn_looped.programmed.transformer.layout import Layout

Score = tuple[Terms, Terms]
"""One dimension of a score: a linear combination of the query's columns, and one of the key's."""


def broadcast(
    layout: Layout,
    source: str,
    copy: Mapping[str, str],
    rows: tuple[str, ...],
) -> Head:
    """Every row of the kinds `rows` adds fields of the one `source` token.

    A `masked_head` without scores and with a mask of 1: acting rows score 0 on the source, all
    others 1 on the null token, and all less by 1 elsewhere. The margin is 1.

    Parameters
    ----------
    layout : Layout
    source : str
        Kind of the one token that is read, and its indicator field.
    copy : mapping of str to str
        Source field of that token -> target field of the rows.
    rows : tuple of str
        Kinds of token that read; each has an indicator field.

    Returns
    -------
    head : Head

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.layers import Layer
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> from sklearn_looped.programmed.transformer.primitives import broadcast
    >>> layout = Layout(one=1, scratch=1, null=1, memory=1, x=1, y=1)
    >>> kinds = {"scratch": [[1], [0], [0], [0]], "null": [[0], [1], [0], [0]]}
    >>> X = layout.pack(4, one=1, memory=[[0], [0], [1], [1]], x=[[5], [0], [1], [2]], **kinds)
    >>> head = broadcast(layout, "scratch", {"x": "y"}, rows=("memory",))
    >>> Layer((head,))(X)[:, layout.at("y")].tolist()
    [0.0, 0.0, 5.0, 5.0]
    """
    pairs = layout.pairs(copy)
    return masked_head(layout, [], pairs, rows, (source,), far=1.0, margin=1.0)


def argmin(
    layout: Layout,
    score: Terms,
    copy: Mapping[str, str],
    row: str,
    keys: tuple[str, ...],
    *,
    bound: float,
    gap: float,
) -> Head:
    r"""Read the smallest: the `row` token adds fields of the token with the smallest score.

    A `masked_head` whose scores are :math:`-s`, with a mask of 4K for the bound
    :math:`|s| \le K`. The temperature is :math:`2^{p+4} / K` (p bits of mantissa), so gaps of
    :math:`2^{-46} K` are told apart in float64. A score of m > 1 terms, whose products with their
    coefficients are exact and whose partial sums are within K, is rounded by at most
    :math:`m 2^{-p} K`; twice that is taken off the margin. Ties are for the caller to break: add
    ``gap`` times the token's number to the score.

    Parameters
    ----------
    layout : Layout
    score : mapping of int to float
        Linear combination of fields of the keys, see `Layout.terms`; of several terms, with
        coefficients that are powers of two.
    copy : mapping of str to str
        Source field of the winner -> target field of the row.
    row : str
        The kind of the one reading token.
    keys : tuple of str
        Kinds of token that take part; each has an indicator field.
    bound : float
        Bound K on the absolute score and on each partial sum of its terms.
    gap : float
        Smallest difference of two scores; the certificate compares it with the threshold.

    Returns
    -------
    head : Head

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.layers import Layer
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> from sklearn_looped.programmed.transformer.primitives import argmin
    >>> layout = Layout(one=1, scratch=1, null=1, memory=1, s=1, x=1, y=1)
    >>> kinds = {"scratch": [[1], [0], [0], [0]], "null": [[0], [1], [0], [0]]}
    >>> values = {"s": [[0], [0], [0.2], [0.1]], "x": [[0], [0], [7], [8]]}
    >>> X = layout.pack(4, one=1, memory=[[0], [0], [1], [1]], **kinds, **values)
    >>> options = {"row": "scratch", "keys": ("memory",), "bound": 1.0, "gap": 2.0**-40}
    >>> head = argmin(layout, layout.terms(s=1.0), {"x": "y"}, **options)
    >>> Layer((head,))(X)[:, layout.at("y")].tolist()
    [8.0, 0.0, 0.0, 0.0]
    """
    eps = torch.finfo(layout.dtype).eps  # 2^(1 - p)
    rounding = len(score) * eps * bound if len(score) > 1 else 0.0
    smallest = {i: -value for i, value in score.items()}
    return masked_head(
        layout,
        [(layout.terms(**{row: 1.0}), smallest)],
        layout.pairs(copy),
        (row,),
        keys,
        far=4 * bound,
        margin=gap - rounding,
        temperature=2.0 ** (5 - math.log2(eps) - math.ceil(math.log2(bound))),
    )


def sigmoid(
    layout: Layout,
    argument: int,
    value: int,
    target: int,
    *,
    row: str,
    key: str | None = None,
    slope: float = 1.0,
    scale: float = 1.0,
) -> Head:
    r"""Add ``scale * value * sigmoid(slope * argument)`` to a column of the `row`, exactly.

    A softmax over two keys with logits z and 0 *is* the sigmoid: :math:`e^z / (e^z + e^0)`. The
    row scores z on the key token, 0 on the null token and -E on all others, which underflow to 0
    (`masked_head` with a sink of 0). This is the exact form of the sigmoid block of Giannou et
    al. 2023, Lemma 5.

    Parameters
    ----------
    layout : Layout
    argument, value, target : int
        Columns of the argument, of the factor (on the key token) and of the result.
    row : str
        The kind of token that acts.
    key : str or None, default=None
        The kind of the one token that serves as key. None: `row`, of which there is one then.
    slope, scale : float, default=1.0
        Factors of the argument and of the result.

    Returns
    -------
    head : Head

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.layers import Layer
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> from sklearn_looped.programmed.transformer.primitives import sigmoid
    >>> layout = Layout(one=1, scratch=1, null=1, z=1, v=1, out=1)
    >>> X = layout.pack(2, one=1, scratch=[[1], [0]], null=[[0], [1]], z=[[0], [0]], v=[[3], [0]])
    >>> columns = layout.index("z", "v", "out")
    >>> Layer((sigmoid(layout, *columns, row="scratch"),))(X)[:, layout.at("out")].tolist()
    [1.5, 0.0]
    """
    key = row if key is None else key
    scores: list[Score] = [({argument: slope}, layout.terms(**{key: 1.0}))]
    return masked_head(layout, scores, [(value, target)], (row,), (key,), sink=0.0, scale=scale)


def beyond_logits(dtype: torch.dtype) -> float:
    """Logit beyond all others: 2**1020, or 2**124 in float32, a sixteenth of the range.

    A softmax of real logits, at a temperature of 1, masks keys by minus it, exactly as long as the
    logits are below half.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.programmed.transformer.primitives import beyond_logits
    >>> beyond_logits(torch.float64) == 2.0**1020
    True
    """
    return 2.0 ** (math.ceil(math.log2(torch.finfo(dtype).max)) - 4)


def average(
    layout: Layout,
    copy: Mapping[str, str],
    row: str,
    keys: tuple[str, ...],
    *,
    scale: float = 1.0,
) -> Head:
    r"""Average: the `row` tokens add ``scale`` times the mean of fields over the key tokens.

    A `masked_head` without scores: all keys score the same, and all others underflow.

    Parameters
    ----------
    layout : Layout
    copy : mapping of str to str
        Field of the keys -> target field of the rows.
    row : str
        The kind of token that acts.
    keys : tuple of str
        Kinds of token that are averaged over; each has an indicator field.
    scale : float, default=1.0
        Factor of the result.

    Returns
    -------
    head : Head

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.layers import Layer
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> from sklearn_looped.programmed.transformer.primitives import average
    >>> layout = Layout(one=1, scratch=1, null=1, memory=1, x=1, mean=1)
    >>> kinds = {"scratch": [[1], [0], [0], [0]], "null": [[0], [1], [0], [0]]}
    >>> values = {"memory": [[0], [0], [1], [1]], "x": [[0], [0], [2], [4]]}
    >>> X = layout.pack(4, one=1, **kinds, **values)
    >>> head = average(layout, {"x": "mean"}, row="scratch", keys=("memory",))
    >>> Layer((head,))(X)[:, layout.at("mean")].tolist()
    [3.0, 0.0, 0.0, 0.0]
    """
    return masked_head(layout, [], layout.pairs(copy), (row,), keys, scale=scale)


def masked_head(
    layout: Layout,
    scores: Iterable[Score],
    pairs: Iterable[tuple[int, int]],
    rows: tuple[str, ...],
    keys: tuple[str, ...],
    *,
    far: float | None = None,
    sink: float | None = None,
    **options: Any,
) -> Head:
    r"""Softmax head whose acting rows attend to the key tokens alone, and all other rows to null.

    Behind the given scores it has the dimensions :math:`q = [a;\, 1 - a]` and
    :math:`k = [E (b - 1);\, E \nu]`, with a = 1 on acting rows and b = 1 on keys: what is masked
    is E below, in a sum that leaves the scores of keys as they are.

    Parameters
    ----------
    layout : Layout
    scores : iterable of (mapping, mapping)
        Dimensions of queries and keys as `make_head` takes them; scores of acting rows are below
        E / 2.
    pairs : iterable of (int, int)
        As in `make_head`.
    rows, keys : tuple of str
        Kinds of token that act and that are attended to; each has an indicator field.
    far : float or None, default=None
        The mask E. None: `beyond_logits`.
    sink : float or None, default=None
        Logit of the null token for acting rows, which takes a share of them. None: it is masked.
        Beside one other than 0 the mask of keys is `required_temperature`, and scores of tokens
        that are no keys must be negative or small.
    **options
        As in `make_head`.

    Returns
    -------
    head : Head
    """
    far = beyond_logits(layout.dtype) if far is None else far
    mask = required_temperature(1.0, layout.dtype) if sink else far  # keeps the sink exact
    on = layout.terms(**dict.fromkeys(rows, 1.0))
    off = layout.terms(one=1.0, **dict.fromkeys(rows, -1.0))
    shown = layout.terms(one=-mask, **dict.fromkeys(keys, mask))
    if sink is not None:
        shown |= layout.terms(null=mask + sink)
    dimensions = [*scores, (on, shown), (off, layout.terms(null=far))]
    return make_head(layout, dimensions, pairs, rows, keys, **options)


def make_head(
    layout: Layout,
    scores: Iterable[Score],
    pairs: Iterable[tuple[int, int]],
    rows: tuple[str, ...],
    keys: tuple[str, ...],
    *,
    kind: Literal["softmax", "linear", "graph"] = "softmax",
    scale: float = 1.0,
    margin: float | None = None,
    temperature: float | None = None,
    pointer: Pointer | None = None,
    transposed: bool = False,
) -> Head:
    """Head from linear combinations of columns; the common end of all constructors.

    A score is the sum over its dimensions (query, key) of the product of the two combinations.
    `pairs` are (source column, target column) of values with weight `scale`. A temperature of
    None is derived from the margin, or 1 for heads without one. See `Head` for the rest.
    """
    if temperature is None:
        temperature = 1.0 if margin is None else required_temperature(margin, layout.dtype)
    values: dict[int, dict[int, float]] = {}
    for source, target in pairs:
        values.setdefault(target, {})[source] = scale
    queries, asked = zip(*scores, strict=True)
    Wq, Wk, Wv = (Projection.of(layout, t) for t in (queries, asked, list(values.values())))
    targets = tuple(values)
    return Head(kind, Wq, Wk, Wv, targets, rows, keys, temperature, margin, pointer, transposed)


def dot(
    layout: Layout, left: str | Sequence[str], right: str | Sequence[str], scale: float = 1.0
) -> list[Score]:
    """Dimensions of a score: ``scale`` times the dot product of fields of the query and the key."""
    pairs = zip(layout.columns(left), layout.columns(right), strict=True)
    return [({i: scale}, {j: 1.0}) for i, j in pairs]
