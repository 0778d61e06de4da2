"""One frozen network that is instructed by its tape: calculator, linear algebra, learning."""

from numbers import Integral
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_X_y

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.machines.calculator import calculator_functions
from sklearn_looped.programmed.machines.fleq import FleqMachine
from sklearn_looped.programmed.machines.fleq_assembler import Cell
from sklearn_looped.programmed.machines.functions import MatrixProduct, Transposition
from sklearn_looped.programmed.machines.programs import (
    INVERSE,
    POWER_ITERATION,
    PRODUCT,
    TRANSPOSE,
    backpropagation,
    linear_sgd,
)
from sklearn_looped.programmed.machines.run_result import RunResult

Value = TypeVar("Value")
MAX_LOOPS = 10_000_000  # the programs count their rounds themselves


class UniversalResult(NamedTuple, Generic[Value]):
    """What a program computed, and its run.

    Parameters
    ----------
    value : ndarray or tuple
        The answer.
    run : RunResult
        The run: loops, memory and trace.
    """

    value: Value
    run: RunResult


class Eigenpair(NamedTuple):
    """The eigenvalue of largest absolute value, and its eigenvector of shape (n,), of length 1."""

    eigenvalue: float
    eigenvector: Array


class TwoLayers(NamedTuple):
    """Weights of a network of two layers, shaped as ``coefs_`` and ``intercepts_`` of scikit-learn.

    Parameters
    ----------
    coefs : sequence of two ndarrays of shape (n_in, n_hidden) and (n_hidden, n_out)
    intercepts : sequence of two ndarrays of shape (n_hidden,) and (n_out,)
    """

    coefs: list[Array]
    intercepts: list[Array]


class UniversalMachine(FleqMachine):
    r"""One frozen looped transformer that computes what its tape says.

    A `FleqMachine` whose instructions are fixed: those of every such machine, the sums of sigmoids
    of the `Calculator`, and the product and the transpose of d x d matrices. A cell is a matrix; a
    vector is its first column, a number its first entry. The methods load one of the programs of
    `sklearn_looped.programmed.machines.programs` and run it; ``run`` takes any other, and
    ``Calculator(machine)`` calculates. The weights depend on the sizes declared alone:
    ``transformer.fingerprint()`` is the same whatever has run (Giannou et al. 2023 have one
    network of 13 layers).

    The host pads matrices with zeros and writes them to the tape. Loops over rounds, samples and
    epochs, scales, step sizes and the ends of iterations are instructions.

    Parameters
    ----------
    size : int, default=4
        Rows and columns d of the largest matrix.
    n_memory, n_instructions : int, default=256, 640
        Size of the machine. The calculator takes 176 cells and 595 instructions; the programs
        of learning take about 30 cells and two for every sample.

    Attributes
    ----------
    transformer : LoopedTransformer
        The fixed weights.
    certificate : Certificate
        Why addresses and branches are exact, and layers, heads, width and error of the functions.

    Raises
    ------
    ValueError
        If a size is below 1.

    References
    ----------
    A. Giannou et al., "Looped Transformers as Programmable Computers", ICML 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped import Calculator, UniversalMachine
    >>> machine = UniversalMachine(size=2)
    >>> before = machine.transformer.fingerprint()
    >>> A = [[2.0, 1.0], [1.0, 3.0]]
    >>> machine.inv(A).value.round(12)
    array([[ 0.6, -0.2],
           [-0.2,  0.4]])
    >>> machine.power_iteration(A).value.eigenvalue == np.linalg.eigvalsh(A)[1]
    True
    >>> Calculator(machine)("divide", 5.0, -2.0)
    -2.5
    >>> machine.transformer.fingerprint() == before
    True
    """

    def __init__(self, size: int = 4, n_memory: int = 256, n_instructions: int = 640) -> None:
        if not isinstance(size, Integral) or size < 1:
            raise ValueError(f"Got size={size}, expected an integer of at least 1.")
        self.size = int(size)
        matrices = {
            "matmul": MatrixProduct(self.size, self.size, self.size),
            "transpose": Transposition(self.size, self.size),
        }
        functions = {**calculator_functions(), **matrices}
        super().__init__(n_memory, n_instructions, self.size**2, functions=functions)

    def cell(self, matrix: ArrayLike) -> Cell:
        """Cell of a number, a vector or a matrix, padded with zeros.

        Parameters
        ----------
        matrix : array-like of at most two dimensions

        Returns
        -------
        cell : Cell

        Raises
        ------
        ValueError
            If it has more rows or columns than the machine's `size`.
        """
        matrix = np.asarray(matrix, dtype=float)
        columns = matrix.reshape(-1, 1) if matrix.ndim < 2 else matrix
        rows_left, columns_left = (self.size - n for n in columns.shape)
        if rows_left < 0 or columns_left < 0:
            raise ValueError(
                f"Got {' x '.join(map(str, columns.shape))} numbers for a cell of {self.size} x "
                f"{self.size}; declare a UniversalMachine of a larger size."
            )
        padded = np.pad(columns, ((0, rows_left), (0, columns_left)))
        return Cell(tuple(padded.ravel().tolist()))

    def matrix(self, cell: Cell, shape: tuple[int, ...]) -> Array:
        """Number, vector or matrix of that shape in a cell; the inverse of `cell`.

        Parameters
        ----------
        cell : Cell
        shape : tuple of int
            At most two numbers.

        Returns
        -------
        matrix : ndarray of that shape
        """
        full = np.reshape(cell.values, (self.size, self.size))
        return full[np.ix_(*map(range, (*shape, 1, 1)[:2]))].reshape(shape)

    def matmul(self, a: ArrayLike, b: ArrayLike, **options: Any) -> UniversalResult[Array]:
        """Product of two matrices, as :func:`numpy.matmul`, by `programs.PRODUCT`.

        Parameters
        ----------
        a : array-like of shape (n, k)
        b : array-like of shape (k,) or (k, m)
        **options
            Further parameters of `run`.

        Returns
        -------
        result : UniversalResult
            With ``value`` of shape (n,) or (n, m).

        Raises
        ------
        ValueError
            If a matrix is not finite, too large, or the shapes do not fit.
        """
        a, b = _matrix(a, "a"), _matrix(b, "b", vector=True)
        if a.shape[1] != len(b):
            raise ValueError(f"Got shapes {a.shape} and {b.shape}, whose inner sizes differ.")
        run = self._run(PRODUCT, options, a=self.cell(a), b=self.cell(b))
        return UniversalResult(self.matrix(run["c"], (len(a), *b.shape[1:])), run)

    def transpose(self, a: ArrayLike, **options: Any) -> UniversalResult[Array]:
        """Transpose of a matrix, as :func:`numpy.transpose`, by `programs.TRANSPOSE`.

        Parameters
        ----------
        a : array-like of shape (n, m)
        **options
            Further parameters of `run`.

        Returns
        -------
        result : UniversalResult
            With ``value`` of shape (m, n).

        Raises
        ------
        ValueError
            If the matrix is not finite or too large.
        """
        a = _matrix(a, "a")
        run = self._run(TRANSPOSE, options, a=self.cell(a))
        return UniversalResult(self.matrix(run["c"], a.shape[::-1]), run)

    def inv(self, a: ArrayLike, *, max_rounds: int = 128, **options: Any) -> UniversalResult[Array]:
        r"""Inverse of a matrix, as :func:`numpy.linalg.inv`, by `programs.INVERSE`.

        Newton's rounds :math:`X \leftarrow X (2 I - A X)` from a multiple of the transpose, until
        the residual no longer halves.

        Parameters
        ----------
        a : array-like of shape (n, n)
        max_rounds : int, default=128
            Cap on the rounds. A singular matrix, which reaches it, is a fault.
        **options
            Further parameters of `run`.

        Returns
        -------
        result : UniversalResult
            With ``value`` of shape (n, n).

        Raises
        ------
        ValueError
            If the matrix is not finite, not square or too large; a `MachineFaultError` if it is
            singular.
        """
        a = _square(a)
        run = self._run(
            INVERSE, options, a=self.cell(a), unit=self.cell(np.eye(len(a))), rounds=max_rounds
        )
        return UniversalResult(self.matrix(run["x"], a.shape), run)

    def power_iteration(
        self, a: ArrayLike, *, tol: float = 1e-12, max_rounds: int = 10_000, **options: Any
    ) -> UniversalResult[Eigenpair]:
        r"""Eigenvalue of largest absolute value, by `programs.POWER_ITERATION`.

        :math:`v \leftarrow A v / |A v|` from (1, 1/2, 1/3, ...), until
        :math:`|A v - \lambda v| \le` tol :math:`|A v|` with :math:`\lambda = v^\top A v`.

        Parameters
        ----------
        a : array-like of shape (n, n)
        tol : float, default=1e-12
        max_rounds : int, default=10_000
            Cap on the rounds. A matrix without a single such eigenvalue, which reaches it, is a
            fault.
        **options
            Further parameters of `run`.

        Returns
        -------
        result : UniversalResult
            With an `Eigenpair` as ``value``.

        Raises
        ------
        ValueError
            If the matrix is not finite, not square or too large; a `MachineFaultError` if there is
            no such eigenvalue.
        """
        a = _square(a)
        start = self.cell(1 / np.arange(1.0, len(a) + 1))
        data = {"v": start, "rounds": max_rounds, "tolerance": tol**2}
        run = self._run(POWER_ITERATION, options, a=self.cell(a), **data)
        pair = Eigenpair(run["value"].values[0], self.matrix(run["v"], (len(a),)))
        return UniversalResult(pair, run)

    def linear_sgd(
        self, X: ArrayLike, y: ArrayLike, *, rate: float = 0.01, epochs: int = 1, **options: Any
    ) -> UniversalResult[Array]:
        """Linear regression by stochastic gradient descent, by `programs.linear_sgd`.

        As `sklearn.linear_model.SGDRegressor` with ``penalty=None``,
        ``learning_rate="constant"``, ``shuffle=False`` and ``fit_intercept=False``: the samples
        come in order, a column of ones is an intercept.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            At most size * size features.
        y : array-like of shape (n_samples,)
        rate : float, default=0.01
            Step size.
        epochs : int, default=1
        **options
            Further parameters of `run`.

        Returns
        -------
        result : UniversalResult
            With ``value`` of shape (n_features,), the weights.

        Raises
        ------
        ValueError
            If the data are not finite, or more than the machine has room for.
        """
        X, y = check_X_y(X, y, dtype=np.float64, y_numeric=True)
        data = {"rate": rate, "epochs": epochs, "n": len(X)}
        samples = {"samples": list(X), "targets": y.tolist()}
        run = self._run(linear_sgd(len(X)), options, **data, **samples)
        return UniversalResult(np.array(run["w"].values[: X.shape[1]]), run)

    def backpropagation(
        self,
        X: ArrayLike,
        y: ArrayLike,
        network: TwoLayers,
        *,
        rate: float = 0.01,
        epochs: int = 1,
        **options: Any,
    ) -> UniversalResult[TwoLayers]:
        """Training of a network of two layers, by `programs.backpropagation`.

        As `sklearn.neural_network.MLPRegressor` with sigmoid units, ``solver="sgd"``,
        ``batch_size=1``, ``alpha=0``, ``momentum=0`` and ``shuffle=False``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_in)
        y : array-like of shape (n_samples,) or (n_samples, n_out)
        network : TwoLayers
            Weights to begin with. Inputs, hidden units and outputs are at most `size` each.
        rate : float, default=0.01
            Step size.
        epochs : int, default=1
        **options
            Further parameters of `run`.

        Returns
        -------
        result : UniversalResult
            With the trained `TwoLayers` as ``value``.

        Raises
        ------
        ValueError
            If the data are not finite, the shapes do not fit, or there is no room for them.
        """
        X, y = check_X_y(X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        targets = y.reshape(len(y), -1)
        coefs = [_matrix(w, "coefs") for w in network.coefs]
        shapes = [w.shape for w in coefs] + [np.shape(b) for b in network.intercepts]
        n_in, n_hidden, n_out = X.shape[1], coefs[0].shape[1], targets.shape[1]
        if shapes != [(n_in, n_hidden), (n_hidden, n_out), (n_hidden,), (n_out,)]:
            raise ValueError(
                f"Got a network of shapes {shapes} for {n_in} inputs and {n_out} outputs."
            )
        cells = {
            "W1": coefs[0].T, "b1": network.intercepts[0], "hidden": np.ones(n_hidden),
            "W2": coefs[1].T, "b2": network.intercepts[1],
        }  # fmt: skip
        data: dict[str, Any] = {name: self.cell(value) for name, value in cells.items()}
        data |= {"rate": rate, "epochs": epochs, "n": len(X)}
        data |= {"samples": list(map(self.cell, X)), "targets": list(map(self.cell, targets))}
        run = self._run(backpropagation(len(X)), options, **data)
        value = TwoLayers(
            [self.matrix(run[name], w.T.shape).T for name, w in zip(("W1", "W2"), coefs)],
            [self.matrix(run["b1"], (n_hidden,)), self.matrix(run["b2"], (n_out,))],
        )
        return UniversalResult(value, run)

    def _run(self, text: str, options: dict[str, Any], **data: Any) -> RunResult:
        cells = {k: [value] if isinstance(value, Cell) else value for k, value in data.items()}
        program = self.assemble(text).with_data(**cells)
        return self.run(program, **{"max_loops": MAX_LOOPS, **options})


def _matrix(a: ArrayLike, name: str, vector: bool = False) -> Array:
    """Finite matrix, or vector where one may be."""
    vector = vector and np.ndim(a) == 1
    return check_array(a, dtype=np.float64, ensure_2d=not vector, input_name=name)


def _square(a: ArrayLike) -> NDArray[np.float64]:
    a = _matrix(a, "a")
    if a.shape[0] != a.shape[1]:
        raise ValueError(f"Got a matrix of shape {a.shape}, expected a square one.")
    return a
