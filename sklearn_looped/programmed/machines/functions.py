"""Functions of one's own as instructions of the FLEQ machine: what they are and what they cost."""

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_looped.programmed.machines.checks import check_sizes
from sklearn_looped.programmed.machines.sigmoid_sum import ReluSum, SigmoidSum
from sklearn_looped.programmed.machines.unit_sum import LARGEST_BOUND
from sklearn_looped.programmed.transformer.certificate import FunctionCost

Sum = SigmoidSum | ReluSum
_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class MatrixProduct:
    r"""Product of two matrices, each the entries of one cell, row by row.

    One linear head for every entry of the product, whose query is a row of the first matrix and
    whose key is a column of the second: one layer, exact but for rounding (Giannou et al. 2023
    linearise a softmax).

    Parameters
    ----------
    n_rows, n_inner, n_columns : int
        Shapes (n_rows, n_inner) and (n_inner, n_columns); a matrix and a vector with n_columns=1.

    Raises
    ------
    ValueError
        If a size is not an integer of at least 1.

    Examples
    --------
    >>> from sklearn_looped import FleqMachine
    >>> from sklearn_looped.programmed.machines.functions import MatrixProduct
    >>> machine = FleqMachine(8, 4, n_entries=4, functions={"matmul": MatrixProduct(2, 2, 2)})
    >>> text = "A: .vector 1 2 3 4\n B: .vector 0 1 1 0\n C: .word 0\n matmul A, B, C"
    >>> machine.run(text)["C"].values
    (2.0, 1.0, 4.0, 3.0)
    """

    n_rows: int
    n_inner: int
    n_columns: int
    operands: ClassVar[str] = "abc"

    def __post_init__(self) -> None:
        check_sizes(n_rows=self.n_rows, n_inner=self.n_inner, n_columns=self.n_columns)

    @property
    def n_entries(self) -> int:
        """Entries of the largest of the three matrices."""
        n, k, m = self.n_rows, self.n_inner, self.n_columns
        return max(n * k, k * m, n * m)

    def apply(self, x: Sequence[float], y: Sequence[float]) -> list[float]:
        """Plain Python twin, summed first to last.

        Parameters
        ----------
        x, y : sequence of float
            Entries of the two matrices, row by row.

        Returns
        -------
        entries : list of float
        """
        n, k, m = self.n_rows, self.n_inner, self.n_columns
        return [
            _sum_in_order(x[i * k + j] * y[j * m + column] for j in range(k))
            for i in range(n)
            for column in range(m)
        ]


@dataclass(frozen=True)
class Transposition:
    r"""Transpose of the matrix in a cell, row by row: one linear head with permuted values.

    Parameters
    ----------
    n_rows, n_columns : int
        Shape of the matrix.

    Raises
    ------
    ValueError
        If a size is not an integer of at least 1.

    Examples
    --------
    >>> from sklearn_looped import FleqMachine
    >>> from sklearn_looped.programmed.machines.functions import Transposition
    >>> machine = FleqMachine(8, 4, n_entries=4, functions={"transpose": Transposition(2, 2)})
    >>> machine.run("A: .vector 1 2 3 4\n B: .word 0\n transpose A, B")["B"].values
    (1.0, 3.0, 2.0, 4.0)
    """

    n_rows: int
    n_columns: int
    operands: ClassVar[str] = "ac"

    def __post_init__(self) -> None:
        check_sizes(n_rows=self.n_rows, n_columns=self.n_columns)

    @property
    def n_entries(self) -> int:
        """Entries of the matrix."""
        return self.n_rows * self.n_columns

    @property
    def order(self) -> list[int]:
        """Places of the entries of the transpose in the matrix."""
        return np.arange(self.n_entries).reshape(self.n_rows, self.n_columns).T.ravel().tolist()

    def apply(self, x: Sequence[float], y: Sequence[float]) -> list[float]:
        """Plain Python twin.

        Parameters
        ----------
        x : sequence of float
            Entries of the matrix, row by row.
        y : sequence of float
            Ignored: the instruction has one operand.

        Returns
        -------
        entries : list of float
        """
        return [x[i] for i in self.order]


@dataclass(frozen=True, init=False)
class Composition:
    r"""Sums one after another, :math:`f_r(\dots f_1(x))`, in one instruction of r layers.

    Parameters
    ----------
    *stages : SigmoidSum or ReluSum
        The first one takes the operand.

    Raises
    ------
    ValueError
        If values of a stage, its error included, can lie outside of the domain of the next.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped import SigmoidSum
    >>> from sklearn_looped.programmed.machines.functions import Composition
    >>> square = SigmoidSum.fit(lambda x: x * x, (-1.0, 1.0), 1e-4)
    >>> decay = SigmoidSum.fit(lambda x: np.exp(-x), (-0.1, 1.1), 1e-4)
    >>> bell = Composition(square, decay)
    >>> bool(abs(bell(0.5) - np.exp(-0.25)) <= bell.error_bound <= 3e-4)
    True
    """

    stages: tuple[Sum, ...]

    def __init__(self, *stages: Sum) -> None:
        object.__setattr__(self, "stages", stages)
        if not stages or not all(isinstance(stage, Sum) for stage in stages):
            raise ValueError("Got stages other than SigmoidSum and ReluSum, or none.")
        for number, (first, second) in enumerate(itertools.pairwise(stages), 1):
            error = Composition(*stages[:number]).error_bound
            low, high = first.bounds.low - error, first.bounds.high + error
            if not second.domain[0] <= low <= high <= second.domain[1]:
                raise ValueError(
                    f"Got values from {low:g} to {high:g} of stage {number}, but the next is known "
                    f"from {second.domain[0]:g} to {second.domain[1]:g} only; fit it on a wider "
                    "interval."
                )

    @property
    def domain(self) -> tuple[float, float]:
        """Domain of the first stage."""
        return self.stages[0].domain

    @property
    def error_bound(self) -> float:
        """Bound in float64: each error times the slopes of the stages behind it."""
        return _accumulated([stage.error_bound for stage in self.stages], self.stages)

    def rounding(self, unit: float) -> float:
        """Bound of what evaluation in a number format of unit roundoff `unit` adds.

        Parameters
        ----------
        unit : float

        Returns
        -------
        bound : float
        """
        return _accumulated([stage.rounding(unit) for stage in self.stages], self.stages)

    def __call__(self, x: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate in float64."""
        result = np.asarray(x, dtype=float)
        for stage in self.stages:
            result = stage(result)
        return result


FleqFunction = SigmoidSum | ReluSum | Composition | MatrixProduct | Transposition


def stages_of(function: FleqFunction) -> tuple[Sum, ...]:
    """Return the sums that a function of one variable is made of; none of a matrix function."""
    if isinstance(function, Composition):
        return function.stages
    return (function,) if isinstance(function, Sum) else ()


def operands_of(function: FleqFunction) -> str:
    """Operands of its instruction; a and b are read, c is written."""
    return "abc" if isinstance(function, MatrixProduct) else "ac"


def cost(function: FleqFunction, unit: float) -> FunctionCost:
    """Layers, heads, width and error of a function in a number format of that unit roundoff.

    Layers are those behind the one that reads the operands: a last sum of ReLU units takes none.
    The width counts the registers that the function needs for itself.
    """
    stages = stages_of(function)
    if isinstance(function, MatrixProduct):
        n_heads, width = function.n_rows * function.n_columns, 2 * function.n_entries
        return FunctionCost(1, n_heads, width, function.n_inner * unit, relative=True)
    if isinstance(function, Transposition):
        return FunctionCost(1, 1, function.n_entries, 0.0)
    error = function.error_bound + (function.rounding(unit) if unit > 2.0**-53 else 0.0)
    terms = [stage.n_terms for stage in stages if isinstance(stage, SigmoidSum)]
    n_layers = len(stages) - isinstance(stages[-1], ReluSum)
    return FunctionCost(n_layers, sum(terms), 2 * sum(terms) + len(stages) - 1, error)


def check_functions(
    functions: Mapping[str, FleqFunction],
    taken: Mapping[str, str],
    n_entries: int,
    dtype: torch.dtype,
) -> None:
    """Raise unless all functions have a free name and fit the cells and the numbers."""
    largest = LARGEST_BOUND if dtype == torch.float64 else 2.0**96
    for name, function in functions.items():
        if not isinstance(function, FleqFunction):
            raise ValueError(
                f"Got {type(function).__name__} for function {name!r}, expected a SigmoidSum, "
                "ReluSum, Composition, MatrixProduct or Transposition."
            )
        if not _NAME.fullmatch(name) or name in taken:
            raise ValueError(
                f"Got function {name!r}, expected letters, digits and _, and none of the names "
                f"{', '.join(taken)}."
            )
        if isinstance(function, MatrixProduct | Transposition):
            if function.n_entries > n_entries:
                raise ValueError(
                    f"Got function {name!r} of matrices with {function.n_entries} entries, but "
                    f"n_entries={n_entries}; declare more."
                )
        elif max(map(abs, function.domain)) > largest:
            raise ValueError(
                f"Got function {name!r} on an interval beyond {largest:.3g}; shorten it, or "
                "declare float64."
            )


def apply_function(function: FleqFunction, x: Sequence[float], y: Sequence[float]) -> list[float]:
    """Plain Python twin of the instruction: entries of the result, which 0 follow."""
    if isinstance(function, MatrixProduct | Transposition):
        return function.apply(x, y)
    return [float(function(x[0]))]


def domain_of(function: FleqFunction) -> tuple[float, float]:
    """Interval of the operand; all numbers for a matrix function."""
    if isinstance(function, MatrixProduct | Transposition):
        return -math.inf, math.inf
    return function.domain


def _sum_in_order(terms: Iterable[float]) -> float:
    total = 0.0
    for term in terms:
        total += term
    return total


def _accumulated(errors: Sequence[float], stages: Sequence[Sum]) -> float:
    total = 0.0
    for error, stage in zip(errors, stages, strict=True):
        total = error + stage.bounds.slope * total
    return total * (1 + 1e-15)
