"""Weights of the SGD block: fields of a token, and what each layer does."""

from typing import Literal

from sklearn_looped.programmed.algorithms.sgd.products import (
    MODEL,
    ProductKind,
    Stage,
    dot,
    queried,
    scaled_copy,
)
from sklearn_looped.programmed.transformer.layers import Head, Unit
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    add,
    clear,
    match_read,
    match_write,
    sigmoid,
)

Loss = Literal["squared_error", "huber", "epsilon_insensitive", "hinge", "log_loss"]

MAX_DERIVATIVE = 1e12  # as in scikit-learn: longer steps of the squared error are cut off
_SCALE = 2.0**52  # any float but 0, 2**-1074 or more, times this and
_STEEP = 2.0**1023  # this is at least 1


def sgd_stages(
    fields: Layout, loss: Loss, l1: bool, average: bool, product: ProductKind
) -> list[Stage]:
    """Say what the layers do, in order; queries are answered before the weights move."""
    bend, *rest = _derivative(fields, loss)
    return [
        _read_and_score(fields),
        bend._replace(heads=[*bend.heads, *_answer(fields, average, product)]),
        *rest,
        _update(fields),
        *([_l1_penalty(fields)] if l1 else []),
        _finish(fields, l1, average),
    ]


def sgd_fields(d: int, n_bits: int, loss: Loss, l1: bool, average: bool, n_models: int) -> Layout:
    """Fields of a token: indicators, data, tape with its record, model with registers, query."""
    indicators = {"one": 1, "model": 1, "null": 1, "unit": 1, "query": 1, "position": n_bits}
    data = {"x": d, "bias": 1, "y": 1}
    tape = {"next_sample": n_bits, "next_step": n_bits, "eta": 1, "decay": 1}
    record = {"seen_score": 1, "seen_derivative": 1, "seen_w": d, "seen_b": 1}
    model = {"w": d, "b": 1, "counter": n_bits, "pointer": n_bits, "threshold": 1}
    model |= {"code": n_models}
    query = {"asked": d, "prediction": n_models}
    if loss == "log_loss":
        query |= {"probability": n_models}
    registers = {
        **{"in_x": d, "in_bias": 1, "in_y": 1, "in_eta": 1, "in_decay": 1},
        **{"step_x": d, "step_bias": 1, "score": 1, "excess": 2, "derivative": 1},
    }
    if l1:  # the penalty due to each weight so far, what it has paid, and what it pays now
        tape |= {"l1": 1}
        model |= {"penalty": 1, "paid": d}
        registers |= {"shrink": d}
    if average:
        tape |= {"rate": 1}
        model |= {"mean_w": d, "mean_b": 1}
        registers |= {"in_rate": 1}
    if l1 and average:
        tape |= {"share": 1}
        registers |= {"in_share": 1}
    return Layout(**indicators, **data, **tape, **record, **model, **registers, **query)


def _read_and_score(fields: Layout) -> Stage:
    """Sample and step to the registers, pointers on to the next ones; score and eta * x.

    What the pass before wrote to the queries is cleared.
    """
    step = {"eta": "in_eta", "decay": "in_decay"}
    step |= {"next_sample": "pointer", "next_step": "counter"}
    step |= {"rate": "in_rate", "share": "in_share", "l1": "penalty"}
    step = {source: target for source, target in step.items() if source in fields}
    sample = {"x": "in_x", "bias": "in_bias", "y": "in_y"}
    return Stage(
        [
            match_read(fields, "pointer", sample, ("model",), ("data",)),
            match_read(fields, "counter", step, ("model",), ("tape",)),
        ],
        [
            dot(["w", "b"], ["in_x", "in_bias"], "score"),
            scaled_copy("in_eta", {"in_x": "step_x", "in_bias": "step_bias"}),
        ],
        add(fields, {"in_y": "score"}, -1.0) + clear(fields, *_answers(fields)),
        (MODEL, "query"),
    )


def _answers(fields: Layout) -> list[str]:
    return [name for name in ("prediction", "probability") if name in fields]


def _answer(fields: Layout, average: bool, product: ProductKind) -> list[Head]:
    r"""Predictions of the queries: :math:`\sum_m (w_m^\top x + b_m)\, e_m`, one entry a model."""
    weights = ["mean_w", "mean_b"] if average else ["w", "b"]
    return queried(fields, ["asked", "query"], weights, {"code": "prediction"}, product)


def _derivative(fields: Layout, loss: Loss) -> list[Stage]:
    r"""Compute the derivative of the loss at the score s.

    A threshold in two nets is sharp: with :math:`e = B\,\mathrm{relu}(z)` and A B above the
    inverse of the smallest gap, :math:`[z \le 0] = \mathrm{relu}(1 - A e)`.
    """
    score, threshold = fields.at("score"), fields.at("threshold")
    over, under = fields.index("excess")
    model, target = fields.at("model"), fields.at("derivative")
    down, up = {target: -1.0}, {target: 1.0}
    if loss == "squared_error":  # s, cut off at +-MAX_DERIVATIVE
        cuts = [
            Unit({score: 1.0, model: -MAX_DERIVATIVE}, down),
            Unit({score: -1.0, model: -MAX_DERIVATIVE}, up),
        ]
        return [Stage(units=add(fields, {"score": "derivative"}) + cuts)]
    if loss == "huber":  # c - relu(2c - relu(s + c))
        bend = [Unit({score: 1.0, threshold: 1.0}, {over: 1.0})]
        clip = [Unit({threshold: 1.0}, up), Unit({threshold: 2.0, over: -1.0}, down)]
        return [Stage(units=bend), Stage(units=clip)]
    if loss == "epsilon_insensitive":  # [s > c] - [-s > c]
        excess = [
            Unit({score: 1.0, threshold: -1.0}, {over: _SCALE}),
            Unit({score: -1.0, threshold: -1.0}, {under: _SCALE}),
        ]
        steps = [
            Unit({model: 1.0, over: -_STEEP}, down),
            Unit({model: 1.0, under: -_STEEP}, up),
        ]
        return [Stage(units=excess), Stage(units=steps)]
    if loss == "hinge":  # -[s <= 1]
        excess = [Unit({score: 1.0, model: -1.0}, {over: 1.0})]
        return [Stage(units=excess), Stage(units=[Unit({model: 1.0, over: -_STEEP}, down)])]
    # log loss: -sigmoid(-s)
    unit = fields.at("unit")
    head = sigmoid(fields, score, unit, target, row="model", key="unit", slope=-1.0, scale=-1.0)
    return [Stage([head])]


def _update(fields: Layout) -> Stage:
    """Weights against the gradient; the L2 penalty shrinks all but the intercept.

    Of the log loss, queries take the sigmoids of their predictions.
    """
    heads = []
    if "probability" in fields:
        pairs = zip(fields.index("prediction"), fields.index("probability"), strict=True)
        unit = fields.at("unit")
        heads = [sigmoid(fields, p, unit, target, row="query", key="unit") for p, target in pairs]
    return Stage(
        heads,
        products=[
            scaled_copy("in_decay", {"w": "w"}, -1.0),
            scaled_copy("derivative", {"step_x": "w", "step_bias": "b"}, -1.0),
        ],
    )


def _l1_penalty(fields: Layout) -> Stage:
    r"""Cumulative L1 penalty, Tsuruoka et al. 2009: what each weight pays now.

    Of the penalty u due so far a weight has received q (u - q paid with negative sign), and

    .. math:: w' = \mathrm{relu}(w - u - q) - \mathrm{relu}(-w - u + q), \qquad |q| \le u,

    so one of the two terms is 0 and a weight stops at 0. The register holds :math:`w' - w`.
    """
    u = fields.at("penalty")
    units = []
    for w, q, target in zip(*map(fields.index, ("w", "paid", "shrink")), strict=True):
        units += [
            Unit({w: 1.0, u: -1.0, q: -1.0}, {target: 1.0}),
            Unit({w: -1.0, u: -1.0, q: 1.0}, {target: -1.0}),
            Unit({w: 1.0}, {target: -1.0}),
            Unit({w: -1.0}, {target: 1.0}),
        ]
    return Stage(units=units)


def _finish(fields: Layout, l1: bool, average: bool) -> Stage:
    """Record on the tape, pay the penalty, average, clear the registers for the next step."""
    record = {"score": "seen_score", "derivative": "seen_derivative", "w": "seen_w", "b": "seen_b"}
    products, units = [], []
    if average:  # mean += rate * (weights - mean)
        mean = {"mean_w": "mean_w", "mean_b": "mean_b"}
        products += [
            scaled_copy("in_rate", {"w": "mean_w", "b": "mean_b"}),
            scaled_copy("in_rate", mean, -1.0),
        ]
    if l1:
        units += add(fields, {"shrink": "w"}) + add(fields, {"shrink": "paid"})
    if l1 and average:
        products += [scaled_copy("in_share", {"shrink": "mean_w"})]
    registers = ["in_x", "in_bias", "in_y", "in_eta", "in_decay", "in_rate", "in_share", "step_x"]
    registers += ["step_bias", "score", "excess", "derivative", "shrink"]
    units += clear(fields, *(name for name in registers if name in fields))
    write = match_write(fields, "counter", record, ("tape",), ("model",))
    return Stage([write], products, units)
