"""Lloyd's algorithm: hard attention assigns samples to centres, averaging attention moves these."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.linalg import exponents
from sklearn_looped.programmed.transformer.block import Block, Tape
from sklearn_looped.programmed.transformer.layers import Head, Unit, make_layers
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    add,
    clear,
    dot,
    gate,
    linear_product,
    masked_head,
    products,
)

# Scores of a sample closer than e^-709 tells, 4e-14, are ties.
_TEMPERATURE = 2.0**54
_FAR = 2.0**512  # above all scores; times the temperature it is finite
_SCALE = 2.0**60  # any weight above 0 that float64 holds, 2**-1074 or more, times this and
_STEEP = 2.0**1023  # this is at least 1
_SINK, _MASK = -256.0, 2048.0  # logits of the null token and of samples that are no members
SMALLEST_WEIGHT = 1e-60  # of the largest; e**-256 vanishes beside it
_LARGEST_RATIO = 200  # exponent of the largest length in units of the middle one


class LloydStep(NamedTuple):
    """One loop: the assignment to the centres before it, and the centres after it.

    Parameters
    ----------
    membership : ndarray of shape (n, k)
        One-hot rows: the nearest centre of each sample.
    inertia : float
        Sum of squared distances, times weights, to the centres before the loop.
    centres : ndarray of shape (k, d)
        Means of the samples assigned; those that got none are moved.
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
    weights: Array | None = None,
    until: Callable[[LloydStep], bool] | None = None,
) -> Iterator[LloydStep]:
    r"""Lloyd's algorithm by attention, one step a loop of five layers.

    1. Centres compute :math:`\|c\|^2 / 2` with gated units.
    2. Samples attend to centres with the score :math:`x^\top c - \|c\|^2 / 2`, hard enough to tell
       the nearest centre; hidden units keep the first centre of those that have a weight, so
       memberships are 0 or 1.
    3. Samples read their centre by linear attention.
    4. Centres attend to their samples with the logarithms of the weights as scores: the weighted
       mean. A centre without samples reads the null token and stays.
    5. Linear attention sums the squared distances, times the weights.

    The host loads the tape and reads and stops. It chooses where centres that lost all their
    samples go, as scikit-learn does: the samples farthest from their centres, by the distances
    that the loop computed, become their members, and layer 4 runs once more; what is left without
    weight goes to the centre of the heaviest cluster, or as far beyond it from the mean as the
    cluster has weight, if that one has the higher number. Lengths are in units of the power of two
    above the middle distance from the origin, and the scores of a sample beyond that in units of
    its own. So distances closer than about 4e-14 of a sample's own squared size are ties, which go
    to the centre of the lower number, whatever other samples there are.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    centres : ndarray of shape (k, d)
        Relative to `origin`.
    n_loops : int
        Cap on the number of loops.
    origin : float or ndarray of shape (d,), default=0.0
        Subtracted from X, in the first loop.
    weights : ndarray of shape (n,) or None, default=None
        Weights of the samples: 0, or within `SMALLEST_WEIGHT` of the largest. None: 1.
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
    unit = middle(X, origin)
    if max(_reach(X, origin).max(), _reach(centres, 0.0).max()) > unit + _LARGEST_RATIO:
        raise ValueError(
            f"Got samples or centres more than 2**{_LARGEST_RATIO} times as far from the middle as "
            "half of the samples are; drop them or scale the features."
        )
    weights = np.ones(len(X)) if weights is None else weights
    scale = int(exponents(weights))
    values = {"x": np.ldexp(X, -unit), "origin": np.ldexp(origin, -unit)}
    values |= _weighted(np.ldexp(weights, -scale))
    while n_loops > 0:
        block, tape = _load(X, centres, origin, unit, values)
        for end in block.states(tape, n_loops):
            n_loops -= 1
            membership, moved = end.read("sample", "membership"), _move_empty(end, weights)
            with np.errstate(over="ignore"):  # it may be infinite
                inertia = float(np.ldexp(end.read("centre", "inertia")[0, 0], 2 * unit + scale))
            centres = np.ldexp(end.read("centre", "c") if moved is None else moved, unit)
            step = LloydStep(membership, inertia, centres)
            yield step
            if until is not None and until(step):
                return
            if moved is not None:
                break


def _weighted(weights: Array) -> dict[str, Array]:
    """Weights of the samples as they stand on the tape, and their logarithms."""
    logs = np.log(weights, where=weights > 0, out=np.full(len(weights), -_MASK))
    return {"weight": weights[:, None], "log_weight": logs[:, None]}


def _move_empty(end: Tape, weights: Array) -> Array | None:
    """Centres behind a loop with those moved that lost all their samples; None if none did."""
    membership = end.read("sample", "membership")
    empty = np.flatnonzero(~(membership[weights > 0] > 0).any(axis=0))
    if not len(empty):
        return None
    centres, distance = end.read("centre", "c"), end.read("sample", "distance")[:, 0]
    k, d = centres.shape
    if distance.any():
        far = np.argpartition(distance, -len(empty))[: -len(empty) - 1 : -1]
        membership[far] = np.eye(k)[empty]
        names = "x", "weight", "log_weight"
        sample = {name: end.read("sample", name) for name in names} | {"membership": membership}
        block, centre = _mean_block(d, k), {"c": centres, "unit": np.eye(k)}
        after, _ = block.run(block.load(end.tokens, sample=sample, centre=centre))
        centres = after.read("centre", "c")
    total, mean = weights @ membership, end.read("sample", "x").mean(axis=0)
    heaviest = int(total.argmax())
    for i in np.flatnonzero(total == 0):  # scikit-learn has not divided the sum of a later one
        size = total[heaviest] if i < heaviest else 1.0
        centres[i] = mean + size * (centres[heaviest] - mean)
    return centres


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
    block, tape = _load(X, centres, origin, unit)
    return block.run(tape)[0].read("sample", "membership").argmax(axis=1)


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


def _load(
    X: Array,
    centres: Array,
    origin: Array | float,
    unit: int,
    values: Mapping[str, ArrayLike] | None = None,
) -> tuple[Block, Tape]:
    """Block and tape; samples that are far ask in units of their own."""
    (n, d), k = X.shape, len(centres)
    shift = np.maximum(_reach(X, origin) - unit, 0)[:, None]
    asked = {
        "asked": np.ldexp(X, -unit - shift),
        "asked_origin": np.ldexp(np.broadcast_to(origin, X.shape), -unit - shift),
        "share": np.ldexp(1.0, -shift),
    }
    block, centre = _lloyd_block(d, k), {"c": np.ldexp(centres, -unit), "unit": np.eye(k)}
    tokens = Layout(null=1, centre=k, sample=n)
    return block, block.load(tokens, sample={**asked, **(values or {})}, centre=centre)


@lru_cache(maxsize=8)
def _mean_block(d: int, k: int) -> Block:
    """Layer 4 alone, for memberships that are on the tape."""
    fields = _fields(d, k)
    return Block(fields, make_layers(fields, ("centre", "sample"), _average(fields)))


def _fields(d: int, k: int) -> Layout:
    fields = Layout(one=1, null=1, centre=1, sample=1, x=d, origin=d, c=d, unit=k)
    fields = fields.extend(weight=1, log_weight=1, near=k, membership=k, own=d)
    fields = fields.extend(asked=d, asked_origin=d, share=1, half_square=1)
    return fields.extend(gap=d, distance=1, mean=d, filled=1, inertia=1)


@lru_cache(maxsize=8)
def _lloyd_block(d: int, k: int) -> Block:
    fields = _fields(d, k)
    centre, sample = ("centre",), ("sample",)
    renew = products(fields, "c", "c", "half_square", 0.5)
    renew += add(fields, {"origin": "x", "asked_origin": "asked"}, -1.0)
    renew += clear(fields, "origin", "asked_origin", "membership", "own", "gap", "distance")
    renew += clear(fields, "inertia")
    difference = add(fields, {"x": "gap"}) + add(fields, {"own": "gap"}, -1.0)
    update, move = _average(fields)
    read = linear_product(fields, "membership", "unit", {"c": "own"}, sample, centre)
    total = linear_product(fields, "centre", "distance", {"weight": "inertia"}, centre, sample)
    layers = make_layers(
        fields,
        centre + sample,
        ((), renew),
        ([_assign(fields)], _first(fields)),
        ([read], difference),
        (update, products(fields, "gap", "gap", "distance") + move),
        ([total], clear(fields, "half_square", "mean", "filled")),
    )
    return Block(fields, layers)


def _assign(fields: Layout) -> Head:
    """Head of the samples: a multiple of the nearest centre's unit vector, or of those that tie."""
    half = fields.terms(share=1.0), fields.terms(half_square=-1.0)
    scores, pairs = [*dot(fields, "asked", "c"), half], fields.pairs({"unit": "near"})
    kinds = ("sample",), ("centre",)
    return masked_head(
        fields, scores, pairs, *kinds, far=_FAR, temperature=_TEMPERATURE, scale=_SCALE
    )


def _first(fields: Layout) -> list[Unit]:
    r"""Membership += 1 for the first centre that is near, has a weight above 0; forget the weights.

    With their sums :math:`S_j = \sum_{i \le j} m_i` it is :math:`\mathrm{relu}(1 - A S_{j-1}) -
    \mathrm{relu}(1 - A S_j)`.
    """
    units, before = clear(fields, "near"), {fields.at("sample"): 1.0}
    for near, membership in fields.pairs({"near": "membership"}):
        upto = {**before, near: -_STEEP}
        units += [Unit(before, {membership: 1.0}), Unit(upto, {membership: -1.0})]
        before = upto
    return units


def _average(fields: Layout) -> tuple[list[Head], list[Unit]]:
    r"""Move the centres to the means of their members, which score the logarithm of their weight.

    Samples that are no members score `_MASK` less, the null token `_SINK`: it is read by centres
    without members, which then stay.
    """
    members = [
        ({unit: 1.0}, {m: _MASK, fields.at("sample"): -_MASK})
        for unit, m in fields.pairs({"unit": "membership"})
    ]
    scores = [*members, (fields.terms(centre=1.0), fields.terms(log_weight=1.0))]
    pairs, kinds = fields.pairs({"x": "mean", "sample": "filled"}), (("centre",), ("sample",))
    move = []
    for mean, c in fields.pairs({"mean": "c"}):
        move += gate(fields.at("filled"), {mean: 1.0, c: -1.0}, c)
    return [masked_head(fields, scores, pairs, *kinds, sink=_SINK)], move
