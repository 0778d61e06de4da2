"""Assembly of the SUBLEQ machine: text to program and back."""

from collections.abc import Sequence
from typing import NamedTuple

from sklearn_looped.core.names import known_names
from sklearn_looped.programmed.machines.assembler import END, Assembly, Program, Statement

# The cell #0 is 0 between two instructions, so macros may use it in passing.
MACROS = """
.macro clear x              ; x <- 0
    subleq x, x
.end
.macro add x, y             ; y <- y + x
    subleq x, #0
    subleq #0, y
    subleq #0, #0
.end
.macro move x, y            ; y <- x, also where both are one cell
    subleq x, #0
    subleq y, y
    subleq #0, y
    subleq #0, #0
.end
.macro jump target
    subleq #0, #0, target
.end
.macro halt
    jump end
.end
"""


class Instruction(NamedTuple):
    """mem[b] <- mem[b] - mem[a]; go to instruction c if the result is <= 0, else to the next."""

    a: int
    b: int
    c: int


class EdgeInstruction(Instruction):
    """mem[b] <- weight of the edge from node mem[a] to node mem[b]; go to c if that is <= 0."""


def assemble_subleq(text: str, *, graph: bool = False) -> Program:
    r"""Assemble SUBLEQ text.

    The one operation is ``subleq a, b, target``; without a target it goes on with the next
    instruction. Macros: ``clear x``, ``add x, y``, ``move x, y``, ``jump target``, ``halt``; see
    `sklearn_looped.programmed.machines.assembler` for data, constants and macros of your own.

    Parameters
    ----------
    text : str
    graph : bool, default=False
        Whether there is ``edge a, b, target`` too, see
        `~sklearn_looped.programmed.machines.graph_subleq.GraphSubleqMachine`.

    Returns
    -------
    program : Program

    Raises
    ------
    ValueError
        With the line, for an unknown opcode, a label missing or defined twice, or bad operands.

    Examples
    --------
    >>> from sklearn_looped.programmed.machines.subleq_assembler import assemble_subleq
    >>> assemble_subleq("x: .word 5\n loop: subleq #2, x, end\n jump loop").instructions
    (Instruction(a=1, b=0, c=2), Instruction(a=2, b=2, c=0), Instruction(a=2, b=3, c=2))
    """
    assembly = Assembly(text, MACROS, _read_words, int)
    kinds = {"subleq": Instruction} | ({"edge": EdgeInstruction} if graph else {})
    instructions = []
    for number, (_, operation, operands, line) in enumerate(assembly.code):
        if operation not in kinds:
            known = known_names(str(operation), [*kinds, ".word", *assembly.macros])
            raise ValueError(f"Line {line}: got unknown opcode {operation!r}{known}")
        if len(operands) not in (2, 3):
            raise ValueError(
                f"Line {line}: {operation} takes 2 or 3 operands, got {len(operands)}."
            )
        a, b = (assembly.cell(operand, line) for operand in operands[:2])
        c = number + 1 if len(operands) == 2 else assembly.instruction(operands[2], line)
        instructions.append(kinds[operation](a, b, c))
    # The paper's end of file: -1 - 0 <= 0 jumps to itself for ever.
    last = Instruction(assembly.cell("#0", 0), assembly.cell("#-1", 0), len(instructions))
    return Program(
        (*instructions, last),
        tuple(assembly.cells),
        assembly.labels,
        assembly.code_labels,
        tuple(assembly.code),
    )


def _read_words(statement: Statement) -> list[int] | None:
    if statement.operation != ".word":
        return None
    try:
        return [int(word) for word in statement.operands]
    except ValueError:
        raise ValueError(
            f"Line {statement.line}: .word takes integers, got {', '.join(statement.operands)}."
        ) from None


def write_subleq(instructions: Sequence[Instruction], cells: Sequence[int]) -> str:
    """Text of a program whose last instruction is the end of file; `assemble_subleq` reads it."""
    names = {i: f"m{i}" for i in range(len(cells))}
    names |= {instructions[-1].a: "#0", instructions[-1].b: "#-1"}
    lines = [f"{names[i]}: .word {value}" for i, value in enumerate(cells)]
    targets = [f"i{i}" for i in range(len(instructions) - 1)] + [END]
    for label, instruction in zip(targets, instructions[:-1], strict=False):
        operation = "edge" if isinstance(instruction, EdgeInstruction) else "subleq"
        a, b, c = instruction
        lines.append(f"{label}: {operation} {names[a]}, {names[b]}, {targets[c]}")
    return "\n".join(lines)
