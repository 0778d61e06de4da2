"""What is no graph, and arguments that fit none, are refused."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from sklearn_looped.programmed import csgraph

ONE = csr_array(np.ones((2, 2)))


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (np.ones((2, 3)), r"shape \(2, 3\), but expected a square"),
        (csr_array((2, 3)), r"shape \(2, 3\), but expected a square"),
        (np.ones(4), r"shape \(4,\), but expected a square"),
        (np.zeros((0, 0)), r"shape \(0, 0\), but expected a square"),
        ([[0, np.nan], [1, 0]], "1 weights of the graph that are NaN; write 0 or infinity"),
        (ONE * np.nan, "4 weights of the graph that are NaN or infinite; write nothing"),
        (ONE * np.inf, "4 weights of the graph that are NaN or infinite; write nothing"),
        (np.ma.masked_array([[np.nan, 1], [1, 1]], False), "1 weights .* NaN or infinite"),
        (np.ones((2, 2)) * 1j, "Complex data not supported"),
        ([["a", "b"], ["c", "d"]], "could not convert string"),
    ],
)
def test_what_is_no_graph_is_refused(graph, message):
    for call in (
        lambda: csgraph.breadth_first_order(graph, 0),
        lambda: csgraph.depth_first_order(graph, 0),
        lambda: csgraph.dijkstra(graph),
        lambda: csgraph.connected_components(graph),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: csgraph.breadth_first_order(ONE, 2), "i_start=2, but the nodes are 0 to 1"),
        (lambda: csgraph.depth_first_order(ONE, -1), "i_start=-1, but the nodes are 0 to 1"),
        (lambda: csgraph.dijkstra(ONE, indices=2), "indices from 2 to 2, but the nodes are 0 to 1"),
        (lambda: csgraph.dijkstra(ONE, indices=[0, -3]), "indices from -3 to 0, but"),
        (lambda: csgraph.dijkstra(ONE, indices=0.5), "indices=0.5, but expected numbers of nodes"),
        (lambda: csgraph.dijkstra(ONE, indices=[], min_only=True), "no indices, but the nearest"),
        (lambda: csgraph.dijkstra(-ONE), "4 negative weights, as small as -1.*bellman_ford"),
        (lambda: csgraph.dijkstra(ONE, limit=-1), "limit=-1, but a distance is at least 0"),
        (lambda: csgraph.dijkstra(ONE, limit=np.nan), "limit=nan, but a distance is at least 0"),
        (lambda: csgraph.dijkstra(ONE * 1e308), "up to 1e.308, but paths of 2 nodes may be longer"),
        (
            lambda: csgraph.dijkstra(csr_array([[1e-70, 1.0], [1.0, 1.0]])),
            "as small as 1e-70 beside 1, .* below 4.978.*e-60 .* write 0",
        ),
        (lambda: csgraph.shortest_path(ONE, "FW"), "method='FW', but only 'D'"),
        (lambda: csgraph.connected_components(ONE, connection="x"), "connection='x', but expected"),
        (lambda: csgraph.connected_components(ONE, connection=1), "connection=1, but expected"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_start_that_is_no_integer_is_refused():
    with pytest.raises(TypeError, match=r"i_start=0\.5, but expected the number of a node"):
        csgraph.breadth_first_order(ONE, 0.5)


def test_negative_weights_matter_to_lengths_only():
    assert csgraph.dijkstra(-ONE, unweighted=True, indices=0).tolist() == [0, 1]
    assert csgraph.breadth_first_order(-ONE, 0)[0].tolist() == [0, 1]
