"""Breadth-first and depth-first order."""

from functools import partial
from typing import Any, Literal

import numpy as np

from sklearn_looped.programmed.algorithms.csgraph.search import (
    NO_NODE,
    Along,
    SearchBlock,
    pointer_bits,
    results,
    search_fields,
    search_layers,
    ways_of,
)
from sklearn_looped.programmed.algorithms.csgraph.validation import (
    check_graph,
    check_node,
    drop_weights,
)
from sklearn_looped.programmed.transformer.layers import Unit
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import add, at_least, clear, gate

Order = Literal["breadth", "depth"]


class OrderBlock(SearchBlock):
    r"""Loop body that visits one node a pass, breadth-first or depth-first.

    At time t the node visited offers its neighbours v the score

    .. math:: 2^{L+1} t + v \quad \text{(breadth)}, \qquad
        2^{2L+1} - 2^{L+1} t - 2^L + v \quad \text{(depth)},

    which a neighbour takes that is not visited and whose own score is larger. So the breadth-first
    search takes the nodes in the order in which they are found, and the depth-first search those
    found last: it goes down as long as there is a way, then back to the latest node that has one.
    Among neighbours the smallest number is first. Undirected graphs have two more layers a pass,
    which offer :math:`2^L` more to those that only an edge in the other direction leads to.

    3 layers a pass for directed graphs, 5 for undirected ones.

    Parameters
    ----------
    n_bits : int
        Bits L of a position: graphs have at most 2**L - 2 nodes. At most 21.
    order : {"breadth", "depth"}
    directed : bool, default=True

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.csgraph import OrderBlock
    >>> block = OrderBlock(8, "depth")
    >>> len(block.layers), block.fields.width, block.certificate.error_bound
    (3, 32, 0.0)
    """

    def __init__(self, n_bits: int, order: Order, *, directed: bool = True) -> None:
        registers = dict.fromkeys(("time", "chosen", "now", "sender", "parent", "step"), 1)
        fields = search_fields(n_bits, **registers)
        n = 2**n_bits
        closed = 4 * n**2
        relax, sent = partial(_relax, fields, order, closed), {"time": "now", "chosen": "sender"}
        options = {"closed": closed, "ways": ways_of(directed)}
        layers = search_layers(fields, {"index": "chosen"}, sent, relax, _finish(fields), **options)
        times = dict.fromkeys(("time", "chosen", "now", "sender", "step"), n)
        bounds = {"score": closed, "link": 1, "parent": max(n, -NO_NODE), **times}
        super().__init__(fields, layers, bounds, closed)


def _relax(fields: Layout, order: Order, closed: float, along: Along) -> list[list[Unit]]:
    """Relax where there is an edge, the node is neither shut nor hit, and the offer is smaller."""
    n = 2 ** fields.size("position")
    slope, first = (2 * n, 0) if order == "breadth" else (-2 * n, 2 * n**2 - n)
    offer = fields.terms(now=slope, index=1, node=first + (n if along == "in" else 0))
    never = 2 * closed  # above any difference of scores
    z = fields.terms(score=1, link=never, shut=-never, hit=-never)
    z |= {column: -value for column, value in offer.items()}
    z[fields.at("node")] -= never
    relax, score, parent = fields.index("relax", "score", "parent")
    take = [
        *gate(relax, {**offer, score: -1.0}, score),
        *gate(relax, fields.terms(sender=1, parent=-1), parent),
        *clear(fields, "link", "relax"),
    ]
    return [at_least(z, 1, fields.terms(relax=1), fields.at("node")), take]


def _finish(fields: Layout) -> list[Unit]:
    """Close the node visited and note the time; clear the registers, time goes on."""
    hit, step = fields.index("hit", "step")
    return [
        *gate(hit, fields.terms(now=1, step=-1), step),
        *add(fields, {"hit": "shut"}),
        Unit(fields.terms(scratch=1), fields.terms(time=1)),
        *clear(fields, "hit", "now", "sender", "pointer", "chosen"),
    ]


def breadth_first_order(
    csgraph: Any,
    i_start: int,
    directed: bool = True,
    return_predecessors: bool = True,
    *,
    return_run: bool = False,
) -> Any:
    """Breadth-first order from a node, computed by a looped transformer.

    The same arguments and results as `scipy.sparse.csgraph.breadth_first_order`, for CSR arrays the
    order of the nodes and the tree included; neighbours are visited by number, in undirected
    graphs those that an edge leads out to first. The transformer computes
    the time at which it visits each node, and its predecessor; the host loads the graph, stops the
    loop when no node is open, and lists the nodes by their times.

    Parameters
    ----------
    csgraph : array-like, masked array or sparse array of shape (n_nodes, n_nodes)
        The graph: entry (i, j) is the edge from i to j. Infinite entries of dense
        arrays and zeros, to within 1e-8 as in scipy, are no edges; stored zeros of sparse arrays
        are. At most 2**21 - 2 nodes.
    i_start : int
        The node to start from, 0 to n_nodes - 1.
    directed : bool, default=True
        Whether edges lead one way only.
    return_predecessors : bool, default=True
        Whether to return the predecessors.
    return_run : bool, default=False
        Whether to return the runs of the loop: block, certificate, last state, loops used.

    Returns
    -------
    node_array : ndarray of int32 of shape (n_reached,)
        The nodes in order.
    predecessors : ndarray of int32 of shape (n_nodes,)
        Parents in the tree; -9999 for `i_start` and nodes that are not reached. Only if
        `return_predecessors`.
    runs : list of one SearchRun
        Only if `return_run`. Each node reached took one loop.

    Raises
    ------
    ValueError
        If the graph is not square, empty, too large or has weights that are NaN, or there is no
        node `i_start`.
    TypeError
        If `i_start` is no integer.

    Examples
    --------
    >>> from sklearn_looped.programmed import csgraph
    >>> graph = [[0, 1, 2, 0], [0, 0, 0, 1], [2, 0, 0, 3], [0, 0, 0, 0]]
    >>> csgraph.breadth_first_order(graph, 0)
    (array([0, 1, 2, 3], dtype=int32), array([-9999,     0,     0,     1], dtype=int32))
    """
    return _order("breadth", csgraph, i_start, directed, return_predecessors, return_run)


def depth_first_order(
    csgraph: Any,
    i_start: int,
    directed: bool = True,
    return_predecessors: bool = True,
    *,
    return_run: bool = False,
) -> Any:
    """Depth-first order from a node, computed by a looped transformer.

    The same arguments and results as `scipy.sparse.csgraph.depth_first_order`, for CSR arrays the
    order of the nodes and the tree included: the nodes in the order in which the search first
    meets them, neighbours by number. One loop a node, without backtracking; see `OrderBlock` and,
    for errors, `breadth_first_order`.

    Parameters
    ----------
    csgraph, i_start, directed, return_predecessors, return_run
        See `breadth_first_order`.

    Returns
    -------
    node_array, predecessors, runs
        See `breadth_first_order`.

    Examples
    --------
    >>> from sklearn_looped.programmed import csgraph
    >>> graph = [[0, 1, 2, 0], [0, 0, 0, 1], [2, 0, 0, 3], [0, 0, 0, 0]]
    >>> nodes, predecessors, runs = csgraph.depth_first_order(graph, 0, return_run=True)
    >>> nodes, predecessors
    (array([0, 1, 3, 2], dtype=int32), array([-9999,     0,     0,     1], dtype=int32))
    >>> runs[0].n_loops, len(runs[0].block.layers), runs[0].block.certificate.logit_margin >= 745.25
    (4, 3, True)
    """
    return _order("depth", csgraph, i_start, directed, return_predecessors, return_run)


def _order(
    order: Order,
    csgraph: Any,
    i_start: int,
    directed: bool,
    return_predecessors: bool,
    return_run: bool,
) -> Any:
    graph = drop_weights(check_graph(csgraph))
    n_nodes = graph.shape[0]
    start = check_node(i_start, n_nodes)
    block = OrderBlock(pointer_bits(n_nodes), order, directed=directed)
    score = np.full(n_nodes, block.closed)
    score[start] = 0
    tape = block.tape(n_nodes, score=score, parent=NO_NODE, step=-1)
    run = block.search(tape, graph, n_nodes)
    steps = run.nodes("step")
    nodes = np.argsort(steps)[np.count_nonzero(steps < 0) :].astype(np.int32)
    parents = run.nodes("parent").astype(np.int32)
    return results((True, nodes), (return_predecessors, parents), (return_run, [run]))
