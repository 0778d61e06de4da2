"""How long do graph algorithms take inside a looped transformer? Against scipy, over graph size.

Random directed graphs of 4 edges a node, the same for all; the search starts at node 0. Times are
CPU milliseconds of one core, median, smallest and largest over the graphs, with ours in wall-clock
time besides; networkx is measured where it is installed. ``same`` says whether results are equal
to scipy's in every bit. ``python -m benchmarks programmed_csgraph`` prints a table and writes
benchmarks/results/programmed_csgraph.json.

Not part of the run: the code published with the paper (De Luca & Fountoulakis 2024) was timed once
elsewhere, on a loaded machine, at about 63 s of wall-clock time for Dijkstra at 32 nodes, in 1,024
loops.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.sparse import csgraph as theirs
from scipy.sparse import csr_array

from benchmarks.common.report import report, spread
from benchmarks.common.timing import timed
from sklearn_looped.programmed import csgraph as ours

try:
    import networkx
except ImportError:
    networkx = None

SIZES = (32, 64, 128, 200, 256, 512)
EDGES = 4  # a node
N_GRAPHS = 9

# name -> function, its options, the same in networkx
CASES: dict[str, tuple[str, dict[str, Any], Callable[[Any], object]]] = {
    "breadth_first_order": (
        "breadth_first_order",
        {"i_start": 0},
        lambda graph: list(networkx.bfs_edges(graph, 0)),
    ),
    "depth_first_order": (
        "depth_first_order",
        {"i_start": 0},
        lambda graph: list(networkx.dfs_edges(graph, 0)),
    ),
    "dijkstra": (
        "dijkstra",
        {"indices": 0},
        lambda graph: networkx.single_source_dijkstra_path_length(graph, 0),
    ),
    "dijkstra, undirected": (
        "dijkstra",
        {"indices": 0, "directed": False},
        lambda graph: networkx.single_source_dijkstra_path_length(graph, 0),
    ),
    "weak components": (
        "connected_components",
        {"connection": "weak"},
        lambda graph: list(networkx.weakly_connected_components(graph)),
    ),
    "strong components": (
        "connected_components",
        {"connection": "strong"},
        lambda graph: list(networkx.kosaraju_strongly_connected_components(graph)),
    ),
}


def random_graph(n: int, seed: int) -> csr_array:
    rng = np.random.default_rng(seed)
    return csr_array((rng.random((n, n)) < EDGES / n) * rng.random((n, n)))


def same(mine: Any, expected: Any) -> bool:
    pairs = zip(mine, expected, strict=True) if isinstance(expected, tuple) else [(mine, expected)]
    return all(np.array_equal(a, b) for a, b in pairs)


def measure(case: str, n: int) -> dict[str, Any]:
    """One row of the table; a first graph does not count."""
    name, options, in_networkx = CASES[case]
    cpu, wall, scipy, nx, loops, equal = [], [], [], [], [], True
    for seed in range(N_GRAPHS + 1):
        graph = random_graph(n, seed)
        mine = timed(lambda g=graph: getattr(ours, name)(g, **options, return_run=True))
        baseline = timed(lambda g=graph: getattr(theirs, name)(g, **options))
        *result, runs = mine.result
        equal &= same(tuple(result) if len(result) > 1 else result[0], baseline.result)
        if networkx is not None:
            nx_graph = networkx.from_scipy_sparse_array(graph, create_using=networkx.DiGraph)
            if not options.get("directed", True):
                nx_graph = nx_graph.to_undirected()
            nx.append(1e3 * timed(lambda g=nx_graph: in_networkx(g)).cpu)
        cpu.append(1e3 * mine.cpu)
        wall.append(1e3 * mine.wall)
        scipy.append(1e3 * baseline.cpu)
        loops.append(sum(run.n_loops for run in runs))
    row = {"case": case, "n": n, "loops": float(np.median(loops[1:]))}
    row["layers"] = "+".join(str(len(run.block.layers)) for run in runs)
    row["width"] = runs[0].block.fields.width
    row |= spread(cpu[1:], "ms")
    row["wall ms"] = float(np.median(wall[1:]))
    row |= spread(scipy[1:], "scipy ms")
    if nx:
        row["networkx ms"] = float(np.median(nx[1:]))
    return row | {"same": equal}


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    report(args, "programmed_csgraph", [measure(case, n) for case in CASES for n in SIZES])
