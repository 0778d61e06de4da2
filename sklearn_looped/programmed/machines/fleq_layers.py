"""The layers of the FLEQ machine: three, and more for compositions of functions."""

import torch

from sklearn_looped.programmed.machines.fleq_assembler import OPERATIONS
from sklearn_looped.programmed.machines.function_layers import (
    Functions,
    amplify,
    continue_functions,
    function_heads,
    function_registers,
    gain,
    n_function_layers,
    opcode,
    route_functions,
)
from sklearn_looped.programmed.transformer.layers import Head, Layer, Unit, make_layers
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    clear,
    code_sum,
    gate,
    match_read,
    match_write,
    product,
    products,
    sigmoid,
)

ON = ("scratch",)  # the row all programs run on
CODES = ("ia", "ib", "ic", "iflag", "itarget", "pc", "next", "ra", "rb", "rc", "rflag", "rtarget")
POINTERS = ("pointer", "pa", "pb", "source", "count", "destination", "rp", "wp", "oldp")
REALS = ("value", "va", "vb", "vf", "u", "v", "w", "z", "result", "old")


# Registers of one entry: the flag and the fault, and what is subnormal of them.
SIGNS = ("positive", "faint", "fault", "faint_fault")


def fleq_fields(n_code: int, n_entries: int, functions: Functions) -> Layout:
    """Fields of a token.

    Cells: value, pointer. Instructions: i*. Registers of the scratchpad: the instruction r*,
    operands va, vb, vf with pointers pa, pb; operands of the products u * v, u * w and of the
    sigmoid z; addresses to load from, to count up and to write to; the pending write result,
    rp, wp and what it overwrites, old, oldp. Registers of functions: see `function_registers`.
    """
    opcodes = [opcode(name, functions) for name in (*OPERATIONS, *functions)]
    return Layout(
        one=1,
        scratch=1,
        null=1,
        **dict.fromkeys(SIGNS, 1),
        **dict.fromkeys([f"i{name}" for name in opcodes], 1),
        **dict.fromkeys(opcodes, 1),
        **dict.fromkeys(("position", *CODES, *POINTERS), n_code),
        **dict.fromkeys(REALS, n_entries),
        **function_registers(functions, n_entries),
    )


def real_fields(functions: Functions) -> set[str]:
    """Fields that hold real numbers; all others hold -1, 0 and 1."""
    return {*REALS, *SIGNS, *function_registers(functions, 1)}


def fleq_layers(fields: Layout, functions: Functions) -> list[Layer]:
    """Write back and fetch; read and route; apply and branch, the last of one or more layers."""
    applying: list[tuple[tuple[Head, ...], list[Unit]]] = [
        (function_heads(fields, functions, s), continue_functions(fields, functions, s + 1))
        for s in range(n_function_layers(functions))
    ]
    applying[0] = (_load(fields) + applying[0][0], applying[0][1])
    applying[-1][1].extend(_apply(fields, functions))
    return make_layers(
        fields,
        ON,
        (_write_and_fetch(fields, functions), _advance(fields)),
        (_read(fields), _route(fields) + route_functions(fields, functions)),
        *applying,
    )


def _write_and_fetch(fields: Layout, functions: Functions) -> tuple[Head, ...]:
    """Overwrite exactly: first the old contents are taken away, then the result is added."""
    opcodes = [opcode(name, functions) for name in (*OPERATIONS, *functions)]
    fetch = {f"i{name}": name for name in opcodes}
    fetch |= {"ia": "ra", "ib": "rb", "ic": "rc", "iflag": "rflag", "itarget": "rtarget"}

    def write(copy: dict[str, str], scale: float) -> Head:
        return match_write(fields, "wp", copy, ("memory",), ON, scale=scale)

    return (
        write({"old": "value", "oldp": "pointer"}, -1.0),
        write({"result": "value", "rp": "pointer"}, 1.0),
        match_read(fields, "pc", fetch, ON, ("program",)),
    )


def _advance(fields: Layout) -> list[Unit]:
    """Next <- pc + 1; the write is no longer pending."""
    done = clear(fields, "result", "rp", "wp", "old", "oldp")
    return code_sum(fields, {"pc": 1}, 1, "next", "scratch") + done


def _read(fields: Layout) -> tuple[Head, ...]:
    """Operands and flag."""
    return (
        _read_cell(fields, "ra", {"value": "va", "pointer": "pa"}),
        _read_cell(fields, "rb", {"value": "vb", "pointer": "pb"}),
        _read_cell(fields, "rflag", {"value": "vf"}),
    )


def _read_cell(fields: Layout, at: str, copy: dict[str, str]) -> Head:
    return match_read(fields, at, copy, ON, ("memory",))


def _route(fields: Layout) -> list[Unit]:
    """Gate the operands to the function of the opcode, each by itself.

    A gate of two operands could overflow where its opcode is off, and 0 times infinity is nan.
    """
    at, small = fields.at, 1 / gain(fields.dtype)
    units = [
        Unit({at("vf"): 1.0}, {at("positive"): 1.0, at("faint"): 1.0}),
        Unit({at("vf"): 1.0, at("scratch"): -small}, {at("faint"): -1.0}),
        Unit({at("trap"): 1.0}, {at("fault"): 1.0}),
    ]

    def send(operations: tuple[str, ...], source: str, target: str, sign: float = 1.0) -> None:
        for operation in operations:
            for i, j in fields.pairs({source: target}):
                units.extend(gate(at(operation), {i: sign}, j))

    send(("move", "store"), "pa", "rp")
    send(("load",), "pa", "source")
    send(("increment",), "pa", "count")
    send(("scratch",), "rc", "destination")
    send(("store",), "rc", "destination", -1.0)
    send(("store",), "pb", "destination")
    send(("move", "store", "increment", "add", "subtract"), "va", "result")
    send(("add",), "vb", "result")
    send(("subtract",), "vb", "result", -1.0)
    send(("dot", "multiply"), "va", "u")
    send(("dot",), "vb", "v")
    send(("multiply", "scale"), "vb", "w")
    send(("sigmoid",), "va", "z")
    for i in range(fields.size("value")):
        units += gate(at("scale"), {at("va"): 1.0}, at("u", i))
    return units + clear(fields, "va", "vb", "vf", "pa", "pb", "ra", "rb", "rc", "rflag")


def _load(fields: Layout) -> tuple[Head, ...]:
    """Indirect operand, old contents of the destination, and sigmoids entry by entry."""
    at = fields.at
    return (
        _read_cell(fields, "source", {"value": "result", "pointer": "rp"}),
        _read_cell(fields, "destination", {"value": "old", "pointer": "oldp"}),
        *(
            sigmoid(fields, at("z", i), at("sigmoid"), at("result", i), row=ON[0])
            for i in range(fields.size("z"))
        ),
        amplify(fields),
    )


def _apply(fields: Layout, functions: Functions) -> list[Unit]:
    r"""Products, pointer increment, branch, fault.

    With h = relu(flag) / (the smallest normal number), amplified where the flag is subnormal, and
    code bits b in {-1, +1},

    .. math:: [f \le 0 \wedge b = 1] = \mathrm{relu}(1 - h - (1 - b) / 2), \qquad
        [f > 0 \wedge b = 1] = \mathrm{relu}((1 + b) / 2) - \mathrm{relu}(1 - h - (1 - b) / 2).

    h is formed inside the units, whose relu turns minus infinity into 0, so no flag is too large.
    A fault counts as a flag of its own: the program counter stays and nothing is written.
    """
    at, on = fields.at, fields.at("scratch")
    steep = 1 / torch.finfo(fields.dtype).tiny
    sound = {at("fault"): -steep}
    units = []
    for i in range(fields.size("u")):
        units += product({at("u", i): 1.0}, {at("v", i): 1.0}, at("result"))
    units += products(fields, "u", "w", "result")
    units += code_sum(fields, {"count": 1}, 1, "rp", "increment")
    units += clear(fields, "pc")
    for i, bit in enumerate(fields.index("pc")):
        target, following = at("rtarget", i), at("next", i)
        not_positive = {**sound, on: 0.5, at("positive"): -steep}
        units += [
            Unit({**not_positive, target: 0.5}, {bit: 2.0}),
            Unit({**sound, on: 0.5, following: 0.5}, {bit: 2.0}),
            Unit({**not_positive, following: 0.5}, {bit: -2.0}),
            Unit({on: 0.5, bit: 0.5}, {bit: 2.0}),
            Unit({**sound, on: 0.5, bit: 0.5}, {bit: -2.0}),
            Unit({on: 1.0}, {bit: -1.0}),
        ]
    units += [
        Unit({**sound, source: sign}, {target: sign})
        for source, target in fields.pairs({"destination": "wp"})
        for sign in (1.0, -1.0)
    ]
    spent = ("source", "count", "destination", "next", "rtarget", "u", "v", "w", "z")
    signs = ("positive", "faint", "faint_fault")  # a fault stays
    opcodes = [opcode(name, functions) for name in (*OPERATIONS, *functions)]
    registers = function_registers(functions, 1)
    return units + clear(fields, *spent, *signs, *opcodes, *registers)
