"""Graph algorithms in looped transformers: the answers of scipy.sparse.csgraph, bit for bit."""

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array, csc_matrix, csr_array, issparse
from scipy.sparse import csgraph as scipy_csgraph

from sklearn_looped.programmed import csgraph
from sklearn_looped.programmed.algorithms.csgraph.search import (
    MAX_BITS,
    search_fields,
    search_layers,
)
from sklearn_looped.programmed.transformer.evaluation import EVALUATIONS

SEEDS = range(100)


LARGE = {93: 48, 94: 64, 95: 96, 96: 128, 97: 128, 98: 200, 99: 256}


BLOCKS = {
    "breadth": lambda n_bits: csgraph.OrderBlock(n_bits, "breadth"),
    "depth": lambda n_bits: csgraph.OrderBlock(n_bits, "depth", directed=False),
    "dijkstra": lambda n_bits: csgraph.DijkstraBlock(n_bits, directed=False),
    "finish": csgraph.FinishBlock,
    "flood": lambda n_bits: csgraph.FloodBlock(n_bits, ("out", "in")),
}


def random_graph(seed):
    """Graph as an array of some form: sparse or dense, tied or distinct lengths, zeros, loops."""
    rng = np.random.default_rng(seed)
    n = LARGE.get(seed) or int(rng.integers(1, 25))
    edges = rng.random((n, n)) < rng.choice([0.5, 1, 2, 4, 8]) / n  # on the diagonal, too
    lengths = rng.integers(0, 4, (n, n)) if seed % 2 else 10.0 ** rng.uniform(-5, 3, (n, n))
    form = seed % 5
    if form == 0:
        return np.where(edges, lengths, 0)
    if form == 1:
        return np.ma.masked_array(lengths, ~edges)
    if form == 2:
        return np.where(edges, lengths, np.inf)
    i, j = edges.nonzero()
    return (csr_array, csc_matrix)[form - 3]((lengths[i, j], (i, j)), shape=(n, n), dtype=float)


def edge_lengths(graph, directed):
    """Dense matrix of lengths, infinity where there is no edge."""
    if np.ma.isMaskedArray(graph):
        lengths = graph.astype(float).filled(np.inf)
    elif isinstance(graph, np.ndarray):
        lengths = np.where(graph == 0, np.inf, graph)
    else:
        coo = coo_array(graph)
        lengths = np.full(graph.shape, np.inf)
        lengths[coo.coords] = coo.data
    return lengths if directed else np.minimum(lengths, lengths.T)


def ways(seed):
    """Directed and undirected; one of them for large graphs."""
    return [bool(seed % 2)] if seed in LARGE else [True, False]


def assert_same(ours, theirs):
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, expected, strict=True)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["breadth_first_order", "depth_first_order"])
def test_orders_are_scipys(name, seed):
    graph = random_graph(seed)
    start = seed % graph.shape[0]
    for directed in ways(seed):
        rows = csr_array(graph) if issparse(graph) else graph  # scipy transposes undirected CSC
        theirs = getattr(scipy_csgraph, name)(rows, start, directed)
        *ours, (run,) = getattr(csgraph, name)(graph, start, directed, return_run=True)
        assert_same(ours, theirs)
        assert run.n_loops == len(ours[0])


@pytest.mark.parametrize("seed", SEEDS[::4])
def test_trees_are_trees_of_their_searches(seed):
    graph = random_graph(seed)
    start = seed % graph.shape[0]
    for directed in ways(seed):
        edges = np.isfinite(edge_lengths(graph, directed))
        levels = scipy_csgraph.dijkstra(csr_array(edges * 1.0), indices=start, unweighted=True)
        nodes, parents = csgraph.breadth_first_order(graph, start, directed)
        assert set(nodes) == set(np.flatnonzero(np.isfinite(levels)))
        assert (np.diff(levels[nodes]) >= 0).all()
        found = nodes[1:]
        assert edges[parents[found], found].all()
        assert (levels[found] == levels[parents[found]] + 1).all()
        # Depth first: a node is met from the latest node met before that has an edge to it.
        nodes, parents = csgraph.depth_first_order(graph, start, directed)
        assert set(nodes) == set(np.flatnonzero(np.isfinite(levels)))
        for k, node in enumerate(nodes[1:], 1):
            before = nodes[:k]
            leads_on = edges[np.ix_(before, nodes[k:])].any(axis=1)
            assert parents[node] == before[leads_on][-1]
            assert edges[parents[node], node]


@pytest.mark.parametrize("seed", SEEDS)
def test_dijkstra_has_scipys_distances_in_every_bit(seed):
    graph = random_graph(seed)
    n = graph.shape[0]
    options = [{}, {"unweighted": True}, {"limit": 2.0}, {"limit": 0}][seed % 4]
    indices = [seed % n] if seed in LARGE else [seed % n, -1]
    for directed in ways(seed):
        ours = csgraph.dijkstra(graph, directed, indices, True, **options)
        theirs = scipy_csgraph.dijkstra(graph, directed, indices, True, **options)
        assert_same(ours[:1], theirs[:1])
        assert ours[1].shape == theirs[1].shape
        assert ours[1].dtype == theirs[1].dtype
        lengths = edge_lengths(graph, directed)
        if "unweighted" in options:
            lengths = np.where(np.isfinite(lengths), 1.0, np.inf)
        for start, distance, parents in zip(indices, *ours, strict=True):
            assert_shortest_path_tree(lengths, distance, parents, start % n)


def assert_shortest_path_tree(lengths, distance, parents, start):
    reached = np.flatnonzero(np.isfinite(distance))
    assert (
        parents[[i for i in range(len(distance)) if i not in reached or i == start]] == -9999
    ).all()
    for node in reached[reached != start]:
        parent = parents[node]
        assert distance[node] == distance[parent] + lengths[parent, node]
        for _ in reached:  # back to the start
            node = start if node == start else parents[node]
        assert node == start


@pytest.mark.parametrize("seed", SEEDS[:30])
def test_dijkstra_finds_the_nearest_of_several_sources(seed):
    graph = random_graph(seed)
    sources = np.unique(np.random.default_rng(seed).integers(graph.shape[0], size=3))
    theirs = scipy_csgraph.dijkstra(graph, indices=sources, min_only=True)
    ours, parents, nearest = csgraph.dijkstra(
        graph, indices=sources, min_only=True, return_predecessors=True
    )
    assert_same([ours], [theirs])
    reached = np.isfinite(ours)
    each = scipy_csgraph.dijkstra(graph, indices=nearest[reached])
    np.testing.assert_array_equal(
        each[np.arange(reached.sum()), reached.nonzero()[0]], ours[reached]
    )
    assert (nearest[~reached] == -9999).all()
    assert (parents[sources] == -9999).all()


@pytest.mark.parametrize("smallest", [-14, -55])
def test_distances_that_scores_cannot_tell_apart_are_right_in_the_end(smallest):
    loops = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        edges = rng.random((30, 30)) < 0.3
        lengths = 10.0 ** rng.uniform(smallest, 0, (30, 30))
        lengths[rng.random((30, 30)) < 0.1] = 0
        graph = csr_array((lengths[edges], edges.nonzero()), shape=(30, 30))
        ours, (run,) = csgraph.dijkstra(graph, indices=0, return_run=True)
        assert_same([ours], [scipy_csgraph.dijkstra(graph, indices=0)])
        loops.append(run.n_loops)
    assert max(loops) > 30  # some nodes were settled too early, and again


@pytest.mark.parametrize("unit", [2.0**-1060, 1e-300, 1e300])
def test_the_unit_of_length_does_not_matter(unit):
    graph = csr_array([[0, 3, 1, 0], [0, 0, 0, 2], [0, 1, 0, 7], [0, 0, 0, 0]]) * unit
    for limit in (np.inf, 2 * unit):
        ours = csgraph.dijkstra(graph, indices=0, limit=limit, return_predecessors=True)
        theirs = scipy_csgraph.dijkstra(graph, indices=0, limit=limit, return_predecessors=True)
        assert_same(ours, theirs)


@pytest.mark.parametrize("seed", SEEDS)
def test_components_are_scipys(seed):
    graph = random_graph(seed)
    n = graph.shape[0]
    weak = [{"directed": False}] if seed in LARGE else [{}, {"directed": False}]
    for options in [{"connection": "strong"}, *weak]:
        *ours, runs = csgraph.connected_components(graph, return_run=True, **options)
        assert_same(ours, scipy_csgraph.connected_components(graph, **options))
        strong = "connection" in options
        assert [run.n_loops for run in runs] == ([2 * n, n] if strong else [n])


@pytest.mark.parametrize("seed", [3, 6, 8, 12])
@pytest.mark.parametrize("directed", [True, False])
def test_all_evaluations_give_the_bits_of_the_dense_one(seed, directed):
    graph = random_graph(seed)
    runs = [
        *csgraph.breadth_first_order(graph, 0, directed, return_run=True)[-1],
        *csgraph.depth_first_order(graph, 0, directed, return_run=True)[-1],
        *csgraph.dijkstra(graph, directed, 0, return_run=True)[-1],
        *csgraph.connected_components(graph, directed, "strong", return_run=True)[-1],
    ]
    for run in runs:
        transformer = run.block.transformer(run.tape.tokens)
        weights = transformer.fingerprint()
        for evaluation in EVALUATIONS:
            *_, state = transformer.run(
                run.tape.state, run.n_loops, evaluation=evaluation, adjacency=run.adjacency
            )
            assert torch.equal(state.view(torch.int64), run.end.state.view(torch.int64))
        assert transformer.fingerprint() == weights


def test_weights_are_the_same_for_all_graphs_of_a_size():
    calls = [
        lambda graph: csgraph.depth_first_order(graph, 0, return_run=True),
        lambda graph: csgraph.dijkstra(graph, indices=0, return_run=True),
        lambda graph: csgraph.connected_components(graph, return_run=True),
    ]
    small, large = csr_array(np.ones((5, 5))), csr_array(1e6 * np.tri(6))
    for call in calls:
        first, second = (call(graph)[-1][0] for graph in (small, large))
        tokens = first.tape.tokens
        prints = {run.block.transformer(tokens).fingerprint() for run in (first, second)}
        assert len(prints) == 1


@pytest.mark.parametrize("name", BLOCKS)
def test_width_grows_by_the_bits_of_two_codes_only(name):
    small, large = BLOCKS[name](3), BLOCKS[name](MAX_BITS)
    assert large.fields.width - small.fields.width == 2 * (MAX_BITS - 3)
    assert len(large.layers) == len(small.layers)


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_are_certified_up_to_the_largest_size_and_refused_beyond(name):
    certificate = BLOCKS[name](MAX_BITS).certificate
    assert certificate.logit_margin >= certificate.logit_threshold
    assert certificate.largest_integer < certificate.integer_limit
    assert certificate.error_bound == 0
    with pytest.raises(ValueError, match=r"pointers of 22 bits, but .* at most 2097150 nodes"):
        BLOCKS[name](MAX_BITS + 1)


def test_scores_too_close_for_the_argmin_are_refused():
    fields = search_fields(4)
    sizes = {"closed": 4.0, "gap": 2.0**-45}
    layers = search_layers(fields, {}, {"score": "link"}, lambda _: [[], []], [], **sizes)
    with pytest.raises(ValueError, match="temperature below the bound"):
        csgraph.SearchBlock(fields, layers, {}, 4.0)


def test_a_graph_of_too_many_nodes_is_refused():
    huge = csr_array((2**MAX_BITS, 2**MAX_BITS))
    with pytest.raises(ValueError, match="at most 2097150 nodes apart; split the graph"):
        csgraph.depth_first_order(huge, 0)
    with pytest.raises(ValueError, match="at most 2097150 nodes apart; split the graph"):
        csgraph.dijkstra(huge, indices=0)
    with pytest.raises(ValueError, match="graph of 7 nodes, but pointers of 3 bits name at most 6"):
        csgraph.FinishBlock(3).tape(7)


def test_a_loop_cut_short_raises():
    graph = csr_array([[0.0, 1.0], [0.0, 0.0]])
    _, (run,) = csgraph.dijkstra(graph, indices=0, return_run=True)
    with pytest.raises(RuntimeError, match="still open after 1 loops"):
        run.block.search(run.tape, graph, 1)


def test_indices_of_any_shape_and_none():
    graph = random_graph(2)
    n = graph.shape[0]
    for indices in (None, 0, np.int32(-1), [], [[0, 1], [n - 1, 0]]):
        ours = csgraph.dijkstra(graph, indices=indices)
        assert_same([ours], [scipy_csgraph.dijkstra(graph, indices=indices)])
    assert_same([csgraph.shortest_path(graph)], [scipy_csgraph.shortest_path(graph, "D")])


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32])
def test_inputs_of_any_number_type_are_left_as_they_are(dtype):
    graph = csr_array(np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=dtype))
    graph.data[0] = 0  # stored: an edge of length 0
    before = graph.copy()
    assert csgraph.dijkstra(graph, indices=0).tolist() == [0, 0, 1]
    assert csgraph.dijkstra(graph, indices=0, unweighted=True).tolist() == [0, 1, 2]
    assert csgraph.breadth_first_order(graph, 0, return_predecessors=False).tolist() == [0, 1, 2]
    assert csgraph.connected_components(graph, connection="strong", return_labels=False) == 1
    assert graph.dtype == before.dtype
    assert_same([graph.data, graph.indices], [before.data, before.indices])
