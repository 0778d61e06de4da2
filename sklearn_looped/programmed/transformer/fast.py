"""The fast evaluation: numpy on the rows and keys that can act, with the bits of the dense one.

Where a match head's softmax is proved one-hot, this computes no scores and no softmax: it decodes
the pointer to a row number and copies that row through Wv, or writes to it, or for a graph head to
its neighbours. All other heads and all feed-forward nets keep their weights, so adding, comparing
and branching are still the net's. What no layer can change is projected once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array
from torch import Tensor

from sklearn_looped.core.loop import Block
from sklearn_looped.programmed.transformer.certificate import logit_threshold
from sklearn_looped.programmed.transformer.layers import (
    FeedForward,
    Head,
    Layer,
    Pointer,
    Projection,
    ordered_softmax,
)
from sklearn_looped.programmed.transformer.layout import Layout, sign_code

Adjacency = csr_array | Tensor | None
Index = int | slice | NDArray[np.intp]
# What a head or net does: the state -> where it adds, and what; None for nowhere.
Action = Callable[[NDArray], tuple[Any, NDArray] | None]

_SMALL = 2**14  # terms of a matrix product that are formed all at once


def compile_block(
    layers: Sequence[Layer], tokens: Layout, tape: Tensor, adjacency: Adjacency = None
) -> Block:
    """Loop body that updates the state it is given in place, and returns it.

    Parameters
    ----------
    layers : sequence of Layer
    tokens : Layout
    tape : Tensor of shape (n_tokens, width)
        The first state: what the layers cannot change is read from it.
    adjacency : csr_array or Tensor of shape (n_tokens, n_tokens) or None, default=None
        For graph heads.

    Returns
    -------
    block : callable
        For states that differ from the tape only in what the layers can change.
    """
    compiler = _Compiler(tokens, changing_columns(layers, tokens), tape.numpy(), adjacency)
    phases: list[list[Action]] = []
    for layer in layers:  # all heads of a layer read the state that the layer before left
        phases.append([compiler.head(head) for head in layer.heads])
        if layer.feed_forward is not None:
            phases.append([compiler.net(layer.feed_forward)])

    def block(state: Tensor) -> Tensor:
        x = state.numpy()
        with np.errstate(all="ignore"):  # as silent as the dense evaluation
            for phase in phases:
                for added in [action(x) for action in phase]:
                    if added is not None:
                        index, values = added
                        x[index] += values
        return state

    return block


def changing_columns(layers: Sequence[Layer], tokens: Layout) -> dict[str, set[int]]:
    """Columns that some layer may write to, by kind of token; all others never change."""
    columns: dict[str, set[int]] = {kind: set() for kind in tokens.names}
    for layer in layers:
        for head in layer.heads:
            for kind in tokens.names if head.kind == "graph" else head.rows:
                columns[kind].update(head.targets)
        if (net := layer.feed_forward) is not None:
            for kind in net.rows:
                columns[kind].update(net.W2.outputs.tolist())
    return columns


def dense_adjacency(adjacency: Adjacency, dtype: torch.dtype) -> Tensor | None:
    """All entries of an adjacency matrix."""
    if isinstance(adjacency, csr_array):
        return torch.as_tensor(adjacency.toarray(), dtype=dtype)
    return adjacency


class _Factor(NamedTuple):
    """A matrix that is read from the state, or one that no layer can change."""

    read: Callable[[NDArray], NDArray]
    fixed: bool


@dataclass(frozen=True)
class _Compiler:
    """Heads and nets over the tokens of one tape."""

    tokens: Layout
    changing: dict[str, set[int]]
    tape: NDArray
    adjacency: Adjacency

    def head(self, head: Head) -> Action:
        if head.kind == "graph" and self.adjacency is None:
            raise ValueError("Got no adjacency matrix, but the layer has a graph head.")
        if head.pointer is not None and self._pointers_name_rows(head, head.pointer):
            return self._match(head, head.pointer)
        if head.kind != "graph":
            return self._attention(head)
        matrix = dense_adjacency(self.adjacency, torch.from_numpy(self.tape).dtype)
        everywhere = (slice(None), list(head.targets))
        return lambda x: (everywhere, head(torch.from_numpy(x), matrix).numpy())

    def net(self, net: FeedForward) -> Action:
        rows = self.tokens.index(*net.rows)
        index = _index(rows)
        first, second = _projection(net.W1, len(rows)), _projection(net.W2, len(rows))
        gate = None if net.G is None else _projection(net.G, len(rows))

        def action(state: NDArray) -> tuple[Any, NDArray]:
            x = state[index]
            hidden = np.maximum(first(x), 0.0)
            if gate is not None:
                hidden *= gate(x)
            return index, second(hidden)

        return action

    def _attention(self, head: Head) -> Action:
        """Soft or linear attention, or a hard one without pointers."""
        asked = self._asked(head)
        query, key = self._read(head.Wq, head.rows), self._read(head.Wk, asked)
        transposed = _Factor(lambda x: key.read(x).T, key.fixed)
        attention = self._product(head, query, transposed)
        if head.kind == "softmax":
            scores = attention.read

            def soften(x: NDArray) -> NDArray:
                return ordered_softmax(torch.from_numpy(head.temperature * scores(x))).numpy()

            attention = self._factor(soften, attention.fixed)
        mixed = self._product(head, attention, self._read(head.Wv, asked)).read
        rows, targets = _columns(self.tokens.index(*head.rows)), _columns(list(head.targets))
        if not isinstance(rows, slice) and not isinstance(targets, slice):
            rows = rows[:, None]
        return lambda x: ((rows, targets), mixed(x))

    def _asked(self, head: Head) -> list[str]:
        """Kinds of token a head attends to: those it names and the null token, in token order."""
        return [kind for kind in self.tokens.names if kind in head.keys or kind == "null"]

    def _read(self, projection: Projection, kinds: Sequence[str]) -> _Factor:
        """Projection of the tokens of some kinds: (n, d_out)."""
        rows = self.tokens.index(*kinds)
        index, project = _index(rows), _projection(projection, len(rows))
        read = lambda x: project(x[index]).reshape(len(rows), -1)  # noqa: E731
        inputs = projection.inputs.tolist()
        return self._factor(read, all(self.changing[kind].isdisjoint(inputs) for kind in kinds))

    def _factor(self, read: Callable[[NDArray], NDArray], fixed: bool) -> _Factor:
        if not fixed:
            return _Factor(read, fixed)
        with np.errstate(all="ignore"):
            value = read(self.tape)
        return _Factor(lambda _: value, fixed)

    def _product(self, head: Head, left: _Factor, right: _Factor) -> _Factor:
        """Product in the order of sums of `ordered_matmul`, or in any where a head is hard."""
        if right.fixed and not left.fixed:
            entries = Projection(torch.from_numpy(right.read(self.tape)))
            if _picks(entries):  # with one-hot codes one term of each sum remains
                project = _projection(entries, 0)
                return _Factor(lambda x: project(left.read(x)), fixed=False)

        def multiply(x: NDArray) -> NDArray:
            a, b = left.read(x), right.read(x)
            if head.margin is not None or a.size * b.shape[1] > _SMALL:
                return head.product(torch.from_numpy(a), torch.from_numpy(b)).numpy()
            if a.shape[1] == 1:
                return a * b + 0.0
            return np.cumsum(a[:, :, None] * b, axis=1)[:, -1] + 0.0

        return self._factor(multiply, left.fixed and right.fixed)

    def _pointers_name_rows(self, head: Head, pointer: Pointer) -> bool:
        """Whether a match is one-hot and on positions that are, and stay, codes of row numbers."""
        reads = pointer.held_by == "query"
        if head.kind == "linear" or head.margin is None:
            return False
        if head.kind == "graph" and (reads or len(self.tokens.index(*head.keys)) > 1):
            return False  # not the write of one token
        kinds, projection = (head.keys, head.Wk) if reads else (head.rows, head.Wq)
        rows, n_bits = self.tokens.index(*kinds), pointer.columns.stop - pointer.columns.start
        positions = set(projection.inputs[projection.outputs < n_bits].tolist())
        changing = set().union(*(self.changing[kind] for kind in kinds))
        state = torch.from_numpy(self.tape)
        codes = torch.as_tensor(sign_code(rows, n_bits), dtype=state.dtype)
        return (
            head.temperature * head.margin >= logit_threshold(state.dtype)
            and changing.isdisjoint(positions)
            and torch.equal(projection(state[rows])[:, :n_bits], codes)
        )

    def _match(self, head: Head, pointer: Pointer) -> Action:
        """One-hot match as an index: read from, or write to, the row that a pointer names.

        A pointer of zeros, or to no token of the right kind, names the null token, whose values
        are 0. A graph head hands the value on to the neighbours of the row named: one column of
        the matrix.
        """
        reads = pointer.held_by == "query"
        match = _Match(
            pointer.columns,
            2.0 ** np.arange(pointer.columns.stop - pointer.columns.start),
            self.tokens.index(*(head.rows if reads else head.keys)),
            set(self.tokens.index(*(head.keys if reads else head.rows))),
            reads,
            _columns(head.Wv.inputs.tolist()),
            _columns([head.targets[j] for j in head.Wv.outputs.tolist()]),
            head.Wv.values.numpy(),
        )
        if head.kind == "graph":
            matrix: Any = self.adjacency
            matrix = csc_array(matrix.T if head.transposed else matrix, dtype=self.tape.dtype)
            return _spread(match, matrix)
        return (_one_holder if len(match.holders) == 1 else _many_holders)(match)


class _Match(NamedTuple):
    """A match head: which rows hold a pointer, which it may name, what is added."""

    columns: slice  # of the pointer
    weights: NDArray  # of its bits
    holders: list[int]
    named: set[int]
    reads: bool  # from the row named to the holder, or else the other way round
    sources: Index
    targets: Index
    scales: NDArray


def _one_holder(match: _Match) -> Action:
    columns, weights, (holder,), named, reads, sources, targets, scales = match
    offset = int(weights.sum())

    def action(x: NDArray) -> tuple[Any, NDArray] | None:
        code = x[holder, columns]
        row = (int(code @ weights) + offset) >> 1
        if code[0] == 0 or row not in named:
            return None
        source, target = (row, holder) if reads else (holder, row)
        return (target, targets), x[source, sources] * scales

    return action


def _spread(match: _Match, matrix: csc_array) -> Action:
    """Write of one holder to all rows that the column of the row named has entries in."""
    columns, weights, (holder,), named, _, sources, targets, scales = match
    offset, targets = int(weights.sum()), _array(targets)
    starts, rows, entries = matrix.indptr.tolist(), matrix.indices[:, None], matrix.data[:, None]

    def action(x: NDArray) -> tuple[Any, NDArray] | None:
        code = x[holder, columns]
        row = (int(code @ weights) + offset) >> 1
        if code[0] == 0 or row not in named:
            return None
        column = slice(starts[row], starts[row + 1])
        return (rows[column], targets), entries[column] * (x[holder, sources] * scales)

    return action


def _many_holders(match: _Match) -> Action:
    columns, weights, _, named, reads, _, _, scales = match
    # numpy takes no product of rows with a slice, so columns are arrays here.
    holders, sources, targets = map(_array, (match.holders, match.sources, match.targets))
    offset = int(weights.sum())
    is_named = np.zeros(2 ** len(weights), dtype=bool)
    is_named[[row for row in named if row < len(is_named)]] = True

    def action(x: NDArray) -> tuple[Any, NDArray]:
        codes = x[holders, columns]  # (holders, bits)
        rows = ((codes @ weights).astype(np.intp) + offset) >> 1
        found = (codes[:, 0] != 0) & is_named[rows]
        holding, rows = holders[found, None], rows[found, None]
        source, target = (rows, holding) if reads else (holding, rows)
        return (target, targets), x[source, sources] * scales

    return action


def _picks(projection: Projection) -> bool:
    """Whether every output is one input times a number."""
    return projection.outputs.tolist() == list(range(projection.weight.shape[1]))


def _projection(projection: Projection, n_rows: int) -> Callable[[NDArray], NDArray]:
    """`Projection` of one row (d,), or of several (r, d), in numpy."""
    inputs, outputs = projection.inputs.numpy(), projection.outputs.numpy()
    values, width = projection.values.numpy(), projection.weight.shape[1]
    if _picks(projection):  # + 0.0 as in a sum
        columns = _columns(inputs.tolist())
        if isinstance(columns, slice) or n_rows == 1:
            return lambda x: x[..., columns] * values + 0.0
        return lambda x: x.take(columns, 1) * values + 0.0
    offsets = np.arange(n_rows)[:, None] * width
    flat = (offsets + outputs).ravel()
    if values.dtype != np.float64:

        def project(x: NDArray) -> NDArray:
            out = np.zeros(n_rows * width, dtype=values.dtype)
            np.add.at(out, flat, (x[..., inputs] * values).ravel())
            return out.reshape(*x.shape[:-1], width)

        return project
    # bincount sums in float64, first to last
    if n_rows == 1:
        return lambda x: np.bincount(outputs, x[inputs] * values, width)
    size, shape = n_rows * width, (n_rows, width)
    return lambda x: np.bincount(flat, (x.take(inputs, 1) * values).ravel(), size).reshape(shape)


def _array(index: Any) -> NDArray[np.intp]:
    return np.arange(index.start, index.stop) if isinstance(index, slice) else np.asarray(index)


def _columns(index: list[int]) -> slice | NDArray[np.intp]:
    """Consecutive numbers as a slice, which numpy reads faster."""
    start = index[0]
    if index == list(range(start, start + len(index))):
        return slice(start, start + len(index))
    return np.array(index)


def _index(rows: list[int]) -> Index:
    """A single row as a number, which numpy reads faster still."""
    return rows[0] if len(rows) == 1 else _columns(rows)
