"""Match heads of the fast evaluation: a pointer names the row that is read or written."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array
from torch import Tensor

from sklearn_looped.programmed.transformer.codes import Code
from sklearn_looped.programmed.transformer.layers import Head, Pointer
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.rows import Index, as_array, as_columns

Adjacency: TypeAlias = "csr_array | Tensor | None"
# What a head adds: to a view of the state, or to a state at an index; None for nothing.
Addition: TypeAlias = "tuple[NDArray, Any, NDArray] | None"
Action = Callable[[NDArray], Addition]


def compile_match(
    head: Head, pointer: Pointer, tokens: Layout, adjacency: Adjacency, n_tapes: int = 1
) -> Action:
    """One-hot match as an index: read from, or write to, the row that a pointer names.

    Of several tapes, whose rows follow one another, each has its own: a pointer names a row of the
    tape that it stands on.

    A pointer of zeros, or to no token of the right kind, names the null token, whose values are 0.
    A graph head hands the value on to the neighbours of the row named: one column of the matrix.
    """
    reads = pointer.held_by == "query"
    match = _Match(
        pointer.columns,
        pointer.code,
        rows_of_tapes(tokens.index(*(head.rows if reads else head.keys)), tokens.width, n_tapes),
        set(tokens.index(*(head.keys if reads else head.rows))),
        reads,
        as_columns(head.Wv.inputs.tolist()),
        as_columns([head.targets[j] for j in head.Wv.outputs.tolist()]),
        head.Wv.values.numpy(),
        tokens.width,
    )
    if head.kind == "graph":
        matrix: Any = adjacency
        matrix = csc_array(matrix.T if head.transposed else matrix, dtype=match.scales.dtype)
        return _one_holder(match, matrix)
    return (_one_holder if len(match.holders) == 1 else _many_holders)(match)


class _Match(NamedTuple):
    """A match head: which rows hold a pointer, which it may name, what is added."""

    columns: slice  # of the pointer
    code: Code
    holders: list[int]
    named: set[int]
    reads: bool  # from the row named to the holder, or else the other way round
    sources: Index
    targets: Index
    scales: NDArray
    n_tokens: int  # of a tape


def rows_of_tapes(rows: list[int], n_tokens: int, n_tapes: int) -> list[int]:
    """Return some rows of each of several tapes, which follow one another."""
    return [tape * n_tokens + row for tape in range(n_tapes) for row in rows]


def _one_holder(match: _Match, matrix: csc_array | None = None) -> Action:
    """Read or write of one row; by a graph head, a write to all neighbours of the row named."""
    columns, code, (holder,), named, reads, sources, targets, scales, _ = match
    decode, consecutive = code.decoder(), isinstance(targets, slice)
    if matrix is not None:
        starts, targets = matrix.indptr.tolist(), as_array(targets)
        rows, entries = matrix.indices[:, None], matrix.data[:, None]

    def action(x: NDArray) -> Addition:
        row = decode(x[holder, columns])
        if row not in named:
            return None
        source, target = (row, holder) if reads else (holder, row)
        values = x[source, sources] * scales
        if matrix is not None:
            column = slice(starts[row], starts[row + 1])
            return x, (rows[column], targets), entries[column] * values
        if consecutive:
            return x[target, targets], None, values
        return x, (target, targets), values

    return action


def _many_holders(match: _Match) -> Action:
    columns, code, _, named, reads, _, _, scales, n_tokens = match
    # numpy takes no product of rows with a slice, so columns are arrays here.
    holders, sources, targets = map(as_array, (match.holders, match.sources, match.targets))
    starts = holders - holders % n_tokens
    is_named = np.zeros(code.n_codes + 1, dtype=bool)  # the last one: no pointer, row -1
    is_named[[row for row in named if row < code.n_codes]] = True

    def action(x: NDArray) -> Addition:
        rows = code.decode(x[holders, columns])
        found = is_named[rows]
        holding, rows = holders[found, None], (starts + rows)[found, None]
        source, target = (rows, holding) if reads else (holding, rows)
        return x, (target, targets), x[source, sources] * scales

    return action
