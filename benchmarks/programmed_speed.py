"""How fast do programmed transformers run, by kind of evaluation? Instructions a second, one core.

``python -m benchmarks programmed_speed`` prints a table of the machines: their loops, `run` with
what the host does beside the loop, with and without a trace, and plain Python; 32 SUBLEQ programs
side by side, of which each has its steps counted, and plain numpy on as many; and what making a
machine and its certificate takes. It writes benchmarks/results/programmed_speed.json.
"""

import argparse
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.exceptions import ConvergenceWarning

from benchmarks.common.report import print_table, report, spread
from benchmarks.common.timing import N_REPEATS, rates, timed
from sklearn_looped import FleqMachine, SubleqMachine
from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.interpreter import interpret_fleq, interpret_subleq
from sklearn_looped.programmed.machines.machine import Machine
from sklearn_looped.programmed.machines.many import run_many
from sklearn_looped.programmed.machines.paper_subleq import PaperSubleqMachine
from sklearn_looped.programmed.machines.programs import linear_sgd
from sklearn_looped.programmed.machines.subleq import Instruction
from sklearn_looped.programmed.transformer.certificate import certify
from sklearn_looped.programmed.transformer.evaluation import EVALUATIONS, LoopedTransformer

SECONDS = 0.5  # of one measurement
N_TAPES = 32  # programs side by side


class Case(NamedTuple):
    """One row of the table: `run(n)` makes n steps."""

    machine: str
    n_tokens: int
    width: int
    evaluation: str
    run: Callable[[int], object]


def loops(name: str, transformer: LoopedTransformer, tape: torch.Tensor) -> Iterator[Case]:
    """One case for each evaluation of a loop body."""
    for evaluation in EVALUATIONS:

        def run(n: int, evaluation: str = evaluation) -> None:
            for _ in transformer.run(tape, n, evaluation=evaluation):
                pass

        yield Case(name, *tape.shape, evaluation, run)


def hosted(
    name: str, machine: Machine, program: Program, steps: Callable[[], Iterator[object]]
) -> Iterator[Case]:
    """Cases of `run`, which looks at every state, and of the plain interpreter's `steps`."""
    shape = machine.load(program).shape
    for trace in (False, True):

        def run(n: int, trace: bool = trace) -> None:
            with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
                machine.run(program, n, trace=trace)

        yield Case(f"{name} run{', trace' if trace else ''}", *shape, "fast", run)

    def interpret(n: int) -> None:
        deque(islice(steps(), n), 0)

    yield Case(f"{name} plain Python", *shape, "interpreter", interpret)


def random_subleq(n_memory: int, n_instructions: int) -> Program:
    """Endless program on numbers that stay small: it never comes to its last instruction."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(n_memory, size=(2, n_instructions)).tolist()
    c = rng.integers(n_instructions - 1, size=n_instructions).tolist()
    a[-2:] = b[-2:]  # these always jump
    cells = rng.integers(-1000, 1000, size=n_memory).tolist()
    return Program(tuple(map(Instruction, a, b, c)), tuple(cells), {}, {})


def side_by_side(machine: SubleqMachine, program: Program) -> Iterator[Case]:
    """Cases of `N_TAPES` programs at once: their loop, `run_many`, and plain numpy."""
    tapes = torch.stack([machine.load(program)] * N_TAPES)

    def loop(n: int) -> None:
        deque(machine.transformer.run(tapes, -(-n // N_TAPES), evaluation="fast"), 0)

    def hosted(n: int) -> None:
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            run_many(machine, [program] * N_TAPES, -(-n // N_TAPES))

    for name, run in (("tapes", loop), ("run_many", hosted)):
        yield Case(f"SUBLEQ {N_TAPES} {name}", *tapes.shape[1:], "fast", run)
    plain = partial(plain_numpy, program, machine.n_bits)
    yield Case(f"SUBLEQ {N_TAPES} plain numpy", *tapes.shape[1:], "numpy", plain)


def plain_numpy(program: Program, n_bits: int, n: int) -> None:
    """Make n steps in all of `N_TAPES` runs of a program, which share each operation of numpy."""
    a, b, c = np.array(program.instructions).T
    memory, pc = np.tile(program.cells, (N_TAPES, 1)), np.zeros(N_TAPES, int)
    runs, half = np.arange(N_TAPES), 1 << (n_bits - 1)
    for _ in range(-(-n // N_TAPES)):
        to = b[pc]
        value = memory[runs, to] - memory[runs, a[pc]]
        memory[runs, to] = value = (value + half) % (2 * half) - half
        pc = np.where(value <= 0, c[pc], pc + 1)


def subleq_cases() -> Iterator[Case]:
    for n_tokens in (128, 256, 1024):
        n_memory = n_tokens // 4
        program = random_subleq(n_memory, n_tokens - 2 - n_memory)
        for options in ({}, {"dtype": "float32"}, {"cells": "integer"}):
            machine = SubleqMachine(n_memory, len(program.instructions), **options)
            name = f"SUBLEQ {options.get('cells', 'bits')} {options.get('dtype', 'float64')}"
            yield from loops(name, machine.transformer, machine.load(program))
    small = random_subleq(32, 95)
    paper, ours = PaperSubleqMachine(32, 95), SubleqMachine(32, 95, overflow="wrap")
    yield from loops("SUBLEQ paper_layout", paper.transformer, paper.load(small))
    yield from hosted("SUBLEQ", ours, small, partial(interpret_subleq, small, 16))
    yield from side_by_side(ours, small)


def fleq_cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 5))
    machine = FleqMachine(60, 66, 5)
    data = {"samples": list(X), "targets": X.sum(1).tolist(), "n": 20, "epochs": 1e6, "rate": 0.01}
    program = machine.assemble(linear_sgd(20)).with_data(**data)
    yield from loops("FLEQ linear SGD", machine.transformer, machine.load(program))
    yield from hosted("FLEQ linear SGD", machine, program, partial(interpret_fleq, program, 5))


def certificates() -> Iterator[dict[str, Any]]:
    """Milliseconds that a machine takes to make, and its certificate, which is part of that."""
    makers: dict[str, Callable[[], Machine]] = {
        "SUBLEQ": partial(SubleqMachine, 32, 95),
        "FLEQ": partial(FleqMachine, 60, 66, 5),
    }
    for name, make in makers.items():
        block = make().block
        check = partial(certify, block.layers, block.fields, {})
        taken = {
            part: spread([1e3 * timed(call).cpu for _ in range(N_REPEATS)], f"{part} ms")
            for part, call in {"machine": make, "certificate": check}.items()
        }
        yield {"made": name} | taken["machine"] | taken["certificate"]


def sized(run: Callable[[int], object]) -> int:
    """Return the steps that fit into a measurement, beside what a call takes for one step."""
    once = timed(partial(run, 1)).cpu
    n, elapsed = 1, 0.0
    while elapsed < SECONDS / 4:
        n = n * 4
        elapsed = timed(partial(run, n)).cpu - once
    return max(1, round(n * SECONDS / elapsed))


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    rows = []
    for make in (subleq_cases, fleq_cases):
        for case in make():
            n = sized(case.run)
            row = {
                "machine": case.machine,
                "tokens": case.n_tokens,
                "width": case.width,
                "evaluation": case.evaluation,
            }
            rows.append(row | spread(rates(n, partial(case.run, n)), "steps/s"))
    report(args, "programmed_speed", rows)
    print_table(pd.DataFrame(certificates()))
