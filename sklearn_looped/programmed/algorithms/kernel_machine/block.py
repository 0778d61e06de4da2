"""Weights of the kernel machine: the kernel as attention, its loop, its slopes, its metric."""

import math
from functools import lru_cache
from typing import NamedTuple

from sklearn_looped.core.metric import LEAST_WEIGHT
from sklearn_looped.programmed.transformer.block import Block
from sklearn_looped.programmed.transformer.layers import Head, Layer, Unit, make_layer, make_layers
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    add,
    average,
    broadcast,
    clear,
    dot,
    gate,
    linear_product,
    masked_head,
    products,
)

SINK = 48.0  # logit of the null token, beside which those of a kernel, at most 0, do not count
FLAT = 2.0**-60  # mean square of slopes below which there are none; reciprocals end at its inverse
START = 2.0**-100  # of Newton's reciprocal, below the inverse of any mean square
N_RECIPROCAL = 166  # loops: from START a doubling each up to the inverse of FLAT, and six more


class KernelMachineBlock(NamedTuple):
    """The loop bodies of the kernel machine; they share one layout, and so one tape.

    Attributes
    ----------
    load : Block
        Once: takes the means off x and y, and scales the keys of the linear kernel.
    measure : Block
        Once a round: hands the metric to all tokens and forms queries and norms.
    solve : Block
        The loop: residual by attention, one step of the heavy ball.
    rest : Block
        Once a round: the residual that the loop leaves, and the intercept.
    slopes : Block
        Once a round: mean squares of the predictor's slopes, by attention; forgets it.
    reciprocal : Block
        The loop of Newton's reciprocal of their mean over columns.
    reweigh : Block
        Once a round: the metric of mean 1.
    read : Block
        Once: predictions of the queries.
    """

    load: Block
    measure: Block
    solve: Block
    rest: Block
    slopes: Block
    reciprocal: Block
    reweigh: Block
    read: Block


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
    >>> [len(block.layers) for block in kernel_machine_block(3)]
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
        _residual(fields, _step(fields), "row"),
        _residual(fields, _intercept(fields), "scratch"),
        _slopes(fields),
        _reciprocal(fields),
        _reweigh(fields),
        _read(fields),
    )
    return KernelMachineBlock(*(Block(fields, body) for body in bodies))


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
    half = fields.index("half")[0]
    scores = [
        *dot(fields, "asked", "x"),
        (fields.terms(**{row: 1.0}), {half: -1.0}),
        ({half: -1.0}, fields.terms(one=1.0, null=-1.0)),
    ]
    kinds, factor = ((row,), ("row",)), scale * math.exp(SINK)
    gauss = masked_head(fields, scores, fields.pairs(copy), *kinds, sink=SINK, scale=factor)
    # Linear heads act wherever their left-hand side is not 0: `line` on rows, `sought` on queries.
    left, right = ("line", "asked") if row == "row" else ("sought", "line")
    line = linear_product(fields, left, right, copy, *kinds, scale=scale)
    return [gauss, line]


def _load(fields: Layout) -> list[Layer]:
    copy = {"x": "shift", "y": "offset"}
    mean = average(fields, copy, "scratch", ("row",), scale=-1.0)
    subtract = (
        broadcast(fields, "scratch", {"shift": "x"}, ("row", "query")),
        broadcast(fields, "scratch", {"offset": "y"}, ("row",)),
    )
    line = products(fields, "linear", "x", "line")
    return [make_layer(fields, [mean]), make_layer(fields, subtract, line, ("row",))]


def _measure(fields: Layout) -> list[Layer]:
    tokens = ("row", "query")
    forget = clear(fields, "weight", "asked", "sought", "half")
    hand_out = broadcast(fields, "scratch", {"metric": "weight"}, tokens)
    norms = products(fields, "asked", "x", "half", 0.5)
    for asked, sought in fields.pairs({"asked": "sought"}):
        norms += gate(fields.at("query"), {asked: 1.0}, sought)
    queries = products(fields, "weight", "x", "asked")
    return make_layers(fields, tokens, ((), forget), ([hand_out], queries), ((), norms))


def _residual(fields: Layout, then: list[Unit], kind: str) -> list[Layer]:
    """Residual y - K coef - penalty * coef of the rows, without its mean; then units of a kind."""
    units = add(fields, {"y": "residual"}) + clear(fields, "mean")
    units += products(fields, "penalty", "coef", "residual", -1.0)
    heads = kernel_heads(fields, {"coef": "residual"}, row="row", scale=-1.0)
    mean = average(fields, {"residual": "mean"}, "scratch", ("row",), scale=-1.0)
    subtract = broadcast(fields, "scratch", {"mean": "residual"}, ("row",))
    return [
        make_layer(fields, heads, units, ("scratch", "row")),
        make_layer(fields, [mean]),
        make_layer(fields, [subtract], then, (kind,)),
    ]


def _step(fields: Layout) -> list[Unit]:
    """Polyak's heavy ball; the residual is forgotten."""
    units = clear(fields, "velocity", "residual")
    for target in ("velocity", "coef"):
        units += products(fields, "momentum", "velocity", target)
        units += products(fields, "step", "residual", target)
    return units


def _intercept(fields: Layout) -> list[Unit]:
    """Add up what was taken off the residual and the targets, both kept as negative means."""
    units = clear(fields, "intercept")
    for mean in ("mean", "offset"):
        units += add(fields, {mean: "intercept"}, -1.0)
    return units


def _slopes(fields: Layout) -> list[Layer]:
    r"""Square, the mean of squares of :math:`g = M (K (a \circ x) - x \circ K a + c X^T a)`."""
    forget = clear(fields, "pull", "slope", "height", "coef", "velocity", "residual")
    pull = products(fields, "coef", "x", "pull")
    gauss, _ = kernel_heads(fields, {"pull": "slope", "coef": "height"}, row="row")
    line = linear_product(fields, "row", "coef", {"line": "slope"}, ("row",), ("row",))
    away = products(fields, "height", "x", "slope", -1.0)
    weighted = clear(fields, "pull") + products(fields, "weight", "slope", "pull")
    squared = clear(fields, "slope") + products(fields, "pull", "pull", "slope")
    mean = average(fields, {"slope": "square"}, "scratch", ("row",))
    start = [Unit({fields.at("scratch"): 1.0}, {fields.at("inverse"): START})]
    total = [
        Unit({i: 1.0}, {fields.at("total"): 1 / fields.size("square")})
        for i in fields.index("square")
    ]
    renew = clear(fields, "square", "total", "inverse")
    both = make_layers(
        fields, ("scratch", "row"), ((), pull + renew), ([mean], [*forget, *start, *total])
    )
    rows = make_layers(fields, ("row",), ([gauss, line], away), ((), weighted), ((), squared))
    return [both[0], *rows, both[1]]


def _reciprocal(fields: Layout) -> list[Layer]:
    """Newton's method for 1 / total: inverse += inverse * (1 - total * inverse)."""
    miss = [Unit({fields.at("scratch"): 1.0}, {fields.at("error"): 1.0})]
    miss += products(fields, "total", "inverse", "error", -1.0)
    correct = products(fields, "inverse", "error", "inverse") + clear(fields, "error")
    return make_layers(fields, ("scratch",), ((), miss), ((), correct))


def _reweigh(fields: Layout) -> list[Layer]:
    """Squares over their mean; 1 where there are no slopes; at least `LEAST_WEIGHT`."""
    scratch, total = fields.at("scratch"), fields.at("total")
    columns = fields.index("metric")
    scaled = clear(fields, "metric") + products(fields, "inverse", "square", "metric")
    flat = [Unit({scratch: 1.0, total: -1 / FLAT}, {j: 1.0 for j in columns})]
    floor = [Unit({scratch: LEAST_WEIGHT, j: -1.0}, {j: 1.0}) for j in columns]
    return make_layers(fields, ("scratch",), ((), scaled), ((), flat), ((), floor))


def _read(fields: Layout) -> list[Layer]:
    """Predictions, kept between the field `lowest` and `highest`."""
    heads = kernel_heads(fields, {"coef": "prediction"}, row="query")
    out, lowest, highest = (fields.at(name) for name in ("prediction", "lowest", "highest"))
    below = Unit({lowest: 1.0, out: -1.0}, {out: 1.0})
    above = Unit({out: 1.0, highest: -1.0}, {out: -1.0})
    return [make_layer(fields, heads, [below, above], ("query",))]
