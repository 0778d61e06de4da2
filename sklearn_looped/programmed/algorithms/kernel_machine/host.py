"""The host of the kernel machine: it loads the tape, runs the blocks in turn and reads."""

import math
import sys
from typing import NamedTuple, Self

import numpy as np
from scipy.spatial.distance import pdist

from sklearn_looped.core.arrays import Array
from sklearn_looped.core.kernels import LINEAR
from sklearn_looped.core.metric import LEAST_WEIGHT
from sklearn_looped.core.stacking import SLACK
from sklearn_looped.programmed.algorithms.kernel_machine.block import (
    N_RECIPROCAL,
    kernel_machine_block,
)
from sklearn_looped.programmed.algorithms.kernel_machine.bound import Bound, Left
from sklearn_looped.programmed.transformer.certificate import Certificate, certify
from sklearn_looped.programmed.transformer.layout import Layout

REDUCTION = 2.0**-50  # of the residual's norm, by the loops that are certified beforehand


class HeavyBall(NamedTuple):
    r"""Second-order Richardson iteration (Polyak's heavy ball), certified before it runs.

    With eigenvalues in [l, h] and :math:`q = (\sqrt h - \sqrt l) / (\sqrt h + \sqrt l)`,

    .. math:: v \leftarrow q^2 v + \frac{4}{(\sqrt h + \sqrt l)^2} r, \qquad a \leftarrow a + v

    from 0 leaves after T steps a residual of norm at most :math:`(1 + 2T)\, q^T` times the first:
    its polynomials are :math:`q^T (\cos T\theta + c \sin T\theta / \sin\theta)` with
    :math:`|c| \le 1 + q` (Golub & Varga 1961).

    Parameters
    ----------
    step, momentum : float
    condition : float
        h / l.

    References
    ----------
    G. H. Golub, R. S. Varga, "Chebyshev semi-iterative methods, successive overrelaxation
    iterative methods, and second order Richardson iterative methods", Numer. Math. 1961.

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.kernel_machine import HeavyBall
    >>> HeavyBall.of(1.0, 9.0).n_loops(1e-6)
    26
    """

    step: float
    momentum: float
    condition: float

    @classmethod
    def of(cls, lowest: float, highest: float) -> Self:
        """For eigenvalues in an interval of positive numbers."""
        low, high = math.sqrt(lowest), math.sqrt(highest)
        return cls((2 / (high + low)) ** 2, ((high - low) / (high + low)) ** 2, highest / lowest)

    def n_loops(self, reduction: float) -> int:
        """Loops that bring the residual's norm below `reduction` times the first, at most."""
        if self.condition <= 1:
            return 1
        root = math.sqrt(min(self.condition, sys.float_info.max))
        rate = -math.log1p(-2 / (1 + root))  # -log q, without cancellation
        n, needed = 0, 1
        while needed > n:  # rises to the solution of n = log((1 + 2n) / reduction) / rate
            n, needed = needed, math.ceil(math.log((1 + 2 * needed) / reduction) / rate)
        return n


class KernelMachineFit(NamedTuple):
    """A kernel machine that loops have fitted, and all that it predicts from.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        Training rows.
    length : float
    metric : ndarray of shape (d,)
        Weights of the columns, of mean 1.
    coef : ndarray of shape (n,)
    intercept : float
        Of the kernel with the rows' means taken off.
    lowest, highest : float
        Range that predictions are kept in: half the targets' range beyond it.
    n_loops : int
        Loops of the solve, of all rounds.
    certificate : Certificate
        ``certificate.error_bound`` bounds the error of a prediction.
    """

    X: Array
    length: float
    metric: Array
    coef: Array
    intercept: float
    lowest: float
    highest: float
    n_loops: int
    certificate: Certificate


def median_length(X: Array) -> float:
    """Median distance between rows; where it is 0 the largest, and 1 where that is 0 too.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.programmed.algorithms.kernel_machine import median_length
    >>> median_length(np.array([[0.0], [1.0], [3.0]]))
    2.0
    """
    unit = float(np.abs(X).max()) or 1.0  # whose square need not be a number
    between = pdist(X / unit)
    return unit * float(np.median(between) or between.max()) or 1.0


def heavy_ball(X: Array, penalty: float) -> HeavyBall:
    """Choose steps for the eigenvalues that the kernel matrix of rows X may have, in any metric.

    All are at least the penalty, and without the means they sum to at most n - 1 for the Gaussian
    part and a tenth of n times the largest variance of a column for the linear part.
    """
    scatter = float(((X - X.mean(axis=0)) ** 2).sum(axis=0).max())
    highest = penalty + len(X) - 1 + LINEAR * (1 + LEAST_WEIGHT) * scatter
    return HeavyBall.of(penalty, highest)


def fit_kernel_machine(
    X: Array,
    y: Array,
    *,
    length: float,
    penalty: float,
    n_rounds: int = 2,
    n_loops: int | None = None,
) -> list[KernelMachineFit]:
    """Fit a kernel machine with a Gaussian kernel by loops of attention.

    `ProgrammedKernelMachineRegressor` says how. The host loads the tape, X in units of the length
    and y in units of a power of two in which coefficients are of order 1, with the step sizes of
    `heavy_ball`; runs the blocks in turn, over one tape; reads the results; and bounds their
    error.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
    length, penalty : float
    n_rounds : int, default=2
        How often the metric is estimated anew.
    n_loops : int, default=None
        Loops of the solve in a round. None: as many as bring the residual to 2**-50 of the
        targets, which their condition number bounds beforehand.

    Returns
    -------
    rounds : list of KernelMachineFit
        The machine after each round, without a metric first.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.programmed.algorithms.kernel_machine import fit_kernel_machine
    >>> X, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20.0)
    >>> fit_kernel_machine(X, y, length=1.0, penalty=0.5)[-1].certificate.error_bound < 1e-6
    True
    """
    unit = float(2.0 ** np.round(np.log2(target_scale(y) / max(1.0, penalty))))
    rounds = _Rounds(X, np.zeros((1, X.shape[1])), length)
    ball = heavy_ball(X, penalty)
    n_loops = ball.n_loops(REDUCTION) if n_loops is None else n_loops
    rounds.tape.write("scratch", metric=1.0)
    rounds.tape.write("row", y=y[:, None] / unit, penalty=penalty)
    rounds.tape.write("row", step=ball.step, momentum=ball.momentum)
    bound, fits = Bound(), list[KernelMachineFit]()
    slack = SLACK * np.ptp(y)
    rounds.run("load")
    for last in [False] * n_rounds + [True]:
        rounds.run("measure")
        rounds.run("solve", n_loops)
        rounds.run("rest")
        left = rounds.left(np.abs(X / length).max(axis=0))
        fits.append(
            KernelMachineFit(
                X,
                length,
                left.metric,
                left.coef * unit,
                float(rounds.tape.read("scratch", "intercept")[0, 0]) * unit,
                float(y.min() - slack),
                float(y.max() + slack),
                (len(fits) + 1) * n_loops,
                rounds.certify(bound.after(left).prediction * unit),
            )
        )
        if last:
            break
        rounds.run("slopes")
        rounds.run("reciprocal", N_RECIPROCAL)
        rounds.run("reweigh")
        bound = bound.after(left, rounds.tape.read("scratch", "square")[0])
    return fits


def predict_kernel_machine(fit: KernelMachineFit, queries: Array) -> Array:
    """Predictions of queries (q, d): they attend to the training rows.

    The host loads what was fitted on a tape of rows and queries, and reads the predictions.
    """
    largest = max(abs(fit.lowest), abs(fit.highest))
    unit = 2.0 ** np.frexp(largest)[1]
    rounds = _Rounds(fit.X, queries, fit.length)
    rounds.tape.write("scratch", metric=fit.metric)
    rounds.tape.write("row", coef=fit.coef[:, None] / unit)
    rounds.tape.write("query", prediction=fit.intercept / unit)
    rounds.tape.write("query", lowest=fit.lowest / unit, highest=fit.highest / unit)
    for block in ("load", "measure", "read"):
        rounds.run(block)
    return rounds.tape.read("query", "prediction")[:, 0] * unit


def target_scale(y: Array) -> float:
    """Return the standard deviation of targets, or where they are all alike their size.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.programmed.algorithms.kernel_machine import target_scale
    >>> target_scale(np.array([1.0, 3.0])), target_scale(np.array([0.1, 0.1, 0.1]))
    (1.0, 0.1)
    """
    largest = np.abs(y).max() or 1.0
    return float(largest * (y / largest).std() if np.ptp(y) > 0 else largest)


class _Rounds:
    """The blocks of a kernel machine, run in turn over one tape."""

    def __init__(self, X: Array, queries: Array, length: float) -> None:
        d = X.shape[1]
        self.blocks = kernel_machine_block(d)
        tokens = Layout(scratch=1, null=1, row=len(X), query=len(queries))
        row = {"x": X / length, "linear": LINEAR * length**2 / d}
        self.tape = self.blocks.load.load(tokens, row=row, query={"x": queries / length})

    def run(self, block: str, n_loops: int = 1) -> None:
        """Loop one block."""
        self.tape, _ = getattr(self.blocks, block).run(self.tape, n_loops)

    def left(self, origin: Array) -> Left:
        """Read what a round's loops worked on and left."""
        names = ("y", "coef", "residual", "penalty", "linear")
        y, coef, residual, penalty, linear = self.tape.read("row", *names).T
        return Left(
            x=self.tape.read("row", "x"),
            origin=origin,
            y=y,
            coef=coef,
            residual=residual,
            metric=self.tape.read("scratch", "metric")[0],
            penalty=float(penalty[0]),
            linear=float(linear[0]),
            intercept=float(self.tape.read("scratch", "mean")[0, 0]),
            offset=float(self.tape.read("scratch", "offset")[0, 0]),
        )

    def certify(self, error_bound: float) -> Certificate:
        """Certificate of all blocks, with the bound of a result."""
        layers = [layer for block in self.blocks for layer in block.layers]
        return certify(layers, self.tape.fields, {}, error_bound=error_bound)
