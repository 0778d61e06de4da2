"""Random programs of FLEQ and of universal machines, dense against fast against interpreter."""

import math
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import torch

from benchmarks.certificate_attacks.outcome import Outcome
from sklearn_looped import FleqMachine, UniversalMachine
from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.fleq_assembler import Cell, Instruction
from sklearn_looped.programmed.machines.functions import MatrixProduct, domain_of, stages_of
from sklearn_looped.programmed.machines.interpreter import interpret_fleq
from sklearn_looped.programmed.machines.paper_universal import FACTORS, PaperUniversalMachine

UNIT = 2.0**-53
SUBNORMALS = 4 * 2.0**-1074  # rounding of products that small
LARGEST_FACTOR = 1e279  # second operand of a product by a linearised softmax
MACHINES = {"gated": UniversalMachine, "paper": PaperUniversalMachine}


def fleq(rng: np.random.Generator) -> Outcome:
    """One program on a FLEQ machine of any size and dtype."""
    n_memory, n_instructions = rng.integers(3, 16, size=2).tolist()
    dtype = rng.choice(["float64", "float32"])
    machine = FleqMachine(n_memory, n_instructions, rng.integers(1, 4), dtype=dtype)
    return _attack(rng, machine, 20)


def universal(rng: np.random.Generator, form: str) -> Outcome:
    """One program on a universal machine: sums of sigmoids and products of matrices, too."""
    return _attack(rng, _universal(form, int(rng.choice([1, 2], p=[0.9, 0.1]))), 8)


@cache
def _universal(form: str, size: int) -> UniversalMachine:
    """One frozen network of each form and size."""
    return MACHINES[form](size, n_memory=12, n_instructions=12)


def _attack(rng: np.random.Generator, machine: FleqMachine, n_steps: int) -> Outcome:
    """Every step from the cells that the machine has."""
    program = _random_program(rng, machine)
    fault = machine.run(program, n_steps, on_fault="return").fault
    if fault is not None:
        dense_run = machine.run(program, fault.step, on_fault="return", evaluation="dense")
        if dense_run.fault != fault:
            return Outcome.WRONG
    dense, fast = (
        machine.transformer.run(machine.load(program), n_steps, evaluation=evaluation)
        for evaluation in ("dense", "fast")
    )
    pc, cells = 0, machine.cells(machine.load(program))
    expected: Sequence[Cell] = cells
    written, tolerance = 0, np.zeros(1)
    for step, (state, same) in enumerate(zip(dense, fast, strict=True), 1):
        faulty = fault is not None and fault.step == step
        if not (faulty or torch.equal(state, same)):
            return Outcome.WRONG
        # The state holds the memory before this instruction: the result of the one before it.
        cells = machine.cells(state)
        if not _same(expected, cells, written, tolerance):
            return Outcome.WRONG
        if pc == program.halt:
            break
        instruction = program.instructions[pc]
        after = _one_step(machine, instruction, pc, cells)
        if faulty or after is None:
            return Outcome.REFUSED if faulty and after is None else Outcome.WRONG
        pc, expected = after
        written, tolerance = instruction.c, _tolerance(machine, instruction, cells)
        if machine.pc(state) != pc:
            return Outcome.WRONG
    return Outcome.RIGHT


def _one_step(
    machine: FleqMachine, instruction: Instruction, pc: int, cells: list[Cell]
) -> tuple[int, list[Cell]] | None:
    """Interpret one instruction: pc and cells after it, or None where the machine is to refuse."""
    name, a, b, c, _, target = instruction
    if _refused(machine, name, cells, cells[a], cells[b]):
        return None
    alone = Program((instruction._replace(target=-1),), tuple(cells), {}, {})
    kind, n_entries = np.dtype(machine.certificate.dtype).type, len(cells[0].values)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        after, memory = next(interpret_fleq(alone, n_entries, machine.functions))
        rounded = [
            Cell(tuple(float(kind(value)) for value in cell.values), cell.pointer)
            for cell in memory
        ]
        if name == "dot":  # rounded in the machine's dtype after every term
            total = kind(0)
            for u, v in zip(cells[a].values, cells[b].values, strict=True):
                total = total + kind(u) * kind(v)
            rounded[c] = Cell((float(total), *(0.0,) * (n_entries - 1)))
    if not all(math.isfinite(value) for cell in rounded for value in cell.values):
        return None
    return (target if after == -1 else pc + 1), rounded


def _refused(machine: FleqMachine, name: str, cells: list[Cell], x: Cell, y: Cell) -> bool:
    """Whether an instruction takes other operands: pointers, domains, limits of the paper form."""
    size = len(cells)
    if name == "store":
        return y.pointer is None or y.pointer >= size
    if name == "increment":
        return x.pointer is None or x.pointer >= size
    if name in machine.functions:
        low, high = domain_of(machine.functions[name])
        if not low <= x.values[0] <= high:
            return True
    if not isinstance(machine, PaperUniversalMachine) or name not in FACTORS:
        return False
    factors = [*x.values, *(y.values if len(FACTORS[name]) == 2 else ())]
    factors = factors[:1] if name == "scale" else factors
    return max(map(abs, factors)) > machine.limit or (
        len(FACTORS[name]) == 1 and max(map(abs, y.values)) > LARGEST_FACTOR
    )


def _tolerance(machine: FleqMachine, instruction: Instruction, cells: list[Cell]) -> np.ndarray:
    """Certified error of the entries of a result; 0 where it is exact."""
    name, x, y = instruction.operation, cells[instruction.a], cells[instruction.b]
    function = machine.functions.get(name)
    if isinstance(machine, PaperUniversalMachine) and name in FACTORS:
        unit = np.abs(y.values) if len(FACTORS[name]) == 1 else np.ones(len(y.values))
        return machine.certificate.error_bound * unit + SUBNORMALS
    if name == "sigmoid":
        return np.full(1, 8 * np.finfo(machine.certificate.dtype).eps)
    if isinstance(function, MatrixProduct):
        shape = function.n_rows, function.n_inner
        with np.errstate(over="ignore"):
            size = np.abs(x.values).reshape(shape) @ np.abs(y.values).reshape(shape[::-1])
        return 2 * machine.certificate.functions[name].error_bound * size.ravel() + SUBNORMALS
    if function is not None and stages_of(function):
        return np.full(1, 2 * function.rounding(UNIT))
    return np.zeros(1)


def _same(
    expected: Sequence[Cell], got: Sequence[Cell], written: int, tolerance: np.ndarray
) -> bool:
    """Whether memories agree: the cell that was written within a tolerance, the others in full."""
    if [cell.pointer for cell in expected] != [cell.pointer for cell in got]:
        return False
    error = np.abs(np.subtract([c.values for c in expected], [c.values for c in got]))
    error[written] = np.maximum(error[written] - tolerance, 0)
    return not error.any()


def _random_program(rng: np.random.Generator, machine: FleqMachine) -> Program:
    """Cells hold the largest, smallest and ordinary numbers of a dtype, and those of domains."""
    n_memory = machine.tokens.size("memory")
    pointers = [
        int(rng.integers(n_memory)) if rng.random() < 0.8 else None for _ in range(n_memory)
    ]
    cells = [Cell(_random_values(rng, machine), pointer) for pointer in pointers]
    # The last instruction before the end of file always jumps: its flag, the first cell, is 0.
    cells[0] = Cell((0.0,) * machine.fields.size("value"), pointers[0])
    *body, last = _random_instructions(rng, machine, cells)
    safe = [each._replace(c=max(1, each.c)) for each in body]
    last = last._replace(c=1, flag=0)
    return Program((*safe, last, last), tuple(cells), {}, {})


def _random_values(rng: np.random.Generator, machine: FleqMachine) -> tuple[float, ...]:
    dtype, n_entries = np.dtype(machine.certificate.dtype), machine.fields.size("value")
    info = np.finfo(dtype)
    extremes = [info.max, info.max / 2, info.tiny, info.smallest_subnormal, 1.0, 0.0]
    ordinary = rng.normal(size=n_entries).astype(dtype).astype(float)
    chosen = rng.choice(extremes, size=n_entries) * rng.choice([-1.0, 1.0], size=n_entries)
    values = np.where(rng.random(n_entries) < 0.25, chosen, ordinary)
    domains = [domain_of(f) for f in machine.functions.values() if stages_of(f)]
    if domains and rng.random() < 0.6:
        low, high = domains[rng.integers(len(domains))]
        values[0] = rng.choice([low, high, rng.uniform(low, high)])
    return tuple(values.tolist())


def _random_instructions(
    rng: np.random.Generator, machine: FleqMachine, cells: list[Cell]
) -> Iterator[Instruction]:
    n_instructions, n_memory = machine.tokens.size("program"), len(cells)
    names = [name for name in machine.operations if name != "trap"]  # it ends the run
    for number in range(n_instructions - 1):
        name = names[rng.integers(len(names))] if number < n_instructions - 2 else "move"
        a, b, c, flag = rng.integers(n_memory, size=4).tolist()
        fitting = [
            i for i, x in enumerate(cells) if not _refused(machine, name, cells, x, cells[b])
        ]
        if fitting and rng.random() < 0.8:  # mostly an operand that it takes, to begin with
            a = int(rng.choice(fitting))
        yield Instruction(name, a, b, c, flag, int(rng.integers(n_instructions - 1)))
