"""All formats of a graph's matrix mean the same graph."""

import numpy as np
import pytest
import scipy.sparse
from scipy.sparse import csgraph as scipy_csgraph

from sklearn_looped import GraphMachine
from sklearn_looped.programmed import csgraph

machine = GraphMachine(max_nodes=16)
FORMATS = ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("make", [scipy.sparse.coo_array, scipy.sparse.coo_matrix])
@pytest.mark.parametrize("directed", [True, False])
def test_formats_do_not_matter(form, make, directed):
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((12, 12)) < 0.2, rng.uniform(1, 2, (12, 12)), 0.0)
    graph = make(dense).asformat(form)
    expected = scipy_csgraph.dijkstra(dense, directed=directed)
    np.testing.assert_array_equal(csgraph.dijkstra(graph, directed=directed), expected)
    if directed:
        np.testing.assert_array_equal(machine.dijkstra(graph, 0)[0], expected[0])
    order, predecessors = csgraph.breadth_first_order(graph, 0, directed)
    for ours, dense_one in zip(
        (order, predecessors), csgraph.breadth_first_order(dense, 0, directed), strict=True
    ):
        np.testing.assert_array_equal(ours, dense_one)
    n, labels = csgraph.connected_components(graph, connection="strong")
    assert (n, len(labels)) == (
        scipy_csgraph.connected_components(dense, connection="strong")[0],
        12,
    )


@pytest.mark.parametrize("blocksize", [(2, 2), (4, 4), (1, 4), (4, 2)])
def test_padding_of_blocks_is_no_edge(blocksize):
    dense = np.zeros((4, 4))
    dense[0, 1], dense[2, 3] = 3.0, 1.0
    graph = scipy.sparse.bsr_array(dense, blocksize=blocksize)
    before = graph.data.copy()
    for compute in (
        lambda g: csgraph.dijkstra(g, directed=False),
        lambda g: csgraph.depth_first_order(g, 1)[0],
        lambda g: csgraph.connected_components(g, connection="strong")[1],
        lambda g: machine.connected_components(g)[1],
    ):
        np.testing.assert_array_equal(compute(graph), compute(dense))
    np.testing.assert_array_equal(graph.data, before)


def test_stored_zeros_of_other_formats_stay_edges():
    graph = scipy.sparse.coo_array(([0.0, 2.0], ([0, 1], [1, 2])), shape=(3, 3))
    for form in ("coo", "csr", "csc"):
        assert csgraph.dijkstra(graph.asformat(form), indices=0).tolist() == [0, 0, 2]
