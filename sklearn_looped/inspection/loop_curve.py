"""`LoopCurveDisplay`: score by loop."""

import copy
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, check_scalar, indexable
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._plotting import _validate_score_name
from sklearn.utils.validation import check_is_fitted

from sklearn_looped.estimators.in_context import LoopedICLRegressorCV
from sklearn_looped.estimators.in_context.cv import candidate_loops, regressor_of
from sklearn_looped.inspection.style import (
    BLUE,
    VERMILION,
    as_last_step_sees,
    axes_of,
    last_step,
)

Scoring = str | Callable[..., float] | None
Fitted = tuple[Any, Any, Any]  # a fitted estimator, with rows and targets to score it on


class LoopCurveDisplay:
    """Score of an in-context estimator, learned or programmed, after each of its loops.

    Of a programmed estimator the loops are those in its `stages_`, the ends of epochs or rounds.

    Create one with `from_estimator`, or from existing scores, such as those of a fitted
    `LoopedICLRegressorCV`:
    ``LoopCurveDisplay(loops=cv.candidates_, scores=cv.score_path_, n_loops=cv.n_loops_)``.

    Parameters
    ----------
    loops : array-like of shape (n_counts,)
        Numbers of loops.
    scores : array-like of shape (n_counts, n_folds)
        Score after each of these numbers of loops, on each fold.
    n_loops : int, default=None
        The number of loops that the estimator takes, which the display marks. None: no mark.
    score_name : str, default=None
        Label of the vertical axis. None: "Score".

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    line_ : matplotlib Line2D
        Mean over folds.
    fill_between_ : matplotlib PolyCollection or None
        One standard deviation over folds to each side, within the range of the scores of the folds;
        None with one fold. Most of this spread comes from folds that are easier than others.
    differences_ : matplotlib PolyCollection or None
        The same for the differences, fold by fold, from the score after `n_loops` loops, or after
        the most loops if `n_loops` is not among `loops`. Use it to compare numbers of loops.
    n_loops_line_ : matplotlib Line2D or None
        The mark at `n_loops`.

    Raises
    ------
    ValueError
        If the shapes of `loops` and `scores` are inconsistent.

    See Also
    --------
    sklearn.model_selection.ValidationCurveDisplay : Fits again for every value of a parameter.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_looped import LoopedICLRegressor
    >>> from sklearn_looped.inspection import LoopCurveDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = LoopedICLRegressor(n_estimators=1)
    >>> display = LoopCurveDisplay.from_estimator(model, X[:150], y[:150], cv=3)
    >>> display.scores.shape
    (6, 3)
    """

    def __init__(
        self,
        *,
        loops: ArrayLike,
        scores: ArrayLike,
        n_loops: int | None = None,
        score_name: str | None = None,
    ) -> None:
        self.loops, self.scores = np.asarray(loops), np.asarray(scores, dtype=np.float64)
        if self.scores.ndim != 2 or self.loops.shape != self.scores.shape[:1]:
            raise ValueError(
                f"Got loops of shape {self.loops.shape} and scores of shape {self.scores.shape}, "
                "but expected (n_counts,) and (n_counts, n_folds)."
            )
        self.n_loops, self.score_name = n_loops, score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        cv: Any = None,
        scoring: Scoring = None,
        n_loops: int | None = None,
        negate_score: bool = False,
        score_name: str | None = None,
        ax: Any = None,
        line_kw: dict[str, Any] | None = None,
    ) -> "LoopCurveDisplay":
        """Score an estimator after every loop, in one pass over the loops per fold, and draw it.

        Parameters
        ----------
        estimator : LoopedICLRegressor, LoopedICLClassifier, LoopedICLRegressorCV or Pipeline
            Or a programmed estimator that has `n_loops` and `staged_predict`. A Pipeline must end
            in one of the others. The estimator is not changed. A fold of a programmed one that
            stops before the others keeps its last score.
        X : array-like or DataFrame of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        cv : int, cross-validation generator, iterable or "prefit", default=None
            Folds, as in `sklearn.model_selection.cross_val_score`; None: 5. "prefit": the
            estimator is already fitted, on other rows, and is scored on these.
        scoring : str or callable, default=None
            A scorer, as in `sklearn.model_selection.cross_val_score`. None: R2 or accuracy.
        n_loops : int, default=None
            Number of loops to show. None: as many as the estimator takes; for a
            `LoopedICLRegressorCV` the largest number among its candidates.
        negate_score : bool, default=False
            Whether to negate the scores, which turns scikit-learn's ``"neg_..."`` into errors.
        score_name : str, default=None
            Label of the vertical axis. None: derived from `scoring`.
        ax : matplotlib Axes, default=None
            None: a new figure.
        line_kw : dict, default=None
            Passed to `matplotlib.axes.Axes.plot` for the line.

        Returns
        -------
        LoopCurveDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If the estimator has no loops, or `n_loops` is not an integer.
        ValueError
            If parameters or data are invalid.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        looped = last_step(estimator)
        _check(looped, n_loops, scoring)
        scoring = scoring or ("accuracy" if is_classifier(estimator) else "r2")
        scorer = check_scoring(estimator, scoring)
        X, y = indexable(X, y)

        folds, mark, ends = [], getattr(looped, "n_loops_", None), np.arange(0)
        for fitted, rows, targets in _fitted(estimator, X, y, cv, n_loops):
            check_is_fitted(last_step(fitted), "n_loops_")
            mark = mark or last_step(fitted).n_loops_
            looped = _with_loops(last_step(fitted), n_loops)
            stages = _stages(fitted, looped, rows)
            folds.append([scorer(stage, rows, targets) for stage in stages])
            ends = max(ends, _ends(looped, len(folds[-1])), key=len)
            mark = int(ends[-1]) if hasattr(looped, "stages_") else mark
        longest = max(map(len, folds))
        scores = np.array([fold + fold[-1:] * (longest - len(fold)) for fold in folds]).T
        display = cls(
            loops=ends,
            scores=-scores if negate_score else scores,
            n_loops=mark,
            score_name=score_name or _score_name(scoring, negate_score),
        )
        return display.plot(ax, line_kw=line_kw)

    def plot(self, ax: Any = None, *, line_kw: dict[str, Any] | None = None) -> "LoopCurveDisplay":
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None: a new figure.
        line_kw : dict, default=None
            Passed to `matplotlib.axes.Axes.plot` for the line.

        Returns
        -------
        LoopCurveDisplay
            This display.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        from matplotlib.cbook import normalize_kwargs
        from matplotlib.lines import Line2D
        from matplotlib.ticker import MaxNLocator

        self.ax_ = ax = axes_of(ax, (7, 4.4))
        self.figure_ = ax.figure
        mean = self.scores.mean(axis=1)
        n_folds = self.scores.shape[1]
        style = {"color": BLUE, "marker": "o", "label": "score" if n_folds == 1 else "mean"}
        style |= normalize_kwargs(line_kw or {}, Line2D)  # short names, such as "c", written out
        [self.line_] = ax.plot(self.loops, mean, **style)
        self.fill_between_ = self.differences_ = self.n_loops_line_ = None
        if n_folds > 1:
            band = {"color": self.line_.get_color(), "linewidth": 0}
            label = f"± standard deviation, {n_folds} folds"
            self.fill_between_ = ax.fill_between(
                self.loops, *self._band(self.scores), **band, alpha=0.2, label=label
            )
            place = self._reference()
            label = f"± that of the difference to {self.loops[place]} loops"
            self.differences_ = ax.fill_between(
                self.loops, *self._band(self.scores - self.scores[place]), **band, alpha=0.35,
                label=label,
            )  # fmt: skip
        if self.n_loops is not None:
            label = f"taken: {self.n_loops} loops"
            self.n_loops_line_ = ax.axvline(
                self.n_loops, color=VERMILION, linestyle="--", label=label
            )
        ax.set(xlabel="Loops", ylabel=self.score_name or "Score")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
        return self

    def _reference(self) -> int:
        """Return the index of the reference number of loops: `n_loops`, or else the last one."""
        places = np.flatnonzero(self.loops == self.n_loops)
        return int(places[0]) if len(places) else len(self.loops) - 1

    def _band(self, varying: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the mean score minus and plus a spread over folds, within the range of the scores.

        Without that limit a band could contain impossible scores, such as an accuracy above one.
        """
        mean, std = self.scores.mean(axis=1), varying.std(axis=1)
        low, high = self.scores.min(axis=1), self.scores.max(axis=1)
        return np.clip(mean - std, low, high), np.clip(mean + std, low, high)


def _check(looped: Any, n_loops: int | None, scoring: Scoring) -> None:
    """Raise unless an estimator has loops, their number is one, and the score may be one."""
    staged = hasattr(looped, "staged_predict") and "n_loops" in looped.get_params(deep=False)
    if not (staged or isinstance(looped, LoopedICLRegressorCV)):
        raise TypeError(
            f"Got {type(looped).__name__}, which has no loops. Pass a LoopedICLRegressor, a "
            "LoopedICLClassifier, a LoopedICLRegressorCV, a programmed estimator that has "
            "n_loops, or a Pipeline that ends in one."
        )
    if n_loops is not None:
        check_scalar(n_loops, "n_loops", Integral, min_val=1)
    if not (scoring is None or isinstance(scoring, str) or callable(scoring)):
        raise ValueError(f"Got scoring={scoring!r}, but expected the name of a score or a scorer.")


def _score_name(scoring: Scoring, negate: bool) -> str:
    if scoring == "r2" and not negate:
        return "R2"
    name: str = _validate_score_name(None, scoring, negate)
    return name


def _fitted(estimator: Any, X: Any, y: Any, cv: Any, n_loops: int | None) -> Iterator[Fitted]:
    """Yield the fitted estimator, or one for each fold, with rows and targets to score it on."""
    if isinstance(cv, str) and cv == "prefit":
        yield estimator, X, y
        return
    looped = last_step(estimator)
    if isinstance(looped, LoopedICLRegressorCV):  # the curve needs no choice in every fold
        looped = regressor_of(looped, n_loops or int(candidate_loops(looped)[-1]))
        if isinstance(estimator, Pipeline):
            looped = Pipeline([*estimator.steps[:-1], (estimator.steps[-1][0], looped)])
        estimator = looped
    folds = check_cv(cv, y, classifier=is_classifier(estimator))
    for train, test in folds.split(X, y):
        model = clone(estimator).fit(_safe_indexing(X, train), _safe_indexing(y, train))
        yield model, _safe_indexing(X, test), _safe_indexing(y, test)


class _Stage:
    """A fitted estimator after one of its loops, for a scorer: its prediction is precomputed."""

    def __init__(self, fitted: Any, answer: NDArray[Any]) -> None:
        self.fitted, self.answer = fitted, answer

    def __sklearn_tags__(self) -> Any:
        return self.fitted.__sklearn_tags__()

    @property
    def classes_(self) -> NDArray[Any]:
        classes: NDArray[Any] = self.fitted.classes_
        return classes

    def predict(self, X: Any) -> NDArray[Any]:
        return self.answer


class _ClassifierStage(_Stage):
    """A fitted classifier after one of its loops; its precomputed answer are probabilities."""

    def predict_proba(self, X: Any) -> NDArray[Any]:
        return self.answer

    def predict(self, X: Any) -> NDArray[Any]:
        labels: NDArray[Any] = self.classes_[self.answer.argmax(axis=1)]
        return labels


def _with_loops(looped: Any, n_loops: int | None) -> Any:
    """Fitted estimator that takes a number of loops; its own if None."""
    if isinstance(looped, LoopedICLRegressorCV):
        n_loops, looped = n_loops or int(looped.candidates_[-1]), looped.regressor_
    return looped if n_loops is None else copy.copy(looped).set_params(n_loops=n_loops)


def _ends(looped: Any, n_stages: int) -> NDArray[np.intp]:
    """Numbers of loops of the stages: one each, or as a programmed estimator says."""
    ends: NDArray[np.intp] = getattr(looped, "stages_", np.arange(1, n_stages + 1))
    return ends


def _stages(estimator: Any, looped: Any, X: Any) -> Iterator[_Stage]:
    """Yield the predictions of a fitted estimator, which ends in `looped`, after every stage."""
    X = as_last_step_sees(estimator, X)
    if is_classifier(looped) and hasattr(looped, "staged_predict_proba"):
        for answer in looped.staged_predict_proba(X):
            yield _ClassifierStage(looped, answer)
    else:
        for answer in looped.staged_predict(X):
            yield _Stage(looped, answer)
