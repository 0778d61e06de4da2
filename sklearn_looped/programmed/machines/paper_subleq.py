r"""SUBLEQ in the paper's own form: ties, buffers and an error correction, ten layers.

Giannou et al. 2023, Section 4 and Appendix B: read the instruction (1 layer), read both operands
(1), subtract (3), write (1), branch (3), correct errors (1); the paper's count is nine, its
authors' code takes these ten. The scratchpad and the token it
points to attend to each other with weights 1/2, 1/2; a buffer takes the average, and the
feed-forward net undoes it. Two deviations keep the weights fixed: constants ride on the fields
``one`` and ``scratch``, and the epsilon of the error correction is a constant.

Exactness. All other tokens score 2 below the two of a tie, so with n tokens and the temperature
lambda an operand's bits are missed by :math:`\delta = 2 n e^{-2\lambda}`. The adder's bit i changes
by twice the error of :math:`\sum_{j \le i} 2^{j-1} b_j`: the negation misses it by
:math:`2^{i+1} \delta`, and the sum behind it, with no correction between them, by
:math:`\tfrac{2}{3} 4^{i+1} \delta`. So the error grows like 4^N in N bits, and rounding grows with
it: 16 bits would take a margin above 30 in float64 and have none in float32. The temperature is
therefore the one at which :math:`e^{-2\lambda}` rounds to 0. Ties are then 1/2, 1/2 in every bit,
the states exact, and the last layer keeps the paper's form but finds nothing to correct.
"""

from functools import partial
from typing import Any, Literal

import torch

from sklearn_looped.programmed.machines.subleq import SubleqMachine
from sklearn_looped.programmed.transformer.layers import Head, Layer, Unit, make_layers
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import clear, code_sum, make_head

EPSILON = 0.25  # error that the last layer removes; 1 - 2 * EPSILON is a power of two
GATE = 8.0  # above 2 * |average - old| <= 4, so a gated unit stays at 0
KINDS = ("scratch", "memory", "program")


class PaperSubleqMachine(SubleqMachine):
    r"""The SUBLEQ machine of Giannou et al. 2023: ten layers where `SubleqMachine` has two.

    Reads that tie with the scratchpad, buffers, a subtraction of three layers and an error
    correction with a fixed epsilon. Its ties are exact from a temperature of their own on.

    Parameters
    ----------
    n_memory, n_instructions, n_bits, dtype, temperature
        As in `SubleqMachine`; cells are two's complement codes, which wrap around.

    References
    ----------
    A. Giannou et al., "Looped Transformers as Programmable Computers", ICML 2023, Section 4.

    Examples
    --------
    >>> from sklearn_looped.programmed.machines.paper_subleq import PaperSubleqMachine
    >>> machine = PaperSubleqMachine(n_memory=8, n_instructions=12)
    >>> machine.run("x: .word 20\n y: .word 22\n add x, y")["y"], len(machine.block.layers)
    (42, 10)
    """

    pending = ()  # it writes in the same loop
    _others = ("scratch",)

    def __init__(
        self,
        n_memory: int,
        n_instructions: int,
        *,
        n_bits: int = 16,
        dtype: Literal["float64", "float32"] = "float64",
        temperature: float | None = None,
    ) -> None:
        options: dict[str, Any] = {"n_bits": n_bits, "dtype": dtype, "temperature": temperature}
        super().__init__(n_memory, n_instructions, **options, overflow="wrap")

    def _body(self, n_code: int, dtype: torch.dtype) -> tuple[Layout, list[Layer]]:
        fields = paper_fields(n_code, self.n_bits).astype(dtype)
        return fields, paper_layers(fields)


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


def paper_layers(fields: Layout) -> list[Layer]:
    """Build the ten layers."""
    n_bits, tie = fields.size("value"), partial(_tie, fields)
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
    return make_layers(fields, KINDS, *steps)


def _tie(fields: Layout, pointer: str, sources: list[tuple[str, ...]], start: int = 0) -> Head:
    """Q = K = pointer + position: the scratchpad and the token named average their sources.

    Both score L, the bits of a position, all others at most L - 2.
    """
    codes = zip(fields.index("position"), fields.index(pointer), strict=True)
    scores = [({i: 1.0, j: 1.0}, {i: 1.0, j: 1.0}) for i, j in codes]
    pairs = [
        (column, fields.at("buffer", start + j))
        for names in sources
        for j, column in enumerate(fields.index(*names))
    ]
    return make_head(fields, scores, pairs, KINDS, KINDS, margin=2.0)


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
