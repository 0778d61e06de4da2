"""The looped transformer, and evaluations that skip what cannot act.

`dense` is the definition. `masked` evaluates only the rows and keys that a head names, and
`cached` also keeps keys, values and attention that no layer can change: both are the same layers
restricted to the rows and keys that can act. `gather` goes further. Where a match head's softmax
is proved one-hot it computes no scores and no softmax: it decodes the pointer to a row number and
copies that row through Wv, or writes to it, or for a graph head to its neighbours; all other
heads and all feed-forward nets keep their weights, so adding, comparing and branching are still
the net's.
All four give the same bits; the tests hold them to it.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array
from torch import Tensor

from sklearn_looped.core.loop import Block, run_loop
from sklearn_looped.core.modes import disturbed, in_own_modes
from sklearn_looped.programmed.transformer.certificate import logit_threshold
from sklearn_looped.programmed.transformer.gather import (
    compile_feed_forward,
    compile_head,
    compile_pointer_head,
    sum_neighbours,
)
from sklearn_looped.programmed.transformer.layers import (
    FeedForward,
    Head,
    Layer,
    Pointer,
    Projection,
)
from sklearn_looped.programmed.transformer.layout import Layout, sign_code

EVALUATIONS = ("dense", "masked", "cached", "gather")


class LoopedTransformer:
    """A loop body of fixed weights, applied again and again without input injection.

    Parameters
    ----------
    layers : sequence of Layer
        The loop body.
    tokens : Layout
        The kinds of token of the sequence, in order, with their numbers.

    Attributes
    ----------
    n_parameters, n_nonzero : int
        Entries of all weight matrices, and how many of them are not 0.

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.evaluation import LoopedTransformer
    >>> from sklearn_looped.programmed.transformer.layers import FeedForward, Layer
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> from sklearn_looped.programmed.transformer.primitives import add
    >>> fields, tokens = Layout(one=1, count=1), Layout(memory=2)
    >>> net = FeedForward(add(fields, {"one": "count"}), fields.width, ("memory",))
    >>> transformer = LoopedTransformer([Layer((), net)], tokens)
    >>> tape = fields.pack(2, one=1, count=[[10], [20]])
    >>> [state[:, 1].tolist() for state in transformer.run(tape, 3)]
    [[11.0, 21.0], [12.0, 22.0], [13.0, 23.0]]
    """

    def __init__(self, layers: Sequence[Layer], tokens: Layout) -> None:
        self.layers = tuple(layers)
        self.tokens = tokens
        self.n_parameters = sum(w.numel() for _, w in self.weights())
        self.n_nonzero = sum(int(w.count_nonzero()) for _, w in self.weights())

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """All weight matrices with their names."""
        for i, layer in enumerate(self.layers):
            for name, weight in layer.weights():
                yield f"layer{i}.{name}", weight

    def fingerprint(self) -> str:
        """SHA-256 of all that is fixed: equal before and after a run, and for every program.

        Weight matrices, their non-zero entries as the evaluations use them, temperatures and
        target columns.
        """
        digest = hashlib.sha256()
        for i, layer in enumerate(self.layers):
            for name, p in layer.projections():
                digest.update(f"layer{i}.{name}".encode())
                for part in (p.weight, p.inputs, p.outputs, p.values):
                    digest.update(np.ascontiguousarray(part.numpy()).tobytes())
            for head in layer.heads:
                parts = (head.kind, head.transposed, head.temperature, head.targets)
                digest.update(repr(parts).encode())
        return digest.hexdigest()

    def __call__(self, state: Tensor, adjacency: Tensor | None = None) -> Tensor:
        """One pass of the loop body, dense: (n, d) -> (n, d)."""
        for layer in self.layers:
            state = layer(state, adjacency)
        return state

    def run(
        self,
        state: Tensor,
        n_loops: int,
        *,
        evaluation: str = "dense",
        until: Callable[[Tensor], bool] | None = None,
        adjacency: csr_array | Tensor | None = None,
    ) -> Iterator[Tensor]:
        """Loop without input injection (`run_loop`) and yield every state.

        Parameters
        ----------
        state : Tensor of shape (n_tokens, width)
            The tape. It is not changed.
        n_loops : int
            Cap on the number of loops.
        evaluation : {"dense", "masked", "cached", "gather"}, default="dense"
            All give the same bits. All but "dense" work in place: every state they yield is the
            same memory, clone what is to be kept. "gather" copies rows in place of one-hot
            attention; heads whose pointers are not proved to name rows are evaluated as "cached".
        until : callable, default=None
            Stop rule, see `run_loop`.
        adjacency : csr_array or Tensor of shape (n_tokens, n_tokens) or None, default=None
            For graph heads. "dense" multiplies by all of it, the others by its non-zero entries.

        Yields
        ------
        state : Tensor of shape (n_tokens, width)

        Raises
        ------
        ValueError
            If the evaluation is unknown, or the number of tokens or the shape of the adjacency
            matrix is wrong.
        """
        if evaluation not in EVALUATIONS:
            raise ValueError(f"Got evaluation={evaluation!r}, expected one of {EVALUATIONS}.")
        if state.shape[0] != self.tokens.width:
            raise ValueError(f"Got {state.shape[0]} tokens, expected {self.tokens.width}.")
        if adjacency is not None and tuple(adjacency.shape) != (len(state), len(state)):
            raise ValueError(
                f"Got an adjacency matrix of shape {tuple(adjacency.shape)}, "
                f"but there are {len(state)} tokens."
            )
        block, state = self._start(state, evaluation, adjacency)
        loop = in_own_modes(run_loop) if disturbed() else run_loop
        return loop(block, state, n_loops, until=until)

    @in_own_modes
    def _start(
        self, state: Tensor, evaluation: str, adjacency: csr_array | Tensor | None
    ) -> tuple[Block, Tensor]:
        """Loop body for an evaluation, and the copy of the tape that it begins from."""
        state = state.clone()
        if evaluation != "dense":
            return _sparse_block(self, state, evaluation, adjacency), state
        if isinstance(adjacency, csr_array):
            adjacency = torch.as_tensor(adjacency.toarray(), dtype=state.dtype)
        return lambda x: self(x, adjacency), state

    def acting(self, head: Head) -> tuple[list[int], list[int]]:
        """Rows on which a head can act, and those that they can attend to."""
        return self.tokens.index(*head.rows), self.tokens.index(*_key_kinds(head, self.tokens))

    @cached_property
    def changing(self) -> dict[str, set[int]]:
        """Columns that some layer may write to, by kind of token; all others never change."""
        columns: dict[str, set[int]] = {kind: set() for kind in self.tokens.names}
        for layer in self.layers:
            for head in layer.heads:
                for kind in self.tokens.names if head.kind == "graph" else head.rows:
                    columns[kind].update(head.targets)
            if (net := layer.feed_forward) is not None:
                for kind in net.rows:
                    columns[kind].update(net.W2.outputs.tolist())
        return columns


Step = Callable[[], None]


def _sparse_block(
    transformer: LoopedTransformer,
    state: Tensor,
    evaluation: str,
    adjacency: csr_array | Tensor | None,
) -> Block:
    """Loop body that updates `state` in place on the rows that can act."""
    steps: list[Step] = []
    for layer in transformer.layers:
        heads = [_head_step(transformer, h, state, evaluation, adjacency) for h in layer.heads]
        steps.append(_attention_step(heads))
        if (net := layer.feed_forward) is not None:
            steps.append(_feed_forward_step(transformer, net, state, evaluation))

    def block(_: Tensor) -> Tensor:  # it is `state`, at every loop
        for step in steps:
            step()
        return state

    return block


# A head first computes its output from the state of the layer before, then adds it.
HeadStep = Callable[[], Step]


def _attention_step(heads: Sequence[HeadStep]) -> Step:
    def step() -> None:
        for write in [compute() for compute in heads]:
            write()

    return step


def _head_step(
    transformer: LoopedTransformer,
    head: Head,
    state: Tensor,
    evaluation: str,
    adjacency: csr_array | Tensor | None,
) -> HeadStep:
    tokens = transformer.tokens
    matrix = _matrix(head, adjacency, state)
    pointer = head.pointer if evaluation == "gather" else None
    if pointer is not None and _pointers_name_rows(transformer, head, pointer, state):
        return compile_pointer_head(head, pointer, tokens, state.numpy(), matrix)
    rows, keys = transformer.acting(head)
    kinds, cached = _key_kinds(head, tokens), evaluation != "masked"
    if evaluation == "gather" and head.kind != "graph" and head.margin is None:
        queries_fixed = _is_fixed(transformer, head.rows, head.Wq)
        keys_fixed, values_fixed = (_is_fixed(transformer, kinds, p) for p in (head.Wk, head.Wv))
        fixed = queries_fixed, keys_fixed, values_fixed
        return compile_head(head, state.numpy(), rows, keys, fixed)
    targets = list(head.targets)
    written = (
        torch.arange(len(state))[:, None] if head.kind == "graph" else torch.tensor(rows)[:, None]
    )

    def project(projection: Projection) -> Callable[[], Tensor]:
        if cached and _is_fixed(transformer, kinds, projection):
            projected = projection(state[keys])
            return lambda: projected
        return lambda: projection(state[keys])

    key, value = project(head.Wk), project(head.Wv)

    def attention() -> Tensor:
        return head.attention(head.Wq(state[rows]), key())

    fixed_keys = cached and _is_fixed(transformer, kinds, head.Wk)
    if fixed_keys and _is_fixed(transformer, head.rows, head.Wq):
        weights = attention()
        attention = lambda: weights  # noqa: E731

    def compute() -> Step:
        output = head.mix(attention(), value())
        if matrix is not None:
            output = sum_neighbours(matrix, rows, output)

        def write() -> None:
            state[written, targets] += output

        return write

    return compute


def _matrix(head: Head, adjacency: csr_array | Tensor | None, state: Tensor) -> csc_array | None:
    """Columns of the matrix that a graph head multiplies by; None for other heads."""
    if head.kind != "graph":
        return None
    if adjacency is None:
        raise ValueError("Got no adjacency matrix, but the layer has a graph head.")
    matrix: Any = adjacency.T if head.transposed else adjacency
    return csc_array(matrix, dtype=state.numpy().dtype)


def _view(tokens: Layout, kinds: Sequence[str], state: Tensor) -> NDArray | None:
    """Rows of the given kinds, where they follow each other; None where they do not."""
    rows = tokens.index(*kinds)
    end = rows[0] + len(rows)
    return state.numpy()[rows[0] : end] if rows == list(range(rows[0], end)) else None


def _is_fixed(transformer: LoopedTransformer, kinds: Sequence[str], projection: Projection) -> bool:
    """Whether no layer writes to what `projection` reads from tokens of the given kinds."""
    changing = transformer.changing
    inputs = projection.inputs.tolist()
    return all(changing[kind].isdisjoint(inputs) for kind in kinds)


def _pointers_name_rows(
    transformer: LoopedTransformer, head: Head, pointer: Pointer, state: Tensor
) -> bool:
    """Whether a match is one-hot and on positions that are, and stay, codes of row numbers."""
    reads = pointer.held_by == "query"
    if head.kind == "linear" or head.margin is None:
        return False
    if head.kind == "graph" and (reads or len(transformer.tokens.index(*head.keys)) > 1):
        return False  # not the write of one token
    kinds, projection = (head.keys, head.Wk) if reads else (head.rows, head.Wq)
    rows, n_bits = transformer.tokens.index(*kinds), pointer.columns.stop - pointer.columns.start
    positions = set(projection.inputs[projection.outputs < n_bits].tolist())
    changing = set().union(*(transformer.changing[kind] for kind in kinds))
    codes = torch.as_tensor(sign_code(rows, n_bits), dtype=state.dtype)
    return (
        head.temperature * head.margin >= logit_threshold(state.dtype)
        and changing.isdisjoint(positions)
        and torch.equal(projection(state[rows])[:, :n_bits], codes)
    )


def _key_kinds(head: Head, tokens: Layout) -> list[str]:
    """Kinds of token a head attends to: those it names and the null token, in token order."""
    return [kind for kind in tokens.names if kind in head.keys or kind == "null"]


def _feed_forward_step(
    transformer: LoopedTransformer, net: FeedForward, state: Tensor, evaluation: str
) -> Step:
    view = _view(transformer.tokens, net.rows, state) if evaluation == "gather" else None
    if view is not None:
        return compile_feed_forward(net, view)
    rows = transformer.tokens.index(*net.rows)

    def step() -> None:
        x = state[rows]
        state[rows] = x + net(x)

    return step
