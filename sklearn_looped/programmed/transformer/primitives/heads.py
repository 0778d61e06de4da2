"""Primitives that are attention heads: broadcast, average, argmin, sigmoid."""

import math
from collections.abc import Iterable, Mapping
from typing import Literal

import torch

from sklearn_looped.programmed.transformer.certificate import required_temperature
from sklearn_looped.programmed.transformer.layers import Head, Pointer, Projection, Terms
from sklearn_looped.programmed.transformer.layout import Layout


def broadcast(
    layout: Layout,
    source: str,
    copy: Mapping[str, str],
    *,
    rows: tuple[str, ...],
    dtype: torch.dtype = torch.float64,
) -> Head:
    r"""Every row of the kinds `rows` adds fields of the one `source` token.

    :math:`q = [a;\, 1 - a]` with a = 1 on the acting rows, :math:`k = [s;\, \nu]` with s = 1 on
    the source: acting rows score 1 on the source, all others 1 on the null token, 0 elsewhere.
    The margin is 1.

    Parameters
    ----------
    layout : Layout
    source : str
        Kind of the one token that is read, and its indicator field.
    copy : mapping of str to str
        Source field of that token -> target field of the rows.
    rows : tuple of str
        Kinds of token that read; each has an indicator field.
    dtype : torch.dtype, default=torch.float64

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
    Wq = {(layout.at("one"), 1): 1.0}
    for kind in rows:
        Wq[layout.at(kind), 0], Wq[layout.at(kind), 1] = 1.0, -1.0
    Wk = {(layout.at(source), 0): 1.0, (layout.at("null"), 1): 1.0}
    return make_head(
        layout,
        "softmax",
        Wq,
        Wk,
        layout.pairs(copy),
        rows=rows,
        keys=(source,),
        margin=1.0,
        dtype=dtype,
    )


def argmin(
    layout: Layout,
    score: Terms,
    copy: Mapping[str, str],
    *,
    row: str,
    keys: tuple[str, ...],
    bound: float,
    gap: float,
    dtype: torch.dtype = torch.float64,
) -> Head:
    r"""Read the smallest: the `row` token adds fields of the token with the smallest score.

    :math:`q = [1;\, 1;\, 0]` on the row, :math:`[0;\, 0;\, 1]` elsewhere, and :math:`k = [-s;\,
    -4Kx;\, \nu]` with the score s, its bound :math:`|s| \le K` and x = 1 on tokens that take no
    part. The temperature is :math:`2^{p+4} / K` (p bits of mantissa), so gaps of
    :math:`2^{-46} K` are told apart in float64. A score of m > 1 terms is rounded by at most
    :math:`m 2^{-p} K`; twice that is taken off the margin. Ties are for the caller to break: add
    ``gap`` times the token's number to the score.

    Parameters
    ----------
    layout : Layout
    score : mapping of int to float
        Linear combination of fields of the keys, see `Layout.terms`.
    copy : mapping of str to str
        Source field of the winner -> target field of the row.
    row : str
        The kind of the one reading token.
    keys : tuple of str
        Kinds of token that take part; each has an indicator field.
    bound : float
        Bound K on the absolute score and on each of its terms.
    gap : float
        Smallest difference of two scores; the certificate compares it with the threshold.
    dtype : torch.dtype, default=torch.float64

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
    one, acting = layout.at("one"), layout.at(row)
    eps = torch.finfo(dtype).eps  # 2^(1 - p)
    rounding = len(score) * eps * bound if len(score) > 1 else 0.0
    Wq = {(acting, 0): 1.0, (acting, 1): 1.0, (one, 2): 1.0, (acting, 2): -1.0}
    Wk = {(i, 0): -value for i, value in score.items()}
    Wk |= {(layout.at(kind), 1): 4 * bound for kind in keys}
    Wk |= {(one, 1): -4 * bound, (layout.at("null"), 2): 1.0}
    return make_head(
        layout,
        "softmax",
        Wq,
        Wk,
        layout.pairs(copy),
        rows=(row,),
        keys=keys,
        margin=gap - rounding,
        temperature=2.0 ** (5 - math.log2(eps) - math.ceil(math.log2(bound))),
        dtype=dtype,
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
    dtype: torch.dtype = torch.float64,
) -> Head:
    r"""Add ``scale * value * sigmoid(slope * argument)`` to a column of the `row`, exactly.

    A softmax over two keys with logits z and 0 *is* the sigmoid: :math:`e^z / (e^z + e^0)`. The
    row scores z on the key token, 0 on the null token and -E on all others; other rows, which may
    hold an argument too, score E on the null token. E is `beyond_logits`, so the others underflow
    to 0. This is the exact form of the sigmoid block of Giannou et al. 2023, Lemma 5.

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
    dtype : torch.dtype, default=torch.float64

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
    far = beyond_logits(dtype)
    key = row if key is None else key
    one, null, acting, asked = map(layout.at, ("one", "null", row, key))
    Wq = {(argument, 0): slope, (one, 1): 1.0, (one, 2): 1.0, (acting, 2): -1.0}
    Wk = {(asked, 0): 1.0, (one, 1): -far, (asked, 1): far, (null, 1): far, (null, 2): far}
    return make_head(
        layout,
        "softmax",
        Wq,
        Wk,
        [(value, target)],
        scale=scale,
        rows=(row,),
        keys=(key, "null"),
        dtype=dtype,
    )


def beyond_logits(dtype: torch.dtype) -> float:
    """Logit beyond all others: 2**512, or 2**64 in float32, above the square root of the range.

    A softmax of real logits masks keys by minus it, exactly as long as the logits are below half.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.programmed.transformer.primitives import beyond_logits
    >>> beyond_logits(torch.float64) == 2.0**512
    True
    """
    return 2.0 ** (math.ceil(math.log2(torch.finfo(dtype).max)) // 2)


def average(
    layout: Layout,
    copy: Mapping[str, str],
    *,
    row: str,
    keys: tuple[str, ...],
    scale: float = 1.0,
    dtype: torch.dtype = torch.float64,
) -> Head:
    r"""Average: the `row` tokens add ``scale`` times the mean of fields over the key tokens.

    :math:`q = [a;\, 1 - a]` with a = 1 on the acting rows, :math:`k = [E b;\, E \nu]` with b = 1
    on the keys: all keys score the same E, the `required_temperature`, and all others underflow.

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
    dtype : torch.dtype, default=torch.float64

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
    far = required_temperature(1.0, dtype)
    Wq = {(layout.at(row), 0): 1.0, (layout.at("one"), 1): 1.0, (layout.at(row), 1): -1.0}
    Wk = {(layout.at(kind), 0): far for kind in keys}
    Wk[layout.at("null"), 1] = far
    return make_head(
        layout,
        "softmax",
        Wq,
        Wk,
        layout.pairs(copy),
        scale=scale,
        rows=(row,),
        keys=keys,
        dtype=dtype,
    )


def make_head(
    layout: Layout,
    kind: Literal["softmax", "linear", "graph"],
    Wq: Mapping[tuple[int, int], float],
    Wk: Mapping[tuple[int, int], float],
    pairs: Iterable[tuple[int, int]],
    *,
    scale: float = 1.0,
    rows: tuple[str, ...],
    keys: tuple[str, ...],
    margin: float | None = None,
    temperature: float | None = None,
    pointer: Pointer | None = None,
    transposed: bool = False,
    dtype: torch.dtype = torch.float64,
) -> Head:
    """Head from the non-zero entries of its weights; the common end of all constructors.

    `pairs` are (source column, target column) of values with weight `scale`. A temperature of
    None is derived from the margin, or 1 for heads without one. See `Head` for the rest.
    """
    if temperature is None:
        temperature = 1.0 if margin is None else required_temperature(margin, dtype)
    pairs = list(pairs)
    targets = tuple(dict.fromkeys(target for _, target in pairs))
    Wv = {(source, targets.index(target)): scale for source, target in pairs}
    width = 1 + max(j for _, j in [*Wq, *Wk])
    return Head(
        kind,
        _projection(Wq, layout.width, width, dtype),
        _projection(Wk, layout.width, width, dtype),
        _projection(Wv, layout.width, len(targets), dtype),
        targets,
        rows,
        keys,
        temperature,
        margin,
        pointer,
        transposed,
    )


def _projection(
    entries: Mapping[tuple[int, int], float], d_in: int, d_out: int, dtype: torch.dtype
) -> Projection:
    weight = torch.zeros(d_in, d_out, dtype=dtype)
    for index, value in entries.items():
        weight[index] = value
    return Projection(weight)
