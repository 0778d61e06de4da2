"""How far a kernel machine of finitely many loops, in floating point, may be from the exact one."""

from typing import NamedTuple, Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist

from sklearn_looped.core.arrays import Array
from sklearn_looped.core.metric import LEAST_WEIGHT
from sklearn_looped.programmed.algorithms.kernel_machine.block import FLAT, SINK
from sklearn_looped.programmed.algorithms.linalg.result import UNIT_ROUNDOFF

_LARGEST_CHANGE = 0.05  # of the system, by the metric's error, up to which its effect is linear
_SLACK = 1.1  # for what is not linear


class Left(NamedTuple):
    """What the loops of a round worked on and left, in the units of the tape.

    Attributes
    ----------
    x : ndarray of shape (n, d)
        Rows, without their means.
    origin : ndarray of shape (d,)
        Largest absolute entry of each column before the mean was taken off.
    y, coef, residual : ndarray of shape (n,)
    metric : ndarray of shape (d,)
    penalty, linear : float
    intercept, offset : float
        Means that were taken off the residual and off the targets.
    """

    x: Array
    origin: Array
    y: Array
    coef: Array
    residual: Array
    metric: Array
    penalty: float
    linear: float
    intercept: float
    offset: float


class Bound(NamedTuple):
    r"""Bounds against the closed form in exact arithmetic, round by round.

    Let r be the residual of the coefficients at hand in the exact kernel: that of the loops, with
    rounding and the error of the metric included. The kernel without its means, PKP, has no
    negative eigenvalue, so in the norm of the kernel the predictor is missed by at most

    .. math:: \|\hat f - f\|_k = \|(PKP + \lambda)^{-1} P r\|_{PKP} \le \|P r\| / (2 \sqrt\lambda),

    a prediction by :math:`\sqrt{k(q, q)}` times that, and a slope in column j by
    :math:`\sqrt{m_j (1 + c)}` times that, with c the share of the linear kernel.

    Attributes
    ----------
    drift : float
        Of the metric that the next round works with, the largest error of a weight's logarithm;
        of what earlier errors do to it and to predictions the first order, and a tenth of it.
    prediction : float
        Error of the prediction of a query that is no farther from the mean, in the metric, than
        the farthest row.

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.kernel_machine.bound import Bound
    >>> Bound()  # before the first round: the metric is given
    Bound(drift=0.0, prediction=0.0)
    """

    drift: float = 0.0
    prediction: float = 0.0

    def after(self, left: Left, squares: Array | None = None) -> Self:
        """Bounds after one more round.

        Parameters
        ----------
        left : Left
        squares : ndarray of shape (d,), default=None
            Mean squares of the slopes, which the next metric comes from. None: the last round.

        Returns
        -------
        bound : Bound
        """
        errors = _Errors.of(left)
        drift = 0.0 if squares is None else errors.of_metric(left, squares)
        prediction = errors.of_prediction(left)
        if self.drift:
            growth = _Growth.of(left, self.drift, errors.largest)
            drift += _SLACK * growth.metric * self.drift
            prediction += _SLACK * growth.prediction * self.drift
        return type(self)(drift, prediction)


class _Errors(NamedTuple):
    """Errors of kernel values, and of the residual that they are part of."""

    distances: Array  # (n, n), half squared distances in the metric
    rounding: Array  # (n, n), of the Gaussian part
    relative: float  # of one of its values
    residual: float  # norm
    largest: float  # k(x, x)

    @classmethod
    def of(cls, left: Left) -> Self:
        x, metric, a = left.x, left.metric, np.abs(left.coef)
        n, d = x.shape
        scaled = np.sqrt(metric) * x
        D = cdist(scaled, scaled, "sqeuclidean") / 2
        half = float((scaled**2).sum(axis=1).max() / 2)
        # Roundings of the score, of a logit of the sink's size, of the sum over the rows; and of
        # the rows as they were loaded, with their means.
        relative = UNIT_ROUNDOFF * ((8 * d + 14) * half + SINK + n + 8)
        loaded = 4 * UNIT_ROUNDOFF * float(np.sqrt(metric @ left.origin**2))
        rounding = np.exp(-D) * (relative + loaded * np.sqrt(2 * D))
        largest = 1 + 2 * left.linear * half
        line = left.linear * (np.abs(x) * metric) @ (np.abs(x).T @ a)
        missed = rounding @ a + UNIT_ROUNDOFF * (n + d + 8) * line
        missed += left.linear * loaded * (2 * half) ** 0.5 * a.sum()
        missed += UNIT_ROUNDOFF * (3 * left.penalty * a + 4 * np.abs(left.y))
        missed += UNIT_ROUNDOFF * (n + 8) * abs(left.intercept) + largest * abs(left.coef.sum())
        residual = float(np.linalg.norm(left.residual) + np.linalg.norm(missed))
        return cls(D, rounding, relative, residual, largest)

    def of_prediction(self, left: Left) -> float:
        """Bound the predictor's own error and the intercept's, and rounding at the query."""
        own = self.largest**0.5 * self.residual / left.penalty**0.5
        at_query = self.relative * np.abs(left.coef).sum() + abs(left.coef.sum())
        level = abs(left.intercept) + abs(left.offset) + np.ptp(left.y)  # of what may be predicted
        intercept = self.residual / len(left.y) ** 0.5 + 4 * UNIT_ROUNDOFF * level
        return float(own + self.largest * at_query + intercept)

    def of_metric(self, left: Left, squares: Array) -> float:
        """Bound the drift of the next metric, the mean squares of the slopes over their mean."""
        total = float(squares.mean())
        if total < FLAT:
            varied = np.ptp(left.x, axis=0).any() and np.ptp(left.y).any()
            return np.inf if varied else 65 * total / FLAT  # the reciprocal ends at 64 / FLAT
        slopes = np.sqrt((self._of_slopes(left) ** 2).mean(axis=0))
        missed = (2 * np.sqrt(squares) + slopes) * slopes
        missed += UNIT_ROUNDOFF * (len(left.y) + len(squares) + 16) * squares
        if not missed.mean() < total / 2:
            return np.inf
        metric = squares / total
        missed = (missed + metric * missed.mean()) / (total - missed.mean())
        return float((missed / np.maximum(metric, LEAST_WEIGHT)).max())

    def _of_slopes(self, left: Left) -> Array:
        """Bound the slopes' errors at the rows, (n, d): the predictor's own, and rounding."""
        x, a, metric = np.abs(left.x), np.abs(left.coef), left.metric
        own = (metric * (1 + left.linear)) ** 0.5 * self.residual / (2 * left.penalty**0.5)
        rounding = self.rounding @ (a[:, None] * x) + x * (self.rounding @ a)[:, None]
        rounding += 4 * UNIT_ROUNDOFF * left.origin * a.sum()
        rounding += UNIT_ROUNDOFF * (len(x) + 8) * left.linear * (x.T @ a)
        return own + metric * rounding


class _Growth(NamedTuple):
    """What an error of the metric's logarithm, alike in all columns, does, to first order."""

    metric: float  # to that of the next metric
    prediction: float

    @classmethod
    def of(cls, left: Left, drift: float, largest: float) -> Self:
        """From the derivatives of kernel, coefficients and slopes by each weight."""
        x, a, metric = left.x, left.coef[:, None], left.metric
        change = 1 / np.e + largest - 1  # of a kernel value
        if not drift * len(x) * change <= _LARGEST_CHANGE * left.penalty:
            return cls(np.inf, np.inf)
        scaled = np.sqrt(metric) * x
        K = np.exp(-cdist(scaled, scaled, "sqeuclidean") / 2)
        A = K + left.linear * scaled @ scaled.T
        system = cho_factor(A + left.penalty * np.eye(len(x)))
        share = cho_solve(system, np.ones_like(a))

        def slopes(products: Array, line: Array) -> Array:
            """From the kernel's products with coefficients and with coefficients times rows."""
            return metric * (products[:, 1:] - x * products[:, :1] + left.linear * line)

        V = np.hstack([a, a * x])
        KV, G = K @ V, slopes(K @ V, a.T @ x)
        squares = (G**2).mean(axis=0)
        kept = squares > LEAST_WEIGHT * squares.mean()  # the others stay at the least weight
        derivative = np.zeros((kept.sum(), len(metric)))
        prediction = change * np.abs(a).sum()
        for j, z in enumerate(x.T[..., None]):
            moved = -metric[j] / 2 * (z**2 * KV - 2 * z * (K @ (z * V)) + K @ (z**2 * V))
            residual = moved[:, :1] + left.linear * metric[j] * z * (z.T @ a)
            b = cho_solve(system, residual)
            b = share * b.sum() / share.sum() - b
            prediction += 2 * np.sqrt(largest * (b * (A @ b)).sum()) + abs(residual.mean())
            dG = slopes(moved + K @ np.hstack([b, b * x]), b.T @ x)
            dG[:, j] += G[:, j]
            changed = 2 * (G * dG).mean(axis=0)
            derivative[:, j] = changed[kept] / squares[kept]
            derivative[:, j] -= changed.mean() / max(squares.mean(), FLAT)
        metric_growth = np.abs(derivative).sum(axis=1).max(initial=0.0)
        return cls(float(metric_growth), float(prediction))
