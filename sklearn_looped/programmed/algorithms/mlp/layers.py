"""Weights of the MLP block: fields of a token, and what each layer does."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from sklearn_looped.programmed.transformer.layers import Head, Layer, Unit, make_layer
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    add,
    clear,
    linear_product,
    masked_head,
    match_read,
    match_write,
    products,
    sigmoid,
)

Activation = Literal["identity", "logistic", "tanh", "relu"]
OutputActivation = Literal["identity", "logistic", "softmax"]
Momentum = Literal["none", "plain", "nesterov"]

_STEEP = 2.0**512  # activations above 2**-512 times this are above 1, inputs times it finite


class Design(NamedTuple):
    """What the weights of a block depend on, beside the sizes.

    Parameters
    ----------
    kinds : tuple of str
        Kinds of token of the units, from input to output.
    activation : {"identity", "logistic", "tanh", "relu"}
        Of the hidden units.
    output : {"identity", "logistic", "softmax"}
    momentum : {"none", "plain", "nesterov"}
    """

    kinds: tuple[str, ...]
    activation: Activation
    output: OutputActivation
    momentum: Momentum

    @property
    def hidden(self) -> tuple[str, ...]:
        """Kinds of the hidden units."""
        return self.kinds[1:-1]

    @property
    def scalars(self) -> list[str]:
        """Numbers of a step that units read: step size, decay, end of the batch, momentum."""
        return ["step", "decay", "end"] + (["brake", "lead"] if self.momentum != "none" else [])

    def weights(self, letter: str) -> list[str]:
        """Weights (w), gradients (g) or velocities (v) of all layers."""
        return [f"{letter}{i}" for i in range(1, len(self.kinds))]


def mlp_fields(sizes: Sequence[int], design: Design, n_bits: int) -> Layout:
    """Fields of a token: indicators, data with its record, register, units, query."""
    d, n_outputs, last = sizes[0], sizes[-1], len(sizes) - 1
    indicators = dict.fromkeys(("one", "register", "null", "constant", *design.kinds, "query"), 1)
    data = {"position": n_bits, "x": d, "y": n_outputs, "next": n_bits}
    data |= dict.fromkeys(["weight", *design.scalars], 1)
    record = {"seen_prediction": n_outputs, "seen_squares": 1}
    register = {
        **{"pointer": n_bits, "in_x": d, "in_y": n_outputs, "in_next": n_bits},
        **{"prediction": n_outputs, "error": n_outputs, "squares": 1, "in_weight": 1},
    }
    units = {f"in_{name}": 1 for name in design.scalars}  # also on the register
    units |= {f"code{i}": size for i, size in enumerate(sizes)}
    for letter in "wg" if design.momentum == "none" else "wgv":
        units |= {f"{letter}{i + 1}": size for i, size in enumerate(sizes[:-1])}
        units |= {f"{letter}b": 1}
    units |= {"z": 1, "a": 1, "slope": 1, "back": 1, "square": 1}
    units |= {f"delta{i + 1}": 1 for i in range(last)}
    query = {"a0": d} | {f"z{i}": sizes[i] for i in range(1, last + 1)}
    query |= {f"a{i}": sizes[i] for i in range(1, last)} | {"answer": n_outputs}
    return Layout(**indicators, **data, **record, **register, **units, **query)


def mlp_layers(fields: Layout, design: Design) -> list[Layer]:
    """Read a sample, forward, error, backward, update."""
    return [
        *_read(fields, design),
        *_forward(fields, design),
        *_output_error(fields, design),
        *_backward(fields, design),
        *_update(fields, design),
    ]


def _read(fields: Layout, design: Design) -> list[Layer]:
    """Sample to the register, its numbers on to the units; z = b, squares of the weights."""
    copy = {"x": "in_x", "y": "in_y", "next": "in_next", "weight": "in_weight"}
    copy |= {name: f"in_{name}" for name in design.scalars}
    read = match_read(fields, "pointer", copy, ("register",), ("data",))
    spread = linear_product(fields, "code0", "in_x", {"register": "a"}, ("input",), ("register",))
    units = design.kinds[1:]
    numbers = {f"in_{name}": f"in_{name}" for name in design.scalars}
    tell = linear_product(fields, units, ["register"] * len(units), numbers, units, ("register",))
    arithmetic = add(fields, {"wb": "z"})
    weights = design.weights("w")
    arithmetic += products(fields, weights, weights, "square")
    forget = clear(fields, "answer")
    return [
        make_layer(fields, [read], forget, ("query",)),
        make_layer(fields, [spread, tell], arithmetic, units),
    ]


def _forward(fields: Layout, design: Design) -> list[Layer]:
    """Activations, layer by layer, up to the logits of the outputs; queries beside the sample."""
    layers = []
    last = len(design.kinds) - 1
    for i, kind in enumerate(design.kinds[1:], 1):
        keys = (design.kinds[i - 1],)
        head = linear_product(fields, f"w{i}", f"code{i - 1}", {"a": "z"}, (kind,), keys)
        asked = linear_product(
            fields,
            [f"a{i - 1}", "query"],
            [f"w{i}", "wb"],
            {f"code{i}": f"z{i}"},
            ("query",),
            (kind,),
        )
        if i == last:
            layers.append(make_layer(fields, [head, asked]))
            continue
        z, a = fields.index(f"z{i}"), fields.index(f"a{i}")
        columns = [(fields.at("z"), fields.at("a"), kind)]
        columns += [(p, q, "query") for p, q in zip(z, a, strict=True)]
        if design.activation in ("logistic", "tanh"):
            layers.append(make_layer(fields, [head, asked]))
            layers.append(_squash(fields, design.activation, columns))
        else:
            units = [u for c in columns for u in _rectify(fields, design.activation, *c)]
            layers.append(make_layer(fields, [head, asked], units, (kind, "query")))
    return layers


def _squash(
    fields: Layout, activation: Activation, columns: Sequence[tuple[int, int, str]]
) -> Layer:
    r"""Sigmoids, or :math:`\tanh z = 2 \sigma(2 z) - 1`, of (argument, target, kind of token)."""
    twice = 2.0 if activation == "tanh" else 1.0
    constant, options = fields.at("constant"), {"slope": twice, "scale": twice}
    heads = [
        sigmoid(fields, z, constant, a, row=row, key="constant", **options) for z, a, row in columns
    ]
    less = [Unit(fields.terms(**{row: 1.0}), {a: -1.0}) for _, a, row in columns]
    rows = tuple(dict.fromkeys(row for _, _, row in columns))
    return make_layer(fields, heads, less if activation == "tanh" else [], rows)


def _rectify(fields: Layout, activation: Activation, z: int, a: int, row: str) -> list[Unit]:
    """Units that set a column to the positive part of another, or to all of it."""
    gate = fields.terms(**{row: 1.0})
    negative = [Unit({z: -1.0}, {a: -1.0}, gate)] if activation == "identity" else []
    return [Unit({z: 1.0}, {a: 1.0}, gate), *negative]


def _slopes(fields: Layout, design: Design) -> list[Unit]:
    r"""Compute the derivative of the activation at hidden units.

    :math:`a (1 - a)`, :math:`1 - a^2`, :math:`[a > 0]` or 1. A rectifier is sharp: with
    :math:`A = 2^{512}`, :math:`[a \le 0] = \mathrm{relu}(1 - A a)` for activations of 0 or above
    1 / A.
    """
    a = fields.at("a")
    hidden, slope = fields.terms(**dict.fromkeys(design.hidden, 1.0)), fields.terms(slope=1.0)
    if design.activation == "logistic":
        return [Unit({a: 1.0}, slope, {**hidden, a: -1.0})]
    units = [Unit(hidden, slope)]
    if design.activation == "tanh":
        units += products(fields, "a", "a", "slope", -1.0)
    if design.activation == "relu":
        units.append(Unit({**hidden, a: -_STEEP}, fields.terms(slope=-1.0)))
    return units


def _output_error(fields: Layout, design: Design) -> list[Layer]:
    """Collect outputs and squared weights, spread o - y times the weight; answer the queries."""
    kinds, output = design.kinds, design.output
    code, last = f"code{len(kinds) - 1}", len(kinds) - 1
    row = ("register",)
    if output == "identity":
        collect = linear_product(fields, "register", "z", {code: "prediction"}, row, ("output",))
        moved, heads = add(fields, {f"z{last}": "answer"}), []
    else:
        scores = [(fields.terms(register=1.0), fields.terms(z=1.0))]
        collect = _probabilities(fields, code, scores, "register", "prediction", output)
        pairs = zip(fields.index(f"z{last}"), fields.index(code), strict=True)
        scores = [({z: 1.0}, {e: 1.0}) for z, e in pairs]
        moved, heads = [], [_probabilities(fields, code, scores, "query", "answer", output)]
    squares = linear_product(fields, "register", "square", {"one": "squares"}, row, kinds[1:])
    units = add(fields, {"prediction": "error"}) + add(fields, {"in_y": "error"}, -1.0)
    units += moved + _slopes(fields, design)
    spread = linear_product(fields, code, "error", {"in_weight": f"delta{last}"}, ("output",), row)
    rows = ("register", *design.hidden, "query")
    return [
        make_layer(fields, [collect, squares, *heads], units, rows),
        make_layer(fields, [spread]),
    ]


def _probabilities(
    fields: Layout,
    code: str,
    scores: Sequence[tuple[dict[int, float], dict[int, float]]],
    row: str,
    target: str,
    output: OutputActivation,
) -> Head:
    r"""Probabilities of the classes: a row's softmax over the output tokens.

    The row scores its logits on the output tokens and minus `beyond_logits` on all others, which
    underflow to 0; other rows read the null token. With one output token the null token is the
    other class, of logit 0: :math:`e^z / (e^z + e^0)`.
    """
    pairs, kinds = fields.pairs({code: target}), ((row,), ("output",))
    return masked_head(fields, scores, pairs, *kinds, sink=0.0 if output == "logistic" else None)


def _backward(fields: Layout, design: Design) -> list[Layer]:
    """Deltas of the hidden layers, last to first."""
    layers, kinds = [], design.kinds
    for i in range(len(kinds) - 2, 0, -1):
        copy, row, key = {f"delta{i + 1}": "back"}, kinds[i], kinds[i + 1]
        head = linear_product(fields, f"code{i}", f"w{i + 1}", copy, (row,), (key,))
        units = products(fields, "back", "slope", f"delta{i}") + clear(fields, "back")
        layers.append(make_layer(fields, [head], units, (row,)))
    return layers


def _update(fields: Layout, design: Design) -> list[Layer]:
    """Add to the gradient; at the end of a batch move the weights against it, and clear it.

    The record is written, the pointer moves on, the registers are cleared.
    """
    kinds, units = design.kinds, design.kinds[1:]
    record = {"prediction": "seen_prediction", "squares": "seen_squares"}
    heads = [match_write(fields, "pointer", record, ("data",), ("register",))]
    for i, row in enumerate(units, 1):  # the bias has the constant token for its input
        copy, keys = {f"code{i - 1}": f"g{i}", "constant": "gb"}, (kinds[i - 1], "constant")
        left, right = [f"delta{i}"] * 2, ["a", "constant"]
        heads.append(linear_product(fields, left, right, copy, (row,), keys))
    registers = ["in_x", "in_y", "in_next", "in_weight", "prediction", "error", "squares"]
    registers += ["z", "a", "slope", "square", *(f"delta{i}" for i in range(1, len(kinds)))]
    registers += [f"in_{name}" for name in design.scalars]
    registers += [f"{letter}{i}" for i in range(1, len(kinds)) for letter in "za"][:-1]
    finish = add(fields, {"in_next": "pointer"}) + clear(fields, *registers)
    finish += _scaled(fields, design, "in_end", "g", "g", -1.0)
    rows = ("register", *kinds, "query")
    against = _against(fields, design, "w")
    if design.momentum == "none":
        return [make_layer(fields, heads, against + finish, rows)]
    faster = _scaled(fields, design, "in_brake", "v", "v", -1.0) + _against(fields, design, "v")
    follow = _scaled(fields, design, "in_lead", "v", "w", 1.0)
    follow += against if design.momentum == "nesterov" else []
    return [
        make_layer(fields, heads, faster, units),
        make_layer(fields, units=follow + finish, rows=rows),
    ]


def _against(fields: Layout, design: Design, target: str) -> list[Unit]:
    """Move weights or velocities against the gradient, and by the decay of the weights."""
    units = _scaled(fields, design, "in_step", "g", target, -1.0)
    return units + _scaled(fields, design, "in_decay", "w", target, -1.0, bias=False)


def _scaled(
    fields: Layout,
    design: Design,
    factor: str,
    source: str,
    target: str,
    sign: float,
    *,
    bias: bool = True,
) -> list[Unit]:
    """Target += sign * factor * source for all weights of a unit; the factor is not negative."""
    names = [
        design.weights(letter) + ([f"{letter}b"] if bias else []) for letter in (source, target)
    ]
    pairs = zip(*(fields.index(*each) for each in names), strict=True)
    return [Unit(fields.terms(**{factor: 1.0}), {t: sign}, {s: 1.0}) for s, t in pairs]
