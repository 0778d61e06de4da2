"""The two layers of the SUBLEQ machine."""

from sklearn_looped.programmed.transformer.layers import Head, Layer, Terms, Unit, make_layers
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    add,
    at_least,
    clear,
    code_sum,
    match_read,
    match_write,
    select,
)

ON = ("scratch",)  # the row all programs run on


def subleq_fields(n_code: int, n_value: int) -> Layout:
    """Fields: instruction operands i*, registers r*, operands v*, pending write wp, overflow."""
    codes = ("position", "ia", "ib", "ic", "pc", "ra", "rb", "rc", "inc", "wp")
    return Layout(
        one=1,
        scratch=1,
        null=1,
        overflow=1,
        **dict.fromkeys(codes, n_code),
        **dict.fromkeys(("value", "va", "vb", "delta"), n_value),
    )


def subleq_layers(fields: Layout, n_bits: int, bits: bool) -> list[Layer]:
    """Write back and fetch; read, subtract and branch."""
    write = match_write(fields, "wp", {"delta": "value"}, ("memory",), ON)

    def read(pointer: str, copy: dict[str, str], kind: str) -> Head:
        return match_read(fields, pointer, copy, ON, (kind,))

    fetch = read("pc", {"ia": "ra", "ib": "rb", "ic": "rc"}, "program")
    prepare = code_sum(fields, {"pc": 1}, 1, "inc", "scratch") + clear(
        fields, "wp", "delta", "overflow"
    )
    operands = read("ra", {"value": "va"}, "memory"), read("rb", {"value": "vb"}, "memory")
    execute = [
        *(_subtract_bits(fields, n_bits) if bits else _subtract_integers(fields, n_bits)),
        *clear(fields, "pc", "ra", "rb", "rc", "va", "vb", "inc"),
        *add(fields, {"rb": "wp"}),
    ]
    return make_layers(fields, ON, ([write, fetch], prepare), (operands, execute))


def _subtract_bits(fields: Layout, n_bits: int) -> list[Unit]:
    r"""Delta = code(b - a) - code(b), and the branch on b - a <= 0 after wrapping.

    With :math:`z = b - a + 2^N`, the wrapped result is <= 0 iff :math:`z \in [2^{N-1}, 2^N] \cup
    [3 \cdot 2^{N-1}, 2^{N+1})`.
    """
    z = {fields.at("vb", j): 2.0**j / 2 for j in range(n_bits)}
    z |= {fields.at("va", j): -(2.0**j) / 2 for j in range(n_bits)}
    # The leading bit of two's complement counts -2^(N-1): unsigned values give the same b - a.
    z[fields.at("scratch")] = 2.0**n_bits
    difference = {fields.at("vb", j): 2.0**j / 2 for j in range(n_bits)}
    difference |= {fields.at("va", j): -(2.0**j) / 2 for j in range(n_bits)}
    for name in ("va", "vb"):  # the leading bit is negative
        difference[fields.at(name, n_bits - 1)] *= -1
    half = 2 ** (n_bits - 1)
    steps = [(half, 1), (2 * half + 1, -1), (3 * half, 1)]
    return [
        *code_sum(fields, {"vb": 1, "va": -1}, 0, "delta", "scratch"),
        *add(fields, {"vb": "delta"}, -1.0),
        *select(fields, z, steps, (1, 4 * half - 1), "rc", "inc", "pc", "scratch"),
        *mark_overflow(fields, difference, n_bits),
    ]


def _subtract_integers(fields: Layout, n_bits: int) -> list[Unit]:
    """Delta = -a, and the branch on a - b >= 0."""
    z = fields.terms(va=1.0, vb=-1.0)
    limits = (-(2**n_bits), 2**n_bits)
    return [
        *add(fields, {"va": "delta"}, -1.0),
        *select(fields, z, [(0, 1)], limits, "rc", "inc", "pc", "scratch"),
        *mark_overflow(fields, fields.terms(va=-1.0, vb=1.0), n_bits),
    ]


def mark_overflow(
    fields: Layout, difference: Terms, n_bits: int, never: Terms | None = None
) -> list[Unit]:
    """Overflow <- 1 where b - a lies outside of [-2^(N-1), 2^(N-1) - 1], but for `never`."""
    mark, on, half = fields.terms(overflow=1.0), fields.at("scratch"), 2 ** (n_bits - 1)
    opposite = {i: -value for i, value in difference.items()}
    above, below = ({**terms, **(never or {})} for terms in (difference, opposite))
    return [*at_least(above, half, mark, on), *at_least(below, half + 1, mark, on)]
