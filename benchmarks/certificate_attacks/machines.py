"""Random programs at the limits of bits, temperature and dtype against the interpreters."""

import math
from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.certificate_attacks.outcome import Outcome
from sklearn_looped import FleqMachine, SubleqMachine
from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.fleq_assembler import OPERATIONS, Cell
from sklearn_looped.programmed.machines.fleq_assembler import Instruction as FleqInstruction
from sklearn_looped.programmed.machines.interpreter import interpret_fleq, interpret_subleq
from sklearn_looped.programmed.machines.paper_subleq import PaperSubleqMachine
from sklearn_looped.programmed.machines.subleq import Instruction
from sklearn_looped.programmed.transformer.certificate import logit_threshold

N_STEPS = 20
DTYPES = ("float64", "float32")
EVALUATIONS = ("fast", "fast", "fast", "fast", "dense")


def subleq(rng: np.random.Generator, layout: str) -> Outcome:
    """One program on a SUBLEQ machine; layout is "bits", "integer" or "paper"."""
    dtype = str(rng.choice(DTYPES))
    widest = 53 if dtype == "float64" else 24
    n_bits = int(
        rng.integers(2, widest) if rng.random() < 0.7 else rng.integers(widest - 5, widest)
    )
    n_memory, n_instructions = rng.integers(1, 24, size=2).tolist()
    options = {"cells": "integer"} if layout == "integer" else {}
    kind = PaperSubleqMachine if layout == "paper" else SubleqMachine
    bound = logit_threshold(getattr(torch, dtype)) / (2 if layout == "paper" else 1)
    temperatures = (None, None, bound, bound * 1.3, bound - 0.5)
    try:
        machine = kind(
            n_memory, n_instructions, n_bits=n_bits, dtype=dtype,
            temperature=temperatures[rng.integers(len(temperatures))], **options,
        )  # fmt: skip
    except ValueError:
        return Outcome.REFUSED
    program = _random_subleq(rng, n_memory, n_instructions, n_bits)
    steps = interpret_subleq(program, None if layout == "integer" else n_bits)
    low, high = -(1 << (n_bits - 1)), (1 << (n_bits - 1)) - 1
    evaluation = str(rng.choice(EVALUATIONS))
    for state in machine.transformer.run(machine.load(program), N_STEPS, evaluation=evaluation):
        pc, cells = next(steps)
        try:
            got = machine.pc(state), machine.cells(machine.settle(state))
        except ValueError:
            within = all(low <= cell <= high for cell in cells)
            return Outcome.WRONG if within else Outcome.REFUSED
        if got != (pc, cells):
            return Outcome.WRONG
    return Outcome.RIGHT


def _random_subleq(
    rng: np.random.Generator, n_memory: int, n_instructions: int, n_bits: int
) -> Program:
    """Endless program whose cells are at the ends of the range, around 0, or anywhere."""
    half = 1 << (n_bits - 1)
    near = rng.integers(0, 3, size=n_memory)
    edges = np.choose(rng.integers(4, size=n_memory), [near - half, half - 1 - near, near, -near])
    cells = np.where(rng.random(n_memory) < 0.7, edges, rng.integers(-half, half, size=n_memory))
    cells = np.clip(cells, -half, half - 1)
    a, b = rng.integers(n_memory, size=(2, n_instructions)).tolist()
    c = rng.integers(n_instructions, size=n_instructions).tolist()
    a[-1] = b[-1]  # the last instruction always jumps
    return Program(tuple(map(Instruction, a, b, c)), tuple(cells.tolist()), {}, {})


def fleq(rng: np.random.Generator) -> Outcome:
    """One program on a FLEQ machine, every step from the cells that the machine has."""
    dtype = str(rng.choice(DTYPES))
    n_memory, n_instructions = rng.integers(3, 16, size=2).tolist()
    n_entries = int(rng.integers(1, 4))
    machine = FleqMachine(n_memory, n_instructions, n_entries, dtype=dtype)
    program = _random_fleq(rng, n_memory, n_instructions, n_entries, np.dtype(dtype))
    state, evaluation = machine.load(program), str(rng.choice(EVALUATIONS))
    for _ in range(N_STEPS):
        cells, pc = machine.cells(machine.settle(state)), machine.pc(state)
        if pc == program.halt:
            break
        instruction = program.instructions[pc]
        expected = _one_step(instruction, pc, cells, n_entries, np.dtype(dtype))
        try:
            result = machine.run(program, 1, state=state, evaluation=evaluation)
        except ValueError:
            return Outcome.REFUSED if expected is None else Outcome.WRONG
        tolerance = 8 * np.finfo(dtype).eps if instruction.operation == "sigmoid" else 0.0
        if expected is None or not _same(expected, (result.pc, result.cells), tolerance):
            return Outcome.WRONG
        state = result.state
    return Outcome.RIGHT


def _one_step(
    instruction: FleqInstruction, pc: int, cells: list[Cell], n_entries: int, dtype: np.dtype
) -> tuple[int, list[Cell]] | None:
    """Interpret one instruction: pc and cells after it, or None where the machine is to refuse."""
    alone = Program((instruction._replace(target=-1),), tuple(cells), {}, {})
    pointer = cells[instruction.b].pointer
    if instruction.operation == "store" and not (pointer is not None and pointer < len(cells)):
        return None
    if instruction.operation == "increment":
        counted = cells[instruction.a].pointer
        if counted is None or counted >= len(cells):
            return None
    with np.errstate(over="ignore", under="ignore"):
        after, memory = next(interpret_fleq(alone, n_entries))
        rounded = [
            Cell(tuple(float(dtype.type(value)) for value in cell.values), cell.pointer)
            for cell in memory
        ]
    if instruction.operation == "dot":
        pairs = zip(cells[instruction.a].values, cells[instruction.b].values, strict=True)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            total = dtype.type(0)
            for u, v in pairs:
                total = total + dtype.type(u) * dtype.type(v)
        rounded[instruction.c] = Cell((float(total), *(0.0,) * (n_entries - 1)))
    if not all(math.isfinite(value) for cell in rounded for value in cell.values):
        return None
    return (instruction.target if after == -1 else pc + 1), rounded


def _same(expected: tuple[int, list[Cell]], got: tuple[int, list[Cell]], tolerance: float) -> bool:
    if expected[0] != got[0]:
        return False
    return all(
        a.pointer == b.pointer and np.allclose(a.values, b.values, rtol=tolerance, atol=0)
        for a, b in zip(expected[1], got[1], strict=True)
    )


def _random_fleq(
    rng: np.random.Generator, n_memory: int, n_instructions: int, n_entries: int, dtype: np.dtype
) -> Program:
    """Cells with the largest, smallest and ordinary numbers of a dtype."""
    info = np.finfo(dtype)
    extremes = np.array([info.max, info.max / 2, info.tiny, info.smallest_subnormal, 1.0, 0.0])

    def values() -> tuple[float, ...]:
        signs = rng.choice([-1.0, 1.0], size=n_entries)
        ordinary = rng.normal(size=n_entries).astype(dtype).astype(float)
        chosen = rng.choice(extremes, size=n_entries).astype(float) * signs
        return tuple(np.where(rng.random(n_entries) < 0.25, chosen, ordinary).tolist())

    def instructions() -> Iterator[FleqInstruction]:
        names = [name for name in OPERATIONS if name != "trap"]  # it ends the run
        for number in range(n_instructions - 1):
            name = names[rng.integers(len(names))] if number < n_instructions - 2 else "move"
            a, b, c, flag = rng.integers(n_memory, size=4).tolist()
            yield FleqInstruction(name, a, b, c, flag, int(rng.integers(n_instructions - 1)))

    pointers = [
        int(rng.integers(n_memory)) if rng.random() < 0.8 else None for _ in range(n_memory)
    ]
    cells = tuple(Cell(values(), pointer) for pointer in pointers)
    *body, last = instructions()
    # The last instruction before the end of file always jumps: its flag, the first cell, is 0.
    cells = (Cell((0.0,) * n_entries, pointers[0]), *cells[1:])
    safe = [each._replace(c=max(1, each.c)) for each in body]
    last = last._replace(c=1, flag=0)
    return Program((*safe, last, last), cells, {}, {})
