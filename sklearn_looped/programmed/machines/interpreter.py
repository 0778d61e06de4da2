"""Plain-Python twins of the machines: what the transformers must compute, for tests."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.fleq_assembler import Cell, as_cell
from sklearn_looped.programmed.machines.functions import FleqFunction, apply_function, domain_of
from sklearn_looped.programmed.machines.subleq_assembler import EdgeInstruction


def interpret_subleq(
    program: Program, n_bits: int | None = None, graph: Any = None
) -> Iterator[tuple[int, list[int]]]:
    r"""Run a SUBLEQ program in Python integers.

    Parameters
    ----------
    program : Program
    n_bits : int or None, default=None
        Wrap cells as two's complement of so many bits; None: unbounded integers.
    graph : ndarray of shape (n_nodes, n_nodes), default=None
        What ``edge`` reads.

    Yields
    ------
    pc : int
        Number of the next instruction.
    memory : list of int
        The same list every time; it goes on for ever, as the machine does at its end.

    Examples
    --------
    >>> from sklearn_looped.programmed.machines.interpreter import interpret_subleq
    >>> from sklearn_looped.programmed.machines.subleq import assemble_subleq
    >>> steps = interpret_subleq(assemble_subleq("x: .word 5\n subleq #2, x"))
    >>> next(steps)
    (1, [3, 2, 0, -1])
    """
    memory, pc = list(program.cells), 0
    half = 0 if n_bits is None else 1 << (n_bits - 1)
    while True:
        a, b, c = instruction = program.instructions[pc]
        if isinstance(instruction, EdgeInstruction):
            value = int(graph[memory[a], memory[b]])
        else:
            value = memory[b] - memory[a]
        if half:
            value = (value + half) % (2 * half) - half
        memory[b] = value
        pc = c if value <= 0 else pc + 1
        yield pc, memory


def interpret_fleq(
    program: Program, n_entries: int = 1, functions: Mapping[str, FleqFunction] | None = None
) -> Iterator[tuple[int, list[Cell]]]:
    r"""Run a FLEQ program in Python floats; sums of products run first to last.

    Parameters
    ----------
    program : Program
    n_entries : int, default=1
        Length of a cell's vector.
    functions : mapping of str to function or None, default=None
        Those of the machine.

    Yields
    ------
    pc : int
        Number of the next instruction.
    memory : list of Cell
        The same list every time; it goes on for ever, as the machine does at its end. At a trap
        and outside of a function's domain pc and memory stay as they are.

    Examples
    --------
    >>> from sklearn_looped.programmed.machines.fleq import assemble_fleq
    >>> from sklearn_looped.programmed.machines.interpreter import interpret_fleq
    >>> pc, memory = next(interpret_fleq(assemble_fleq("x: .word 5\n scale #2, x, x")))
    >>> pc, memory[0]
    (1, Cell(values=(10.0,), pointer=None))
    """
    functions = functions or {}
    padding = (0.0,) * n_entries
    memory = [
        Cell((*cell.values, *padding)[:n_entries], cell.pointer)
        for cell in map(as_cell, program.cells)
    ]
    pc = 0
    while True:
        operation, a, b, c, flag, target = program.instructions[pc]
        if operation == "trap" or not _defined(functions.get(operation), memory[a]):
            yield pc, memory
            continue
        jump = memory[flag].values[0] <= 0
        written = memory[b].pointer if operation == "store" else c
        if written is not None:
            if operation in functions:
                values = apply_function(functions[operation], memory[a].values, memory[b].values)
                memory[written] = Cell((*values, *padding)[:n_entries])
            else:
                memory[written] = _apply(operation, memory[a], memory[b], memory)
        pc = target if jump else pc + 1
        yield pc, memory


def _defined(function: FleqFunction | None, x: Cell) -> bool:
    if function is None:
        return True
    low, high = domain_of(function)
    return low <= x.values[0] <= high


def _apply(operation: str, x: Cell, y: Cell, memory: list[Cell]) -> Cell:
    pairs = list(zip(x.values, y.values, strict=True))
    match operation:
        case "move" | "store":
            return x
        case "increment":
            return Cell(x.values, None if x.pointer is None else x.pointer + 1)
        case "load":
            if x.pointer is None or x.pointer >= len(memory):
                return Cell((0.0,) * len(pairs))
            return memory[x.pointer]
        case "dot":
            total = 0.0
            for u, v in pairs:
                total += u * v
            return Cell((total, *(0.0,) * (len(pairs) - 1)))
        case "sigmoid":
            return Cell(tuple(_sigmoid(u) for u in x.values))
        case "scale":
            return Cell(tuple(x.values[0] * v for v in y.values))
    function = {"add": float.__add__, "subtract": float.__sub__, "multiply": float.__mul__}
    return Cell(tuple(function[operation](u, v) for u, v in pairs))


def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))
