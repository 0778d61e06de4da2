"""Lloyd's algorithm: hard attention assigns samples to centres, averaging attention moves these."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from sklearn_looped.programmed.certificate import required_temperature
from sklearn_looped.programmed.layers import FeedForward, Head, Layer
from sklearn_looped.programmed.layout import Layout
from sklearn_looped.programmed.linalg import Array, Machine
from sklearn_looped.programmed.primitives import (
    add,
    clear,
    gate,
    linear_product,
    make_head,
    product,
)

_LARGEST_SCORE = 4.0  # of samples and centres within the unit ball
_TIE = 2.0**-46 * _LARGEST_SCORE  # what a centre's number adds to its distance
_FAR = 2.0**500


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
    r"""Lloyd's algorithm by attention, one step a loop of four layers.

    1. Centres compute :math:`\|c\|^2 / 2` with gated units.
    2. Samples attend to centres with the score :math:`x^\top c - \|c\|^2 / 2`, so hard that
       the softmax is one-hot: the nearest centre. Distances closer than about
       :math:`2^{-44}` of the data's size are ties and go to the centre of the lower number.
    3. Centres attend to their samples with equal scores: the mean. A centre without samples reads
       the null token and stays.
    4. Linear attention sums the squared distances.

    The host loads the tape, in units of a power of two, and reads and stops.

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

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.programmed.lloyd import lloyd
    >>> X = np.array([[0.0], [2.0], [9.0]])
    >>> *_, last = lloyd(X, np.array([[1.0], [2.0]]), n_loops=2)
    >>> last.membership.argmax(axis=1), last.centres
    (array([0, 0, 1]), array([[1.],
           [9.]]))
    """
    (n, d), k = X.shape, len(centres)
    machine, tokens = _lloyd_machine(d, k), Layout(null=1, centre=k, sample=n)
    reach = max(np.linalg.norm(X - origin, axis=1).max(), np.linalg.norm(centres, axis=1).max())
    unit = 2.0 ** np.frexp(reach)[1]
    state = machine.load(
        tokens,
        sample={"x": X / unit, "origin": np.broadcast_to(origin, d) / unit},
        centre={"c": centres / unit, "unit": np.eye(k), "tie": _TIE * np.arange(k)[:, None]},
    )
    for end in machine.transformer(tokens).run(state, n_loops, evaluation="masked"):
        step = LloydStep(
            machine.read(end, tokens, "sample", "membership"),
            float(machine.read(end, tokens, "centre", "inertia")[0, 0] * unit**2),
            machine.read(end, tokens, "centre", "c") * unit,
        )
        yield step
        if until is not None and until(step):
            return


@lru_cache(maxsize=8)
def _lloyd_machine(d: int, k: int) -> Machine:
    fields = Layout(one=1, null=1, centre=1, sample=1, x=d, origin=d, c=d, unit=k, tie=1)
    fields = fields.extend(half_square=1, membership=k, own=d, gap=d, distance=1)
    fields = fields.extend(mean=d, filled=1, inertia=1)
    half, distance = fields.at("half_square"), fields.at("distance")
    renew = [u for i in fields.index("c") for u in product({i: 1.0}, {i: 1.0}, half, 0.5)]
    renew += add(fields, {"origin": "x"}, -1.0)
    renew += clear(fields, "origin", "membership", "own", "gap", "distance", "inertia")
    difference = add(fields, {"x": "gap"}) + add(fields, {"own": "gap"}, -1.0)
    move = [u for i in fields.index("gap") for u in product({i: 1.0}, {i: 1.0}, distance)]
    move += [
        u
        for mean, c in fields.pairs({"mean": "c"})
        for u in gate(fields.at("filled"), {mean: 1.0, c: -1.0}, c)
    ]
    forget = clear(fields, "half_square", "mean", "filled")
    total = linear_product(
        fields, "centre", "distance", {"sample": "inertia"}, rows=("centre",), keys=("sample",)
    )
    nets = [
        FeedForward(units, fields.width, ("centre", "sample"), fields.at("one"))
        for units in (renew, difference, move, forget)
    ]
    heads = ((), (_assign(fields),), (_update(fields),), (total,))
    return Machine(fields, [Layer(h, net) for h, net in zip(heads, nets, strict=True)])


def _assign(fields: Layout) -> Head:
    """Head of the samples: the nearest centre's unit vector and place."""
    d, one, null = fields.size("x"), fields.at("one"), fields.at("null")
    Wq = {(i, j): 1.0 for j, i in enumerate(fields.index("x"))}
    Wq |= {(fields.at("sample"), d): 1.0, (one, d + 1): 1.0, (fields.at("sample"), d + 1): -1.0}
    Wk = {(i, j): 1.0 for j, i in enumerate(fields.index("c"))}
    Wk |= {(fields.at("half_square"), d): -1.0, (fields.at("tie"), d): -1.0}
    # Summed in the order of the columns: the indicators cancel before the score is added.
    Wk |= {(one, d): -_FAR, (fields.at("centre"), d): _FAR, (null, d + 1): _FAR}
    return make_head(
        fields,
        "softmax",
        Wq,
        Wk,
        fields.pairs({"unit": "membership", "c": "own"}),
        rows=("sample",),
        keys=("centre",),
        temperature=2.0**57 / _LARGEST_SCORE,
    )


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
