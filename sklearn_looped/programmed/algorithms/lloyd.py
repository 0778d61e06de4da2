"""Lloyd's algorithm: hard attention assigns samples to centres, averaging attention moves these."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_looped.programmed.algorithms.linalg import Array, Machine
from sklearn_looped.programmed.transformer.certificate import required_temperature
from sklearn_looped.programmed.transformer.layers import FeedForward, Head, Layer, Unit
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    add,
    clear,
    gate,
    linear_product,
    make_head,
    product,
)

# Scores of a sample closer than e^-709 tells, 4e-14, are ties.
_TEMPERATURE = 2.0**54
_FAR = 2.0**500
_STEEP = 2.0**1023  # any weight that is told from 0, times this, is at least 1
_LARGEST_RATIO = 200  # exponent of the largest length in units of the middle one


class LloydStep(NamedTuple):
    """One loop: the assignment to the centres before it, and the centres after it.

    Parameters
    ----------
    membership : ndarray of shape (n, k)
        One-hot rows: the nearest centre of each sample.
    inertia : float
        Sum of squared distances to the centres before the loop.
    centres : ndarray of shape (k, d)
        Means of the samples assigned; a centre that got none stays where it was.
    """

    membership: Array
    inertia: float
    centres: Array


def lloyd(
    X: Array,
    centres: Array,
    n_loops: int,
    *,
    origin: Array | float = 0.0,
    until: Callable[[LloydStep], bool] | None = None,
) -> Iterator[LloydStep]:
    r"""Lloyd's algorithm by attention, one step a loop of five layers.

    1. Centres compute :math:`\|c\|^2 / 2` with gated units.
    2. Samples attend to centres with the score :math:`x^\top c - \|c\|^2 / 2`, hard enough to tell
       the nearest centre; hidden units keep the first centre of those that have a weight, so
       memberships are 0 or 1.
    3. Samples read their centre by linear attention.
    4. Centres attend to their samples with equal scores: the mean. A centre without samples reads
       the null token and stays.
    5. Linear attention sums the squared distances.

    The host loads the tape and reads and stops. Lengths are in units of the power of two above
    the middle distance from the origin, and the scores of a sample beyond that in units of its
    own. So distances closer than about 4e-14 of a sample's own squared size are ties, which go to
    the centre of the lower number, whatever other samples there are.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    centres : ndarray of shape (k, d)
        Relative to `origin`.
    n_loops : int
        Cap on the number of loops.
    origin : float or ndarray of shape (d,), default=0.0
        Subtracted from X, in the first loop.
    until : callable, default=None
        Stop rule: called with each step, ends the loop when it returns True.

    Yields
    ------
    step : LloydStep

    Raises
    ------
    ValueError
        If a sample or centre is 2**200 times as far from the origin as the middle sample.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.programmed.algorithms.lloyd import lloyd
    >>> X = np.array([[0.0], [2.0], [9.0]])
    >>> *_, last = lloyd(X, np.array([[1.0], [2.0]]), n_loops=2)
    >>> last.membership.argmax(axis=1), last.centres
    (array([0, 0, 1]), array([[1.],
           [9.]]))
    """
    k = len(centres)
    unit = middle(X, origin)
    if max(_reach(X, origin).max(), _reach(centres, 0.0).max()) > unit + _LARGEST_RATIO:
        raise ValueError(
            f"Got samples or centres more than 2**{_LARGEST_RATIO} times as far from the middle as "
            "half of the samples are; drop them or scale the features."
        )
    machine, tokens = _lloyd_machine(X.shape[1], k), Layout(null=1, centre=k, sample=len(X))
    values = {"x": np.ldexp(X, -unit), "origin": np.ldexp(origin, -unit)}
    state = machine.load(
        tokens,
        sample=values | _queries(X, origin, unit),
        centre={"c": np.ldexp(centres, -unit), "unit": np.eye(k)},
    )
    for end in machine.transformer(tokens).run(state, n_loops, evaluation="masked"):
        step = LloydStep(
            machine.read(end, tokens, "sample", "membership"),
            float(np.ldexp(machine.read(end, tokens, "centre", "inertia")[0, 0], 2 * unit)),
            np.ldexp(machine.read(end, tokens, "centre", "c"), unit),
        )
        yield step
        if until is not None and until(step):
            return


def nearest(
    X: Array, centres: Array, *, origin: Array | float = 0.0, unit: int = 0
) -> NDArray[np.intp]:
    """Find the nearest centre of each row: the first two layers of `lloyd`.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    centres : ndarray of shape (k, d)
        Relative to `origin`.
    origin : float or ndarray of shape (d,), default=0.0
        Subtracted from X.
    unit : int, default=0
        Exponent of the power of two that lengths are measured in, that of `middle`.

    Returns
    -------
    labels : ndarray of shape (n,)
        Each depends on its own row only.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.programmed.algorithms.lloyd import nearest
    >>> nearest(np.array([[0.4], [0.6], [1e300]]), np.array([[0.0], [1.0]]))
    array([0, 1, 1])
    """
    k = len(centres)
    machine, tokens = _lloyd_machine(X.shape[1], k), Layout(null=1, centre=k, sample=len(X))
    state = machine.load(
        tokens,
        sample=_queries(X, origin, unit),
        centre={"c": np.ldexp(centres, -unit), "unit": np.eye(k)},
    )
    (end,) = machine.transformer(tokens).run(state, 1, evaluation="masked")
    return machine.read(end, tokens, "sample", "membership").argmax(axis=1)


def _reach(X: Array, origin: Array | float) -> NDArray[np.intp]:
    """Exponent of each row's distance from the origin; that of the smallest number for none."""
    halves = np.abs(X / 2 - np.asarray(origin) / 2).max(axis=1)  # the whole may overflow
    reach = np.where(np.isfinite(halves), np.frexp(halves)[1] + 1, np.iinfo(np.int32).max)
    return np.where(halves > 0, reach, -1074)


def middle(X: Array, origin: Array | float) -> int:
    """Exponent of the middle distance from the origin, of the rows that are not there."""
    reach = _reach(X, origin)
    away = reach[reach > -1074]
    return int(np.median(away)) if len(away) else 0


def _queries(X: Array, origin: Array | float, unit: int) -> dict[str, Array]:
    """Fields that samples ask with, in units of their own where they are far."""
    shift = np.maximum(_reach(X, origin) - unit, 0)[:, None]
    return {
        "asked": np.ldexp(X, -unit - shift),
        "asked_origin": np.ldexp(np.broadcast_to(origin, X.shape), -unit - shift),
        "share": np.ldexp(1.0, -shift),
    }


@lru_cache(maxsize=8)
def _lloyd_machine(d: int, k: int) -> Machine:
    fields = Layout(one=1, null=1, centre=1, sample=1, x=d, origin=d, c=d, unit=k)
    fields = fields.extend(asked=d, asked_origin=d, share=1, half_square=1, membership=k, own=d)
    fields = fields.extend(gap=d, distance=1, mean=d, filled=1, inertia=1)
    half, distance = fields.at("half_square"), fields.at("distance")
    renew = [u for i in fields.index("c") for u in product({i: 1.0}, {i: 1.0}, half, 0.5)]
    renew += add(fields, {"origin": "x", "asked_origin": "asked"}, -1.0)
    renew += clear(fields, "origin", "asked_origin", "membership", "own", "gap", "distance")
    renew += clear(fields, "inertia")
    difference = add(fields, {"x": "gap"}) + add(fields, {"own": "gap"}, -1.0)
    move = [u for i in fields.index("gap") for u in product({i: 1.0}, {i: 1.0}, distance)]
    move += [
        u
        for mean, c in fields.pairs({"mean": "c"})
        for u in gate(fields.at("filled"), {mean: 1.0, c: -1.0}, c)
    ]
    forget = clear(fields, "half_square", "mean", "filled")
    read = linear_product(
        fields, "membership", "unit", {"c": "own"}, rows=("sample",), keys=("centre",)
    )
    total = linear_product(
        fields, "centre", "distance", {"sample": "inertia"}, rows=("centre",), keys=("sample",)
    )
    nets = [
        FeedForward(units, fields.width, ("centre", "sample"), fields.at("one"))
        for units in (renew, _first(fields), difference, move, forget)
    ]
    heads = ((), (_assign(fields),), (read,), (_update(fields),), (total,))
    return Machine(fields, [Layer(h, net) for h, net in zip(heads, nets, strict=True)])


def _assign(fields: Layout) -> Head:
    """Head of the samples: the nearest centre's unit vector, or the mean of those that tie."""
    d, one, null = fields.size("x"), fields.at("one"), fields.at("null")
    sample, centre = fields.at("sample"), fields.at("centre")
    Wq = {(i, j): 1.0 for j, i in enumerate(fields.index("asked"))}
    Wq |= {(fields.at("share"), d): 1.0, (sample, d + 1): 1.0}
    Wq |= {(one, d + 2): 1.0, (sample, d + 2): -1.0}
    Wk = {(i, j): 1.0 for j, i in enumerate(fields.index("c"))}
    Wk |= {(fields.at("half_square"), d): -1.0, (one, d + 1): -_FAR, (centre, d + 1): _FAR}
    Wk[null, d + 2] = _FAR
    return make_head(
        fields,
        "softmax",
        Wq,
        Wk,
        fields.pairs({"unit": "membership"}),
        rows=("sample",),
        keys=("centre",),
        temperature=_TEMPERATURE,
    )


def _first(fields: Layout) -> list[Unit]:
    r"""Membership <- 1 for the first centre of a weight above 0, and 0 for all others.

    With :math:`S_j = \sum_{i \le j} m_i` it is :math:`\mathrm{relu}(1 - A S_{j-1}) -
    \mathrm{relu}(1 - A S_j)`.
    """
    units, before = clear(fields, "membership"), {fields.at("sample"): 1.0}
    for membership in fields.index("membership"):
        upto = {**before, membership: -_STEEP}
        units += [Unit(before, {membership: 1.0}), Unit(upto, {membership: -1.0})]
        before = upto
    return units


def _update(fields: Layout) -> Head:
    """Head of the centres: their members score 1, the null token 1/2, all others 0."""
    k = fields.size("unit")
    Wq = {(i, j): 1.0 for j, i in enumerate(fields.index("unit"))} | {(fields.at("one"), k): 0.5}
    Wk = {(i, j): 1.0 for j, i in enumerate(fields.index("membership"))}
    Wk[fields.at("null"), k] = 1.0
    return make_head(
        fields,
        "softmax",
        Wq,
        Wk,
        fields.pairs({"x": "mean", "sample": "filled"}),
        rows=("centre",),
        keys=("sample",),
        temperature=required_temperature(0.5, torch.float64),
    )
