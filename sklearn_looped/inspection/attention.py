"""`AttentionDisplay`: which support rows a query attends to, loop by loop."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_scalar
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklearn_looped.estimators.in_context import LoopedICLClassifier, LoopedICLRegressorCV
from sklearn_looped.estimators.in_context.base import InContextEstimator
from sklearn_looped.inspection.style import (
    COLOUR_MAP,
    as_last_step_sees,
    axes_of,
    label_ticks,
    last_step,
)


class AttentionDisplay:
    """Attention of queries to the support rows, by loop.

    Parameters
    ----------
    weights : array-like of shape (n_loops, n_queries, n_support)
        Attention weights; over the support they sum to one.
    support_rows : array-like of shape (n_support,)
        Indices of the support rows in the table that was passed to `fit`.
    support_target : array-like of shape (n_support,)
        Targets or labels of the support rows.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    image_ : matplotlib AxesImage
        One row per loop, and one column per support row that is drawn.
    colorbar_ : matplotlib Colorbar
    drawn_ : ndarray of shape (n_drawn,)
        Positions in `support_rows` of the rows that are drawn, from left to right.

    Raises
    ------
    ValueError
        If the shapes are inconsistent.

    Notes
    -----
    Attention is one part of what a block computes. The query reads from a support row of large
    weight, but its prediction need not depend on that row [1]_.

    References
    ----------
    .. [1] S. Jain, B. C. Wallace, "Attention is not Explanation", NAACL 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_looped import LoopedICLRegressor
    >>> from sklearn_looped.inspection import AttentionDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = LoopedICLRegressor(n_estimators=1).fit(X[:100], y[:100])
    >>> display = AttentionDisplay.from_estimator(model, X[100:102])
    >>> display.weights.shape
    (6, 2, 100)
    """

    def __init__(
        self, *, weights: ArrayLike, support_rows: ArrayLike, support_target: ArrayLike
    ) -> None:
        self.weights, self.support_rows = np.asarray(weights), np.asarray(support_rows)
        self.support_target = np.asarray(support_target)
        shape = self.support_rows.shape
        if self.weights.ndim != 3 or not (
            shape == self.weights.shape[2:] == self.support_target.shape
        ):
            raise ValueError(
                f"Got weights of shape {self.weights.shape}, support rows of shape {shape} and "
                f"targets of shape {self.support_target.shape}, but expected (n_loops, n_queries, "
                "n_support), (n_support,) and (n_support,)."
            )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        member: int = 0,
        head: int | None = None,
        target: int = 0,
        query: int = 0,
        n_rows: int | None = 25,
        ax: Any = None,
    ) -> "AttentionDisplay":
        """Compute the attention of queries in one member of the ensemble, and draw one query's.

        Parameters
        ----------
        estimator : fitted LoopedICLRegressor, LoopedICLClassifier or LoopedICLRegressorCV
            Or a fitted Pipeline that ends in one.
        X : array-like or DataFrame of shape (n_queries, n_features)
            Queries.
        member : int, default=0
            Member of the ensemble; each member sees a different view of the table.
        head : int, default=None
            Attention head. None: the mean over all heads.
        target : int, default=0
            Index of the target, or for more than ten classes of the pass.
        query : int, default=0
            Row of X that is drawn.
        n_rows : int, default=25
            Number of support rows that are drawn: those with the largest mean weight over loops.
            None: all.
        ax : matplotlib Axes, default=None
            None: a new figure.

        Returns
        -------
        AttentionDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If the estimator is not an in-context estimator, or a number is not an integer.
        ValueError
            If there is no such member, head, target or query, `n_rows` is below 1, or X is invalid.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        looped = last_step(estimator)
        if not isinstance(looped, InContextEstimator | LoopedICLRegressorCV):
            raise TypeError(
                f"Got {type(looped).__name__}, which attends to no support. Pass a "
                "LoopedICLRegressor, a LoopedICLClassifier, a LoopedICLRegressorCV or a Pipeline "
                "that ends in one."
            )
        check_is_fitted(looped, "n_loops_")
        X = as_last_step_sees(estimator, X)
        _check_drawn(query, _num_samples(X), n_rows)
        looped = looped.regressor_ if isinstance(looped, LoopedICLRegressorCV) else looped
        predictor = looped.predictor_
        if predictor.views:  # of a divided table, which `attention_by_loop` refuses, there are none
            _check_index(member=(member, len(predictor.views)))
        _check_index(target=(target, predictor.n_tables))
        if head is not None:
            n_heads = predictor.config.n_heads * predictor.config.n_loop_blocks
            _check_index(head=(head, n_heads))
        by_loop = [
            weights[target].mean(axis=0) if head is None else weights[target, head]
            for weights in looped.attention_by_loop(X, member)
        ]
        rows = predictor.views[member].rows
        support = predictor.support if rows is None else predictor.support.take(rows)
        assert support.rows is not None  # `fit` numbers them
        if isinstance(looped, LoopedICLClassifier):
            targets = looped.classes_[support.Y.argmax(axis=1)]
        else:
            targets = looped._restored(support.Y.T)[target]
        display = cls(weights=by_loop, support_rows=support.rows, support_target=targets)
        return display.plot(ax, query=query, n_rows=n_rows)

    def plot(
        self, ax: Any = None, *, query: int = 0, n_rows: int | None = 25
    ) -> "AttentionDisplay":
        """Draw the attention of one query, with one row per loop and one column per support row.

        The support rows are sorted by their targets.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None: a new figure.
        query : int, default=0
            Index of the query.
        n_rows : int, default=25
            Number of support rows that are drawn: those with the largest mean weight over loops.
            None: all.

        Returns
        -------
        AttentionDisplay
            This display.

        Raises
        ------
        ValueError
            If there is no such query, or `n_rows` is below 1.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        n_loops, n_queries, n_support = self.weights.shape
        _check_drawn(query, n_queries, n_rows)
        n_drawn = n_support if n_rows is None else min(n_rows, n_support)
        weights = self.weights[:, query]
        largest = np.argsort(-weights.mean(axis=0), kind="stable")[:n_drawn]
        self.drawn_ = largest[np.lexsort((largest, self.support_target[largest]))]

        self.ax_ = ax = axes_of(ax, (8, 1.9 + 0.28 * n_loops))
        self.figure_ = ax.figure
        self.image_ = ax.imshow(
            weights[:, self.drawn_], cmap=COLOUR_MAP, aspect="auto", vmin=0, interpolation="nearest"
        )
        self.colorbar_ = self.figure_.colorbar(self.image_, ax=ax, label="Attention weight")
        names = [
            f"{row}: {target:.4g}" if isinstance(target, float) else f"{row}: {target}"
            for row, target in zip(
                self.support_rows[self.drawn_].tolist(),
                self.support_target[self.drawn_].tolist(),
                strict=True,
            )
        ]
        label_ticks(ax.xaxis, names, rotation=90, fontsize="small")
        label_ticks(ax.yaxis, [str(loop) for loop in range(1, n_loops + 1)])
        ax.set(xlabel="Support row: its target, sorted by target", ylabel="Loop")
        if n_drawn < n_support:
            share = 100 * weights[-1, self.drawn_].sum()
            ax.set_title(
                f"Query {query}: {n_drawn} of {n_support} support rows, "
                f"{share:.0f} % of the last loop's attention"
            )
        else:
            ax.set_title(f"Query {query}: all {n_support} support rows")
        return self


def _check_drawn(query: int, n_queries: int, n_rows: int | None) -> None:
    """Raise if there is no such query, or no support row is to be drawn."""
    _check_index(query=(query, n_queries))
    if n_rows is not None:
        check_scalar(n_rows, "n_rows", Integral, min_val=1)


def _check_index(**indices: tuple[int, int]) -> None:
    """Raise if a number is not in 0 .. n - 1."""
    for name, (value, n) in indices.items():
        check_scalar(value, name, Integral, min_val=0, max_val=n - 1)
