"""How many nodes does a network of constant width take? Positions on a circle, by dtype and size.

Three tables. *Breakdown*: the number of positions up to which a dtype is predicted to separate
neighbours on the circle, and the first number, in steps of 5 %, at which the read of a pointer that
was moved on by one rotation names a wrong token or none, in that dtype's arithmetic. *Graphs*: one
network, the same weights for 8 and for 4,096 nodes, beside the blocks of `programmed.csgraph`,
whose width grows; CPU seconds, loops, and whether results equal scipy's. *SUBLEQ*: steps a CPU
second of the machine of constant width and of the one that grows; every step against the
interpreter. ``python -m benchmarks constant_width --sizes 8 512`` leaves the large graph out.
"""

import argparse
import math
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.sparse import csgraph as theirs
from scipy.sparse import csr_array

from benchmarks.common.report import report
from benchmarks.common.timing import timed
from sklearn_looped import GraphMachine, SubleqMachine
from sklearn_looped.programmed import csgraph
from sklearn_looped.programmed.machines import programs
from sklearn_looped.programmed.machines.graph_subleq import GraphSubleqMachine
from sklearn_looped.programmed.machines.interpreter import interpret_subleq
from sklearn_looped.programmed.transformer.codes import CircleCode, circle_points

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
TOKENS = 2**17  # at most, of one number of positions
EDGES = 4  # a node
PROGRAMS = ("MULTIPLY", "FACTORIAL", "FIBONACCI", "SQUARE_ROOT", "SORT")


def reads_are_right(n: int, dtype: torch.dtype) -> bool:
    """Whether pointers that were moved on by one step name the next of n positions, and it alone.

    All positions, or a sample of them; of the others the two neighbours score highest.
    """
    rows = np.arange(n) if n <= TOKENS else np.random.default_rng(0).integers(n, size=TOKENS)
    step = 2 * math.pi / n

    def points(numbers: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(circle_points(numbers, n).T.copy()).to(dtype)

    turn = torch.tensor([math.cos(step), math.sin(step)], dtype=torch.float64).to(dtype)
    x, y = points(rows)
    moved = turn[0] * x - turn[1] * y, turn[1] * x + turn[0] * y
    before, named, after = (
        moved[0] * u + moved[1] * v for u, v in (points(rows + k) for k in (0, 1, 2))
    )
    null = torch.tensor(1 - math.sin(step / 2) ** 2, dtype=torch.float64).to(dtype)
    return bool(((named > null) & (before < null) & (after < null)).all())


def breakdown(dtype: torch.dtype) -> dict[str, Any]:
    """Predicted and measured number of positions of a dtype."""
    predicted = CircleCode.largest(dtype)
    n = max(4, predicted // 2)
    while reads_are_right(n, dtype):
        n = max(n + 1, round(1.05 * n))
    name = str(dtype).removeprefix("torch.")
    return {"dtype": name, "predicted": predicted, "measured": n, "ratio": n / predicted}


def graph_rows(machine: GraphMachine, n: int) -> list[dict[str, Any]]:
    """One row a program: the network of constant width, the special blocks, scipy."""
    rng = np.random.default_rng(n)
    edges = rng.integers(n, size=(2, EDGES * n))
    graph = csr_array((rng.random(EDGES * n), edges), shape=(n, n))
    cases = {
        "breadth": ("breadth_first_order", {"i_start": 0}, {}),
        "depth": ("depth_first_order", {"i_start": 0}, {}),
        "shortest": ("dijkstra", {"indices": 0}, {"return_predecessors": True}),
        "finish strong": ("connected_components", {"connection": "strong"}, {}),
    }
    rows = []
    for program, (name, options, more) in cases.items():
        calls = (getattr(machine, name), getattr(csgraph, name), getattr(theirs, name))
        extra = ({}, more | {"return_run": True}, more)
        mine, special, scipy = (
            timed(partial(call, graph, **options, **each))
            for call, each in zip(calls, extra, strict=True)
        )
        *_, runs = special.result
        pairs = zip(mine.result, scipy.result, strict=True)
        rows.append({
            "nodes": n, "program": program, "weights": machine.fingerprint()[:8],
            "width": machine.block.fields.width, "special width": runs[0].block.fields.width,
            "loops": sum(run.n_loops for run in runs), "s": mine.cpu, "special s": special.cpu,
            "slower by": mine.cpu / special.cpu, "scipy s": scipy.cpu,
            "same": all(np.array_equal(a, b) for a, b in pairs),
        })  # fmt: skip
    return rows


def subleq_row(name: str) -> dict[str, Any]:
    """Run a program on both machines, and compare every step with the interpreter."""
    program = GraphSubleqMachine.assemble(getattr(programs, name))
    room = len(program.cells), len(program.instructions)
    constant, growing = GraphSubleqMachine(*room), SubleqMachine(*room, cells="integer")
    trace = constant.run(program, trace=True).trace
    steps = zip(interpret_subleq(program), trace["pc"][1:], trace["writes"][:-1], strict=False)
    same = all(
        (pc, {a: memory[a] for a in writes}) == (next_pc, writes)
        for (pc, memory), next_pc, writes in steps
    )
    growing.run(program)  # first runs take longer; `constant` has had its own
    mine, other = (timed(partial(machine.run, program)) for machine in (constant, growing))
    n = mine.result.n_loops
    return {
        "program": name, "steps": n, "width": constant.fields.width,
        "growing width": growing.fields.width, "steps/s": n / mine.cpu,
        "growing steps/s": n / other.cpu, "slower by": mine.cpu / other.cpu,
        "same": same and mine.result.cells == other.result.cells,
    }  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 512, 4096], help="nodes")


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    report(args, "constant_width_breakdown", [breakdown(dtype) for dtype in DTYPES])
    machine = GraphMachine(max_nodes=4096)
    graph_rows(machine, min(args.sizes))  # first calls take longer
    rows = [row for n in args.sizes for row in graph_rows(machine, n)]
    report(args, "constant_width_graphs", rows)
    report(args, "constant_width_subleq", [subleq_row(name) for name in PROGRAMS])
