"""The fast evaluation: numpy on the rows and keys that can act, with the bits of the dense one.

Where a match head's softmax is proved one-hot, this computes no scores and no softmax: it decodes
the pointer to a row number and copies that row through Wv, or writes to it, or for a graph head to
its neighbours. All other heads and all feed-forward nets keep their weights, so adding, comparing
and branching are still the net's. What no layer can change is projected once.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from sklearn_looped.programmed.transformer.certificate import logit_threshold
from sklearn_looped.programmed.transformer.layers import (
    FeedForward,
    Head,
    Layer,
    Pointer,
    Projection,
)
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.pointers import (
    Action,
    Adjacency,
    compile_match,
    rows_of_tapes,
)
from sklearn_looped.programmed.transformer.rows import (
    as_array,
    as_columns,
    as_index,
    project_rows,
    softmax,
)

_SMALL = 2**14  # terms of a matrix product that are formed all at once


def compile_block(
    layers: Sequence[Layer], tokens: Layout, tape: Tensor, adjacency: Adjacency = None
) -> Callable[[Tensor], Tensor]:
    """Loop body that updates the state it is given in place, and returns it.

    Parameters
    ----------
    layers : sequence of Layer
    tokens : Layout
    tape : Tensor of shape (n_tokens, width) or (n_tapes, n_tokens, width)
        The first state: what the layers cannot change is read from it. Of several, tokens attend
        to their own tape alone.
    adjacency : csr_array or Tensor of shape (n_tokens, n_tokens) or None, default=None
        For graph heads.

    Returns
    -------
    block : callable
        For states that differ from the tape only in what the layers can change.

    Raises
    ------
    ValueError
        If there are several tapes, and a head that is no match of one token by its pointer.
    """
    x, width = tape.flatten(0, -2).numpy(), tape.shape[-1]
    n_tapes = len(tape) if tape.ndim == 3 else 1
    compiler = _Compiler(tokens, changing_columns(layers, tokens), x, adjacency, n_tapes)
    compiled = [
        (
            [compiler.head(h) for h in layer.heads if tokens.index(*h.rows)],
            compiler.net(layer.feed_forward),
        )
        for layer in layers
    ]

    seen = tape

    def block(state: Tensor) -> Tensor:
        nonlocal seen, x
        if state is not seen:  # it is, at every loop of a run
            seen, x = state, state.numpy().reshape(-1, width)
        with np.errstate(all="ignore"):  # as silent as the dense evaluation
            for heads, net in compiled:
                # All heads read the state that the layer before left.
                for added in [head(x) for head in heads]:
                    if added is not None:
                        target, index, values = added
                        if index is None:
                            target += values
                        else:
                            target[index] += values
                net(x)
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
        return torch.as_tensor(adjacency.toarray(), dtype=dtype, device="cpu")
    return adjacency


class _Factor(NamedTuple):
    """A matrix that is read from the state, or one that no layer can change."""

    read: Callable[[NDArray], NDArray]
    fixed: bool


def _times(
    read: Callable[[NDArray], NDArray], entries: NDArray, n_rows: int
) -> Callable[[NDArray], NDArray]:
    """Product of a matrix of so many rows with one that never changes."""
    project = project_rows(Projection(torch.from_numpy(entries)), n_rows)
    if n_rows == 1:
        return lambda x: project(read(x)[0]).reshape(1, -1)
    return lambda x: project(read(x))


@dataclass(frozen=True)
class _Compiler:
    """Heads and nets over the tokens of one tape."""

    tokens: Layout
    changing: dict[str, set[int]]
    tape: NDArray
    adjacency: Adjacency
    n_tapes: int = 1

    def head(self, head: Head) -> Action:
        if head.kind == "graph" and self.adjacency is None:
            raise ValueError("Got no adjacency matrix, but the layer has a graph head.")
        if head.pointer is not None and self._pointers_name_rows(head, head.pointer):
            return compile_match(head, head.pointer, self.tokens, self.adjacency, self.n_tapes)
        if self.n_tapes > 1:
            raise ValueError(
                f"Got {self.n_tapes} tapes, but a head of this transformer is no match of one "
                "token by its pointer; run one tape after another, or evaluation='dense'."
            )
        if head.kind != "graph":
            return self._attention(head)
        matrix = dense_adjacency(self.adjacency, torch.from_numpy(self.tape).dtype)
        everywhere = (slice(None), list(head.targets))
        return lambda x: (x, everywhere, head(torch.from_numpy(x), matrix).numpy())

    def net(self, net: FeedForward | None) -> Callable[[NDArray], None]:
        rows = [] if net is None else self._rows(net.rows)
        if net is None or not rows:
            return lambda _: None
        index, gate = as_index(rows), None if net.G is None else project_rows(net.G, len(rows))
        first, second = project_rows(net.W1, len(rows)), project_rows(net.W2, len(rows))
        scattered = isinstance(index, np.ndarray)

        def act(state: NDArray) -> None:
            x = state[index]
            hidden = np.maximum(first(x), 0.0)
            if gate is not None:
                hidden *= gate(x)
            x += second(hidden)
            if scattered:  # x is no view
                state[index] = x

        return act

    def _rows(self, kinds: Sequence[str]) -> list[int]:
        """Rows of all tapes with the tokens of some kinds."""
        return rows_of_tapes(self.tokens.index(*kinds), self.tokens.width, self.n_tapes)

    def _attention(self, head: Head) -> Action:
        """Soft or linear attention, or a hard one without pointers."""
        asked = self._asked(head)
        query, key, value = (
            self._read(projection, kinds)
            for projection, kinds in ((head.Wq, head.rows), (head.Wk, asked), (head.Wv, asked))
        )
        n_rows, n_keys = (len(self.tokens.index(*kinds)) for kinds in (head.rows, asked))
        width = head.Wq.weight.shape[1]
        transposed = self._factor(lambda x: key.read(x).T, key.fixed)
        attention = self._product(head, query, transposed, (n_rows, width, n_keys))
        if head.kind == "softmax":
            scores, temperature = attention.read, head.temperature
            soften = lambda x: softmax(temperature * scores(x))  # noqa: E731
            attention = self._factor(soften, attention.fixed)
        mixed = self._product(head, attention, value, (n_rows, n_keys, len(head.targets))).read
        rows, targets = as_columns(self.tokens.index(*head.rows)), as_columns(list(head.targets))
        if isinstance(rows, slice) and isinstance(targets, slice):
            return lambda x: (x[rows, targets], None, mixed(x))
        index = np.ix_(as_array(rows), as_array(targets))
        return lambda x: (x, index, mixed(x))

    def _asked(self, head: Head) -> list[str]:
        """Kinds of token a head attends to, in token order: softmax weighs the null token too."""
        asked = {*head.keys, "null"} if head.kind == "softmax" else head.keys
        return [kind for kind in self.tokens.names if kind in asked]

    def _read(self, projection: Projection, kinds: Sequence[str]) -> _Factor:
        """Projection of the tokens of some kinds: (n, d_out)."""
        rows = self.tokens.index(*kinds)
        index, project = as_index(rows), project_rows(projection, len(rows))
        read = lambda x: project(x[index])  # noqa: E731
        if len(rows) == 1:
            read = lambda x: project(x[index]).reshape(1, -1)  # noqa: E731
        inputs = projection.inputs.tolist()
        return self._factor(read, all(self.changing[kind].isdisjoint(inputs) for kind in kinds))

    def _factor(self, read: Callable[[NDArray], NDArray], fixed: bool) -> _Factor:
        if not fixed:
            return _Factor(read, fixed)
        with np.errstate(all="ignore"):
            value = read(self.tape)
        return _Factor(lambda _: value, fixed)

    def _product(
        self, head: Head, left: _Factor, right: _Factor, shape: tuple[int, int, int]
    ) -> _Factor:
        """Product (r, k) @ (k, c), summed as by `ordered_matmul`; of a hard head, in any order.

        A factor that never changes becomes a `Projection`, which leaves its zeros out: with one-hot
        codes one term of each sum remains.
        """
        a, b = left.read, right.read
        if right.fixed and not left.fixed:
            return _Factor(_times(a, b(self.tape), shape[0]), fixed=False)
        if left.fixed and not right.fixed:
            flipped = _times(lambda x: b(x).T, a(self.tape).T, shape[2])
            return _Factor(lambda x: flipped(x).T, fixed=False)

        multiply = lambda x: np.cumsum(a(x)[:, :, None] * b(x), axis=1)[:, -1] + 0.0  # noqa: E731
        if head.margin is not None or math.prod(shape) > _SMALL:
            wrap, product = torch.from_numpy, head.product
            multiply = lambda x: product(wrap(a(x)), wrap(b(x))).numpy()  # noqa: E731
        elif shape[1] == 1:
            multiply = lambda x: a(x) * b(x) + 0.0  # noqa: E731
        return self._factor(multiply, left.fixed and right.fixed)

    def _pointers_name_rows(self, head: Head, pointer: Pointer) -> bool:
        """Whether a match is one-hot and on positions that are, and stay, codes of row numbers."""
        reads = pointer.held_by == "query"
        if head.kind == "linear" or head.margin is None:
            return False
        if head.kind == "graph" and (reads or len(self._rows(head.keys)) > 1):
            return False  # not the write of one token
        kinds, projection = (head.keys, head.Wk) if reads else (head.rows, head.Wq)
        rows, width = self.tokens.index(*kinds), pointer.code.width
        positions = set(projection.inputs[projection.outputs < width].tolist())
        changing = set().union(*(self.changing[kind] for kind in kinds))
        state = torch.from_numpy(self.tape)
        codes = torch.as_tensor(pointer.code.encode(rows), dtype=state.dtype, device="cpu")
        codes, rows = codes.repeat(self.n_tapes, 1), self._rows(kinds)
        return (
            head.temperature * head.margin >= logit_threshold(state.dtype)
            and changing.isdisjoint(positions)
            and torch.equal(projection(state[rows])[:, :width], codes)
        )
