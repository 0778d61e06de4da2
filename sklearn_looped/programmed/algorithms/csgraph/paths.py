"""Shortest paths by Dijkstra's algorithm."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sklearn_looped.programmed.algorithms.csgraph.search import (
    NO_NODE,
    SearchBlock,
    SearchRun,
    pointer_bits,
    results,
    search_fields,
    search_layers,
    ways_of,
)
from sklearn_looped.programmed.algorithms.csgraph.validation import (
    check_graph,
    check_nodes,
    drop_weights,
)
from sklearn_looped.programmed.transformer.layers import Unit
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import add, clear, gate

_UNREACHED = 2.0  # no path is longer than 1
_CLOSED = 4.0
_GAP = 2.0**-44  # of the scores of two nodes
_SHORTEST = 2.0**-200  # edge other than 0
_LARGEST_EXPONENT = 1022
_STEEP = 2.0**256  # above the inverse of the smallest difference of two distances


class DijkstraBlock(SearchBlock):
    r"""Loop body that settles one node a pass, the open one of smallest distance.

    Lengths are measured in a power of two that no path exceeds, so distances are at most 1 and
    one set of weights serves all graphs. An edge of length w > 0 stands in the adjacency matrix as
    w, one of length 0 as -1. The pass reads the edges :math:`a_v` of the node u that it takes
    (`SearchBlock`), and on every node v forms

    - the candidate :math:`c = d_u + \mathrm{relu}(a_v)`, a rounded sum as in any program;
    - whether there is an edge, :math:`[|a_v| > 0]`, and if so the gain
      :math:`g = \mathrm{relu}(d_v - c)`, whose sign is exact;
    - :math:`f = [g > 0] = 1 - \mathrm{relu}(1 - A g)`, 0 or 1 exactly, with :math:`A = 2^{256}`
      above the inverse of the smallest gain;
    - :math:`d_v \leftarrow f c + (1 - f) d_v`, with predecessor and source: gated units of which
      one is 0, so the new distance is c to the last bit.

    Nodes are taken by the score :math:`\mathrm{round}_q(d) + \delta v`, with
    :math:`\delta = 2^{-44}` and a grid of :math:`q = 2^L \delta`, to which adding and taking away
    a constant rounds. So the scores of different nodes differ by at least :math:`\delta` whatever
    the distances: the argmin head is one-hot, and ties go to the smallest number. Where two
    distances fall on one grid point a node may be settled too early; it opens again when its
    distance falls. So at the end :math:`d_v \le \mathrm{fl}(d_u + w)` for *every* edge, and
    distances are the smallest rounded sums over all paths, equal in every bit to those of a
    Dijkstra with a priority queue in float64. One pass a node if there are no edges
    shorter than q; at most n passes a node if there are such of length 0 only.

    6 layers a pass for directed graphs; 11 for undirected ones, which relax along the edges that
    lead out of a node, then along those that lead in.

    Parameters
    ----------
    n_bits : int
        Bits L of a position: graphs have at most 2**L - 2 nodes. At most 21.
    directed : bool, default=True

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.csgraph import DijkstraBlock
    >>> block = DijkstraBlock(8)
    >>> len(block.layers), block.fields.width, block.certificate.logit_margin
    (6, 43, 960.0)
    """

    def __init__(self, n_bits: int, *, directed: bool = True) -> None:
        fields = _fields(n_bits)
        layers = search_layers(
            fields,
            {"distance": "nearest", "index": "chosen", "source": "origin"},
            {"nearest": "base", "chosen": "sender", "origin": "spring"},
            lambda _: _relax(fields),
            _settle(fields),
            closed=_CLOSED,
            ways=ways_of(directed),
            gap=_GAP,
        )
        numbers = ("parent", "source", "chosen", "sender", "origin", "spring")
        bounds = dict.fromkeys(numbers, max(2**n_bits, -NO_NODE))
        bits = dict.fromkeys(("absent", "keep"), 1)
        super().__init__(fields, layers, bounds | bits, _CLOSED)


def _fields(n_bits: int) -> Layout:
    node = ("distance", "parent", "source")
    scratch = ("nearest", "chosen", "origin")
    received = ("base", "sender", "spring")
    edge = ("length", "size", "absent", "candidate", "gain", "grid", "old", "keep")
    return search_fields(n_bits, **dict.fromkeys((*node, *scratch, *received, *edge), 1))


def _relax(fields: Layout) -> list[list[Unit]]:
    """Units of five nets: edge; candidate; gain and grid; decision; update."""
    node, link, distance, candidate = fields.index("node", "link", "distance", "candidate")
    relax, keep, score = fields.index("relax", "keep", "score")
    grid = {node: 2.0 ** (52 + fields.size("position")) * _GAP}  # its last bit is q
    edge = [
        Unit({link: 1.0}, fields.terms(length=1, size=1)),
        Unit({link: -1.0}, fields.terms(size=1)),
    ]
    sums = [
        Unit(fields.terms(base=1, length=1), {candidate: 1.0}),
        Unit(fields.terms(node=1, size=-_STEEP), fields.terms(absent=1)),
    ]
    compare = [
        Unit(fields.terms(distance=1, candidate=-1, absent=-_CLOSED), fields.terms(gain=1)),
        Unit({candidate: 1.0, **grid}, fields.terms(grid=1)),
        Unit(grid, fields.terms(grid=-1)),
        Unit({distance: 1.0}, fields.terms(old=1)),
    ]
    decide = [
        Unit({node: 1.0}, {relax: 1.0}),
        Unit(fields.terms(node=1, gain=-_STEEP), {relax: -1.0, keep: 1.0}),
        *clear(fields, "distance"),
    ]
    update = [
        *gate(relax, {candidate: 1.0}, distance),
        *gate(keep, fields.terms(old=1), distance),
        *gate(relax, fields.terms(grid=1, index=_GAP, score=-1), score),
        *gate(relax, fields.terms(sender=1, parent=-1), fields.at("parent")),
        *gate(relax, fields.terms(spring=1, source=-1), fields.at("source")),
        *gate(relax, fields.terms(shut=-1), fields.at("shut")),
        *clear(fields, "link", "length", "size", "absent", "candidate", "gain", "grid"),
        *clear(fields, "old", "keep", "relax"),
    ]
    return [edge, sums, compare, decide, update]


def _settle(fields: Layout) -> list[Unit]:
    """Close the node taken and clear the registers of the pass."""
    registers = ("hit", "base", "sender", "spring", "pointer", "nearest", "chosen", "origin")
    return [*add(fields, {"hit": "shut"}), *clear(fields, *registers)]


def dijkstra(
    csgraph: Any,
    directed: bool = True,
    indices: Any = None,
    return_predecessors: bool = False,
    unweighted: bool = False,
    limit: float = np.inf,
    min_only: bool = False,
    *,
    return_run: bool = False,
) -> Any:
    """Shortest paths by Dijkstra's algorithm, computed by a looped transformer.

    The same arguments and results as `scipy.sparse.csgraph.dijkstra`. Distances are equal to
    scipy's in every bit; where several shortest paths are equally long, the predecessors are
    those of one of them. The transformer computes distances, predecessors and sources; the host
    loads the graph, in units of a power of two, stops the loop when no node is open, and writes
    infinity where no path came. One run of the loop for each of `indices`, and one loop for each
    node reached, more where edges are extremely short (`DijkstraBlock`).

    Parameters
    ----------
    csgraph : array-like, masked array or sparse array of shape (n_nodes, n_nodes)
        The graph: entry (i, j) is the length of the edge from i to j, in any unit. Infinite
        entries of dense arrays and zeros, to within 1e-8 as in scipy, are no edges; stored zeros
        of sparse arrays are edges of length 0. At most 2**21 - 2 nodes. Edges other than 0 are at
        least 2**-197 n times the longest one, of n nodes, and n times that is below 2**1019.
    directed : bool, default=True
        Whether edges lead one way only.
    indices : int or array-like of int, default=None
        The nodes to start from, negative ones from the end. None: all.
    return_predecessors : bool, default=False
        Whether to return predecessors, and with `min_only` sources.
    unweighted : bool, default=False
        Whether to count edges in place of adding up their lengths.
    limit : float, default=inf
        Nodes farther than this count as not reached. At least 0.
    min_only : bool, default=False
        Whether to find, in one run, the distance of every node from the nearest of `indices`.
    return_run : bool, default=False
        Whether to return the runs of the loop: block, certificate, last state, loops used.

    Returns
    -------
    dist_matrix : ndarray of float64 of shape (..., n_nodes), (n_nodes,) if `min_only`
        Distances, infinity where there is no path; the leading shape is that of `indices`.
    predecessors : ndarray of int32 of the same shape
        Last node on the way; -9999 for where the path starts and where there is none. Only if
        `return_predecessors`.
    sources : ndarray of int32 of shape (n_nodes,)
        Where the shortest path starts, or -9999. Only if `return_predecessors` and `min_only`.
    runs : list of SearchRun
        Only if `return_run`. One for each of `indices`, or one.

    Raises
    ------
    ValueError
        If the graph is not square, empty or too large, weights are negative, NaN or too far apart,
        there are no such nodes, or the limit is negative.

    Examples
    --------
    >>> from sklearn_looped.programmed import csgraph
    >>> graph = [[0, 1, 4, 0], [0, 0, 2, 0], [0, 0, 0, 0.5], [0, 0, 0, 0]]
    >>> csgraph.dijkstra(graph, indices=0, return_predecessors=True)
    (array([0. , 1. , 3. , 3.5]), array([-9999,     0,     1,     2], dtype=int32))
    >>> _, (run,) = csgraph.dijkstra(graph, indices=0, return_run=True)
    >>> run.n_loops, run.block.fields.width
    (4, 33)
    """
    graph = check_lengths(csgraph, unweighted)
    n_nodes = graph.shape[0]
    nodes = check_nodes(indices, n_nodes)
    if not limit >= 0:
        raise ValueError(f"Got limit={limit!r}, but a distance is at least 0.")
    if min_only and not nodes.size:
        raise ValueError("Got no indices, but the nearest of them was asked for; give a node.")
    block = DijkstraBlock(pointer_bits(n_nodes), directed=directed)
    exponent = scale_lengths(graph, block.n_bits)
    starts = [nodes.ravel()] if min_only else nodes.reshape(-1, 1)
    limit = np.ldexp(min(limit, np.ldexp(_UNREACHED, exponent)), -exponent)
    runs = [_search(block, graph, start, limit) for start in starts]
    shape = (n_nodes,) if min_only else (*nodes.shape, n_nodes)

    def read(field: str, dtype: type) -> Any:
        return np.array([run.nodes(field) for run in runs]).reshape(shape).astype(dtype)

    distance, source = np.ldexp(read("distance", np.float64), exponent), read("source", np.int32)
    return results(
        (True, np.where(source == NO_NODE, np.inf, distance)),
        (return_predecessors, read("parent", np.int32)),
        (return_predecessors and min_only, source),
        (return_run, runs),
    )


def shortest_path(
    csgraph: Any,
    method: str = "auto",
    directed: bool = True,
    return_predecessors: bool = False,
    unweighted: bool = False,
    overwrite: bool = False,
    indices: Any = None,
    *,
    return_run: bool = False,
) -> Any:
    """Shortest paths, computed by a looped transformer: `dijkstra` in scipy's other form.

    The same arguments and results as `scipy.sparse.csgraph.shortest_path`, for Dijkstra's method.

    Parameters
    ----------
    csgraph
        See `dijkstra`.
    method : {"auto", "D"}, default="auto"
        Both are Dijkstra's algorithm.
    directed, return_predecessors, unweighted
        See `dijkstra`.
    overwrite : bool, default=False
        For scipy's Floyd-Warshall method; not used.
    indices, return_run
        See `dijkstra`.

    Returns
    -------
    dist_matrix, predecessors, runs
        See `dijkstra`.

    Raises
    ------
    ValueError
        If the method is another one, and as `dijkstra`.

    Examples
    --------
    >>> from sklearn_looped.programmed import csgraph
    >>> csgraph.shortest_path([[0, 2], [0, 0]])
    array([[ 0.,  2.],
           [inf,  0.]])
    """
    if method not in ("auto", "D"):
        raise ValueError(
            f"Got method={method!r}, but only 'D' (Dijkstra) and 'auto' are there; for others take "
            "scipy.sparse.csgraph.shortest_path."
        )
    return dijkstra(
        csgraph, directed, indices, return_predecessors, unweighted, return_run=return_run
    )


def check_lengths(csgraph: Any, count: bool = False) -> csr_array:
    """Check a graph of lengths that are at least 0, or all 1 if edges are counted."""
    graph = drop_weights(check_graph(csgraph)) if count else check_graph(csgraph)
    if (graph.data < 0).any():
        raise ValueError(
            f"Got {int((graph.data < 0).sum())} negative weights, as small as "
            f"{graph.data.min():g}, but Dijkstra's algorithm needs weights of at least 0; take "
            "scipy.sparse.csgraph.bellman_ford or johnson."
        )
    return graph


def scale_lengths(graph: csr_array, n_bits: int) -> int:
    """Measure lengths in 2**exponent, above the length of every path; write -1 for length 0."""
    zero = graph.data == 0
    longest = graph.data.max(initial=0.0)
    exponent = int(np.frexp(longest)[1]) + n_bits
    if exponent > _LARGEST_EXPONENT:
        raise ValueError(
            f"Got weights up to {longest:g}, but paths of {graph.shape[0]} nodes may be longer "
            "than float64 holds; measure edges in another unit."
        )
    lengths = np.ldexp(graph.data, -exponent)
    if (~zero & (lengths < _SHORTEST)).any():
        raise ValueError(
            f"Got weights as small as {graph.data[~zero].min():g} beside {longest:g}, but those "
            f"below {np.ldexp(_SHORTEST, exponent):g} cannot be distinguished from 0; write 0 for "
            "them in a sparse array."
        )
    graph.data = np.where(zero, -1.0, lengths)
    return exponent


def _search(
    block: DijkstraBlock, graph: csr_array, start: NDArray[np.intp], limit: float
) -> SearchRun:
    """Run from one or more nodes; a distance is within the limit if it is below the next number."""
    n_nodes = graph.shape[0]
    beyond = max(np.nextafter(limit, np.inf), _SHORTEST)
    distance = np.full(n_nodes, min(_UNREACHED, beyond))
    shut, source = np.ones(n_nodes), np.full(n_nodes, NO_NODE)
    distance[start], shut[start], source[start] = 0, 0, start
    score = _GAP * np.arange(n_nodes)
    tape = block.tape(
        n_nodes, distance=distance, shut=shut, source=source, score=score, parent=NO_NODE
    )
    return block.search(tape, graph, n_nodes**2)
