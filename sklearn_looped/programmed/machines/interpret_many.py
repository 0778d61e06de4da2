"""Plain interpreter of FLEQ programs on scalars, for many runs side by side, in numpy."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.fleq_assembler import as_cell
from sklearn_looped.programmed.machines.functions import FleqFunction, domain_of, stages_of

NO_POINTER = -1


class Runs(NamedTuple):
    """States of n runs of one program, the same arrays at every step.

    Parameters
    ----------
    pc : ndarray of shape (n,)
        Numbers of the next instructions.
    values, pointers : ndarray of shape (n, n_cells)
        First entries of the cells, and addresses that they point to, or -1.
    faults : ndarray of shape (n,)
        Whether a run met a fault; everything else of it is as before the instruction.
    """

    pc: NDArray[np.int64]
    values: NDArray[np.float64]
    pointers: NDArray[np.int64]
    faults: NDArray[np.bool_]


def interpret_many(
    program: Program, functions: Mapping[str, FleqFunction] | None = None, **data: ArrayLike
) -> Iterator[Runs]:
    r"""Run a FLEQ program of scalars on many data at once, as `interpret_fleq` on each.

    A run that ends or meets a fault stays as it is.

    Parameters
    ----------
    program : Program
    functions : mapping of str to function or None, default=None
        Those of the machine, of one variable.
    **data : array-like of shape (n,)
        Initial values of the cells of these labels.

    Yields
    ------
    runs : Runs
        The same arrays after every instruction, until all runs have stopped.

    Raises
    ------
    ValueError
        If no data are given, or not the same number for each label.

    Examples
    --------
    >>> from sklearn_looped import FleqMachine
    >>> from sklearn_looped.programmed.machines.interpret_many import interpret_many
    >>> program = FleqMachine.assemble("x: .word 0\n branch x, end\n multiply x, x, x")
    >>> *_, last = interpret_many(program, x=[3.0, -3.0, 1e200])
    >>> last.values[:, 0].tolist(), last.faults.tolist()
    ([9.0, -3.0, 1e+200], [False, False, True])
    """
    functions = functions or {}
    columns = {label: np.atleast_1d(np.asarray(x, dtype=float)) for label, x in data.items()}
    if len({len(column) for column in columns.values()}) != 1:
        raise ValueError("Got no data, or data of different lengths; give one value for each run.")
    (n,) = {len(column) for column in columns.values()}
    cells = [as_cell(cell) for cell in program.cells]
    pointers = [NO_POINTER if cell.pointer is None else cell.pointer for cell in cells]
    runs = Runs(
        np.zeros(n, dtype=np.int64),
        np.tile([cell.values[0] for cell in cells], (n, 1)),
        np.tile(pointers, (n, 1)),
        np.zeros(n, dtype=bool),
    )
    for label, column in columns.items():
        runs.values[:, program.labels[label]] = column
    names = sorted({instruction.operation for instruction in program.instructions})
    opcodes = np.array([names.index(instruction.operation) for instruction in program.instructions])
    operands = np.array([instruction[1:] for instruction in program.instructions])
    while len(active := np.flatnonzero((runs.pc != program.halt) & ~runs.faults)):
        now = opcodes[runs.pc[active]]
        for opcode in np.flatnonzero(np.bincount(now)):
            lanes = active[now == opcode]
            _step(runs, lanes, names[opcode], operands[runs.pc[lanes]].T, functions)
        yield runs


def _step(
    runs: Runs,
    lanes: NDArray[np.int64],
    name: str,
    instruction: NDArray[np.int64],
    functions: Mapping[str, FleqFunction],
) -> None:
    """Execute one instruction of one operation in each of the runs `lanes`."""
    a, b, c, flag, target = instruction
    x, y, source = runs.values[lanes, a], runs.values[lanes, b], runs.pointers[lanes, a]
    jumps = runs.values[lanes, flag] <= 0
    to = runs.pointers[lanes, b] if name == "store" else c
    with np.errstate(over="ignore", invalid="ignore"):
        value, pointer = _apply(runs, lanes, name, (x, y, source), functions)
    n_cells = runs.values.shape[1]
    sound = np.isfinite(value) & (to >= 0) & (to < n_cells) & (pointer <= n_cells)
    if name == "increment":
        sound &= pointer != NO_POINTER
    runs.faults[lanes[~sound]] = True
    lanes, to = lanes[sound], to[sound]
    runs.values[lanes, to], runs.pointers[lanes, to] = value[sound], pointer[sound]
    runs.pc[lanes] = np.where(jumps[sound], target[sound], runs.pc[lanes] + 1)


def _apply(
    runs: Runs,
    lanes: NDArray[np.int64],
    name: str,
    operands: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]],
    functions: Mapping[str, FleqFunction],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Results and their pointers; nan where there is none."""
    x, y, source = operands
    none = np.full_like(source, NO_POINTER)
    match name:
        case "move" | "store":
            return x, source
        case "increment":
            return x, np.where(source == NO_POINTER, NO_POINTER, source + 1)
        case "load":
            found = (source >= 0) & (source < runs.values.shape[1])
            at = lanes, np.where(found, source, 0)
            loaded = np.where(found, runs.values[at], 0.0)
            return loaded, np.where(found, runs.pointers[at], NO_POINTER)
        case "add":
            return x + y, none
        case "subtract":
            return x - y, none
        case "dot" | "scale" | "multiply":
            return x * y + 0.0, none
        case "trap":
            return np.full_like(x, math.nan), none
        case "sigmoid":
            small = np.exp(-np.abs(x))
            return np.where(x >= 0, 1 / (1 + small), small / (1 + small)), none
    function = functions[name]
    low, high = domain_of(function)
    inside = (x >= low) & (x <= high)
    total = np.where(inside, x, low)
    for stage in stages_of(function):
        total = stage(total)
    return np.where(inside, total, math.nan), none
