"""Assembly of the FLEQ machine: text to program and back."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sklearn_looped.core.names import known_names
from sklearn_looped.programmed.machines.assembler import END, Assembly, Program, Statement

# Operation -> its operands in the text; a and b are read, c is written.
OPERATIONS = {
    "move": "ac",
    "add": "abc",
    "subtract": "abc",
    "dot": "abc",
    "scale": "abc",
    "multiply": "abc",
    "sigmoid": "ac",
    "load": "ac",
    "store": "ab",
    "increment": "ac",
    "trap": "a",
}

MACROS = """
.macro branch flag, target      ; go to target if flag <= 0
    move #0, #0, flag, target
.end
.macro jump target
    branch #0, target
.end
.macro halt
    jump end
.end
"""


class Cell(NamedTuple):
    """Contents of a memory cell: a vector, and the address of another cell or None."""

    values: tuple[float, ...]
    pointer: int | None = None


class Instruction(NamedTuple):
    """mem[c] <- operation(mem[a], mem[b]); go to target if mem[flag] was <= 0."""

    operation: str
    a: int
    b: int
    c: int
    flag: int
    target: int

    def __str__(self) -> str:
        operands = [getattr(self, name) for name in OPERATIONS.get(self.operation, "abc")]
        return f"{self.operation} {', '.join(map(str, [*operands, self.flag, self.target]))}"


def as_cell(value: Any) -> Cell:
    """Cell of a number, of a vector or of a cell."""
    if isinstance(value, Cell):
        return value
    return Cell(tuple(np.atleast_1d(np.asarray(value, dtype=float)).tolist()))


def assemble_fleq(text: str, operations: dict[str, str] = OPERATIONS) -> Program:
    r"""Assemble FLEQ text.

    Operations, each with two optional operands ``flag, target`` behind: go to the target if the
    flag was <= 0 before the operation.

    ======================= =========================================================
    ``move a, c``           c <- a, pointer included
    ``add a, b, c``         c <- a + b; ``subtract``: a - b
    ``dot a, b, c``         c <- sum of products of the entries
    ``scale a, b, c``       c <- first entry of a, times b
    ``multiply a, b, c``    c <- product entry by entry
    ``sigmoid a, c``        c <- 1 / (1 + exp(-a)) entry by entry
    ``load p, c``           c <- the cell that p points to; empty where p has no pointer
    ``store a, p``          the cell that p points to <- a
    ``increment p, c``      c <- p, pointing to the next cell
    ``trap a``              halts with a fault that names the value of a
    ======================= =========================================================

    Results of arithmetic have no pointer. Data: ``.word 1, 2`` scalars, ``.vector 1 2 3``
    one vector, ``.pointer label`` (and values, if any, behind the label). Macros:
    ``branch flag, target``, ``jump target``, ``halt``; see
    `sklearn_looped.programmed.machines.assembler`.

    Parameters
    ----------
    text : str
    operations : dict of str to str, default=OPERATIONS
        Operands of each operation; those of a `FleqMachine` with functions of its own are its
        `operations`.

    Returns
    -------
    program : Program

    Raises
    ------
    ValueError
        With the line, for an unknown opcode, a label missing or defined twice, or bad operands.

    Examples
    --------
    >>> from sklearn_looped.programmed.machines.fleq_assembler import assemble_fleq
    >>> text = "x: .word 5\n loop: subtract x, #1, x\n branch x, end\n jump loop"
    >>> program = assemble_fleq(text)
    >>> print(*program.instructions, sep=" | ")
    subtract 0, 1, 0, 1, 1 | move 2, 2, 0, 3 | move 2, 2, 2, 0 | move 2, 2, 2, 3
    """
    assembly = Assembly(text, MACROS, _read_cells, lambda number: Cell((float(number),)))
    one, zero = assembly.cell("#1", 0), assembly.cell("#0", 0)
    instructions = []
    for number, (_, operation, operands, line) in enumerate(assembly.code):
        if operation not in operations:
            data = (".word", ".vector", ".pointer")
            known = known_names(str(operation), [*operations, *data, *assembly.macros])
            raise ValueError(f"Line {line}: got unknown opcode {operation!r}{known}")
        names = operations[operation]
        if len(operands) - len(names) not in (0, 2):
            raise ValueError(
                f"Line {line}: {operation} takes {len(names)} operands, or {len(names) + 2} with "
                f"flag and target, got {len(operands)}."
            )
        addresses = {"a": zero, "b": zero, "c": zero, "flag": one}
        for name, operand in zip([*names, "flag"], operands, strict=False):
            addresses[name] = assembly.cell(operand, line)
        branches = len(operands) > len(names)
        target = assembly.instruction(operands[-1], line) if branches else number + 1
        instructions.append(Instruction(operation, **addresses, target=target))
    last = Instruction("move", zero, one, zero, zero, len(instructions))
    cells = [_resolve(cell, assembly) for cell in assembly.cells]
    return Program(
        (*instructions, last),
        tuple(cells),
        assembly.labels,
        assembly.code_labels,
        tuple(assembly.code),
    )


class _Pointer(NamedTuple):
    label: str
    values: tuple[float, ...]
    line: int


def _read_cells(statement: Statement) -> list[Any] | None:
    directive, operands, line = statement.operation, statement.operands, statement.line
    try:
        if directive == ".word":
            return [Cell((float(word),)) for word in operands]
        if directive == ".vector":
            return [Cell(tuple(map(float, vector.split() or [""]))) for vector in operands]
        if directive == ".pointer":
            parts = [operand.split() for operand in operands]
            return [_Pointer(p[0], tuple(map(float, p[1:])) or (0.0,), line) for p in parts]
    except (ValueError, IndexError):
        expected = "label [numbers]" if directive == ".pointer" else "numbers"
        raise ValueError(
            f"Line {line}: {directive} takes {expected}, got {', '.join(operands)!r}."
        ) from None
    return None


def _resolve(cell: Cell | _Pointer, assembly: Assembly) -> Cell:
    if isinstance(cell, Cell):
        return cell
    return Cell(cell.values, assembly.cell(cell.label, cell.line))


def write_fleq(
    instructions: Sequence[Instruction],
    cells: Sequence[Cell],
    operations: dict[str, str] = OPERATIONS,
) -> str:
    """Text of a program whose last instruction is the end of file; `assemble_fleq` reads it."""
    names = {i: f"m{i}" for i in range(len(cells))}
    names |= {instructions[-1].a: "#0", instructions[-1].b: "#1"}
    lines = []

    def name_of(address: int) -> str:  # a pointer may point behind the last cell
        return names[address] if address < len(cells) else f"{names[len(cells) - 1]}+1"

    for i, cell in enumerate(cells):
        values = " ".join(map(repr, cell.values))
        data = f".vector {values}"
        if cell.pointer is not None:
            data = f".pointer {name_of(cell.pointer)} {values}"
        lines.append(f"{names[i]}: {data}")
    targets = [f"i{i}" for i in range(len(instructions) - 1)] + [END]
    for label, instruction in zip(targets, instructions[:-1], strict=False):
        operands = [names[getattr(instruction, x)] for x in operations[instruction.operation]]
        operands += [names[instruction.flag], targets[instruction.target]]
        lines.append(f"{label}: {instruction.operation} {', '.join(operands)}")
    return "\n".join(lines)
