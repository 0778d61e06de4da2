"""Weakly and strongly connected components; the latter by Kosaraju's algorithm."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from sklearn_looped.programmed.algorithms.csgraph.search import (
    Along,
    SearchBlock,
    SearchRun,
    pointer_bits,
    results,
    search_fields,
    search_layers,
)
from sklearn_looped.programmed.algorithms.csgraph.validation import check_graph, drop_weights
from sklearn_looped.programmed.transformer.layers import Unit
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import add, clear, gate


class FinishBlock(SearchBlock):
    r"""Loop body of Kosaraju's first search: depth-first over the whole graph, with finish times.

    With :math:`n = 2^L`, a node v that no edge has led to yet has the score :math:`6n^2 + v`. A
    node is taken twice. The first time, at time t, it is entered: it takes the score
    :math:`2n(2n + 1 - t)`, and its neighbours that are not entered :math:`2n(2n + 1 - t) - v - 1`,
    all less than any before. So the next pass takes a neighbour, the one of largest number, and
    when none is left the node again. That second time it is finished: it is closed, with the score
    :math:`4n - t`, by which `FloodBlock` takes the last one first. (Of neighbours the largest, of
    roots the smallest number is first, as in scipy, so that components get scipy's numbers.)

    3 layers a pass, 2 passes a node.

    Parameters
    ----------
    n_bits : int
        Bits L of a position: graphs have at most 2**L - 2 nodes. At most 21.

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.csgraph import FinishBlock
    >>> block = FinishBlock(8)
    >>> len(block.layers), block.fields.width
    (3, 38)
    """

    def __init__(self, n_bits: int) -> None:
        fields = _fields(n_bits)
        n = 2**n_bits
        closed = 8 * n**2
        decide = [
            Unit(fields.terms(link=1, left=-1, entered=-1, hit=-1), fields.terms(relax=1)),
            Unit(fields.terms(hit=1, left=-1), fields.terms(enter=1)),
            Unit(fields.terms(hit=1, left=1, node=-1), fields.terms(leave=1)),
        ]
        relax, enter, leave, score = fields.index("relax", "enter", "leave", "score")
        own = {"now": -2 * n, "node": 2 * n * (2 * n + 1), "score": -1}
        offer = own | {"node": own["node"] - 1, "index": -1}
        update = [
            *gate(relax, fields.terms(**offer), score),
            *gate(enter, fields.terms(**own), score),
            *gate(leave, fields.terms(now=-1, node=4 * n, score=-1), score),
            *add(fields, {"enter": "entered", "leave": "shut"}),
            Unit(fields.terms(scratch=1), fields.terms(time=1)),
            *clear(fields, "link", "relax", "enter", "leave", "hit", "now", "left"),
            *clear(fields, "pointer", "leaving"),
        ]
        taken, sent = {"entered": "leaving"}, {"time": "now", "leaving": "left"}
        layers = search_layers(fields, taken, sent, lambda _: [decide, update], [], closed=closed)
        super().__init__(fields, layers, _bounds(n, closed), closed)


class FloodBlock(SearchBlock):
    r"""Loop body that names components: every node taken hands its name on to its neighbours.

    The pass takes a node that was named and not done yet, or else the node of smallest score,
    which opens a new component: the scratchpad counts it, and the count is its name. Its
    neighbours without a name take it, and their numbers as scores, so that they come first. Along
    the edges that lead *in*, and with the scores of `FinishBlock`, this is Kosaraju's second
    search; along both directions it finds the weak components.

    3 layers a pass, or 5 along both directions; one pass a node.

    Parameters
    ----------
    n_bits : int
        Bits L of a position: graphs have at most 2**L - 2 nodes. At most 21.
    ways : sequence of {"out", "in"}
        The edges that names are handed on along.

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.csgraph import FloodBlock
    >>> len(FloodBlock(8, ["in"]).layers), len(FloodBlock(8, ["out", "in"]).layers)
    (3, 5)
    """

    def __init__(self, n_bits: int, ways: Sequence[Along]) -> None:
        fields = _fields(n_bits)
        n = 2**n_bits
        closed = 8 * n
        new = fields.terms(scratch=1, name=-1)  # 1 on the scratchpad if the node has no name
        count = [
            Unit(new, fields.terms(name=1), gate=fields.terms(count=1, scratch=1)),
            Unit(new, fields.terms(count=1)),
        ]
        relax, score, label, hit = fields.index("relax", "score", "label", "hit")
        decide = [Unit(fields.terms(link=1, label=-1, hit=-1), {relax: 1.0})]
        update = [
            *gate(relax, fields.terms(named=1), label),
            *gate(relax, fields.terms(index=1, score=-1), score),
            *clear(fields, "link", "relax"),
        ]
        finish = [
            *gate(hit, fields.terms(named=1, label=-1), label),
            *add(fields, {"hit": "done"}),
            *clear(fields, "hit", "named", "pointer", "name"),
        ]
        options = {"closed": closed, "ways": ways, "shut": "done", "opened": count}
        taken, sent = {"label": "name"}, {"name": "named"}
        layers = search_layers(fields, taken, sent, lambda _: [decide, update], finish, **options)
        super().__init__(fields, layers, _bounds(n, closed), closed, shut="done")


def _fields(n_bits: int) -> Layout:
    """Fields of both blocks, so that the state of one is the tape of the other."""
    search = ("entered", "enter", "leave", "leaving", "left", "time", "now")
    flood = ("label", "done", "named", "name", "count")
    return search_fields(n_bits, **dict.fromkeys((*search, *flood), 1))


def _bounds(n: int, closed: float) -> dict[str, float]:
    bits = dict.fromkeys(("link", "entered", "enter", "leave", "leaving", "left", "done"), 1)
    numbers = dict.fromkeys(("label", "named", "name", "count"), n)
    return {"score": closed, "time": 2 * n, "now": 2 * n, **bits, **numbers}


def connected_components(
    csgraph: Any,
    directed: bool = True,
    connection: str = "weak",
    return_labels: bool = True,
    *,
    return_run: bool = False,
) -> Any:
    """Find connected components by looped transformers, strong ones by Kosaraju's algorithm.

    The same arguments and results as `scipy.sparse.csgraph.connected_components`, the numbers of
    the components included. Strong components take two loop bodies one after the other, the
    second of which goes on from the state that the first left: a depth-first search of two loops
    a node (`FinishBlock`), and a search along the edges backwards of one loop a node
    (`FloodBlock`); weak ones, and undirected graphs, take the second alone. The transformers
    compute and count the components; the host loads the graph, stops a loop when no node is
    open, and counts labels from 0: weak components by their smallest node, strong ones from
    the last one found to the first.

    Parameters
    ----------
    csgraph : array-like, masked array or sparse array of shape (n_nodes, n_nodes)
        The graph: entry (i, j) is the edge from i to j. Infinite entries of dense
        arrays and zeros, to within 1e-8 as in scipy, are no edges; stored zeros of sparse arrays
        are. At most 2**21 - 2 nodes.
    directed : bool, default=True
        Whether edges lead one way only.
    connection : {"weak", "strong"}, default="weak"
        For directed graphs: whether two nodes belong together if there is a way between them
        whatever the direction of the edges, or ways both there and back.
    return_labels : bool, default=True
        Whether to return the labels.
    return_run : bool, default=False
        Whether to return the runs of the loop: block, certificate, last state, loops used.

    Returns
    -------
    n_components : int
    labels : ndarray of int32 of shape (n_nodes,)
        Number of each node's component. Only if `return_labels`.
    runs : list of SearchRun
        Only if `return_run`. Two for strong components, or else one.

    Raises
    ------
    ValueError
        If the graph is not square, empty, too large or has weights that are NaN, or `connection`
        is unknown.

    Examples
    --------
    >>> from sklearn_looped.programmed import csgraph
    >>> graph = [[0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    >>> csgraph.connected_components(graph)
    (2, array([0, 0, 0, 1], dtype=int32))
    >>> n, labels, runs = csgraph.connected_components(graph, connection="strong", return_run=True)
    >>> n, labels, [run.n_loops for run in runs]
    (3, array([1, 1, 0, 2], dtype=int32), [8, 4])
    """
    if str(connection).lower() not in ("weak", "strong"):
        raise ValueError(f"Got connection={connection!r}, but expected 'weak' or 'strong'.")
    graph = drop_weights(check_graph(csgraph))
    strong = directed and connection.lower() == "strong"
    runs = _strong(graph) if strong else _weak(graph)
    names = runs[-1].nodes("label").astype(np.int32)
    n_components = int(names.max())
    labels = n_components - names if strong else names - 1
    return results((True, n_components), (return_labels, labels), (return_run, runs))


def _weak(graph: csr_array) -> list[SearchRun]:
    n_nodes = graph.shape[0]
    block = FloodBlock(pointer_bits(n_nodes), ("out", "in"))
    tape = block.tape(n_nodes, score=2 * 2**block.n_bits + np.arange(n_nodes))
    return [block.search(tape, graph, n_nodes)]


def _strong(graph: csr_array) -> list[SearchRun]:
    n_nodes = graph.shape[0]
    n_bits = pointer_bits(n_nodes)
    search, flood = FinishBlock(n_bits), FloodBlock(n_bits, ("in",))
    tape = search.tape(n_nodes, score=6 * 4**n_bits + np.arange(n_nodes))
    first = search.search(tape, graph, 2 * n_nodes)
    return [first, flood.search(first.end, graph, n_nodes)]
