"""Validation of graphs and nodes, as scipy reads them, and stricter where it reads nonsense."""

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse
from scipy.sparse.csgraph import csgraph_from_dense, csgraph_from_masked
from sklearn.utils import check_array


def check_graph(csgraph: Any) -> csr_array:
    """Check a graph and give it as a sparse matrix, with stored zeros for edges of length 0.

    As in scipy, infinite entries of a dense array and zeros, to within 1e-8, are no edges, and all
    entries that a sparse matrix stores, or that a masked array does not mask, are, also zeros.
    Unlike in scipy, NaN is no way to say that there is no edge, nor are the zeros edges that fill
    up the blocks of a BSR and the diagonals of a DIA matrix.

    Parameters
    ----------
    csgraph : array-like, masked array or sparse array of shape (n_nodes, n_nodes)

    Returns
    -------
    graph : csr_array of float64 of shape (n_nodes, n_nodes)
        Sorted, without duplicates.

    Raises
    ------
    ValueError
        If the graph is not a square matrix of at least one node, or not real, or has weights that
        are NaN, or stored ones that are infinite.
    """
    sparse, masked = issparse(csgraph), np.ma.isMaskedArray(csgraph)
    matrix = csgraph if sparse or masked else np.asarray(csgraph)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
        raise ValueError(
            f"Got a graph of shape {matrix.shape}, but expected a square matrix with a row and a "
            "column for each of one or more nodes."
        )
    options: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": False}
    if masked:
        values = check_array(np.ma.getdata(matrix), input_name="csgraph", **options)
        graph = csgraph_from_masked(np.ma.masked_array(values, np.ma.getmaskarray(matrix)))
    elif sparse:
        graph = check_array(matrix, accept_sparse="csr", input_name="csgraph", **options)
        if csgraph.format in ("bsr", "dia"):
            graph = graph.copy()
            graph.eliminate_zeros()
    else:
        values = check_array(matrix, input_name="csgraph", **options)
        _refuse(np.isnan(values), "NaN", "0 or infinity")
        graph = csgraph_from_dense(values)
    graph = csr_array(graph, copy=True)
    graph.sum_duplicates()
    _refuse(~np.isfinite(graph.data), "NaN or infinite", "nothing (drop the entry or mask it)")
    return graph


def _refuse(bad: NDArray[np.bool_], what: str, instead: str) -> None:
    if bad.any():
        raise ValueError(
            f"Got {int(bad.sum())} weights of the graph that are {what}; write {instead} where "
            "there is no edge."
        )


def drop_weights(graph: csr_array) -> csr_array:
    """Graph with weight 1 on all edges."""
    return csr_array((np.ones(graph.nnz), graph.indices, graph.indptr), shape=graph.shape)


def check_node(i_start: Any, n_nodes: int) -> int:
    """Check the number of a node.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If there is no such node.
    """
    try:
        node = operator.index(i_start)
    except TypeError as error:
        raise TypeError(f"Got i_start={i_start!r}, but expected the number of a node.") from error
    if not 0 <= node < n_nodes:
        raise ValueError(f"Got i_start={node}, but the nodes are 0 to {n_nodes - 1}.")
    return node


def check_nodes(indices: Any, n_nodes: int) -> NDArray[np.intp]:
    """Check numbers of nodes, of any shape; None: all nodes. Negative ones count from the end.

    Raises
    ------
    ValueError
        If they are no integers or there are no such nodes.
    """
    nodes = np.arange(n_nodes) if indices is None else np.asarray(indices)
    if nodes.dtype.kind not in "iu" and nodes.size:
        raise ValueError(f"Got indices={indices!r}, but expected numbers of nodes, integers.")
    if (nodes < -n_nodes).any() or (nodes >= n_nodes).any():
        raise ValueError(
            f"Got indices from {nodes.min()} to {nodes.max()}, but the nodes are 0 to "
            f"{n_nodes - 1} (or -{n_nodes} to -1, from the end)."
        )
    return np.where(nodes < 0, nodes + n_nodes, nodes).astype(np.intp)
