"""One frozen network that is instructed by its tape: calculator, linear algebra, learning."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_looped.core.arrays import Array, refuse_masked
from sklearn_looped.programmed.machines import checks, programs
from sklearn_looped.programmed.machines.calculator import calculator_functions
from sklearn_looped.programmed.machines.fleq import FleqMachine
from sklearn_looped.programmed.machines.fleq_assembler import Cell
from sklearn_looped.programmed.machines.functions import FleqFunction, MatrixProduct, Transposition
from sklearn_looped.programmed.machines.run_result import RunResult
from sklearn_looped.programmed.machines.universal_result import (
    Eigenpair,
    TwoLayers,
    UniversalResult,
)

MAX_LOOPS = 10_000_000  # the programs count their rounds themselves


class UniversalMachine(FleqMachine):
    r"""One frozen looped transformer that computes what its tape says.

    A `FleqMachine` whose instructions are fixed: those of every such machine, the sums of sigmoids
    of the `Calculator`, and the product and the transpose of d x d matrices. A cell is a matrix; a
    vector is its first column, a number its first entry. Each method runs one of the programs of
    `sklearn_looped.programmed.machines.programs`; ``run`` takes any other, and
    ``Calculator(machine)`` calculates. The weights depend on the sizes declared alone:
    ``transformer.fingerprint()`` is the same whatever has run.

    The host pads matrices with zeros and writes them to the tape. Loops over rounds, samples and
    epochs, and the ends of iterations, are instructions.

    Parameters
    ----------
    size : int, default=4
        Rows and columns d of the largest matrix, at least 1.
    n_memory, n_instructions : int, default=256, 640
        Size of the machine, at least 1 each. The calculator takes 176 cells and 595 instructions;
        the programs of learning take about 30 cells and two for every sample.

    Attributes
    ----------
    transformer, certificate, operations
        As of `FleqMachine`.

    References
    ----------
    A. Giannou et al., "Looped Transformers as Programmable Computers", ICML 2023.

    Examples
    --------
    >>> from sklearn_looped import Calculator, UniversalMachine
    >>> machine = UniversalMachine(size=2)
    >>> before = machine.transformer.fingerprint()
    >>> A = [[2.0, 1.0], [1.0, 3.0]]
    >>> machine.inv(A).value.round(12)
    array([[ 0.6, -0.2],
           [-0.2,  0.4]])
    >>> round(machine.power_iteration(A).value.eigenvalue, 9)
    3.618033989
    >>> Calculator(machine)("divide", 5.0, -2.0)
    -2.5
    >>> machine.transformer.fingerprint() == before
    True
    """

    def __init__(self, size: int = 4, n_memory: int = 256, n_instructions: int = 640) -> None:
        checks.check_sizes(size=size)
        self.size = size
        functions: dict[str, FleqFunction] = {
            **calculator_functions(),
            "matmul": MatrixProduct(size, size, size),
            "transpose": Transposition(size, size),
        }
        super().__init__(n_memory, n_instructions, size**2, functions=functions)

    def cell(self, matrix: ArrayLike) -> Cell:
        """Cell of a number, a vector or a matrix, padded with zeros.

        Parameters
        ----------
        matrix : array-like of at most two dimensions, each at most `size`

        Returns
        -------
        cell : Cell

        Raises
        ------
        ValueError
            If the matrix is larger than a cell.
        """
        refuse_masked(matrix=matrix)
        columns = np.asarray(matrix, dtype=float)
        columns = columns.reshape(-1, 1) if columns.ndim < 2 else columns
        if columns.ndim > 2 or max(columns.shape) > self.size:
            raise ValueError(
                f"Got {' x '.join(map(str, columns.shape))} numbers for a cell of {self.size} x "
                f"{self.size}; declare a UniversalMachine of a larger size."
            )
        padded = np.pad(columns, [(0, self.size - n) for n in columns.shape])
        return Cell(tuple(padded.ravel().tolist()))

    def matrix(self, cell: Cell, shape: tuple[int, ...]) -> Array:
        """Return the number, vector or matrix of that shape in a cell, as `cell` packed it.

        Parameters
        ----------
        cell : Cell
        shape : tuple of at most two ints

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
        left, right = checks.as_matrix(a, "a"), checks.as_matrix(b, "b", vector=True)
        if left.shape[1] != len(right):
            raise ValueError(f"Got shapes {left.shape}, {right.shape}, whose inner sizes differ.")
        run = self._run(programs.PRODUCT, options, a=self.cell(left), b=self.cell(right))
        return UniversalResult(self.matrix(run["c"], (len(left), *right.shape[1:])), run)

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
        matrix = checks.as_matrix(a, "a")
        run = self._run(programs.TRANSPOSE, options, a=self.cell(matrix))
        return UniversalResult(self.matrix(run["c"], matrix.shape[::-1]), run)

    def inv(self, a: ArrayLike, *, max_rounds: int = 128, **options: Any) -> UniversalResult[Array]:
        r"""Inverse of a matrix, as :func:`numpy.linalg.inv`, by `programs.INVERSE`.

        Newton's rounds :math:`X \leftarrow X (2 I - A X)` from a multiple of the transpose, until
        the residual no longer halves. The host measures A in units of a power of 2**256.

        Parameters
        ----------
        a : array-like of shape (n, n)
        max_rounds : int, default=128
            Largest number of rounds. A singular matrix reaches it, which is a fault.
        **options
            Further parameters of `run`.

        Returns
        -------
        result : UniversalResult
            With ``value`` of shape (n, n).

        Raises
        ------
        ValueError
            If the matrix is not finite, not square, too large or, as a fault, singular.
        """
        checks.check_numbers(max_rounds=max_rounds)
        matrix, exponent = checks.in_units(checks.as_square(a))
        data = {"unit": self.cell(np.eye(len(matrix))), "rounds": max_rounds}
        run = self._run(programs.INVERSE, options, a=self.cell(matrix), **data)
        inverse = checks.from_units(self.matrix(run["x"], matrix.shape), -exponent)
        return UniversalResult(inverse, run)

    def power_iteration(
        self, a: ArrayLike, *, tol: float = 1e-12, max_rounds: int = 10_000, **options: Any
    ) -> UniversalResult[Eigenpair]:
        r"""Eigenvalue of largest absolute value, by `programs.POWER_ITERATION`.

        :math:`v \leftarrow A v / |A v|` until :math:`|A v - \lambda v| \le` tol :math:`|A v|` with
        :math:`\lambda = v^\top A v`, A in units as in `inv`. The start is :math:`e^{f_i - 1}` with
        the fractional parts f of :math:`i \sqrt 2`: no vector of algebraic numbers, as the
        eigenvectors of rational matrices are, is orthogonal to it (Lindemann and Weierstrass). But
        if the start, or the way from it, is within tol of another eigenvector, that one is found.

        Parameters
        ----------
        a : array-like of shape (n, n)
        tol : float, default=1e-12
            Tolerance of the residual, relative to :math:`|A v|`; at least 0.
        max_rounds : int, default=10_000
            Largest number of rounds. A matrix without such an eigenvalue reaches it: a fault.
        **options
            Further parameters of `run`.

        Returns
        -------
        result : UniversalResult
            With an `Eigenpair` as ``value``.

        Raises
        ------
        ValueError
            If the matrix is not finite, not square, too large or, as a fault, has no such
            eigenvalue.
        """
        checks.check_numbers(tol=tol, max_rounds=max_rounds)
        matrix, exponent = checks.in_units(checks.as_square(a))
        n = len(matrix)
        start = self.cell(np.exp(np.sqrt(2) * np.arange(1, n + 1) % 1 - 1))
        data = {"v": start, "rounds": max_rounds, "tolerance": tol**2}
        run = self._run(programs.POWER_ITERATION, options, a=self.cell(matrix), **data)
        value = float(checks.from_units(self.matrix(run["value"], ()), exponent))
        return UniversalResult(Eigenpair(value, self.matrix(run["v"], (n,))), run)

    def linear_sgd(
        self, X: ArrayLike, y: ArrayLike, *, rate: float = 0.01, epochs: int = 1, **options: Any
    ) -> UniversalResult[Array]:
        """Linear regression by stochastic gradient descent, by `programs.linear_sgd`.

        As `sklearn.linear_model.SGDRegressor` with ``penalty=None``, ``shuffle=False``,
        ``learning_rate="constant"`` and ``fit_intercept=False``; a column of ones is an intercept.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            At most size * size features.
        y : array-like of shape (n_samples,)
        rate : float, default=0.01
            Step size, above 0.
        epochs : int, default=1
            Number of passes over the samples, at least 1.
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
        checks.check_numbers(rate=rate, epochs=epochs)
        samples, targets = checks.as_samples(X, y)
        n, n_features = samples.shape
        data = {"rate": rate, "epochs": epochs, "n": n, "samples": list(samples)}
        run = self._run(programs.linear_sgd(n), options, **data, targets=targets.tolist())
        return UniversalResult(np.array(run["w"].values[:n_features]), run)

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
            Step size, above 0.
        epochs : int, default=1
            Number of passes over the samples, at least 1.
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
        checks.check_numbers(rate=rate, epochs=epochs)
        samples, targets = checks.as_samples(X, y, multi_output=True)
        n, n_in = samples.shape
        targets = targets.reshape(n, -1)
        coefs = [checks.as_matrix(w, "coefs") for w in network.coefs]
        shapes = [w.shape for w in coefs] + [np.shape(b) for b in network.intercepts]
        n_hidden, n_out = coefs[0].shape[1], targets.shape[1]
        if shapes != [(n_in, n_hidden), (n_hidden, n_out), (n_hidden,), (n_out,)]:
            raise ValueError(
                f"Got a network of shapes {shapes} for {n_in} inputs and {n_out} outputs."
            )
        cells = {
            "W1": coefs[0].T, "b1": network.intercepts[0], "hidden": np.ones(n_hidden),
            "W2": coefs[1].T, "b2": network.intercepts[1],
        }  # fmt: skip
        data: dict[str, Any] = {name: self.cell(value) for name, value in cells.items()}
        data |= {"rate": rate, "epochs": epochs, "n": n}
        data |= {"samples": list(map(self.cell, samples)), "targets": list(map(self.cell, targets))}
        run = self._run(programs.backpropagation(n), options, **data)
        value = TwoLayers(
            [
                self.matrix(run["W1"], coefs[0].T.shape).T,
                self.matrix(run["W2"], coefs[1].T.shape).T,
            ],
            [self.matrix(run["b1"], (n_hidden,)), self.matrix(run["b2"], (n_out,))],
        )
        return UniversalResult(value, run)

    def _run(self, text: str, options: dict[str, Any], **data: Any) -> RunResult:
        program = self.assemble(text).with_data(**data)
        return self.run(program, **{"max_loops": MAX_LOOPS, **options})
