"""Random programs at the limits of bits, temperature and dtype against the interpreters."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.certificate_attacks.outcome import Outcome
from sklearn_looped import FleqMachine, SubleqMachine
from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.fleq_assembler import OPERATIONS, Cell
from sklearn_looped.programmed.machines.fleq_assembler import Instruction as FleqInstruction
from sklearn_looped.programmed.machines.graph_subleq import GraphSubleqMachine
from sklearn_looped.programmed.machines.interpreter import interpret_fleq, interpret_subleq
from sklearn_looped.programmed.machines.paper_subleq import PaperSubleqMachine
from sklearn_looped.programmed.machines.subleq_assembler import EdgeInstruction, Instruction
from sklearn_looped.programmed.transformer.certificate import logit_threshold

N_STEPS = 20
DTYPES = ("float64", "float32")
MACHINES = {
    "bits": SubleqMachine,
    "integer": partial(SubleqMachine, cells="integer"),
    "paper": PaperSubleqMachine,
    "constant width": GraphSubleqMachine,
}


def subleq(rng: np.random.Generator, layout: str) -> Outcome:
    """One program on a SUBLEQ machine, dense against fast against interpreter at every step.

    The result of a step is in its cell one state later, but for the layout of the paper. Cells of
    bits wrap around here, all others mark what is beyond them.
    """
    dtype = str(rng.choice(DTYPES))
    widest = 53 if dtype == "float64" else 24
    n_bits = int(
        rng.integers(2, widest) if rng.random() < 0.7 else rng.integers(widest - 5, widest)
    )
    n_memory, n_instructions = rng.integers(1, 24, size=2).tolist()
    options: dict[str, Any] = {}
    if layout == "constant width":
        n_bits = min(n_bits, 36 if dtype == "float64" else 7)  # beyond, most are refused
        n_bits, n_nodes = max(n_bits, 6), int(rng.integers(1, n_memory + 1))
        options["graph"] = rng.integers(-1, n_nodes, size=(n_nodes, n_nodes))
    bound = logit_threshold(getattr(torch, dtype)) / (2 if layout == "paper" else 1)
    temperatures = (None, None, bound, bound * 1.3, bound - 0.5)
    options |= {"dtype": dtype, "temperature": temperatures[rng.integers(len(temperatures))]}
    try:
        machine = MACHINES[layout](n_memory, n_instructions, n_bits=n_bits, **options)
    except ValueError:
        return Outcome.REFUSED
    program = _random_subleq(rng, n_memory, n_instructions, n_bits)
    if "graph" in options:
        program = _with_edges(rng, program, n_nodes)
    return _follow(machine, program, layout, options.get("graph"))


def _follow(machine: Any, program: Program, layout: str, graph: Any) -> Outcome:
    wraps = layout in ("bits", "paper")
    steps = interpret_subleq(program, machine.n_bits if wraps else None, graph)
    pc, cells = 0, list(program.cells)
    options = {"adjacency": machine.adjacency}
    dense, fast = (
        machine.transformer.run(machine.load(program), N_STEPS, evaluation=evaluation, **options)
        for evaluation in ("dense", "fast")
    )
    for state, same in zip(dense, fast, strict=True):
        if not torch.equal(state, same):
            return Outcome.WRONG
        before = list(cells)
        if not wraps and _beyond(program.instructions[pc], before, machine.n_bits, graph):
            marked = state[0, machine.fields.at("overflow")] != 0
            return Outcome.REFUSED if marked else Outcome.WRONG
        pc, cells = next(steps)
        if (machine.pc(state), machine.cells(state)) != (
            pc,
            cells if layout == "paper" else before,
        ):
            return Outcome.WRONG
    return Outcome.RIGHT


def _beyond(instruction: Instruction, cells: list[int], n_bits: int, graph: Any) -> bool:
    """Whether the machine is to mark a fault: beyond the cells, or no node."""
    x, y = cells[instruction.a], cells[instruction.b]
    if isinstance(instruction, EdgeInstruction):
        return not (0 <= x < len(graph) and 0 <= y < len(graph))
    half = 1 << (n_bits - 1)
    return not -half <= y - x < half


def _with_edges(rng: np.random.Generator, program: Program, n_nodes: int) -> Program:
    """Cells are nodes, and some instructions but for the last read a graph, or else none does."""
    if rng.random() < 0.3:
        return program
    *body, last = program.instructions
    asked = rng.random(len(body)) < 0.2
    mixed = [EdgeInstruction(*i) if ask else i for i, ask in zip(body, asked, strict=True)]
    cells = rng.integers(n_nodes, size=len(program.cells)).tolist()
    return replace(program, instructions=(*mixed, last), cells=tuple(cells))


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
    stopped = machine.run(program, N_STEPS, on_fault="return").fault
    dense, fast = (
        machine.transformer.run(machine.load(program), N_STEPS, evaluation=evaluation)
        for evaluation in ("dense", "fast")
    )
    pc, cells = 0, machine.cells(machine.load(program))
    expected, tolerance = cells, 0.0
    for step, (state, same) in enumerate(zip(dense, fast, strict=True), 1):
        if not torch.equal(state.nan_to_num(), same.nan_to_num()):
            return Outcome.WRONG
        faulty = stopped is not None and stopped.step == step
        # The state holds the memory before this instruction: the result of the one before it.
        if not faulty:
            if not _same((pc, expected), (pc, machine.cells(state)), tolerance):
                return Outcome.WRONG
            cells = machine.cells(state)
        if pc == program.halt:
            break
        instruction = program.instructions[pc]
        after = _one_step(instruction, pc, cells, n_entries, np.dtype(dtype))
        if faulty or after is None:
            return Outcome.REFUSED if faulty and after is None else Outcome.WRONG
        pc, expected = after
        tolerance = 8 * np.finfo(dtype).eps if instruction.operation == "sigmoid" else 0.0
        if machine.pc(state) != pc:
            return Outcome.WRONG
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
