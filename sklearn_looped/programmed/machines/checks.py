"""Sizes and data types of machines, and matrices for them."""

from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import check_array, check_X_y
from sklearn.utils._param_validation import Interval, validate_parameter_constraints

from sklearn_looped.core.arrays import Array, refuse_masked
from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.transformer.layout import Layout

DTYPES = {"float64": torch.float64, "float32": torch.float32}
_WHOLE = Interval(Integral, 1, None, closed="left")
_NUMBERS = {
    "epochs": [_WHOLE],
    "limit": [Interval(Real, 2.0**-20, 2.0**20, closed="both")],
    "max_rounds": [_WHOLE],
    "rate": [Interval(Real, 0, None, closed="neither")],
    "tol": [Interval(Real, 0, None, closed="left")],
}
_UNIT = 256  # entries within 2**+-128 have products whose squares are within float64


def check_sizes(**sizes: int) -> None:
    """Raise unless all sizes of a machine are integers of at least 1."""
    for name, value in sizes.items():
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"Got {name}={value}, expected an integer of at least 1.")


def check_numbers(**given: float) -> None:
    """Raise unless the parameters of a machine's methods are in their ranges."""
    constraints = {name: _NUMBERS[name] for name in given}
    validate_parameter_constraints(constraints, given, caller_name="the machine")


def check_dtype(dtype: str) -> None:
    """Raise unless a machine's data type is one of the two."""
    if dtype not in DTYPES:
        raise ValueError(f"Got dtype={dtype!r}, expected one of {tuple(DTYPES)}.")


def as_matrix(a: ArrayLike, name: str, *, vector: bool = False) -> Array:
    """Finite matrix, or a vector where one may be."""
    refuse_masked(**{name: a})
    flat = vector and np.ndim(a) == 1
    matrix: Array = check_array(a, dtype=np.float64, ensure_2d=not flat, input_name=name)
    return matrix


def as_samples(X: ArrayLike, y: ArrayLike, **options: Any) -> tuple[Array, Array]:
    """Finite samples and targets; options are those of `check_X_y`."""
    refuse_masked(X=X, y=y)
    samples, targets = check_X_y(X, y, dtype=np.float64, y_numeric=True, **options)
    return samples, targets


def as_square(a: ArrayLike) -> Array:
    """Finite square matrix."""
    matrix = as_matrix(a, "a")
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"Got a matrix of shape {matrix.shape}, expected a square one.")
    return matrix


def in_units(matrix: Array) -> tuple[Array, int]:
    """Matrix in units of a power of 2**256, and its exponent, which is 0 near 1."""
    exponent = _UNIT * round(int(np.frexp(np.abs(matrix).max())[1]) / _UNIT)
    return np.ldexp(matrix, -exponent), exponent


def from_units(values: Array, exponent: int) -> Array:
    """Multiply results by a power of two; raise where they are beyond float64."""
    with np.errstate(over="ignore"):
        found: Array = np.ldexp(values, exponent)
    if not np.isfinite(found).all():
        raise ValueError("Got a matrix whose result is beyond the range of float64; scale it.")
    return found


def check_program(program: Program, tokens: Layout) -> None:
    """Raise unless there is a token for every instruction and every cell."""
    for what, got, room in (
        ("instructions", len(program.instructions), tokens.size("program")),
        ("cells", len(program.cells), tokens.size("memory")),
    ):
        if got > room:
            raise ValueError(
                f"Got a program of {got} {what}, but the machine has {room}; declare a larger "
                "machine."
            )
