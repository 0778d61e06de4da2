"""The MLP block: one pass of the loop body is one step of backpropagation and gradient descent."""

from collections.abc import Sequence
from typing import Literal

import torch

from sklearn_looped.programmed.transformer.certificate import certify
from sklearn_looped.programmed.transformer.evaluation import LoopedTransformer
from sklearn_looped.programmed.transformer.layers import FeedForward, Head, Layer, Unit
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    add,
    beyond_logits,
    clear,
    linear_product,
    make_head,
    match_read,
    match_write,
    product,
    sigmoid,
)

OutputActivation = Literal["identity", "logistic", "softmax"]


class MLPBlock:
    r"""Loop body of fixed weights that takes one SGD step of a sigmoid network a pass.

    Every unit of the network, input, hidden or output, is a token. It holds its incoming weights
    :math:`w_k`, its bias and a one-hot code :math:`e_k` of its place in its layer. A *data* token
    is a sample (x, y) with a pointer to the next one, a linked list; the *register* token holds the
    pointer, the step size and the sample of the moment. Linear attention between two layers of
    units is a product with their weight matrix, its transpose, or an outer product:

    - forward, :math:`z_k = b_k + \sum_j (w_k^\top e_j)\, a_j`;
    - backward, :math:`\sum_k (e_j^\top w_k)\, \delta_k`;
    - update, :math:`w_k \leftarrow w_k - \gamma w_k - \sum_j (\delta_k a_j)\, e_j`, with
      :math:`\delta` times the step size :math:`\eta` and the decay :math:`\gamma = \eta\alpha`.

    So no weight has to be transposed or moved. The sigmoid is a softmax over two keys, the softmax
    of several classes one over the output tokens; products on one token are gated hidden units. All
    of it rounds as floating-point arithmetic does, nothing is approximated.

    This is the backpropagation of Giannou et al. 2023 as a block of its own: one loop a sample and
    3m + 6 layers for any number m of hidden layers, where theirs is a program of many loops on a
    machine of 13 layers, for m = 1.

    The certificate covers the pointer matches. The soft heads need none: their masked keys are
    `beyond_logits` away and underflow to 0 exactly.

    Parameters
    ----------
    layer_sizes : sequence of int
        Numbers of features, of units in each hidden layer, and of outputs; three or more.
    n_bits : int
        Bits L of a position: the sequence has at most 2**L tokens.
    output : {"identity", "logistic", "softmax"}
        What the outputs are passed through. Its loss, half the squared error or the log loss, has
        the derivative :math:`o - y` by the logits. "logistic" is for a single output.

    Attributes
    ----------
    fields : Layout
        Fields of a token.
    layers : list of Layer
        The loop body.
    certificate : Certificate

    Raises
    ------
    ValueError
        If there is no hidden layer, or several logistic outputs.

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.mlp import MLPBlock
    >>> block = MLPBlock([4, 16, 1], 10, "identity")
    >>> len(block.layers), block.certificate.logit_margin
    (9, 1024.0)
    """

    def __init__(self, layer_sizes: Sequence[int], n_bits: int, output: OutputActivation) -> None:
        if len(layer_sizes) < 3:
            raise ValueError(f"Got layer sizes {list(layer_sizes)}, expected a hidden layer.")
        if output == "logistic" and layer_sizes[-1] != 1:
            raise ValueError(f"Got {layer_sizes[-1]} logistic outputs, expected one.")
        self.layer_sizes, self.n_bits = tuple(layer_sizes), n_bits
        # One kind of token for each layer of the network, in order.
        hidden = [f"hidden{i}" for i in range(1, len(layer_sizes) - 1)]
        self.kinds = ("input", *hidden, "output")
        self.fields = _fields(self.layer_sizes, self.kinds, n_bits)
        self.layers = [
            *_read(self.fields, self.kinds),
            *_forward(self.fields, self.kinds),
            *_output_error(self.fields, self.kinds, output),
            *_backward(self.fields, self.kinds),
            _update(self.fields, self.kinds),
        ]
        names = ("one", "register", "null", "constant", *self.kinds, "position", "next")
        codes = {**dict.fromkeys(names, 1), "pointer": 1, "in_next": 2, "next": 2}
        codes |= {f"code{i}": 1 for i in range(len(self.kinds))}
        self.certificate = certify(self.layers, self.fields, codes, torch.float64)

    def tokens(self, n_samples: int) -> Layout:
        """Kinds of token of a sequence with so many samples."""
        units = dict(zip(self.kinds, self.layer_sizes, strict=True))
        return Layout(register=1, **units, null=1, constant=1, data=n_samples)

    def transformer(self, tokens: Layout) -> LoopedTransformer:
        """Looped transformer of these weights over a sequence of the given tokens."""
        return LoopedTransformer(self.layers, tokens)


def _fields(sizes: Sequence[int], kinds: Sequence[str], n_bits: int) -> Layout:
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


def _layer(fields: Layout, heads: Sequence[Head], units: Sequence[Unit], *rows: str) -> Layer:
    net = FeedForward(units, fields.width, rows, fields.at("one")) if units else None
    return Layer(tuple(heads), net)


def _weights(kinds: Sequence[str]) -> list[str]:
    return [f"w{i}" for i in range(1, len(kinds))]


def _read(fields: Layout, kinds: Sequence[str]) -> list[Layer]:
    """Sample to the register, features on to the input units; z = b, squares of the weights."""
    copy = {"x": "in_x", "y": "in_y", "next": "in_next"}
    read = match_read(fields, "pointer", copy, rows=("register",), keys=("data",))
    spread = linear_product(
        fields, "code0", "in_x", {"register": "a"}, rows=("input",), keys=("register",)
    )
    units = add(fields, {"b": "z"})
    for w in fields.index(*_weights(kinds)):
        units += product({w: 1.0}, {w: 1.0}, fields.at("square"))
    return [_layer(fields, [read], ()), _layer(fields, [spread], units, *kinds[1:])]


def _forward(fields: Layout, kinds: Sequence[str]) -> list[Layer]:
    """Activations, layer by layer, up to the logits of the outputs; slopes a (1 - a)."""
    layers = []
    hidden = kinds[1:-1]
    a = fields.at("a")
    slope = Unit(
        {a: 1.0}, fields.terms(slope=1.0), fields.terms(**dict.fromkeys(hidden, 1.0), a=-1.0)
    )
    for i, kind in enumerate(kinds[1:], 1):
        source = kinds[i - 1]
        head = linear_product(
            fields, f"w{i}", f"code{i - 1}", {"a": "z"}, rows=(kind,), keys=(source,)
        )
        layers.append(_layer(fields, [head], ()))
        if kind in hidden:
            columns = fields.at("z"), fields.at("constant"), a
            units = [slope] if kind == hidden[-1] else []
            head = sigmoid(fields, *columns, row=kind, key="constant")
            layers.append(_layer(fields, [head], units, *hidden))
    return layers


def _output_error(fields: Layout, kinds: Sequence[str], output: OutputActivation) -> list[Layer]:
    """Collect outputs and squared weights in the register, spread eta (o - y) to the outputs."""
    code = f"code{len(kinds) - 1}"
    row = ("register",)
    if output == "identity":
        collect = linear_product(
            fields, "register", "z", {code: "prediction"}, rows=row, keys=("output",)
        )
    else:
        collect = _probabilities(fields, code, binary=output == "logistic")
    squares = linear_product(
        fields, "register", "square", {"one": "squares"}, rows=row, keys=tuple(kinds[1:])
    )
    columns = map(fields.index, ("prediction", "in_y", "step"))
    steps = [
        Unit(fields.terms(eta=1.0), {step: 1.0}, {o: 1.0, y: -1.0})
        for o, y, step in zip(*columns, strict=True)
    ]
    delta = {"register": f"delta{len(kinds) - 1}"}
    spread = linear_product(fields, code, "step", delta, rows=("output",), keys=row)
    return [_layer(fields, [collect, squares], steps, "register"), _layer(fields, [spread], ())]


def _probabilities(fields: Layout, code: str, *, binary: bool) -> Head:
    r"""Probabilities of the classes: the register's softmax over the output tokens.

    The register scores z on the output tokens and minus `beyond_logits` on all others, which
    underflow to 0; other rows read the null token. With one output token the null token is the
    other class, of logit 0: :math:`e^z / (e^z + e^0)`.
    """
    far = beyond_logits(torch.float64)
    one, register, null = map(fields.at, ("one", "register", "null"))
    Wq = {(register, 0): 1.0, (register, 1): 1.0, (one, 2): 1.0, (register, 2): -1.0}
    Wk = {(fields.at("z"), 0): 1.0, (one, 1): -far, (fields.at("output"), 1): far}
    Wk |= {(null, 2): far, **({(null, 1): far} if binary else {})}
    pairs = fields.pairs({code: "prediction"})
    return make_head(fields, "softmax", Wq, Wk, pairs, rows=("register",), keys=("output", "null"))


def _backward(fields: Layout, kinds: Sequence[str]) -> list[Layer]:
    """Deltas of the hidden layers, last to first; behind the last use of the weights, the decay."""
    layers = []
    for i in range(len(kinds) - 2, 0, -1):
        copy, row, key = {f"delta{i + 1}": "back"}, kinds[i], kinds[i + 1]
        head = linear_product(fields, f"code{i}", f"w{i + 1}", copy, rows=(row,), keys=(key,))
        units = product(fields.terms(back=1.0), fields.terms(slope=1.0), fields.at(f"delta{i}"))
        units += clear(fields, "back")
        if i == 1:
            for w in fields.index(*_weights(kinds)):
                units.append(Unit(fields.terms(decay=1.0), {w: -1.0}, {w: 1.0}))
        layers.append(_layer(fields, [head], units, *(kinds[1:] if i == 1 else [row])))
    return layers


def _update(fields: Layout, kinds: Sequence[str]) -> Layer:
    """Weights and biases against the gradient, the record, the next pointer; registers cleared."""
    record = {"prediction": "seen_prediction", "squares": "seen_squares"}
    heads = [match_write(fields, "pointer", record, rows=("data",), keys=("register",))]
    units = add(fields, {"in_next": "pointer"})
    deltas = [f"delta{i}" for i in range(1, len(kinds))]
    for i, delta in enumerate(deltas, 1):
        copy, row, key = {f"code{i - 1}": f"w{i}"}, kinds[i], kinds[i - 1]
        heads.append(linear_product(fields, delta, "a", copy, scale=-1.0, rows=(row,), keys=(key,)))
        units += add(fields, {delta: "b"}, -1.0)
    registers = ["in_x", "in_y", "in_next", "prediction", "step", "squares"]
    registers += ["z", "a", "slope", "square", *deltas]
    units += clear(fields, *registers)
    return _layer(fields, heads, units, "register", *kinds)
