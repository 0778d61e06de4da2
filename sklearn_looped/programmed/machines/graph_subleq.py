r"""SUBLEQ by a network of constant width with graph heads (De Luca & Fountoulakis 2024).

Positions are angles on the circle, cells are single numbers and all nets are of ReLU units, so
width and depth are the same whatever the size of the memory: the construction that makes looped
transformers of constant width Turing complete, up to the numbers that a dtype holds. One more
instruction reads the graph: ``edge a, b`` puts the weight of the edge between two nodes in a cell.
"""

from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import block_diag, csr_array
from torch import Tensor

from sklearn_looped.core.arrays import refuse_masked
from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.subleq import SubleqMachine
from sklearn_looped.programmed.machines.subleq_assembler import EdgeInstruction, assemble_subleq
from sklearn_looped.programmed.machines.subleq_layers import mark_overflow
from sklearn_looped.programmed.transformer.codes import CircleCode
from sklearn_looped.programmed.transformer.layers import Head, Layer, Unit, make_layer
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    add,
    at_least,
    clear,
    gated,
    make_head,
    match_read,
    match_write,
    turn,
)

ON, CELLS = ("scratch",), ("memory",)


class GraphSubleqMachine(SubleqMachine):
    r"""A SUBLEQ machine whose width does not grow with its memory, and which reads a graph.

    Its programs are those of `SubleqMachine`, with one more instruction: ``edge a, b, target``
    reads the numbers of two nodes in cells a and b, replaces the latter by the weight of the edge
    from the one to the other, 0 where there is none, and goes to the target if that is at most 0.
    A number of no node is a fault.

    Six layers: write back and fetch; read both operands; find the nodes of these numbers, by
    scores :math:`2rv - v^2` for a number r and a node v; a graph head spreads the row of the first
    over the cells; read its entry at the second, subtract and compare; branch. The program counter
    moves on by a rotation, and the next head rounds it to a code.

    Parameters
    ----------
    n_memory, n_instructions, n_bits, dtype, temperature
        As in `SubleqMachine`. Overflow traps.
    graph : array-like or sparse array of shape (n_nodes, n_nodes), default=None
        Entry (i, j) is the weight of the edge from i to j, an integer that a cell holds; at most
        `n_memory` nodes. It is data: the weights of the network are the same for all graphs.

    Raises
    ------
    ValueError
        As `SubleqMachine`, or if the graph is not square, too large, or has masked entries or
        other weights, or the dtype cannot separate so many positions on the circle.

    References
    ----------
    A. B. de Luca, K. Fountoulakis, "Simulation of Graph Algorithms with Looped Transformers",
    ICML 2024.

    Examples
    --------
    >>> from sklearn_looped.programmed.machines.graph_subleq import GraphSubleqMachine
    >>> machine = GraphSubleqMachine(n_memory=8, n_instructions=12, graph=[[0, 5], [0, 0]])
    >>> machine.run("x: .word 20\n y: .word 22\n add x, y")["y"]
    42
    >>> machine.run("x: .word 0\n y: .word 1\n edge x, y")["y"]
    5
    >>> machine.fields.width == GraphSubleqMachine(n_memory=1000, n_instructions=900).fields.width
    True
    """

    def __init__(
        self,
        n_memory: int,
        n_instructions: int,
        *,
        n_bits: int = 16,
        dtype: Literal["float64", "float32"] = "float64",
        temperature: float | None = None,
        graph: Any = None,
    ) -> None:
        self._n_memory = n_memory  # for `_body`, once the sizes are checked
        super().__init__(
            n_memory,
            n_instructions,
            n_bits=n_bits,
            cells="integer",
            dtype=dtype,
            temperature=temperature,
        )
        largest = max(self.certificate.largest_integer, int(2 * self._far))
        self.certificate = replace(self.certificate, largest_integer=largest).check()
        self.graph = None if graph is None else self._check_graph(graph)
        matrix = csr_array((1, 1)) if self.graph is None else self.graph
        start = self.tokens["memory"].start
        behind = self.tokens.width - start - matrix.shape[0]
        blocks = [csr_array((start, start)), matrix, csr_array((behind, behind))]
        self.adjacency = csr_array(block_diag(blocks))

    assemble = staticmethod(partial(assemble_subleq, graph=True))

    def _body(self, n_code: int, dtype: torch.dtype) -> tuple[Layout, list[Layer]]:
        self._far = 2.0 ** (self.n_bits + 4 + 2 * int(self._n_memory).bit_length())
        code = CircleCode(2**n_code, dtype)
        fields = graph_subleq_fields(code).astype(dtype)
        return fields, graph_subleq_layers(fields, code, self.n_bits, self._far)

    def _check_graph(self, graph: Any) -> csr_array:
        refuse_masked(graph=graph)
        matrix = csr_array(graph, dtype=np.float64)
        n_memory, (low, high) = self.tokens.size("memory"), self._range
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] > n_memory:
            raise ValueError(
                f"Got a graph of shape {matrix.shape}, expected a square matrix of at most "
                f"{n_memory} nodes, one a cell; declare more memory."
            )
        whole = np.rint(matrix.data) == matrix.data
        if not (whole & (matrix.data >= low) & (matrix.data <= high)).all():
            raise ValueError(
                f"Got weights of the graph that cells of n_bits={self.n_bits} do not hold, "
                f"expected integers from {low} to {high}."
            )
        return matrix

    def load(self, program: Program) -> Tensor:
        """Write a program and its data to a tape, as `SubleqMachine` does, and number the nodes.

        Parameters
        ----------
        program : Program

        Returns
        -------
        tape : Tensor of shape (n_tokens, width)

        Raises
        ------
        ValueError
            As `SubleqMachine`, or if the program reads a graph and the machine has none.
        """
        tape = super().load(program)
        asks = [isinstance(each, EdgeInstruction) for each in program.instructions]
        if any(asks) and self.graph is None:
            raise ValueError("Got a program with edge, but the machine has no graph; give it one.")
        rows = tape[self.tokens["program"]]
        asked = torch.tensor(asks, dtype=self.dtype, device="cpu")
        rows[: len(asks), self.fields.at("iask")] = asked
        if self.graph is not None:
            nodes = torch.arange(self.graph.shape[0], dtype=self.dtype, device="cpu")
            cells = tape[self.tokens["memory"]][: len(nodes)]
            cells[:, self.fields.at("isnode")] = 1
            cells[:, self.fields.index("index", "square")] = torch.stack([nodes, nodes**2], 1)
        return tape

    def _fault(self, program: Program, pc: int, state: Tensor) -> tuple[str, Any]:
        instruction = program.instructions[pc]
        if not isinstance(instruction, EdgeInstruction) or self.graph is None:
            return super()._fault(program, pc, state)
        n_nodes, cells = self.graph.shape[0], self.cells(state)
        numbers = (cells[instruction.a], cells[instruction.b])
        reason = f"edge takes numbers of nodes, from 0 to {n_nodes - 1}"
        return reason, next(v for v in numbers if not 0 <= v < n_nodes)

    def _instructions(self, codes: NDArray) -> list[Any]:
        asks = codes[:, self.fields.at("iask")] != 0
        plain = super()._instructions(codes)
        pairs = zip(plain, asks, strict=True)
        return [EdgeInstruction(*each) if ask else each for each, ask in pairs]


def graph_subleq_fields(code: CircleCode) -> Layout:
    """Fields: as those of `SubleqMachine`, and registers of the graph; indicators first."""
    bits = ("one", "scratch", "null", "isnode", "iask", "ask", "flag", "overflow")
    numbers = ("value", "va", "vb", "delta", "index", "square", "founda", "foundb")
    codes = ("position", "ia", "ib", "ic", "pc", "here", "next", "inc", "ra", "rb", "rc", "wp")
    ones = dict.fromkeys((*bits, *numbers, "link", "weight"), 1)
    return Layout(**ones, **dict.fromkeys((*codes, "from", "to"), code.width)).with_code(code)


def graph_subleq_layers(fields: Layout, code: CircleCode, n_bits: int, far: float) -> list[Layer]:
    """Six layers: fetch; read; find nodes; spread edges; subtract and compare; branch."""
    terms = fields.terms
    write = match_write(fields, "wp", {"delta": "value"}, CELLS, ON)
    fetched = {"ia": "ra", "ib": "rb", "ic": "rc", "iask": "ask", "position": "here"}
    fetch = match_read(fields, "pc", fetched, ON, ("program",))
    prepare = [
        *turn(fields, "here", "next", code.step),
        *clear(fields, "wp", "delta", "overflow", "pc", "here"),
    ]
    operands = [
        match_read(fields, pointer, {"value": target}, ON, CELLS)
        for pointer, target in (("ra", "va"), ("rb", "vb"))
    ]
    round_off = match_read(fields, "next", {"position": "inc"}, ON, ("program",))
    keep = [*add(fields, {"rb": "wp"}), *clear(fields, "ra", "rb", "next")]
    find = [
        _find(fields, number, {"position": pointer, "index": found}, far)
        for number, pointer, found in (("va", "from", "founda"), ("vb", "to", "foundb"))
    ]
    lost = [
        unit
        for number, found in (("va", "founda"), ("vb", "foundb"))
        for sign in (1, -1)
        for unit in _positive(fields, terms(**{number: sign, found: -sign}), far)
    ]
    edges = match_write(fields, "from", {"ask": "link"}, CELLS, ON, kind="graph", transposed=True)
    weight = match_read(fields, "to", {"link": "weight"}, ON, CELLS)
    return [
        make_layer(fields, [write, fetch], prepare, ON),
        make_layer(fields, [*operands, round_off], keep, ON),
        make_layer(fields, find, [*lost, *clear(fields, "founda", "foundb")], ON),
        make_layer(fields, [edges]),
        make_layer(fields, [weight], _execute(fields, n_bits), ON + CELLS),
        make_layer(fields, (), _branch(fields), ON),
    ]


def _find(fields: Layout, number: str, copy: dict[str, str], far: float) -> Head:
    """Scratchpad reads the node of a number r: the scores 2 r v - v^2 are largest at v = r."""
    on = fields.terms(scratch=1)
    shown = fields.terms(one=-far, null=far / 2, isnode=far, square=-1)
    off = fields.terms(one=1, scratch=-1), fields.terms(null=far)
    scores = [(fields.terms(**{number: 2}), fields.terms(index=1)), (on, shown), off]
    return make_head(fields, scores, fields.pairs(copy), ON, CELLS, margin=1.0)


def _positive(fields: Layout, terms: dict[int, float], bound: float) -> list[Unit]:
    """Mark a fault where terms are positive, if the instruction asks for an edge."""
    inputs = {**terms, fields.at("ask"): bound, fields.at("one"): -bound}
    return [Unit(inputs, fields.terms(overflow=1))]


def _execute(fields: Layout, n_bits: int) -> list[Unit]:
    """Delta and flag of b - a, or of the weight of an edge; links are forgotten."""
    terms, bound = fields.terms, 2.0 ** (n_bits + 2)
    delta, ask, on = fields.at("delta"), fields.at("ask"), fields.at("scratch")
    flag = terms(flag=1)
    edge_first = terms(ask=bound, scratch=-bound, weight=-1)
    return [
        *gated(fields, {"ask": -1}, terms(va=-1), delta, bound),
        *gated(fields, {"ask": 1}, terms(weight=1, vb=-1), delta, bound),
        *at_least(terms(ask=-bound, va=1, vb=-1), 0, flag, on),
        *at_least(edge_first, 0, flag, on),
        *mark_overflow(fields, terms(vb=1, va=-1), n_bits, {ask: -bound}),
        *clear(fields, "va", "vb", "link", "weight", "from", "to"),
    ]


def _branch(fields: Layout) -> list[Unit]:
    chosen = {"rc": {"flag": 1}, "inc": {"flag": -1, "scratch": 1}}
    units = [
        unit
        for name, on in chosen.items()
        for source, target in fields.pairs({name: "pc"})
        for unit in gated(fields, on, {source: 1.0}, target, 2.0)
    ]
    return [*units, *clear(fields, "rc", "inc", "flag", "ask")]
