"""Fused evaluations in numpy for one acting row: a pointer names a row, a net adds numbers."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sklearn_looped.programmed.layers import FeedForward, Head, Pointer, Projection
from sklearn_looped.programmed.layout import Layout

Step = Callable[[], None]
Columns = slice | NDArray[np.intp]


def compile_pointer_head(
    head: Head, pointer: Pointer, tokens: Layout, state: NDArray
) -> Callable[[], Step]:
    """One-hot match as an index: decode the pointer, read from or write to the row it names.

    This is indexing, not attention: Wq, Wk, scores and softmax are left out, which the caller has
    proved to be one-hot on positions that code row numbers, so that the row the pointer names is
    the whole sum. A pointer of zeros, or to no token of the right kind, names the null token,
    whose values are 0. Values go through Wv as everywhere.
    """
    columns = pointer.columns
    weights = 2.0 ** np.arange(columns.stop - columns.start)
    offset = int(weights.sum())
    scales = head.Wv.values.numpy()
    sources = _columns(head.Wv.inputs.tolist())
    targets = _columns([head.targets[j] for j in head.Wv.outputs.tolist()])
    reads = pointer.held_by == "query"
    holders = tokens.index(*(head.rows if reads else head.keys))
    named = set(tokens.index(*(head.keys if reads else head.rows)))

    def nothing() -> None:
        """No row is named: the null token adds 0."""

    def compute_one(holder: int) -> Step:
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

    if len(holders) == 1:
        only = holders[0]
        return lambda: compute_one(only)

    def compute_all() -> Step:
        writes = [compute_one(holder) for holder in holders]

        def write() -> None:
            for each in writes:
                each()

        return write

    return compute_all


def compile_feed_forward(net: FeedForward, row: NDArray) -> Step:
    """Feed-forward of one row, summed in the order of `Projection`; `row` is updated in place."""
    first, second = _row_projection(net.W1), _row_projection(net.W2)
    gate = None if net.G is None else _row_projection(net.G)

    def step() -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # as silent as the dense evaluation
            hidden = np.maximum(first(row), 0.0)
            if gate is not None:
                hidden *= gate(row)
            np.add(row, second(hidden), out=row)

    return step


def _row_projection(projection: Projection) -> Callable[[NDArray], NDArray]:
    inputs, outputs = projection.inputs.numpy(), projection.outputs.numpy()
    values, width = projection.values.numpy(), projection.weight.shape[1]
    if values.dtype == np.float64:  # bincount sums in float64, first to last
        return lambda x: np.bincount(outputs, x[inputs] * values, width)

    def project(x: NDArray) -> NDArray:
        out = np.zeros(width, dtype=values.dtype)
        np.add.at(out, outputs, x[inputs] * values)
        return out

    return project


def _columns(index: list[int]) -> Columns:
    """Consecutive columns as a slice, which numpy reads faster."""
    start = index[0]
    if index == list(range(start, start + len(index))):
        return slice(start, start + len(index))
    return np.array(index)
