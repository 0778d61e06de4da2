"""`LoopedICLRegressorCV`: the number of loops chosen by cross-validation."""

import os
from collections.abc import Set
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils._param_validation import Interval
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted

from sklearn_looped.core.arrays import Array
from sklearn_looped.estimators.documentation import DocumentationLink
from sklearn_looped.estimators.fitting import whole_or_not_at_all
from sklearn_looped.estimators.in_context.regressor import LoopedICLRegressor
from sklearn_looped.estimators.validation import validate_training
from sklearn_looped.learned.checkpoints import load_checkpoint
from sklearn_looped.learned.fields import MAX_LOOPS
from sklearn_looped.learned.inference.columns import to_table


class LoopedICLRegressorCV(RegressorMixin, DocumentationLink, BaseEstimator):
    """`LoopedICLRegressor` with the number of loops chosen by cross-validation.

    One pass over the loops scores every candidate number of loops on a fold, as `LassoCV` scores
    every alpha on a path. The cost is that of cross-validating the largest number alone, plus two
    fits, the first of which takes a single loop and checks the data. The choice is that of
    `GridSearchCV` over ``n_loops`` with the same folds.

    Parameters
    ----------
    weights : str or path, default="tabular"
        Name of shipped weights or path of a checkpoint file.
    n_loops : array-like or set of int, default=None
        Numbers of loops to choose from, each 1 to 1000. None: from 1 to twice as many as the
        weights were made for.
    cv : int, cross-validation generator or iterable, default=None
        As in `sklearn.model_selection.cross_val_score`; None: 5 folds in the order of the rows.
        Each fold must train and test on at least two rows of positive weight, because R2 needs two.
    n_estimators : int, default=None
        Members of the ensemble, as in `LoopedICLRegressor`.
    max_support : int or "auto", default="auto"
        Rows that are attended to together, as in `LoopedICLRegressor`.
    device : str, default="auto"
        "auto" (a CUDA device where there is one), "cpu", "cuda" or "cuda:N".
    random_state : int, RandomState instance or None, default=None
        Seed of the subsamples, as in `LoopedICLRegressor`.
    n_jobs : int, default=None
        Parts of a divided table that run side by side. None: one. Folds run one after another.

    Attributes
    ----------
    n_loops_ : int
        The number of loops with the best mean R2 over folds; of equals the smallest.
    candidates_ : ndarray of shape (n_candidates,)
        The candidate numbers of loops, sorted.
    score_path_ : ndarray of shape (n_candidates, n_folds)
        R2 of each candidate on each fold.
    regressor_ : LoopedICLRegressor
        Fitted on all rows with `n_loops_` loops.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X was a DataFrame with text names.
    column_kinds_ : dict of str
        What each column was read as, as in `LoopedICLRegressor`.
    feature_importances_ : ndarray of shape (n_features_in_,)
        Those of `regressor_`.

    Raises
    ------
    ValueError
        In `fit` and `predict`, if parameters, weights or data are invalid; says what to do.

    See Also
    --------
    LoopedICLRegressor : Chooses the number of loops in one fit with ``n_loops="auto"``.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_looped import LoopedICLRegressorCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = LoopedICLRegressorCV(n_loops=range(1, 9), cv=3).fit(X[:150], y[:150])
    >>> model.score_path_.shape
    (8, 3)
    >>> model.predict(X[150:]).shape
    (292,)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **{
            name: LoopedICLRegressor._parameter_constraints[name]
            for name in ("n_estimators", "max_support", "device", "random_state", "n_jobs")
        },
        "weights": [str, os.PathLike],
        "n_loops": ["array-like", None],
        "cv": ["cv_object"],
    }

    def __init__(
        self,
        weights: str | os.PathLike[str] = "tabular",
        *,
        n_loops: ArrayLike | None = None,
        cv: Any = None,
        n_estimators: int | None = None,
        max_support: int | str = "auto",
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.weights = weights
        self.n_loops = n_loops
        self.cv = cv
        self.n_estimators = n_estimators
        self.max_support = max_support
        self.device = device
        self.random_state = random_state
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        return regressor_of(self).__sklearn_tags__()

    @_fit_context(prefer_skip_nested_validation=True)
    @whole_or_not_at_all
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, **params: Any
    ) -> "LoopedICLRegressorCV":
        """Choose the number of loops, then keep all rows as support.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            Support rows, as in `LoopedICLRegressor.fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets, finite.
        sample_weight : array-like of shape (n_samples,), default=None
            As in `LoopedICLRegressor.fit`; folds are scored with the weights too.
        **params : dict
            Metadata for the splitter, such as `groups` of `GroupKFold`, routed to it where
            ``sklearn.set_config(enable_metadata_routing=True)`` is set.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If metadata is passed while metadata routing is disabled, if a fold has fewer than two
            rows, or for the reasons of `LoopedICLRegressor.fit`.
        """
        if params and not get_config()["enable_metadata_routing"]:
            raise ValueError(
                f"Got {', '.join(params)}, which is metadata for the splitter. Call "
                "sklearn.set_config(enable_metadata_routing=True) first."
            )
        routed = process_routing(self, "fit", **params) if params else None
        self.candidates_ = candidate_loops(self)
        X = to_table(X)
        _, truth, weights = validate_training(self, X, y, sample_weight)
        X, y, sample_weight = indexable(X, y, sample_weight)
        routed_split = {} if routed is None else routed.splitter.split
        folds = list(check_cv(self.cv, y).split(X, y, **routed_split))
        weights = np.ones(len(truth)) if weights is None else weights
        _refuse_small_folds(folds, weights)
        # A first fit on all rows checks the rest before the work begins.
        self.regressor_ = regressor_of(self, 1).fit(X, y, sample_weight)
        columns = []
        for train, test in folds:
            stages = self._predict_fold((X, y, sample_weight), train, test)
            columns.append(_scores(stages, truth[test], weights[test]))
        self.score_path_ = np.column_stack(columns)
        best = self.score_path_.mean(axis=1).argmax()
        self.n_loops_ = int(self.candidates_[best])
        self.regressor_.set_params(n_loops=self.n_loops_).fit(X, y, sample_weight)
        return self

    def get_metadata_routing(self) -> MetadataRouter:
        """Say which metadata the splitter takes; see scikit-learn's user guide.

        Returns
        -------
        MetadataRouter
        """
        mapping = MethodMapping().add(caller="fit", callee="split")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(splitter=check_cv(self.cv), method_mapping=mapping)

    @property
    def column_kinds_(self) -> dict[str, str]:
        """What each column was read as in `fit`; see `TableEncoder`."""
        check_is_fitted(self)
        return self.regressor_.column_kinds_

    @property
    def feature_importances_(self) -> Array:
        """Importance of each column of the table, as that of `LoopedICLRegressor`."""
        check_is_fitted(self)
        return self.regressor_.feature_importances_

    def _predict_fold(self, table: Any, train: Any, test: Any) -> list[NDArray[Any]]:
        """Predict the test rows of X, y and weights by each candidate, in one pass over loops."""
        support = [None if part is None else _safe_indexing(part, train) for part in table]
        model = regressor_of(self, int(self.candidates_[-1])).fit(*support)
        stages = list(model.staged_predict(_safe_indexing(table[0], test)))
        return [stages[count - 1] for count in self.candidates_]

    def predict(self, X: ArrayLike, return_std: bool = False, return_novelty: bool = False) -> Any:
        """Predict as `LoopedICLRegressor.predict` does, with the chosen number of loops.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.
        return_std : bool, default=False
            Whether to return the predictive standard deviation too.
        return_novelty : bool, default=False
            Whether to return how far each query lies outside the training rows too.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        std : ndarray of the shape of y
            Only if `return_std`.
        novelty : ndarray of shape (n_samples,)
            Only if `return_novelty`.
        """
        check_is_fitted(self)
        return self.regressor_.predict(X, return_std, return_novelty=return_novelty)

    def predict_quantiles(
        self,
        X: ArrayLike,
        quantiles: ArrayLike = (0.1, 0.5, 0.9),
        conformal: bool = False,
        bounds: tuple[float | None, float | None] | None = None,
    ) -> NDArray[Any]:
        """Predict quantiles as `LoopedICLRegressor.predict_quantiles` does.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.
        quantiles : array-like of shape (n_quantiles,), default=(0.1, 0.5, 0.9)
            Levels in (0, 1).
        conformal : bool, default=False
            Whether to correct the levels by conformal prediction, at the cost of five more fits.
        bounds : tuple (low, high), default=None
            Least and largest possible value of the target. None: no bound.

        Returns
        -------
        ndarray of shape (n_samples, n_quantiles) or (n_samples, n_outputs, n_quantiles)
        """
        check_is_fitted(self)
        return self.regressor_.predict_quantiles(X, quantiles, conformal, bounds)


def candidate_loops(estimator: LoopedICLRegressorCV) -> NDArray[np.intp]:
    """Numbers of loops that an estimator, fitted or not, is to choose from, sorted.

    Raises
    ------
    ValueError
        If they are no whole numbers from 1 to 1000.
    """
    n_loops = estimator.n_loops
    if n_loops is None:
        trained = load_checkpoint(estimator.weights).network.config.n_loops
        return np.arange(1, 2 * trained + 1)
    counts = list(n_loops) if isinstance(n_loops, Set) else list(np.ravel(n_loops))
    valid = Interval(Integral, 1, MAX_LOOPS, closed="both")
    if not counts or not all(valid.is_satisfied_by(count) for count in counts):
        raise ValueError(f"Got {n_loops=!r}, but expected whole numbers from 1 to {MAX_LOOPS}.")
    return np.unique(counts)


def _scores(stages: list[NDArray[Any]], truth: Array, weights: Array) -> list[float]:
    """R2 of each candidate's predictions; a power of two divides, and no square overflows."""
    exponents = np.frexp(np.abs(truth).max(axis=0))[1]
    truth, *stages = (np.ldexp(each, -exponents) for each in (truth, *stages))
    return [float(r2_score(truth, stage, sample_weight=weights)) for stage in stages]


def _refuse_small_folds(folds: list[Any], weights: Array) -> None:
    """Raise if a fold has fewer rows of positive weight than a fit or R2 needs."""
    for number, fold in enumerate(folds):
        for what, rows in zip(("trains", "tests"), fold, strict=True):
            n_rows = np.count_nonzero(weights[rows])
            if n_rows < 2:
                raise ValueError(
                    f"Got a cv whose fold {number} {what} on {n_rows} rows of positive weight, but "
                    "R2 needs two. Give a cv whose folds train and test on two rows or more."
                )


def regressor_of(estimator: LoopedICLRegressorCV, n_loops: int | None = None) -> LoopedICLRegressor:
    """Return a regressor with the estimator's parameters, not fitted, of so many loops."""
    return LoopedICLRegressor(
        estimator.weights,
        n_loops=n_loops,
        n_estimators=estimator.n_estimators,
        max_support=estimator.max_support,
        device=estimator.device,
        random_state=estimator.random_state,
        n_jobs=estimator.n_jobs,
    )
