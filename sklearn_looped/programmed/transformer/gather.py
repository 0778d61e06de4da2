"""Fused evaluations in numpy for few acting rows: a pointer names a row, a net adds numbers."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_array
from torch import Tensor

from sklearn_looped.programmed.transformer.layers import FeedForward, Head, Pointer, Projection
from sklearn_looped.programmed.transformer.layout import Layout

Step = Callable[[], None]
Columns = slice | NDArray[np.intp]

_SMALL = 2**14  # terms of a matrix product that are formed all at once


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
    head: Head, pointer: Pointer, tokens: Layout, state: NDArray, matrix: csc_array | None = None
) -> Callable[[], Step]:
    """One-hot match as an index: decode the pointer, read from or write to the row it names.

    This is indexing, not attention: Wq, Wk, scores and softmax are left out, which the caller has
    proved to be one-hot on positions that code row numbers, so that the row the pointer names is
    the whole sum. A pointer of zeros, or to no token of the right kind, names the null token,
    whose values are 0. Values go through Wv as everywhere. A graph head's `matrix` hands the
    value on to the neighbours of the row named: one column of the matrix.
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
    if matrix is not None:
        return _neighbours(match, state, matrix)
    return (_one_holder if len(match.holders) == 1 else _many_holders)(match, state)


def _nothing() -> None:
    """No row is named: the null token adds 0."""


def _one_holder(match: _Match, state: NDArray) -> Callable[[], Step]:
    columns, weights, offset, (holder,), named, reads, sources, targets, scales = match

    def compute() -> Step:
        code = state[holder, columns]
        if code[0] == 0:
            return _nothing
        row = (int(code @ weights) + offset) >> 1
        if row not in named:
            return _nothing
        source, target = (row, holder) if reads else (holder, row)
        value = state[source, sources] * scales

        def write() -> None:
            state[target, targets] += value

        return write

    return compute


def _neighbours(match: _Match, state: NDArray, matrix: csc_array) -> Callable[[], Step]:
    """Write of one holder to all rows that the column of the row named has entries in."""
    columns, weights, offset, (holder,), named, _, sources, targets, scales = match
    starts, rows, entries = matrix.indptr.tolist(), matrix.indices[:, None], matrix.data[:, None]
    targets = _indices(targets)

    def compute() -> Step:
        code = state[holder, columns]
        row = (int(code @ weights) + offset) >> 1
        if code[0] == 0 or row not in named:
            return _nothing
        column = slice(starts[row], starts[row + 1])
        values = entries[column] * (state[holder, sources] * scales)

        def write() -> None:
            state[rows[column], targets] += values

        return write

    return compute


def sum_neighbours(matrix: csc_array, rows: list[int], values: Tensor) -> Tensor:
    """``matrix[:, rows] @ values`` over non-zero entries, summed as by `ordered_matmul`."""
    out = np.zeros((matrix.shape[0], values.shape[1]), dtype=matrix.dtype)
    for k in values.any(1).nonzero().flatten().tolist():
        column = slice(matrix.indptr[rows[k]], matrix.indptr[rows[k] + 1])
        out[matrix.indices[column]] += matrix.data[column, None] * values[k].numpy()
    return torch.from_numpy(out)


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


def compile_head(
    head: Head, state: NDArray, rows: list[int], keys: list[int], fixed: tuple[bool, bool, bool]
) -> Callable[[], Step]:
    """Soft or linear attention of few rows to few keys, summed in the order of `ordered_matmul`.

    `fixed` says which of queries, keys and values never change. A factor that does not becomes a
    `Projection`, which leaves its zeros out: with one-hot codes one term of each sum remains.
    """
    queries, asked, values = (
        _tokens_projected(projection, state, tokens)
        for projection, tokens in ((head.Wq, rows), (head.Wk, keys), (head.Wv, keys))
    )
    fixed_queries, fixed_keys, fixed_values = fixed
    if fixed_keys:
        times_keys = _fixed_product(asked().T, len(rows))
        scores_of = lambda: times_keys(queries())  # noqa: E731
    elif fixed_queries:
        times_queries = _fixed_product(queries().T, len(keys))
        scores_of = lambda: times_queries(asked()).T  # noqa: E731
    else:
        scores_of = lambda: _product(queries(), asked().T)  # noqa: E731
    if fixed_values:
        output_of = _fixed_product(values(), len(rows))
    else:
        output_of = lambda attention: _product(attention, values())  # noqa: E731
    soft = head.kind == "softmax"
    acting, targets = _columns(rows), _columns(list(head.targets))
    if not isinstance(acting, slice) and not isinstance(targets, slice):
        acting = acting[:, None]

    def compute() -> Step:
        attention = scores_of()  # (r, k)
        if soft:
            attention = head.temperature * attention
            attention -= attention.max(axis=-1, keepdims=True)
            exps = torch.exp(torch.from_numpy(attention)).numpy()  # numpy's rounds differently
            attention = exps / np.cumsum(exps, axis=-1)[:, -1:]
        output = output_of(attention)

        def write() -> None:
            state[acting, targets] += output

        return write

    return compute


def _tokens_projected(
    projection: Projection, state: NDArray, tokens: list[int]
) -> Callable[[], NDArray]:
    """Projection of the tokens as they are when it is called: (n, d_out)."""
    n, project = len(tokens), _projection(projection, len(tokens))
    if n == 1:
        x = state[tokens[0]]
        return lambda: project(x).reshape(1, -1)
    index = _columns(tokens)
    return lambda: project(state[index])


def _fixed_product(right: NDArray, n_rows: int) -> Callable[[NDArray], NDArray]:
    """Product of a matrix of so many rows with a fixed one."""
    project = _projection(Projection(torch.from_numpy(right)), n_rows)
    return lambda left: project(left[0] if n_rows == 1 else left).reshape(n_rows, -1)


def _product(left: NDArray, right: NDArray) -> NDArray:
    """Product (r, k), (k, c), summed over k first to last; + 0.0 as in a sum that starts at 0."""
    if left.shape[1] == 1:
        return left * right + 0.0
    if left.size * right.shape[1] <= _SMALL:
        return np.cumsum(left[:, :, None] * right, axis=1)[:, -1] + 0.0
    out = np.zeros((len(left), right.shape[1]), dtype=left.dtype)
    for column, row in zip(left.T, right, strict=True):
        out += column[:, None] * row
    return out


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
        columns = _columns(inputs.tolist())
        if n_rows == 1:
            return lambda x: x[columns] * values + 0.0
        if isinstance(columns, slice):
            return lambda x: x[:, columns] * values + 0.0
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


def _indices(columns: Columns) -> NDArray[np.intp]:
    return np.arange(columns.start, columns.stop) if isinstance(columns, slice) else columns


def _columns(index: list[int]) -> Columns:
    """Consecutive columns as a slice, which numpy reads faster."""
    start = index[0]
    if index == list(range(start, start + len(index))):
        return slice(start, start + len(index))
    return np.array(index)
