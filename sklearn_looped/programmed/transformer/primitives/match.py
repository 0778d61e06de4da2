"""Primitives that match a pointer with a position: match-or-null read, write by delta."""

from collections.abc import Mapping
from typing import Any, Literal

from sklearn_looped.programmed.transformer.codes import code_of
from sklearn_looped.programmed.transformer.layers import Head, Pointer
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives.heads import dot, make_head


def match_read(
    layout: Layout,
    pointer: str,
    copy: Mapping[str, str],
    rows: tuple[str, ...],
    keys: tuple[str, ...],
    *,
    kind: Literal["softmax", "graph"] = "softmax",
) -> Head:
    r"""Match-or-null read: each row adds the fields of the token that its pointer names.

    With pointer r and position p, codes of L bits, and the null indicator :math:`\nu`,

    .. math:: q = [r;\, 1], \quad k = [p;\, (L - 1)\nu], \quad q^\top k =
        \begin{cases} L & \text{the token named} \\ L - 1 & \text{the null token} \\
        \le L - 2 & \text{any other token.} \end{cases}

    A row without a pointer (r = 0) scores L - 1 on the null token and 0 elsewhere. So the margin
    is 1, and with the temperature of `required_temperature` the read is exact. It replaces
    the tie, the buffers and the error correction of Giannou et al. 2023, Lemma 1 (read).
    Positions on a circle have the same form, with the scores of `CircleCode`.

    Parameters
    ----------
    layout : Layout
    pointer : str
        Field with the code of the token to read.
    copy : mapping of str to str
        Source field of the token read -> target field of the reading row; the target gets the
        source *added*.
    rows, keys : tuple of str
        Kinds of token that hold pointers, and kinds that are pointed to.
    kind : {"softmax", "graph"}, default="softmax"
        "graph" multiplies the result by the adjacency matrix of the tokens.

    Returns
    -------
    head : Head

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.programmed.transformer.layers import Layer
    >>> from sklearn_looped.programmed.transformer.layout import Layout, sign_code
    >>> from sklearn_looped.programmed.transformer.primitives import match_read
    >>> layout = Layout(one=1, null=1, position=2, pointer=2, value=1)
    >>> X = layout.pack(4, one=1, null=[[0], [1], [0], [0]], value=[[0], [0], [7], [8]])
    >>> X[2:, layout["position"]] = torch.as_tensor(sign_code([2, 3], 2))
    >>> X[0, layout["pointer"]] = torch.as_tensor(sign_code(3, 2))
    >>> head = match_read(layout, "pointer", {"value": "value"}, rows=("a",), keys=("b",))
    >>> Layer((head,))(X)[:, layout["value"]].flatten().tolist()
    [8.0, 0.0, 7.0, 8.0]
    """
    held = Pointer(layout[pointer], "query", code_of(layout))
    return _match(layout, held, (pointer, "position"), copy, rows, keys, kind=kind)


def match_write(
    layout: Layout,
    pointer: str,
    copy: Mapping[str, str],
    rows: tuple[str, ...],
    keys: tuple[str, ...],
    *,
    kind: Literal["softmax", "graph"] = "softmax",
    transposed: bool = False,
    scale: float = 1.0,
) -> Head:
    r"""Write by delta: the row named by the pointer of the single key token adds its fields.

    The `match_read` scores with the roles exchanged, :math:`q = [p; 1]` on the rows and
    :math:`k = [r; (L - 1)\nu]` on the writing token: only the row named attends to it, all others
    to the null token. The writing token holds *new - old*, which the residual stream adds, so
    no feed-forward acts on the rows (Giannou et al. 2023, Lemma 2, needs one).

    Real numbers are overwritten exactly by two such heads, one that adds ``-old`` and, behind it
    in the same layer, one that adds ``new``. The margin is 1, as that of `match_read`.

    Parameters
    ----------
    layout : Layout
    pointer : str
        Field of the writing token with the code of the token to write to.
    copy : mapping of str to str
        Source field of the writing token -> target field of the row written to.
    rows, keys : tuple of str
        Kinds of token that are pointed to, and the kind of the one writing token.
    kind : {"softmax", "graph"}, default="softmax"
        "graph" multiplies the result by the adjacency matrix of the tokens: with a value of 1, all
        rows add the column of the matrix that belongs to the token named, its neighbours.
    transposed : bool, default=False
        Whether "graph" takes the transpose of the matrix, and so the row of the token named.
    scale : float, default=1.0
        Factor of the values.

    Returns
    -------
    head : Head

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.programmed.transformer.layers import Layer
    >>> from sklearn_looped.programmed.transformer.layout import Layout, sign_code
    >>> from sklearn_looped.programmed.transformer.primitives import match_write
    >>> layout = Layout(one=1, null=1, position=2, pointer=2, delta=1, value=1)
    >>> X = layout.pack(4, one=1, null=[[0], [1], [0], [0]], value=[[0], [0], [7], [8]])
    >>> X[2:, layout["position"]] = torch.as_tensor(sign_code([2, 3], 2))
    >>> X[0, layout["pointer"]] = torch.as_tensor(sign_code(3, 2))
    >>> X[0, layout["delta"]] = -5.0
    >>> head = match_write(layout, "pointer", {"delta": "value"}, rows=("b",), keys=("a",))
    >>> Layer((head,))(X)[:, layout["value"]].flatten().tolist()
    [0.0, 0.0, 7.0, 3.0]
    """
    held, codes = Pointer(layout[pointer], "key", code_of(layout)), ("position", pointer)
    options = {"kind": kind, "transposed": transposed, "scale": scale}
    return _match(layout, held, codes, copy, rows, keys, **options)


def _match(
    layout: Layout,
    held: Pointer,
    codes: tuple[str, str],
    copy: Mapping[str, str],
    rows: tuple[str, ...],
    keys: tuple[str, ...],
    **options: Any,
) -> Head:
    code, width = held.code, held.columns.stop - held.columns.start
    if width != code.width:
        raise ValueError(f"Got a pointer of width {width}, but positions have {code.width}.")
    scores = [*dot(layout, *codes), (layout.terms(one=1.0), layout.terms(null=code.null))]
    pairs, options = layout.pairs(copy), {"margin": code.margin, "pointer": held, **options}
    return make_head(layout, scores, pairs, rows, keys, **options)
