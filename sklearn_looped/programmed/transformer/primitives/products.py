"""Primitives that multiply by attention: linear heads, exact, and the linearised softmax."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from sklearn_looped.programmed.transformer.layers import Head
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives.heads import (
    Score,
    dot,
    make_head,
    masked_head,
)

AttentionKind = Literal["linear", "softmax"]

# Linearised softmax: offsets and weights of the sixth-order central difference, the largest
# logit times an offset of 1, and the logit of the null token.
_STENCIL = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))
_REACH = 12e-3
_SINK = 60.0


def linear_product(
    layout: Layout,
    left: str | Sequence[str],
    right: str | Sequence[str],
    copy: Mapping[str, str],
    rows: tuple[str, ...],
    keys: tuple[str, ...],
    *,
    scale: float = 1.0,
) -> Head:
    r"""Linear attention: each row adds ``scale`` times :math:`\sum_j (l_i^\top r_j) v_j`.

    With one key token it is a product of registers on two tokens, with one-hot right-hand sides a
    matrix product :math:`A^\top B`: one layer and one head where Giannou et al. 2023 linearise a
    softmax in two layers (their Table 1). Exact up to rounding.

    Parameters
    ----------
    layout : Layout
    left, right : str or sequence of str
        Fields of the rows and of the keys, of one width; 0 on tokens that take no part.
    copy : mapping of str to str
        Value field of the keys -> target field of the rows.
    rows, keys : tuple of str
        Kinds of token that the fields `left` and `right` are not 0 on.
    scale : float, default=1.0
        Factor of the result.

    Returns
    -------
    head : Head

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.layers import Layer
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> from sklearn_looped.programmed.transformer.primitives import linear_product
    >>> layout = Layout(left=1, right=1, value=1, out=1)
    >>> X = layout.pack(3, left=[[2], [0], [0]], right=[[0], [5], [7]], value=[[0], [1], [10]])
    >>> options = {"rows": ("a",), "keys": ("b",)}
    >>> head = linear_product(layout, "left", "right", {"value": "out"}, **options)
    >>> Layer((head,))(X)[:, layout.at("out")].tolist()
    [150.0, 0.0, 0.0]
    """
    pairs, scores = layout.pairs(copy), dot(layout, left, right)
    return make_head(layout, scores, pairs, rows, keys, kind="linear", scale=scale)


def softmax_product(
    layout: Layout,
    left: str | Sequence[str],
    right: str | Sequence[str],
    copy: Mapping[str, str],
    rows: tuple[str, ...],
    keys: tuple[str, ...],
    *,
    scale: float = 1.0,
    bound: float = 4.0,
) -> list[Head]:
    r"""Product as `linear_product`, by six heads whose softmax is linear for small logits.

    With the logit hs on a key and C on the null token, a head adds
    :math:`v e^C / h \cdot e^{hs} / (e^C + \sum e^{hs}) \approx (v / h)\, e^{hs}`; the
    central difference of six such heads is s v up to `product_error` (Giannou et al. 2023
    have the one-sided form). In float64 only.

    Parameters
    ----------
    layout, left, right, copy, rows, keys, scale
        As in `linear_product`; the kinds of `rows` and `keys` have indicator fields.
    bound : float, default=4.0
        Largest :math:`|l_i^\top r_j|`; the step h is 0.012 / bound.

    Returns
    -------
    heads : list of Head
        Six.

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.layers import Layer
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> from sklearn_looped.programmed.transformer.primitives import softmax_product
    >>> layout = Layout(one=1, null=1, a=1, b=1, x=1, v=1, out=1)
    >>> kinds = {"null": [[1], [0], [0]], "a": [[0], [1], [0]], "b": [[0], [0], [1]]}
    >>> X = layout.pack(3, one=1, x=[[0], [2], [1.5]], v=[[0], [0], [10]], **kinds)
    >>> heads = softmax_product(layout, "x", "x", {"v": "out"}, rows=("a",), keys=("b",))
    >>> Layer(tuple(heads))(X)[:, layout.at("out")].numpy().round(9)
    array([ 0., 30.,  0.])
    """
    scores, pairs = dot(layout, left, right), layout.pairs(copy)
    return linearised_softmax(layout, scores, pairs, rows, keys, scale=scale, bound=bound)


def linearised_softmax(
    layout: Layout,
    scores: Sequence[Score],
    pairs: Sequence[tuple[int, int]],
    rows: tuple[str, ...],
    keys: tuple[str, ...],
    *,
    scale: float = 1.0,
    bound: float,
) -> list[Head]:
    """Heads of `softmax_product`, from linear combinations of columns as `make_head` takes them."""
    step = _REACH / bound
    heads = []
    for offset, weight in _STENCIL:
        for sign in (1.0, -1.0):
            h = sign * offset * step
            small = [({i: h * c for i, c in query.items()}, key) for query, key in scores]
            factor = scale * sign * weight * math.exp(_SINK) / step
            options = {"sink": _SINK, "scale": factor}
            heads.append(masked_head(layout, small, pairs, rows, keys, **options))
    return heads


def product_error(n_keys: int = 1, bound: float = 4.0) -> float:
    r"""Bound on the error of `softmax_product`, per unit of :math:`\sum_j |v_j|`.

    Truncation of the central difference, :math:`h^6 s^7 / 140`, rounding of logits of the
    sink's size and of a sum over n keys, both divided by the step h.

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.primitives import product_error
    >>> float(f"{product_error():.1e}")
    4.4e-12
    """
    truncation = bound * _REACH**6 / 140
    rounding = math.ulp(_SINK) + (n_keys - 1) * math.ulp(0.5)
    return truncation + rounding * 2 * sum(abs(w) for _, w in _STENCIL) * bound / _REACH


def attention_product(
    kind: AttentionKind,
    layout: Layout,
    left: str | Sequence[str],
    right: str | Sequence[str],
    copy: Mapping[str, str],
    rows: tuple[str, ...],
    keys: tuple[str, ...],
    *,
    scale: float = 1.0,
    bound: float = 4.0,
) -> list[Head]:
    """Heads of `linear_product` or of `softmax_product`, by `kind`."""
    if kind == "linear":
        head = linear_product(layout, left, right, copy, rows, keys, scale=scale)
        return [head]
    return softmax_product(layout, left, right, copy, rows, keys, scale=scale, bound=bound)
