"""``run-program --step``: run a program by hand, and look at every state."""

import sys
import warnings
from collections.abc import Iterator
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from sklearn_looped.cli.text import printable
from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.machine import Machine
from sklearn_looped.programmed.machines.run_result import RunResult

PROMPT = "(Enter: one step, N: N steps, LABEL: up to it, c: up to the end, q: quit) "


def step_through(program: Program, machine: Machine, max_loops: int, names: list[str]) -> RunResult:
    """Read commands and print states until the end of the program, or of the input.

    Parameters
    ----------
    program : Program
    machine : Machine
    max_loops : int
        Cap on the steps of one command.
    names : list of str
        Names of the cells.

    Returns
    -------
    result : RunResult
        Where it stopped.
    """
    state, before, n_steps = machine.load(program), None, 0
    while True:
        cells = machine.cells(machine.settle(state))
        pc = machine.pc(state)
        sys.stdout.write("\n".join(describe(program, pc, n_steps, cells, before, names)) + "\n")
        result = RunResult(cells, pc, pc == program.halt, n_steps, state, program.labels)
        options = None if result.halted else _command(program, max_loops)
        if options is None:
            return result
        before = cells
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            moved = machine.run(program, state=state, **options)
        state, n_steps = moved.state, n_steps + moved.n_loops


def describe(
    program: Program, pc: int, n_steps: int, cells: list[Any], before: Any, names: list[str]
) -> Iterator[str]:
    """Lines of a state: the next instruction, and the memory with a mark where it changed."""
    at = [label for label, number in program.code_labels.items() if number == pc]
    where = f" at {', '.join(at)}" if at else ""
    yield f"after {n_steps} steps; next is {pc}{where}: " + (
        "the end" if pc == program.halt else program.describe(pc)
    )
    width = max(map(len, names))
    for address, (name, cell) in enumerate(zip(names, cells, strict=True)):
        changed = "*" if before is not None and before[address] != cell else " "
        yield f"  {changed} {name:<{width}}  {text_of(cell, names)}"


def text_of(cell: Any, names: list[str]) -> str:
    """Contents of a cell: an integer, or values and the name of the cell pointed to."""
    if not hasattr(cell, "values"):
        return str(cell)
    values = " ".join(f"{value:g}" for value in cell.values)
    if cell.pointer is None:
        return values
    return f"{values} -> {names[cell.pointer] if cell.pointer < len(names) else 'the end'}"


def _command(program: Program, max_loops: int) -> dict[str, Any] | None:
    """Options of the next run; None to quit."""
    while True:
        try:
            text = input(PROMPT).strip()
        except EOFError:
            return None
        if text == "q":
            return None
        if text == "c":
            return {"max_loops": max_loops}
        if text in program.code_labels:
            return {"max_loops": max_loops, "breakpoints": [text]}
        if not text or (text.isdecimal() and int(text) > 0):
            return {"max_loops": int(text or 1)}
        known = ", ".join(program.code_labels)
        sys.stdout.write(f"Got {printable(text)!r}; the labels of instructions are {known}.\n")
