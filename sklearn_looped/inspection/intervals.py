"""`PredictionIntervalDisplay`: predicted intervals against observed values."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length, check_scalar
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sklearn_looped.estimators.validation import finite_column
from sklearn_looped.inspection.style import (
    BLACK,
    BLUE,
    VERMILION,
    as_last_step_sees,
    axes_of,
    last_step,
)

KINDS = ("sorted", "against_prediction")


class PredictionIntervalDisplay:
    """Predicted intervals and the observed values inside and outside of them.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Observed values.
    y_pred : array-like of shape (n_samples,)
        Predicted medians.
    lower, upper : array-like of shape (n_samples,)
        Ends of the predicted intervals, which are closed.
    coverage : float
        The share of observed values that the intervals should cover.

    Attributes
    ----------
    covered : ndarray of shape (n_samples,) of bool
        Whether ``lower <= y_true <= upper``.
    covered_share : float
        Mean of `covered`.
    ax_, figure_ : matplotlib Axes and Figure
    intervals_ : matplotlib LineCollection
    line_ : matplotlib Line2D
        The predicted medians.
    points_, outside_ : matplotlib Line2D
        Observed values inside and outside of their intervals.

    Raises
    ------
    ValueError
        If the lengths differ, or values are missing or infinite.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_looped import LoopedICLRegressor
    >>> from sklearn_looped.inspection import PredictionIntervalDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = LoopedICLRegressor(n_estimators=1).fit(X[:300], y[:300])
    >>> display = PredictionIntervalDisplay.from_estimator(model, X[300:], y[300:])
    >>> 0.7 < display.covered_share < 0.9
    True
    """

    def __init__(
        self,
        *,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        lower: ArrayLike,
        upper: ArrayLike,
        coverage: float,
    ) -> None:
        self.y_true = finite_column(y_true, "y_true")
        self.y_pred = finite_column(y_pred, "y_pred")
        self.lower, self.upper = finite_column(lower, "lower"), finite_column(upper, "upper")
        check_consistent_length(self.y_true, self.y_pred, self.lower, self.upper)
        self.coverage = coverage
        self.covered = (self.lower <= self.y_true) & (self.y_true <= self.upper)
        self.covered_share = float(self.covered.mean())

    @classmethod
    def from_estimator(
        cls,
        regressor: Any,
        X: Any,
        y: ArrayLike,
        *,
        coverage: float = 0.8,
        kind: str = "sorted",
        ax: Any = None,
    ) -> "PredictionIntervalDisplay":
        """Predict central intervals and draw them with the observed values.

        Parameters
        ----------
        regressor : fitted LoopedICLRegressor, LoopedICLRegressorCV or Pipeline
            Any regressor with ``predict_quantiles``, or a Pipeline that ends in one.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Queries: rows on which the regressor was not fitted.
        y : array-like of shape (n_samples,)
            Observed values of the queries.
        coverage : float, default=0.8
            Between 0 and 1: the interval lies between the quantiles ``(1 - coverage) / 2`` and
            ``(1 + coverage) / 2``.
        kind : {"sorted", "against_prediction"}, default="sorted"
            Whether the queries are drawn side by side in the order of their predicted medians, or
            each at its predicted median.
        ax : matplotlib Axes, default=None
            None: a new figure.

        Returns
        -------
        PredictionIntervalDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If the regressor predicts no quantiles.
        ValueError
            If parameters or data are invalid, or the regressor predicts several targets.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        model = last_step(regressor)
        if not hasattr(model, "predict_quantiles"):
            raise TypeError(
                f"Got {type(model).__name__}, which predicts no quantiles. Pass a "
                "LoopedICLRegressor, a LoopedICLRegressorCV or a Pipeline that ends in one."
            )
        check_scalar(coverage, "coverage", Real, min_val=0, max_val=1, include_boundaries="neither")
        _check_kind(kind)
        y = finite_column(y, "y")
        check_consistent_length(X, y)
        levels = [(1 - coverage) / 2, 0.5, (1 + coverage) / 2]
        quantiles = model.predict_quantiles(as_last_step_sees(regressor, X), levels)
        if quantiles.ndim != 2:
            raise ValueError(
                f"Got a regressor of {quantiles.shape[1]} targets, but the display draws one. Fit "
                "the regressor on one target."
            )
        lower, median, upper = quantiles.T
        display = cls(y_true=y, y_pred=median, lower=lower, upper=upper, coverage=coverage)
        return display.plot(ax, kind=kind)

    def plot(self, ax: Any = None, *, kind: str = "sorted") -> "PredictionIntervalDisplay":
        """Draw the intervals.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None: a new figure.
        kind : {"sorted", "against_prediction"}, default="sorted"
            As in `from_estimator`.

        Returns
        -------
        PredictionIntervalDisplay
            This display.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        _check_kind(kind)
        self.ax_ = ax = axes_of(ax, (7.2, 4.6))
        self.figure_ = ax.figure
        order = np.argsort(self.y_pred, kind="stable")
        lower, upper, median = self.lower[order], self.upper[order], self.y_pred[order]
        y_true, covered = self.y_true[order], self.covered[order]
        x = np.arange(1, len(order) + 1) if kind == "sorted" else median
        width = float(np.clip(400 / len(order), 0.5, 4))
        label = f"{100 * self.coverage:g} % interval"
        self.intervals_ = ax.vlines(
            x, lower, upper, color="0.75", linewidth=width, label=label, zorder=1
        )
        [self.line_] = ax.plot(x, median, color=BLACK, linewidth=1.2, label="median")
        n_covered, share = int(covered.sum()), 100 * self.covered_share
        size = float(np.clip(60 / np.sqrt(len(order)), 2, 5))
        [self.points_] = ax.plot(
            x[covered], y_true[covered], "o", color=BLUE, markersize=size,
            label=f"observed, covered: {n_covered} of {len(order)} ({share:.1f} %)",
        )  # fmt: skip
        [self.outside_] = ax.plot(
            x[~covered], y_true[~covered], "x", color=VERMILION, markersize=size + 1,
            label=f"observed, outside: {len(order) - n_covered}",
        )  # fmt: skip
        xlabel = "Query, sorted by its predicted median" if kind == "sorted" else "Predicted median"
        ax.set(xlabel=xlabel, ylabel="Target")
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
        return self


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"Got kind={kind!r}, but expected one of {', '.join(KINDS)}.")
