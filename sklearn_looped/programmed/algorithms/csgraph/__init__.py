"""Graph algorithms of `scipy.sparse.csgraph` as looped transformers of fixed weights.

The functions take scipy's arguments and give scipy's results, with one more keyword: with
``return_run=True`` the last result is a list of `SearchRun`, one for each run of the loop, with the
loop body (`block`, with `layers`, `fields` and `certificate`), the last state and the loops used.

They are there to be looked into: the loops are as many as the nodes, or a small multiple, and each
touches every node, so scipy is faster by a factor of hundreds to thousands.
"""

from sklearn_looped.programmed.algorithms.csgraph.components import (
    FinishBlock,
    FloodBlock,
    connected_components,
)
from sklearn_looped.programmed.algorithms.csgraph.order import (
    OrderBlock,
    breadth_first_order,
    depth_first_order,
)
from sklearn_looped.programmed.algorithms.csgraph.paths import (
    DijkstraBlock,
    dijkstra,
    shortest_path,
)
from sklearn_looped.programmed.algorithms.csgraph.search import SearchBlock, SearchRun

__all__ = [
    "breadth_first_order",
    "connected_components",
    "depth_first_order",
    "dijkstra",
    "shortest_path",
]
