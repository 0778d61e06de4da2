"""Fused evaluations in numpy for few acting rows: a pointer names a row, a net adds numbers."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_looped.programmed.layers import FeedForward, Head, Pointer, Projection
from sklearn_looped.programmed.layout import Layout

Step = Callable[[], None]
Columns = slice | NDArray[np.intp]


class _Match(NamedTuple):
    """A match head, decoded: which row holds a pointer, which it may name, what is added."""

    columns: slice  # of the pointer
    weights: NDArray  # of its bits
    offset: int
    holders: list[int]
    named: set[int]
    reads: bool  # from the row named to the holder, or else the other way round
    sources: Columns
    targets: Columns
    scales: NDArray


def compile_pointer_head(
    head: Head, pointer: Pointer, tokens: Layout, state: NDArray
) -> Callable[[], Step]:
    """One-hot match as an index: decode the pointer, read from or write to the row it names.

    This is indexing, not attention: Wq, Wk, scores and softmax are left out, which the caller has
    proved to be one-hot on positions that code row numbers, so that the row the pointer names is
    the whole sum. A pointer of zeros, or to no token of the right kind, names the null token,
    whose values are 0. Values go through Wv as everywhere.
    """
    weights = 2.0 ** np.arange(pointer.columns.stop - pointer.columns.start)
    reads = pointer.held_by == "query"
    match = _Match(
        pointer.columns,
        weights,
        int(weights.sum()),
        tokens.index(*(head.rows if reads else head.keys)),
        set(tokens.index(*(head.keys if reads else head.rows))),
        reads,
        _columns(head.Wv.inputs.tolist()),
        _columns([head.targets[j] for j in head.Wv.outputs.tolist()]),
        head.Wv.values.numpy(),
    )
    return (_one_holder if len(match.holders) == 1 else _many_holders)(match, state)


def _one_holder(match: _Match, state: NDArray) -> Callable[[], Step]:
    columns, weights, offset, (holder,), named, reads, sources, targets, scales = match

    def nothing() -> None:
        """No row is named: the null token adds 0."""

    def compute() -> Step:
        code = state[holder, columns]
        if code[0] == 0:
            return nothing
        row = (int(code @ weights) + offset) >> 1
        if row not in named:
            return nothing
        source, target = (row, holder) if reads else (holder, row)
        value = state[source, sources] * scales

        def write() -> None:
            state[target, targets] += value

        return write

    return compute


def _many_holders(match: _Match, state: NDArray) -> Callable[[], Step]:
    columns, weights, offset, _, named, reads, _, _, scales = match
    holders = np.array(match.holders)
    # numpy takes no product of rows with a slice, so columns are arrays here.
    sources, targets = _indices(match.sources), _indices(match.targets)
    is_named = np.zeros(2 ** len(weights), dtype=bool)
    is_named[[row for row in named if row < len(is_named)]] = True

    def compute() -> Step:
        codes = state[holders, columns]  # (holders, bits)
        rows = ((codes @ weights).astype(np.intp) + offset) >> 1
        found = (codes[:, 0] != 0) & is_named[rows]
        holding, rows = holders[found, None], rows[found, None]
        source, target = (rows, holding) if reads else (holding, rows)
        value = state[source, sources] * scales

        def write() -> None:
            state[target, targets] += value

        return write

    return compute


def compile_soft_head(
    head: Head, rows: NDArray, keys: NDArray, values: NDArray
) -> Callable[[], Step]:
    """Softmax of a few rows (r, d) over keys (k, q) and values (k, c) that never change."""
    x = rows[0] if len(rows) == 1 else rows
    queries = _projection(head.Wq, len(rows))
    targets = np.array(head.targets)
    scores_of, output_of = _ordered_product(keys.T), _ordered_product(values)

    def compute() -> Step:
        scores = head.temperature * scores_of(queries(x).reshape(len(rows), -1))  # (r, k)
        scores -= scores.max(axis=-1, keepdims=True)
        exps = torch.exp(torch.from_numpy(scores)).numpy()  # numpy's exp rounds differently
        output = output_of(exps / np.cumsum(exps, axis=-1)[:, -1:])

        def write() -> None:
            rows[:, targets] += output

        return write

    return compute


def compile_linear_head(
    head: Head, rows: NDArray, keys: NDArray, fixed: tuple[bool, bool, bool]
) -> Callable[[], Step]:
    """Linear attention of rows (r, d) to keys (k, d), summed in the order of `ordered_matmul`.

    `fixed` says which of queries, keys and values never change. A factor that does not is a
    `Projection`, which leaves its zeros out: of one-hot codes one product of a row remains.
    """
    targets = np.array(head.targets)
    queries, asked, values = (
        _matrix(projection, tokens)
        for projection, tokens in ((head.Wq, rows), (head.Wk, keys), (head.Wv, keys))
    )
    fixed_queries, fixed_keys, fixed_values = fixed
    if fixed_keys:
        from_queries = _fixed_product(asked().T, len(rows))
        scores = lambda: from_queries(queries())  # noqa: E731
    elif fixed_queries:
        from_keys = _fixed_product(queries().T, len(keys))
        scores = lambda: from_keys(asked()).T  # noqa: E731
    else:
        scores = lambda: _product(queries(), asked().T)  # noqa: E731
    if fixed_values:
        output = _fixed_product(values(), len(rows))
    else:
        output = lambda scores: _product(scores, values())  # noqa: E731

    def compute() -> Step:
        added = output(scores())

        def write() -> None:
            rows[:, targets] += added

        return write

    return compute


def _matrix(projection: Projection, rows: NDArray) -> Callable[[], NDArray]:
    """Projection of rows (r, d) as they are when it is called."""
    project = _projection(projection, len(rows))
    x = rows[0] if len(rows) == 1 else rows
    return lambda: project(x).reshape(len(rows), -1)


def _fixed_product(right: NDArray, n_rows: int) -> Callable[[NDArray], NDArray]:
    """Product of a matrix of so many rows with a fixed one."""
    project = _projection(Projection(torch.from_numpy(right)), n_rows)
    return lambda left: project(left.reshape(-1) if n_rows == 1 else left).reshape(n_rows, -1)


def _product(left: NDArray, right: NDArray) -> NDArray:
    """Product (r, k), (k, c), summed over k first to last; + 0.0 as a sum that starts at 0."""
    if left.shape[1] == 1:
        return left * right + 0.0
    return np.cumsum(left[:, :, None] * right, axis=1)[:, -1] + 0.0


def _ordered_product(right: NDArray) -> Callable[[NDArray], NDArray]:
    """Product with a fixed matrix, summed as by `ordered_matmul`."""
    used = np.flatnonzero(right.any(axis=1)).tolist()

    def multiply(left: NDArray) -> NDArray:
        out = np.zeros((len(left), right.shape[1]), dtype=right.dtype)
        for k in used:
            out += left[:, k, None] * right[k]
        return out

    return multiply


def compile_feed_forward(net: FeedForward, rows: NDArray) -> Step:
    """Feed-forward of a few rows (r, d), summed in the order of `Projection`, in place."""
    x = rows[0] if len(rows) == 1 else rows  # numpy reads one row faster
    first, second = _projection(net.W1, len(rows)), _projection(net.W2, len(rows))
    gate = None if net.G is None else _projection(net.G, len(rows))

    def step() -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # as silent as the dense evaluation
            hidden = np.maximum(first(x), 0.0)
            if gate is not None:
                hidden *= gate(x)
            np.add(x, second(hidden), out=x)

    return step


def _projection(projection: Projection, n_rows: int) -> Callable[[NDArray], NDArray]:
    """Projection of one row (d,), or of several (r, d)."""
    inputs, outputs = projection.inputs.numpy(), projection.outputs.numpy()
    values, width = projection.values.numpy(), projection.weight.shape[1]
    if outputs.tolist() == list(range(width)):  # one term an output; + 0.0 as in a sum
        return lambda x: x[..., inputs] * values + 0.0
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
    return lambda x: np.bincount(flat, (x[:, inputs] * values).ravel(), size).reshape(shape)


def _indices(columns: Columns) -> NDArray[np.intp]:
    return np.arange(columns.start, columns.stop) if isinstance(columns, slice) else columns


def _columns(index: list[int]) -> Columns:
    """Consecutive columns as a slice, which numpy reads faster."""
    start = index[0]
    if index == list(range(start, start + len(index))):
        return slice(start, start + len(index))
    return np.array(index)
