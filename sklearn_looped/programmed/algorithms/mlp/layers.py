"""Weights of the MLP block: fields of a token, and what each layer does."""

from collections.abc import Sequence
from typing import Literal

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

OutputActivation = Literal["identity", "logistic", "softmax"]


def mlp_fields(sizes: Sequence[int], kinds: Sequence[str], n_bits: int) -> Layout:
    """Fields of a token: indicators, data with its record, register, units."""
    d, n_outputs, last = sizes[0], sizes[-1], len(sizes) - 1
    indicators = dict.fromkeys(("one", "register", "null", "constant", *kinds), 1)
    data = {"position": n_bits, "x": d, "y": n_outputs, "next": n_bits}
    record = {"seen_prediction": n_outputs, "seen_squares": 1}
    register = {
        **{"pointer": n_bits, "eta": 1, "in_x": d, "in_y": n_outputs, "in_next": n_bits},
        **{"prediction": n_outputs, "step": n_outputs, "squares": 1},
    }
    units = {f"code{i}": size for i, size in enumerate(sizes)}
    units |= {f"w{i + 1}": size for i, size in enumerate(sizes[:-1])}  # those of layer i + 1
    units |= {"b": 1, "decay": 1, "z": 1, "a": 1, "slope": 1, "back": 1, "square": 1}
    units |= {f"delta{i + 1}": 1 for i in range(last)}
    return Layout(**indicators, **data, **record, **register, **units)


def mlp_layers(fields: Layout, kinds: Sequence[str], output: OutputActivation) -> list[Layer]:
    """Read a sample, forward, error, backward, update."""
    return [
        *_read(fields, kinds),
        *_forward(fields, kinds),
        *_output_error(fields, kinds, output),
        *_backward(fields, kinds),
        _update(fields, kinds),
    ]


def _weights(kinds: Sequence[str]) -> list[str]:
    return [f"w{i}" for i in range(1, len(kinds))]


def _read(fields: Layout, kinds: Sequence[str]) -> list[Layer]:
    """Sample to the register, features on to the input units; z = b, squares of the weights."""
    copy = {"x": "in_x", "y": "in_y", "next": "in_next"}
    read = match_read(fields, "pointer", copy, ("register",), ("data",))
    spread = linear_product(fields, "code0", "in_x", {"register": "a"}, ("input",), ("register",))
    units = add(fields, {"b": "z"})
    units += products(fields, _weights(kinds), _weights(kinds), "square")
    return [make_layer(fields, [read]), make_layer(fields, [spread], units, tuple(kinds[1:]))]


def _forward(fields: Layout, kinds: Sequence[str]) -> list[Layer]:
    """Activations, layer by layer, up to the logits of the outputs; slopes a (1 - a)."""
    layers = []
    hidden = kinds[1:-1]
    a = fields.at("a")
    rest = fields.terms(**dict.fromkeys(hidden, 1.0), a=-1.0)
    slope = Unit({a: 1.0}, fields.terms(slope=1.0), rest)
    for i, kind in enumerate(kinds[1:], 1):
        copy, keys = {"a": "z"}, (kinds[i - 1],)
        head = linear_product(fields, f"w{i}", f"code{i - 1}", copy, (kind,), keys)
        layers.append(make_layer(fields, [head]))
        if kind in hidden:
            columns = fields.at("z"), fields.at("constant"), a
            units = [slope] if kind == hidden[-1] else []
            head = sigmoid(fields, *columns, row=kind, key="constant")
            layers.append(make_layer(fields, [head], units, tuple(hidden)))
    return layers


def _output_error(fields: Layout, kinds: Sequence[str], output: OutputActivation) -> list[Layer]:
    """Collect outputs and squared weights in the register, spread eta (o - y) to the outputs."""
    code = f"code{len(kinds) - 1}"
    row = ("register",)
    if output == "identity":
        collect = linear_product(fields, "register", "z", {code: "prediction"}, row, ("output",))
    else:
        collect = _probabilities(fields, code, binary=output == "logistic")
    squares = linear_product(
        fields, "register", "square", {"one": "squares"}, row, tuple(kinds[1:])
    )
    columns = map(fields.index, ("prediction", "in_y", "step"))
    steps = [
        Unit(fields.terms(eta=1.0), {step: 1.0}, {o: 1.0, y: -1.0})
        for o, y, step in zip(*columns, strict=True)
    ]
    delta = {"register": f"delta{len(kinds) - 1}"}
    spread = linear_product(fields, code, "step", delta, ("output",), row)
    return [make_layer(fields, [collect, squares], steps, row), make_layer(fields, [spread])]


def _probabilities(fields: Layout, code: str, *, binary: bool) -> Head:
    r"""Probabilities of the classes: the register's softmax over the output tokens.

    The register scores z on the output tokens and minus `beyond_logits` on all others, which
    underflow to 0; other rows read the null token. With one output token the null token is the
    other class, of logit 0: :math:`e^z / (e^z + e^0)`.
    """
    scores = [(fields.terms(register=1.0), fields.terms(z=1.0))]
    pairs, kinds = fields.pairs({code: "prediction"}), (("register",), ("output",))
    return masked_head(fields, scores, pairs, *kinds, sink=0.0 if binary else None)


def _backward(fields: Layout, kinds: Sequence[str]) -> list[Layer]:
    """Deltas of the hidden layers, last to first; behind the last use of the weights, the decay."""
    layers = []
    for i in range(len(kinds) - 2, 0, -1):
        copy, row, key = {f"delta{i + 1}": "back"}, kinds[i], kinds[i + 1]
        head = linear_product(fields, f"code{i}", f"w{i + 1}", copy, (row,), (key,))
        units = products(fields, "back", "slope", f"delta{i}")
        units += clear(fields, "back")
        if i == 1:
            for w in fields.index(*_weights(kinds)):
                units.append(Unit(fields.terms(decay=1.0), {w: -1.0}, {w: 1.0}))
        layers.append(make_layer(fields, [head], units, tuple(kinds[1:]) if i == 1 else (row,)))
    return layers


def _update(fields: Layout, kinds: Sequence[str]) -> Layer:
    """Weights and biases against the gradient, the record, the next pointer; registers cleared."""
    record = {"prediction": "seen_prediction", "squares": "seen_squares"}
    heads = [match_write(fields, "pointer", record, ("data",), ("register",))]
    units = add(fields, {"in_next": "pointer"})
    deltas = [f"delta{i}" for i in range(1, len(kinds))]
    for i, delta in enumerate(deltas, 1):
        copy, row, key = {f"code{i - 1}": f"w{i}"}, kinds[i], kinds[i - 1]
        heads.append(linear_product(fields, delta, "a", copy, (row,), (key,), scale=-1.0))
        units += add(fields, {delta: "b"}, -1.0)
    registers = ["in_x", "in_y", "in_next", "prediction", "step", "squares"]
    registers += ["z", "a", "slope", "square", *deltas]
    units += clear(fields, *registers)
    return make_layer(fields, heads, units, ("register", *kinds))
