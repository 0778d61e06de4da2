"""SUBLEQ in the paper's own form: ties, buffers and an error correction, ten layers.

Giannou et al. 2023, Section 4 and Appendix B: read the instruction (1 layer), read both operands
(1), subtract (3), write (1), branch (3), correct errors (1); the paper's count is nine, its
authors' code takes these ten. The scratchpad and the token it
points to attend to each other with weights 1/2, 1/2; a buffer takes the average, and the
feed-forward net undoes it. Two deviations keep the weights fixed: constants ride on the fields
``one`` and ``scratch``, and the epsilon of the error correction is a constant.
"""

import math

import torch

from sklearn_looped.programmed.layers import FeedForward, Head, Layer, Unit
from sklearn_looped.programmed.layout import Layout
from sklearn_looped.programmed.primitives import clear, code_sum, make_head

EPSILON = 0.25  # error that the last layer removes; 1 - 2 * EPSILON is a power of two
GATE = 8.0  # above 2 * |average - old| <= 4, so a gated unit stays at 0
KINDS = ("scratch", "memory", "program")


def paper_fields(n_code: int, n_bits: int) -> Layout:
    """Fields of a token, as in the paper: command, memory, registers, counter, buffer."""
    codes = ("position", "ia", "ib", "ic", "ra", "rb", "rc", "pc", "inc")
    return Layout(
        one=1,
        scratch=1,
        flag=1,
        **dict.fromkeys(codes, n_code),
        **dict.fromkeys(("value", "va", "vb"), n_bits),
        buffer=max(3 * n_code, 2 * n_bits),
    )


def paper_temperature(n_tokens: int, n_bits: int) -> float:
    r"""Smallest sufficient temperature, and at least the paper's :math:`\log(n^3 / \epsilon)`.

    A tie is missed by :math:`n e^{-2\lambda}`, which the adder multiplies by up to
    :math:`2^{N + 4}`; the product must stay below epsilon.
    """
    return max(math.log(n_tokens**3 / EPSILON), sufficient_margin(n_tokens, n_bits) / 2)


def sufficient_margin(n_tokens: int, n_bits: int) -> float:
    """Logit margin 2 lambda from which on a loop in exact arithmetic errs by epsilon / 2."""
    return math.log(2.0 ** (n_bits + 5) * n_tokens / EPSILON)


def paper_error(n_tokens: int, n_bits: int, temperature: float, dtype: torch.dtype) -> float:
    """Error of one loop before the error correction; it must stay below `EPSILON`."""
    missed = n_tokens * math.exp(-2 * temperature) + 4 * torch.finfo(dtype).eps
    return 2.0 ** (n_bits + 4) * missed


def paper_layers(
    fields: Layout, n_tokens: int, temperature: float | None, dtype: torch.dtype
) -> list[Layer]:
    """Build the ten layers.

    Raises
    ------
    ValueError
        If a loop's error exceeds what the error correction removes.
    """
    n_bits = fields.size("value")
    if temperature is None:
        temperature = paper_temperature(n_tokens, n_bits)
    if (error := paper_error(n_tokens, n_bits, temperature, dtype)) > EPSILON:
        raise ValueError(
            f"Got temperature={temperature:.4g} and n_bits={n_bits}: a loop errs by up to "
            f"{error:.3g}, but the error correction removes {EPSILON}; the bound on "
            f"the temperature is {paper_temperature(n_tokens, n_bits):.4g}, and fewer bits or "
            "float64 help too."
        )

    def tie(pointer: str, sources: list[tuple[str, ...]], start: int = 0) -> Head:
        return _tie(fields, pointer, sources, start, temperature, dtype)

    fetch = tie("pc", [("ia", "ib", "ic"), ("ra", "rb", "rc")])
    operands = tie("ra", [("value",), ("va",)]), tie("rb", [("value",), ("vb",)], n_bits)
    write = tie("rb", [("vb",), ("value",)])
    on = fields.at("scratch")
    steps: list[tuple[tuple[Head, ...], list[Unit]]] = [
        ((fetch,), _undo(fields, ["ra", "rb", "rc"], {fields.at("one"): -GATE, on: GATE})),
        (operands, _undo(fields, ["va", "vb"], {fields.at("one"): -GATE, on: GATE})),
        ((), clear(fields, "va") + clear(fields, "va")),  # flip all bits
        ((), clear(fields, "va") + code_sum(fields, {"va": 1}, 1, "va", "scratch")),
        ((), clear(fields, "vb") + code_sum(fields, {"va": 1, "vb": 1}, 0, "vb", "scratch")),
        ((write,), _undo(fields, ["value"], {on: -GATE})),
        ((), _flag(fields)),
        ((), code_sum(fields, {"pc": 1}, 1, "inc", "scratch")),
        ((), _branch(fields)),
        ((), _correct(fields, ["pc", "value"])),
    ]
    return [
        Layer(heads, FeedForward(units, fields.width, KINDS, fields.at("one"), dtype))
        for heads, units in steps
    ]


def _tie(
    fields: Layout,
    pointer: str,
    sources: list[tuple[str, ...]],
    start: int,
    temperature: float,
    dtype: torch.dtype,
) -> Head:
    """Q = K = pointer + position: the scratchpad and the token named average their sources."""
    W = {(column, j): 1.0 for j, column in enumerate(fields.index("position"))}
    W |= {(column, j): 1.0 for j, column in enumerate(fields.index(pointer))}
    pairs = [
        (column, fields.at("buffer", start + j))
        for names in sources
        for j, column in enumerate(fields.index(*names))
    ]
    return make_head(
        fields,
        "softmax",
        W,
        W,
        pairs,
        rows=KINDS,
        keys=KINDS,
        temperature=temperature,
        dtype=dtype,
    )


def _undo(fields: Layout, names: list[str], gate: dict[int, float]) -> list[Unit]:
    """Field += 2 * (average - field) where the gate is 0, nothing where it is -GATE."""
    units = clear(fields, "buffer")
    for column, average in zip(fields.index(*names), fields.index("buffer"), strict=False):
        for sign in (1.0, -1.0):
            units.append(Unit({**gate, average: 2 * sign, column: -2 * sign}, {column: sign}))
    return units


def _flag(fields: Layout) -> list[Unit]:
    """Flag = relu(b_N) + relu(1 - N - sum of bits): the result is negative, or 0."""
    bits = fields.index("vb")
    zero = {bit: -1.0 for bit in bits} | {fields.at("scratch"): 1.0 - len(bits)}
    flag = {fields.at("flag"): 1.0}
    return [Unit({bits[-1]: 1.0}, flag), Unit(zero, flag)]


def _branch(fields: Layout) -> list[Unit]:
    """Pc = 2 relu(inc - flag) + 2 relu(rc - (1 - flag)) - 1."""
    flag, on = fields.at("flag"), fields.at("scratch")
    units = clear(fields, "pc", "inc", "flag")
    for i, bit in enumerate(fields.index("pc")):
        units += [
            Unit({fields.at("inc", i): 1.0, flag: -1.0}, {bit: 2.0}),
            Unit({fields.at("rc", i): 1.0, flag: 1.0, on: -1.0}, {bit: 2.0}),
            Unit({on: 1.0}, {bit: -1.0}),
        ]
    return units


def _correct(fields: Layout, names: list[str]) -> list[Unit]:
    r"""Round to -1, 0, 1 all entries that are off by at most epsilon.

    .. math:: (\mathrm{relu}(b + 1 - \epsilon) - \mathrm{relu}(b + \epsilon) +
        \mathrm{relu}(b - \epsilon) - \mathrm{relu}(b - 1 + \epsilon)) / (1 - 2 \epsilon) - 1.
    """
    one, slope = fields.at("one"), 1 / (1 - 2 * EPSILON)
    steps = ((1 - EPSILON, slope), (EPSILON, -slope), (-EPSILON, slope), (EPSILON - 1, -slope))
    units = clear(fields, *names)
    for bit in fields.index(*names):
        units += [Unit({bit: 1.0, one: shift}, {bit: sign}) for shift, sign in steps]
        units.append(Unit({one: 1.0}, {bit: -1.0}))
    return units
