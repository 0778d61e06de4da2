"""Best-first search as a looped transformer: what the blocks of all graph algorithms share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import block_diag, csr_array

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.transformer.block import Block, Tape
from sklearn_looped.programmed.transformer.layers import Layer, Unit, make_layer
from sklearn_looped.programmed.transformer.layout import Layout, n_code_bits
from sklearn_looped.programmed.transformer.primitives import argmin, broadcast, match_write

MAX_BITS = 21  # of a pointer; beyond, argmin cannot tell the scores of `FinishBlock` apart
NO_NODE = -9999  # scipy's "no predecessor"

Along = Literal["out", "in"]
"""Which edges of a node: ``out`` reads its row of the graph's matrix, ``in`` its column."""


class SearchBlock(Block):
    r"""Loop body of fixed weights that takes one node a pass, the *open* node of smallest score.

    The sequence is a null token, a scratchpad token and one token a node; the adjacency matrix
    of the tokens is the graph's, with zeros for the first two. One pass does, by attention and
    feed-forward nets alone,

    1. the scratchpad reads the number, code and registers of the open node u of smallest score
       (an argmin head);
    2. the nodes that u has an edge to read it: the scratchpad's pointer names u, and a graph head,
       :math:`\tilde A^\top \mathrm{softmax}(\cdot) X W_v`, spreads u's row of the matrix (with
       :math:`\tilde A` its column) over them; u marks itself, the scratchpad's registers are
       broadcast to all nodes, and the feed-forward net decides which nodes take a new score;
    3. those nodes take score, predecessor and so on; registers are cleared.

    De Luca & Fountoulakis 2024 find the smallest by a scan of one node a loop, and so take about
    n**2 loops where this takes n. The width of a token is a constant plus two codes of `n_bits`,
    and the weights are the same for all graphs of at most ``2**n_bits - 2`` nodes.

    Parameters
    ----------
    fields : Layout
        Fields of a token, see `search_fields`.
    layers : list of Layer
        The loop body.
    bounds : mapping of str to float
        Largest absolute value of the fields that hold integers, see `certify`; indicators and
        codes need none.
    closed : float
        What a closed node's score counts more; nodes are open as long as they are below it.
    shut : str, default="shut"
        Field that is 1 on closed nodes.

    Attributes
    ----------
    n_bits : int
        Bits of a position.
    certificate : Certificate
        Why the state is exact after every loop.

    Raises
    ------
    ValueError
        If pointers have more than 21 bits, or scores that the certificate refuses.

    References
    ----------
    A. B. de Luca, K. Fountoulakis, "Simulation of Graph Algorithms with Looped Transformers",
    ICML 2024.
    """

    def __init__(
        self,
        fields: Layout,
        layers: Sequence[Layer],
        bounds: Mapping[str, float],
        closed: float,
        shut: str = "shut",
    ) -> None:
        self.n_bits, self.closed, self.shut = fields.size("position"), closed, shut
        bits = dict.fromkeys(("one", "scratch", "null", "node", "position", "pointer"), 1)
        bits |= dict.fromkeys(("shut", "hit", "relax"), 1)
        super().__init__(fields, layers, {**bits, "index": 2**self.n_bits, **bounds})

    def tape(self, n_nodes: int, **values: ArrayLike) -> Tape:
        """Tokens of a graph, with the given fields of the nodes and all other fields 0.

        Parameters
        ----------
        n_nodes : int
        **values : array-like of shape (n_nodes,), or one number for all

        Returns
        -------
        tape : Tape
            A null token, the scratchpad, the nodes.

        Raises
        ------
        ValueError
            If there are more nodes than `n_bits` name.
        """
        if n_nodes + 2 > 2**self.n_bits:
            raise ValueError(
                f"Got a graph of {n_nodes} nodes, but pointers of {self.n_bits} bits name at most "
                f"{2**self.n_bits - 2}; declare more bits."
            )
        columns = {"index": np.arange(n_nodes), **values}
        node = {name: np.broadcast_to(v, n_nodes)[:, None] for name, v in columns.items()}
        return self.load(Layout(null=1, scratch=1, node=n_nodes), named=("node",), node=node)

    def search(self, tape: Tape, graph: csr_array, max_loops: int) -> "SearchRun":
        """Loop until no node is open.

        Parameters
        ----------
        tape : Tape
            As the method `tape` makes it, or what another block left.
        graph : csr_array of shape (n_nodes, n_nodes)
            The graph's matrix; entry (i, j) is the edge from i to j.
        max_loops : int
            Cap on the number of loops.

        Returns
        -------
        run : SearchRun

        Raises
        ------
        RuntimeError
            If nodes are still open after `max_loops` loops.
        """
        adjacency = csr_array(block_diag([csr_array((2, 2)), graph]))
        score, shut = self.fields.at("score"), self.fields.at(self.shut)

        def all_closed(end: Tape) -> bool:
            nodes = end.state.numpy()[2:]
            return bool((nodes[:, score] + self.closed * nodes[:, shut]).min() >= self.closed)

        end, n_loops = self.run(tape, max_loops, until=all_closed, adjacency=adjacency)
        if not all_closed(end):
            raise RuntimeError(
                f"Got nodes that are still open after {max_loops} loops: edges too short for the "
                "scores to order keep opening nodes again. Drop edges that are short beside the "
                "longest one, or make them 0."
            )
        return SearchRun(self, tape, adjacency, end, n_loops)


@dataclass(frozen=True, eq=False)
class SearchRun:
    """A loop that has ended.

    Parameters
    ----------
    block : Block
        The loop body: its `layers`, `fields` and `certificate`.
    tape : Tape
        The first state: a null token, the scratchpad, the nodes.
    adjacency : csr_array of shape (n_nodes + 2, n_nodes + 2)
        The adjacency matrix of the tokens.
    end : Tape
        The last state.
    n_loops : int
        Loops that were run.

    Examples
    --------
    Every state of a run, from the dense evaluation:

    >>> from sklearn_looped.programmed import csgraph
    >>> *_, (run,) = csgraph.breadth_first_order([[0, 1], [0, 0]], 0, return_run=True)
    >>> options = {"evaluation": "dense", "adjacency": run.adjacency}
    >>> states = run.block.states(run.tape, run.n_loops, **options)
    >>> [state.read("node", "step")[:, 0].tolist() for state in states]
    [[0.0, -1.0], [0.0, 1.0]]
    """

    block: Block
    tape: Tape
    adjacency: csr_array
    end: Tape
    n_loops: int

    def nodes(self, field: str) -> Array:
        """Return one field of all nodes.

        Parameters
        ----------
        field : str
            Its name in the tape.

        Returns
        -------
        ndarray of shape (n_nodes,)
        """
        return self.end.read("node", field)[:, 0]


def results(*parts: tuple[bool, Any]) -> Any:
    """Return as scipy does: those parts that are asked for, a single one by itself."""
    asked = [value for wanted, value in parts if wanted]
    return asked[0] if len(asked) == 1 else tuple(asked)


def search_fields(n_bits: int, **registers: int) -> Layout:
    """Fields of a token that all searches have, and those of one search behind them.

    A node has a number `index` and a `score`, is closed where `shut` is 1, and has the registers
    `hit` (it is the node taken), `link` (its entry of the adjacency matrix) and `relax` (it takes a
    new score). The scratchpad has a `pointer`.

    Raises
    ------
    ValueError
        If there are more than 21 bits.
    """
    if n_bits > MAX_BITS:
        raise ValueError(
            f"Got pointers of {n_bits} bits, but float64 tells the scores of at most "
            f"{2**MAX_BITS - 2} nodes apart; split the graph."
        )
    shared = dict.fromkeys(("index", "score", "shut", "hit", "link", "relax"), 1)
    codes = {"position": n_bits, "pointer": n_bits}
    return Layout(one=1, scratch=1, null=1, node=1, **codes, **shared, **registers)


def pointer_bits(n_nodes: int) -> int:
    """Bits of a pointer for a graph of so many nodes."""
    return n_code_bits(n_nodes + 2)


def search_layers(
    fields: Layout,
    taken: Mapping[str, str],
    sent: Mapping[str, str],
    relax: Callable[[Along], list[list[Unit]]],
    finish: list[Unit],
    *,
    closed: float,
    ways: Sequence[Along] = ("out",),
    gap: float = 1.0,
    shut: str = "shut",
    opened: Sequence[Unit] = (),
) -> list[Layer]:
    """Layers of a pass: the scratchpad takes a node, and nodes relax along its edges.

    Parameters
    ----------
    fields : Layout
    taken : mapping of str to str
        Field of the node taken -> register of the scratchpad, beside its code.
    sent : mapping of str to str
        Register of the scratchpad -> register of all nodes.
    relax : callable
        Hidden units of the nets that relax along edges of one direction, net by net; the last one
        acts on the scratchpad too.
    finish : list of Unit
        Units of the very last net.
    closed, shut
        See `SearchBlock`.
    ways : sequence of {"out", "in"}, default=("out",)
        The edges, one direction after the other.
    gap : float, default=1.0
        Smallest difference of two scores.
    opened : sequence of Unit, default=()
        Units of the scratchpad once it has taken a node.

    Returns
    -------
    layers : list of Layer
    """
    node, scratch = ("node",), ("scratch",)
    score, copy = fields.terms(score=1.0, **{shut: closed}), {"position": "pointer", **taken}
    choose = argmin(fields, score, copy, "scratch", node, bound=2 * closed, gap=gap)
    layers = [make_layer(fields, [choose], opened, scratch)]
    hit = match_write(fields, "pointer", {"scratch": "hit"}, node, scratch)
    heads = [hit, broadcast(fields, "scratch", sent, node)]
    for along in ways:
        first, *between, last = relax(along)
        # The graph head: every node adds the entry of its edge with the node taken to `link`.
        kinds, out = (node, scratch), along == "out"
        link = {"scratch": "link"}
        edges = match_write(fields, "pointer", link, *kinds, kind="graph", transposed=out)
        layers.append(make_layer(fields, [edges, *heads], first, node))
        layers += [make_layer(fields, (), units, node) for units in between]
        last, heads = last + (finish if along == ways[-1] else []), []
        layers.append(make_layer(fields, (), last, scratch + node))
    return layers


def ways_of(directed: bool) -> tuple[Along, ...]:
    """Return the edges that a search follows."""
    return ("out",) if directed else ("out", "in")
