"""``run-program``: assemble a file and run it on a programmed transformer."""

import argparse
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from sklearn_looped import FleqMachine, SubleqMachine
from sklearn_looped.cli.step_program import step_through, text_of
from sklearn_looped.cli.text import printable
from sklearn_looped.inspection import MachineTraceDisplay
from sklearn_looped.inspection.machine_attention import cell_names
from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.fleq_assembler import as_cell
from sklearn_looped.programmed.machines.machine import Machine


def run(args: argparse.Namespace) -> None:
    """Run the command ``run-program``."""
    program, machine = _load(args)
    traced = args.trace or args.picture is not None
    names = cell_names(program, machine.tokens.size("memory"))
    if args.step:
        step_through(program, machine, args.max_loops, names)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # reported below
        result = machine.run(program, args.max_loops, trace=traced)
    if args.trace and result.trace is not None:
        sys.stdout.write(_readable(result.trace, names).to_string(index=False) + "\n\n")
    width = max(map(len, names))
    lines = [
        f"{name:<{width}}  {text_of(cell, names)}"
        for name, cell in zip(names, result.cells, strict=True)
    ]
    sys.stdout.write("\n".join([f"memory after {result.n_loops} loops", *lines]) + "\n")
    if args.picture is not None:
        _draw(result.trace, program, args.picture)
    if not result.halted:
        sys.stderr.write(
            f"{printable(str(args.program))} has not halted after {result.n_loops} loops; raise "
            "--max-loops.\n"
        )
        sys.exit(1)


def _load(args: argparse.Namespace) -> tuple[Program, Machine]:
    """Return the program and the smallest machine that can run it."""
    text = args.program.read_text(encoding="utf-8-sig")
    if args.machine == "subleq":
        program = SubleqMachine.assemble(text)
        size = len(program.cells), len(program.instructions)
        return program, SubleqMachine(*size, n_bits=args.bits)
    program = FleqMachine.assemble(text)
    size = len(program.cells), len(program.instructions)
    return program, FleqMachine(*size, max(len(as_cell(cell).values) for cell in program.cells))


def _readable(trace: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the trace with the cells that were read and written as text."""

    def text(cells: Mapping[int, Any]) -> str:
        return ", ".join(f"{names[at]}={text_of(cell, names)}" for at, cell in cells.items())

    return trace.assign(reads=trace["reads"].map(text), writes=trace["writes"].map(text))


def _draw(trace: pd.DataFrame | None, program: Program, path: Path) -> None:
    display = MachineTraceDisplay.from_trace(trace, program)
    path.parent.mkdir(parents=True, exist_ok=True)
    display.figure_.savefig(path, dpi=150)
