"""One network of constant width for graph algorithms, against scipy."""

import numpy as np
import pytest
import torch
from scipy.sparse import csgraph as scipy_csgraph
from scipy.sparse import csr_array

from sklearn_looped import GraphMachine
from sklearn_looped.programmed.algorithms.csgraph.machine_layers import instructions
from sklearn_looped.programmed.transformer.codes import CircleCode

machine = GraphMachine(max_nodes=4096)


def random_graph(seed, n_nodes=None, weights=None):
    rng = np.random.default_rng(seed)
    n_nodes = int(rng.integers(1, 30)) if n_nodes is None else n_nodes
    lengths = rng.random((n_nodes, n_nodes)) if weights is None else weights(rng, n_nodes)
    return csr_array((rng.random((n_nodes, n_nodes)) < 3 / n_nodes) * lengths)


def assert_equal(ours, theirs):
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, expected)


@pytest.mark.parametrize("seed", range(8))
def test_every_program_agrees_with_scipy(seed):
    graph = random_graph(seed)
    start = seed % graph.shape[0]
    assert_equal(
        machine.breadth_first_order(graph, start), scipy_csgraph.breadth_first_order(graph, start)
    )
    assert_equal(
        machine.depth_first_order(graph, start), scipy_csgraph.depth_first_order(graph, start)
    )
    options = {"indices": [start, 0], "return_predecessors": True}
    assert_equal(machine.dijkstra(graph, [start, 0]), scipy_csgraph.dijkstra(graph, **options))
    for connection in ("weak", "strong"):
        expected = scipy_csgraph.connected_components(graph, connection=connection)
        assert_equal(machine.connected_components(graph, connection), expected)
    undirected = graph.maximum(graph.T)
    parents = machine.run("span", undirected).nodes("parent").astype(int)
    length = sum(undirected[p, v] for v, p in enumerate(parents) if p >= 0)
    assert length == pytest.approx(scipy_csgraph.minimum_spanning_tree(undirected).sum())


def test_the_number_of_nodes_may_be_one_of_numpys():
    assert GraphMachine(np.int64(100)).fingerprint() == GraphMachine(100).fingerprint()


def test_weights_are_the_same_for_all_programs_and_all_sizes():
    before = machine.fingerprint()
    for n_nodes in (8, 70):
        graph = random_graph(0, n_nodes)
        assert_equal(
            machine.breadth_first_order(graph, 1), scipy_csgraph.breadth_first_order(graph, 1)
        )
        machine.connected_components(graph)
    assert machine.fingerprint() == before
    widths = {GraphMachine(n).block.fields.width for n in (8, 4096, 2**19)}
    assert len(widths) == 1
    heads = [head for layer in machine.block.layers for head in layer.heads]
    assert {head.kind for head in heads} == {"softmax", "graph"}
    assert all(layer.feed_forward.G is None for layer in machine.block.layers)  # ReLU alone


@pytest.mark.parametrize("program", ["breadth", "depth", "shortest", "span", "finish strong weak"])
def test_fast_and_dense_have_the_same_bits(program):
    start = None if program in ("span", "finish strong weak") else 2
    graph = random_graph(3, 7, lambda rng, n: rng.random((n, n)))
    fast = machine.run(program, graph, start)
    dense = machine.run(program, graph, start, evaluation="dense")
    assert fast.n_loops == dense.n_loops
    assert torch.equal(fast.end.state, dense.end.state)


def test_lengths_of_zero_and_of_all_magnitudes():
    def weights(rng, n):
        return rng.choice([1e-9, 1.0, 3.0, 1e6], (n, n)) * rng.random((n, n))

    graph = random_graph(5, 12, weights)
    graph.data[::3] = 0.0
    expected = scipy_csgraph.dijkstra(graph, return_predecessors=False)
    np.testing.assert_array_equal(machine.dijkstra(graph)[0], expected)


def test_programs_and_graphs_that_cannot_run():
    graph = np.eye(3)
    for program, message in (
        ("bredth", "did you mean 'breadth'. Known are breadth, depth"),
        ("", "program of 0 instructions"),
        ("weak " * 8, "program of 8 instructions"),
    ):
        with pytest.raises(ValueError, match=message):
            machine.run(program, graph)
    with pytest.raises(ValueError, match="raise it"):
        GraphMachine(2).run("weak", graph)
    with pytest.raises(ValueError, match="negative weights"):
        machine.run("shortest", -graph, 0)
    with pytest.raises(ValueError, match="nodes are 0 to 2"):
        machine.run("breadth", graph, 3)
    with pytest.raises(ValueError, match="'weak' or 'strong'"):
        machine.connected_components(graph, "both")
    for size in (0, 2**20, 2.5, float("nan")):
        with pytest.raises(ValueError, match="max_nodes"):
            GraphMachine(size)


def test_an_instruction_is_data():
    assert set(machine.instructions) == set(instructions(4096))
    assert len(next(iter(machine.instructions.values()))) == 11


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_a_dtype_separates_so_many_positions_on_the_circle(dtype):
    largest = CircleCode.largest(dtype)
    assert CircleCode(largest, dtype).margin > 0
    with pytest.raises(ValueError, match=f"at most {largest}"):
        CircleCode(largest + 1, dtype)
    code = CircleCode(min(largest, 1500), dtype)
    points = torch.as_tensor(code.encode(np.arange(code.n_codes))).to(dtype)
    scores = points @ points.T
    off = scores.clone().fill_diagonal_(-2).amax(1)
    assert (off < code.null).all()
    assert (scores.diagonal() > code.null).all()
