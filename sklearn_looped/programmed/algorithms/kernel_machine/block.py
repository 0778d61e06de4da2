"""Weights of the kernel machine: the kernel as attention, its loop, its slopes, its metric."""

import math
from functools import lru_cache
from typing import NamedTuple

import torch

from sklearn_looped.core.metric import LEAST_WEIGHT
from sklearn_looped.programmed.algorithms.linalg import Machine
from sklearn_looped.programmed.transformer.certificate import required_temperature
from sklearn_looped.programmed.transformer.layers import FeedForward, Head, Layer, Unit
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    add,
    average,
    beyond_logits,
    broadcast,
    clear,
    gate,
    linear_product,
    make_head,
    product,
)

SINK = 48.0  # logit of the null token, beside which those of a kernel, at most 0, do not count
FLAT = 2.0**-60  # mean square of slopes below which there are none; reciprocals end at its inverse
START = 2.0**-100  # of Newton's reciprocal, below the inverse of any mean square
N_RECIPROCAL = 166  # loops: from START a doubling each up to the inverse of FLAT, and six more


class KernelMachineBlock(NamedTuple):
    """The loop bodies of the kernel machine; they share one layout, and so one tape.

    Attributes
    ----------
    load : Machine
        Once: takes the means off x and y, and scales the keys of the linear kernel.
    measure : Machine
        Once a round: hands the metric to all tokens and forms queries and norms.
    solve : Machine
        The loop: residual by attention, one step of the heavy ball.
    rest : Machine
        Once a round: the residual that the loop leaves, and the intercept.
    slopes : Machine
        Once a round: mean squares of the predictor's slopes, by attention; forgets it.
    reciprocal : Machine
        The loop of Newton's reciprocal of their mean over columns.
    reweigh : Machine
        Once a round: the metric of mean 1.
    read : Machine
        Once: predictions of the queries.
    """

    load: Machine
    measure: Machine
    solve: Machine
    rest: Machine
    slopes: Machine
    reciprocal: Machine
    reweigh: Machine
    read: Machine


@lru_cache(maxsize=8)
def kernel_machine_block(d: int) -> KernelMachineBlock:
    """Weights for d columns; they depend on nothing else.

    Parameters
    ----------
    d : int

    Returns
    -------
    block : KernelMachineBlock

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.kernel_machine import kernel_machine_block
    >>> [len(machine.layers) for machine in kernel_machine_block(3)]
    [2, 3, 3, 3, 5, 2, 3, 1]
    """
    fields = Layout(one=1, scratch=1, null=1, row=1, query=1)
    fields = fields.extend(x=d, shift=d, y=1, offset=1, metric=d, weight=d)
    fields = fields.extend(asked=d, sought=d, half=1, line=d)
    fields = fields.extend(penalty=1, step=1, momentum=1, linear=1)
    fields = fields.extend(coef=1, velocity=1, residual=1, mean=1, intercept=1)
    fields = fields.extend(pull=d, slope=d, height=1, square=d, total=1, inverse=1, error=1)
    fields = fields.extend(prediction=1, lowest=1, highest=1)
    bodies = (
        _load(fields),
        _measure(fields),
        _residual(fields, _step(fields)),
        _residual(fields, _intercept(fields)),
        _slopes(fields),
        _reciprocal(fields),
        _reweigh(fields),
        _read(fields),
    )
    return KernelMachineBlock(*(Machine(fields, body) for body in bodies))


def kernel_heads(
    fields: Layout, copy: dict[str, str], *, row: str, scale: float = 1.0
) -> list[Head]:
    r"""Tokens `row` add ``scale`` times :math:`\sum_k k(x_i, x_k) v_k`, Gaussian and linear part.

    Unlike the smoother's, this softmax is to leave out its normaliser. With the logit
    :math:`s_k = -\|x_i - x_k\|_M^2 / 2 = (M x_i)^\top x_k - \|x_i\|_M^2 / 2 - \|x_k\|_M^2 / 2`
    on a row and C on the null token, values times :math:`e^C` are read as

    .. math:: \frac{\sum_k e^{s_k} e^C v_k}{e^C + \sum_k e^{s_k}}
        = \sum_k e^{s_k} v_k \, \Bigl(1 + e^{-C} \sum_k e^{s_k}\Bigr)^{-1},

    and as no :math:`s_k` is above 0, the bracket is 1 to :math:`n e^{-48}`, less than half a
    unit in the last place up to n = 77,000. The price is the rounding of logits of the sink's
    size, :math:`2^{-48}` of every kernel value.
    """
    d, far = fields.size("x"), required_temperature(1.0, torch.float64)
    one, null, half = (fields.at(name) for name in ("one", "null", "half"))
    acting = fields.at(row)
    # Dimension d: keys; d + 1: the query's norm; d + 2: tokens that do not act read null.
    Wq = {(i, j): 1.0 for j, i in enumerate(fields.index("asked"))}
    Wq |= {(acting, d): 1.0, (half, d + 1): -1.0, (one, d + 2): 1.0, (acting, d + 2): -1.0}
    Wk = {(i, j): 1.0 for j, i in enumerate(fields.index("x"))}
    Wk |= {(one, d): -far, (null, d): far + SINK, (fields.at("row"), d): far, (half, d): -1.0}
    Wk |= {(one, d + 1): 1.0, (null, d + 1): -1.0, (null, d + 2): beyond_logits(torch.float64)}
    pairs, scaled, rows, keys = fields.pairs(copy), scale * math.exp(SINK), (row,), ("row",)
    gauss = make_head(fields, "softmax", Wq, Wk, pairs, scale=scaled, rows=rows, keys=keys)
    # Linear heads act wherever their left-hand side is not 0: `line` on rows, `sought` on queries.
    left, right = ("line", "asked") if row == "row" else ("sought", "line")
    line = linear_product(fields, left, right, copy, scale=scale, rows=rows, keys=keys)
    return [gauss, line]


def _net(fields: Layout, units: list[Unit], *rows: str) -> FeedForward:
    return FeedForward(units, fields.width, rows, fields.at("one"))


def _products(fields: Layout, left: str, right: str, target: str, scale: float = 1.0) -> list[Unit]:
    """Products entry by entry; a field of width 1 multiplies all entries of the other."""
    lefts, rights, targets = (fields.index(name) for name in (left, right, target))
    width = max(len(lefts), len(rights))
    lefts, rights, targets = (
        columns * width if len(columns) == 1 else columns for columns in (lefts, rights, targets)
    )
    triples = zip(lefts, rights, targets, strict=True)
    return [u for i, j, k in triples for u in product({i: 1.0}, {j: 1.0}, k, scale)]


def _load(fields: Layout) -> list[Layer]:
    copy = {"x": "shift", "y": "offset"}
    mean = average(fields, copy, row="scratch", keys=("row",), scale=-1.0)
    subtract = (
        broadcast(fields, "scratch", {"shift": "x"}, rows=("row", "query")),
        broadcast(fields, "scratch", {"offset": "y"}, rows=("row",)),
    )
    line = _products(fields, "linear", "x", "line")
    return [Layer((mean,)), Layer(subtract, _net(fields, line, "row"))]


def _measure(fields: Layout) -> list[Layer]:
    tokens = ("row", "query")
    forget = clear(fields, "weight", "asked", "sought", "half")
    hand_out = broadcast(fields, "scratch", {"metric": "weight"}, rows=tokens)
    norms = _products(fields, "asked", "x", "half", 0.5)
    for asked, sought in fields.pairs({"asked": "sought"}):
        norms += gate(fields.at("query"), {asked: 1.0}, sought)
    return [
        Layer((), _net(fields, forget, *tokens)),
        Layer((hand_out,), _net(fields, _products(fields, "weight", "x", "asked"), *tokens)),
        Layer((), _net(fields, norms, *tokens)),
    ]


def _residual(fields: Layout, net: FeedForward) -> list[Layer]:
    """Residual y - K coef - penalty * coef of the rows, without its mean; then `net`."""
    units = add(fields, {"y": "residual"}) + clear(fields, "mean")
    units += _products(fields, "penalty", "coef", "residual", -1.0)
    heads = kernel_heads(fields, {"coef": "residual"}, row="row", scale=-1.0)
    mean = average(fields, {"residual": "mean"}, row="scratch", keys=("row",), scale=-1.0)
    subtract = broadcast(fields, "scratch", {"mean": "residual"}, rows=("row",))
    layer = Layer(tuple(heads), _net(fields, units, "scratch", "row"))
    return [layer, Layer((mean,)), Layer((subtract,), net)]


def _step(fields: Layout) -> FeedForward:
    """Polyak's heavy ball; the residual is forgotten."""
    units = clear(fields, "velocity", "residual")
    for target in ("velocity", "coef"):
        units += _products(fields, "momentum", "velocity", target)
        units += _products(fields, "step", "residual", target)
    return _net(fields, units, "row")


def _intercept(fields: Layout) -> FeedForward:
    """Add up what was taken off the residual and the targets, both kept as negative means."""
    units = clear(fields, "intercept")
    for mean in ("mean", "offset"):
        units += add(fields, {mean: "intercept"}, -1.0)
    return _net(fields, units, "scratch")


def _slopes(fields: Layout) -> list[Layer]:
    r"""Square, the mean of squares of :math:`g = M (K (a \circ x) - x \circ K a + c X^T a)`."""
    forget = clear(fields, "pull", "slope", "height", "coef", "velocity", "residual")
    pull = _products(fields, "coef", "x", "pull")
    gauss, _ = kernel_heads(fields, {"pull": "slope", "coef": "height"}, row="row")
    line = linear_product(fields, "row", "coef", {"line": "slope"}, rows=("row",), keys=("row",))
    away = _products(fields, "height", "x", "slope", -1.0)
    weighted = clear(fields, "pull") + _products(fields, "weight", "slope", "pull")
    squared = clear(fields, "slope") + _products(fields, "pull", "pull", "slope")
    mean = average(fields, {"slope": "square"}, row="scratch", keys=("row",))
    start = [Unit({fields.at("scratch"): 1.0}, {fields.at("inverse"): START})]
    total = [
        Unit({i: 1.0}, {fields.at("total"): 1 / fields.size("square")})
        for i in fields.index("square")
    ]
    renew = clear(fields, "square", "total", "inverse")
    return [
        Layer((), _net(fields, pull + renew, "scratch", "row")),
        Layer((gauss, line), _net(fields, away, "row")),
        Layer((), _net(fields, weighted, "row")),
        Layer((), _net(fields, squared, "row")),
        Layer((mean,), _net(fields, forget + start + total, "scratch", "row")),
    ]


def _reciprocal(fields: Layout) -> list[Layer]:
    """Newton's method for 1 / total: inverse += inverse * (1 - total * inverse)."""
    miss = [Unit({fields.at("scratch"): 1.0}, {fields.at("error"): 1.0})]
    miss += _products(fields, "total", "inverse", "error", -1.0)
    correct = _products(fields, "inverse", "error", "inverse") + clear(fields, "error")
    return [Layer((), _net(fields, units, "scratch")) for units in (miss, correct)]


def _reweigh(fields: Layout) -> list[Layer]:
    """Squares over their mean; 1 where there are no slopes; at least `LEAST_WEIGHT`."""
    scratch, total = fields.at("scratch"), fields.at("total")
    columns = fields.index("metric")
    scaled = clear(fields, "metric") + _products(fields, "inverse", "square", "metric")
    flat = [Unit({scratch: 1.0, total: -1 / FLAT}, {j: 1.0 for j in columns})]
    floor = [Unit({scratch: LEAST_WEIGHT, j: -1.0}, {j: 1.0}) for j in columns]
    return [Layer((), _net(fields, units, "scratch")) for units in (scaled, flat, floor)]


def _read(fields: Layout) -> list[Layer]:
    """Predictions, kept between the field `lowest` and `highest`."""
    heads = kernel_heads(fields, {"coef": "prediction"}, row="query")
    out, lowest, highest = (fields.at(name) for name in ("prediction", "lowest", "highest"))
    below = Unit({lowest: 1.0, out: -1.0}, {out: 1.0})
    above = Unit({out: 1.0, highest: -1.0}, {out: -1.0})
    return [Layer(tuple(heads), _net(fields, [below, above], "query"))]
