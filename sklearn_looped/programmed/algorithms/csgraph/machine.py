"""`GraphMachine`: one network of constant width in which graph algorithms are programs."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import block_diag, csr_array

from sklearn_looped.core.names import known_names
from sklearn_looped.programmed.algorithms.csgraph.machine_layers import (
    CLOSED,
    GAP,
    HALT,
    UNREACHED,
    instructions,
    machine_bounds,
    machine_fields,
    machine_layers,
)
from sklearn_looped.programmed.algorithms.csgraph.paths import check_lengths, scale_lengths
from sklearn_looped.programmed.algorithms.csgraph.search import NO_NODE, SearchRun, pointer_bits
from sklearn_looped.programmed.algorithms.csgraph.validation import (
    check_graph,
    check_node,
    check_nodes,
    drop_weights,
)
from sklearn_looped.programmed.transformer.block import Block, Tape
from sklearn_looped.programmed.transformer.codes import CircleCode
from sklearn_looped.programmed.transformer.evaluation import evaluated
from sklearn_looped.programmed.transformer.layout import Layout

N_INSTRUCTIONS = 8  # with the end of the program
_OTHERS = Layout(null=1, scratch=1, program=N_INSTRUCTIONS)  # tokens before the nodes
_ROOT = 1.5  # score of nodes that are open at first: behind all offers
_MAX_BITS = 20  # of a token's number; beyond, scores of searches are no longer GAP apart


class GraphMachine:
    r"""One frozen network that runs graph algorithms, chosen by the tape.

    The sequence is a null token, a scratchpad, the instructions of a program, and a token per node.
    An instruction is eleven numbers that say what a node offers its neighbours:
    ``breadth`` and ``depth`` (first order), ``shortest`` (paths, by Dijkstra's algorithm), ``span``
    (a minimum spanning tree, by Prim's), ``finish`` and ``strong`` (Kosaraju's two searches),
    ``weak`` (components). One pass takes the open node of smallest score (an argmin head), reads
    its edges (graph heads), and its neighbours accept the offer where it is below their value. When
    no node is open the program counter, an angle, moves on by one step, until the program ends.

    Width and depth are constant: positions are angles on the circle
    (`~sklearn_looped.programmed.transformer.codes.CircleCode`), two numbers however many nodes
    there are. All nets are of ReLU units, heads are softmax and graph heads. The same weights run
    every program on every graph of at most `max_nodes` nodes. `fingerprint` shows it.

    Scores lie on a grid of :math:`2^{-44}` and ties go to the smallest number, as in
    `~sklearn_looped.programmed.algorithms.csgraph.DijkstraBlock`: distances are exact in every bit,
    and a tree of ``span`` is a minimum one up to differences of lengths below :math:`2^{-44}` times
    the number of positions times the longest edge.

    Parameters
    ----------
    max_nodes : int, default=4096
        Number of nodes of the largest graph, from 1 to 2**20 - 12.

    Attributes
    ----------
    max_nodes : int
        As declared.
    block : Block
        The loop body: `fields`, `layers` and `certificate`.
    instructions : dict of str to Instruction
        The instructions by name.

    Raises
    ------
    ValueError
        If `max_nodes` is not an integer from 1 to 2**20 - 12.

    References
    ----------
    A. B. de Luca, K. Fountoulakis, "Simulation of Graph Algorithms with Looped Transformers",
    ICML 2024.

    Examples
    --------
    >>> from sklearn_looped import GraphMachine
    >>> machine = GraphMachine(max_nodes=100)
    >>> before = machine.fingerprint()
    >>> graph = [[0, 1, 4, 0], [0, 0, 2, 0], [1, 0, 0, 0.5], [0, 0, 0, 0]]
    >>> machine.dijkstra(graph, 0)[0].tolist()
    [0.0, 1.0, 3.0, 3.5]
    >>> machine.depth_first_order(graph, 0)[0].tolist()
    [0, 1, 2, 3]
    >>> machine.connected_components(graph)
    (2, array([1, 1, 1, 0], dtype=int32))
    >>> machine.fingerprint() == before, len(machine.block.layers), machine.block.fields.width
    (True, 7, 72)
    """

    def __init__(self, max_nodes: int = 4096) -> None:
        whole, most = isinstance(max_nodes, Integral), 2**_MAX_BITS - _OTHERS.width - 2
        if not (whole and 1 <= max_nodes <= most):
            raise ValueError(f"Got max_nodes={max_nodes}, expected an integer from 1 to {most}.")
        n_bits = pointer_bits(max_nodes + _OTHERS.width)
        self.max_nodes, code = max_nodes, CircleCode(2**n_bits)
        self.instructions = instructions(code.n_codes)
        fields, bounds = machine_fields(code), machine_bounds(code.n_codes)
        self.block = Block(fields, machine_layers(fields, code), bounds)

    def fingerprint(self) -> str:
        """Return a hash of all weights, which is the same for every program and every graph.

        Returns
        -------
        str
            SHA-256, in hexadecimal digits.
        """
        return self.block.transformer(_OTHERS).fingerprint()

    def run(
        self,
        program: str | Sequence[str],
        csgraph: Any,
        start: int | None = None,
        *,
        evaluation: str = "fast",
        device: str = "cpu",
    ) -> SearchRun:
        """Run a program on a graph.

        The host writes the graph, in units of a power of two, and the program to the tape, and
        stops the loop at the end of the program.

        Parameters
        ----------
        program : str or sequence of str
            Names of instructions, such as ``"finish strong"``; at most seven.
        csgraph : array-like, masked array or sparse array of shape (n_nodes, n_nodes)
            The graph: entry (i, j) is the edge from i to j, see `csgraph.dijkstra`.
        start : int or None, default=None
            The node that is open at first. None: all nodes, taken in the order of their numbers.
        evaluation : {"dense", "fast"}, default="fast"
            Both give the same bits on a CPU, see `LoopedTransformer.run`.
        device : str, default="cpu"
            Where "dense" runs: "cpu", "cuda", "cuda:N" or "auto".

        Returns
        -------
        run : SearchRun
            Its method ``nodes`` reads a field of all nodes: ``value``, ``parent``, ``step``,
            ``label``.

        Raises
        ------
        ValueError
            If an instruction is unknown, the graph is not a square matrix, is too large or has
            weights that the program cannot take, or there is no such node.
        RuntimeError
            If the program has not ended after n_nodes passes per node and instruction.
        """
        names = self._check_program(program)
        flags = [self.instructions[name] for name in names]
        if not any(flag.weigh for flag in flags):
            graph = drop_weights(check_graph(csgraph))
        else:
            graph = check_lengths(csgraph)
            summed = any(flag.carry for flag in flags)
            scale_lengths(graph, pointer_bits(graph.shape[0]) if summed else 0)
        with evaluated(evaluation, device):
            return self._search(names, graph, start)

    def _search(self, names: Sequence[str], graph: csr_array, start: int | None) -> SearchRun:
        """Run on a graph whose lengths are in units of the tape."""
        n_nodes = graph.shape[0]
        if n_nodes > self.max_nodes:
            raise ValueError(
                f"Got a graph of {n_nodes} nodes, but max_nodes={self.max_nodes}; raise it."
            )
        fields, first = self.block.fields, _OTHERS["program"].start
        tape = self._tape(names, n_nodes, None if start is None else check_node(start, n_nodes))
        end_of_program = tape.state[first + len(names), fields["position"]].numpy().tobytes()
        counter, scratch = fields["pc"], _OTHERS["scratch"].start

        def ended(now: Tape) -> bool:
            return now.state.numpy()[scratch, counter].tobytes() == end_of_program

        others = csr_array((_OTHERS.width, _OTHERS.width))
        adjacency = csr_array(block_diag([others, graph]))
        max_loops = len(names) * (n_nodes * max(2, n_nodes) + 1)
        end, n_loops = self.block.run(tape, max_loops, until=ended, adjacency=adjacency)
        if not ended(end):
            raise RuntimeError(
                f"Got a program that has not ended after {max_loops} loops: edges too short for "
                "the scores to order keep opening nodes again. Drop edges that are short beside "
                "the longest one, or make them 0."
            )
        return SearchRun(self.block, tape, adjacency, end, n_loops)

    def _check_program(self, program: str | Sequence[str]) -> list[str]:
        names = program.split() if isinstance(program, str) else list(program)
        for name in names:
            if name not in self.instructions:
                raise ValueError(
                    f"Got unknown instruction {name!r}{known_names(name, self.instructions)}"
                )
        if not 0 < len(names) < N_INSTRUCTIONS:
            raise ValueError(
                f"Got a program of {len(names)} instructions, expected 1 to {N_INSTRUCTIONS - 1}."
            )
        return names

    def _tape(self, names: Sequence[str], n_nodes: int, start: int | None) -> Tape:
        """Write instructions and nodes; nothing else of the tape depends on the program."""
        program = [self.instructions[name] for name in names]
        program += [HALT] * (N_INSTRUCTIONS - len(program))
        columns = zip(*program, strict=True)
        fields = {
            f"i{name}": np.array(column)[:, None]
            for name, column in zip(HALT._fields, columns, strict=True)
        }
        index = np.arange(n_nodes)
        score, value = _ROOT + GAP * index, np.full(n_nodes, UNREACHED)
        if start is not None:
            score, value = np.full(n_nodes, CLOSED), value.copy()
            score[start] = value[start] = 0.0
        node = {"index": index, "score": score, "value": value}
        node = {name: column[:, None] for name, column in node.items()}
        node |= {"parent": np.full((n_nodes, 1), NO_NODE), "step": np.full((n_nodes, 1), -1)}
        tokens = _OTHERS.extend(node=n_nodes)
        tape = self.block.load(tokens, named=("program", "node"), program=fields, node=node)
        tape.write("scratch", pc=tape.read("program", "position")[:1])
        return tape

    def breadth_first_order(
        self, csgraph: Any, i_start: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Order of the nodes and their parents, as `csgraph.breadth_first_order` returns them.

        Parameters
        ----------
        csgraph : array-like, masked array or sparse array of shape (n_nodes, n_nodes)
        i_start : int
            The node to start from.

        Returns
        -------
        node_array : ndarray of int32 of shape (n_reached,)
        predecessors : ndarray of int32 of shape (n_nodes,)

        Raises
        ------
        ValueError
            If the graph is not valid, or there is no such node.
        """
        return self._order("breadth", csgraph, i_start)

    def depth_first_order(
        self, csgraph: Any, i_start: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Order of the nodes and their parents, as `csgraph.depth_first_order` returns them.

        Parameters
        ----------
        csgraph : array-like, masked array or sparse array of shape (n_nodes, n_nodes)
        i_start : int
            The node to start from.

        Returns
        -------
        node_array : ndarray of int32 of shape (n_reached,)
        predecessors : ndarray of int32 of shape (n_nodes,)

        Raises
        ------
        ValueError
            If the graph is not valid, or there is no such node.
        """
        return self._order("depth", csgraph, i_start)

    def _order(
        self, name: str, csgraph: Any, i_start: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        run = self.run(name, csgraph, i_start)
        steps = run.nodes("step")
        order = np.argsort(steps)[np.count_nonzero(steps < 0) :]
        return order.astype(np.int32), run.nodes("parent").astype(np.int32)

    def dijkstra(
        self, csgraph: Any, indices: Any = None
    ) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Distances and predecessors from some nodes, as `csgraph.dijkstra` returns them.

        Parameters
        ----------
        csgraph : array-like, masked array or sparse array of shape (n_nodes, n_nodes)
        indices : int or array-like of int, default=None
            The nodes to start from. None: all nodes.

        Returns
        -------
        distances : ndarray of float64 of shape (..., n_nodes)
        predecessors : ndarray of int32 of the same shape

        Raises
        ------
        ValueError
            If the graph is not valid or has negative lengths, or there is no such node.
        """
        graph = check_lengths(csgraph)
        nodes = check_nodes(indices, n_nodes := graph.shape[0])
        exponent = scale_lengths(graph, pointer_bits(n_nodes))
        runs = [self._search(["shortest"], graph, int(node)) for node in nodes.ravel()]
        shape = (*nodes.shape, n_nodes)
        value, parent = (
            np.array([run.nodes(field) for run in runs]).reshape(shape)
            for field in ("value", "parent")
        )
        distances = np.where(value == UNREACHED, np.inf, np.ldexp(value, exponent))
        return distances, parent.astype(np.int32)

    def connected_components(
        self, csgraph: Any, connection: Literal["weak", "strong"] = "strong"
    ) -> tuple[int, NDArray[np.int32]]:
        """Return the number of components and labels, as `csgraph.connected_components` does.

        Parameters
        ----------
        csgraph : array-like, masked array or sparse array of shape (n_nodes, n_nodes)
        connection : {"strong", "weak"}, default="strong"
            Whether directions count.

        Returns
        -------
        n_components : int
        labels : ndarray of int32 of shape (n_nodes,)

        Raises
        ------
        ValueError
            If the connection is neither of the two, or the graph is not valid.
        """
        programs = {"strong": "finish strong", "weak": "weak"}
        if connection not in programs:
            raise ValueError(f"Got connection={connection!r}, but expected 'weak' or 'strong'.")
        names = self.run(programs[connection], csgraph).nodes("label").astype(np.int32)
        n_components = int(names.max())
        return n_components, n_components - names if connection == "strong" else names - 1
