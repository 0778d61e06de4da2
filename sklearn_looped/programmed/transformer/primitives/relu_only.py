"""Primitives of networks without gated units: a gate of ReLU units, a step on the circle."""

import math
from collections.abc import Mapping

from sklearn_looped.programmed.transformer.layers import Terms, Unit
from sklearn_looped.programmed.transformer.layout import Layout


def gated(
    layout: Layout, on: Mapping[str, int], terms: Terms, target: int, bound: float
) -> list[Unit]:
    r"""Gated copy of ReLU units alone: target += terms where indicators are as asked for.

    With the number z of indicators that are not, and a bound M above the absolute value of x,

    .. math:: \mathrm{relu}(x - Mz) - \mathrm{relu}(-x - Mz) = x\,[z = 0]

    (De Luca & Fountoulakis 2024, if_else). Sums run by column, so x keeps its bits if the
    indicators stand before its columns: the terms in M are 0 before x is added.

    Parameters
    ----------
    layout : Layout
    on : mapping of str to {-1, 1}
        Indicator -> 1 if it must be 1, -1 if it must be 0; instead of 1 the latter may be larger.
    terms : mapping of int to float
        Linear combination x of columns.
    target : int
        Column that it is added to.
    bound : float
        The bound M, a power of two.

    Returns
    -------
    units : list of Unit
        Two.

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.layers import FeedForward
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> from sklearn_looped.programmed.transformer.primitives import gated
    >>> layout = Layout(one=1, a=1, b=1, x=1, y=1)
    >>> units = gated(layout, {"a": 1, "b": -1}, layout.terms(x=1.0), layout.at("y"), 8.0)
    >>> X = layout.pack(3, one=1, a=[[0], [1], [1]], b=[[0], [0], [1]], x=-0.1)
    >>> FeedForward(layout, units, ("memory",))(X)[:, layout.at("y")].tolist()
    [0.0, -0.1, 0.0]
    """
    masks = {layout.at(name): bound * sign for name, sign in on.items()}
    if (missing := bound * sum(sign > 0 for sign in on.values())) > 0:
        masks[layout.at("one")] = masks.get(layout.at("one"), 0.0) - missing
    units = []
    for sign in (1.0, -1.0):
        inputs = dict(masks)
        for column, value in terms.items():
            inputs[column] = inputs.get(column, 0.0) + sign * value
        units.append(Unit(inputs, {target: sign}))
    return units


def turn(layout: Layout, source: str, target: str, angle: float) -> list[Unit]:
    r"""Add the source, a point on the circle, to the target, turned by an angle.

    A code of `~sklearn_looped.programmed.transformer.codes.CircleCode` so moves on by one step, up
    to rounding, which the next read removes (De Luca & Fountoulakis 2024, increment_pe).

    Parameters
    ----------
    layout : Layout
    source, target : str
        Fields of width 2.
    angle : float

    Returns
    -------
    units : list of Unit
        Four.

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> from sklearn_looped.programmed.transformer.primitives import turn
    >>> [unit.outputs for unit in turn(Layout(p=2, q=2), "p", "q", 0.5)]
    [{2: 1.0}, {2: -1.0}, {3: 1.0}, {3: -1.0}]
    """
    (x, y), (right, up) = layout.index(source), layout.index(target)
    cos, sin = math.cos(angle), math.sin(angle)
    rows = ((right, {x: cos, y: -sin}), (up, {x: sin, y: cos}))
    return [
        Unit({i: sign * c for i, c in terms.items()}, {column: sign})
        for column, terms in rows
        for sign in (1.0, -1.0)
    ]
