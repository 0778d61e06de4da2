"""Row arithmetic of the fast evaluation, in numpy, with the sums of `layers`."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from scipy.sparse import csr_array

from sklearn_looped.programmed.transformer.layers import Projection

MANY = 1000  # products from which on those of scipy take less time

Index = int | slice | NDArray[np.intp]


def softmax(scores: NDArray) -> NDArray:
    """`ordered_softmax`, over the scores; numpy's exponential rounds differently from torch's."""
    scores -= scores.max(axis=-1, keepdims=True)
    exps = torch.exp(torch.from_numpy(scores)).numpy()
    return exps / np.cumsum(exps, axis=-1)[:, -1:]


def picks(projection: Projection) -> bool:
    """Whether every output is one input times a number."""
    return projection.outputs.tolist() == list(range(projection.weight.shape[1]))


def project_rows(projection: Projection, n_rows: int) -> Callable[[NDArray], NDArray]:
    """`Projection` of one row (d,), or of several (r, d), in numpy."""
    inputs, outputs = projection.inputs.numpy(), projection.outputs.numpy()
    values, width = projection.values.numpy(), projection.weight.shape[1]
    if picks(projection):  # + 0.0 as in a sum
        columns = as_columns(inputs.tolist())
        if n_rows == 1:
            return lambda x: x[columns] * values + 0.0
        if isinstance(columns, slice):
            return lambda x: x[:, columns] * values + 0.0
        return lambda x: x.take(columns, 1) * values + 0.0
    if n_rows * len(values) >= MANY and sums_in_order(values.dtype):
        starts = np.searchsorted(outputs, np.arange(width + 1))
        matrix = csr_array((values, inputs, starts), shape=(width, projection.weight.shape[0]))
        return lambda x: (matrix @ x.T).T
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


@functools.cache
def sums_in_order(dtype: DTypeLike) -> bool:
    """Whether sparse products of scipy round each product, and add them first to last.

    A compiler may fuse both on processors that can; sums would then have other bits.
    """
    terms = np.random.default_rng(0).normal(size=(3, 100)).astype(dtype)
    expected = np.cumsum(terms[0] * terms[1:], axis=1)[:, -1]
    matrix = csr_array(terms[:1])
    found = np.append(matrix @ terms[1], (matrix @ terms[1:].T)[0])
    return np.array_equal(found, expected[[0, 0, 1]])


def as_array(index: Any) -> NDArray[np.intp]:
    """Numbers of a slice or a list."""
    return np.arange(index.start, index.stop) if isinstance(index, slice) else np.asarray(index)


def as_columns(index: list[int]) -> slice | NDArray[np.intp]:
    """Consecutive numbers as a slice, which numpy reads faster."""
    start = index[0]
    if index == list(range(start, start + len(index))):
        return slice(start, start + len(index))
    return np.array(index)


def as_index(rows: list[int]) -> Index:
    """Turn a single row into its number, which numpy reads faster still."""
    return rows[0] if len(rows) == 1 else as_columns(rows)
