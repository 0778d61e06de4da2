"""Random SUBLEQ programs at the limits of bits, temperature and dtype against the interpreter."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.certificate_attacks.outcome import Outcome
from sklearn_looped import SubleqMachine
from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.graph_subleq import GraphSubleqMachine
from sklearn_looped.programmed.machines.interpreter import interpret_subleq
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
