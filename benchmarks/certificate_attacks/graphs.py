"""Random graphs on the graph machine, dense against fast against scipy."""

from functools import cache

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array
from scipy.sparse import csgraph as scipy_csgraph

from benchmarks.certificate_attacks.outcome import Outcome
from sklearn_looped import GraphMachine
from sklearn_looped.programmed.algorithms.csgraph import SearchRun

PROGRAMS = ("breadth", "depth", "shortest", "finish strong", "weak")


@cache
def machine(max_nodes: int) -> GraphMachine:
    """One network of each size."""
    return GraphMachine(max_nodes)


def program(rng: np.random.Generator) -> Outcome:
    """One program on a graph with edges of length 0, ties, loops and parts that are apart."""
    n = int(rng.integers(1, 12))
    i, j = (rng.random((n, n)) < rng.choice([1, 2, 4]) / n).nonzero()
    lengths = rng.choice([1.0, 1.5, 0.0, rng.uniform(1, 2), 1e-6], len(i))
    graph = coo_array((lengths, (i, j)), shape=(n, n)).tocsr()
    name, start = str(rng.choice(PROGRAMS)), int(rng.integers(n))
    network, node = machine(int(rng.choice([12, 4096, 2**18]))), None
    if name in ("breadth", "depth", "shortest"):
        node = start
    fast = network.run(name, graph, node)
    dense = network.run(name, graph, node, evaluation="dense")
    if not torch.equal(fast.end.state, dense.end.state):
        return Outcome.WRONG
    return Outcome.RIGHT if _as_scipy(name, graph, start, fast) else Outcome.WRONG


def _as_scipy(name: str, graph: csr_array, start: int, run: SearchRun) -> bool:
    if name == "shortest":
        expected = scipy_csgraph.dijkstra(graph, indices=start)
        found = machine(12).dijkstra(graph, start)[0]
        reached = run.nodes("value") < 2
        return np.array_equal(found, expected) and np.array_equal(reached, np.isfinite(expected))
    if name in ("breadth", "depth"):
        search = getattr(scipy_csgraph, f"{name}_first_order")
        order, parents = search(graph, start)
        steps = run.nodes("step")
        same = np.array_equal(np.argsort(steps)[np.count_nonzero(steps < 0) :], order)
        return same and np.array_equal(run.nodes("parent"), parents)
    connection = name.split()[-1]
    n, labels = scipy_csgraph.connected_components(graph, connection=connection)
    names = run.nodes("label")
    return np.array_equal(n - names if connection == "strong" else names - 1, labels)
