"""`LoopedICLClassifier`: in-context classification."""

import os
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets

from sklearn_looped.core.arrays import Array
from sklearn_looped.core.device import choose_device
from sklearn_looped.estimators.fitting import whole_or_not_at_all
from sklearn_looped.estimators.in_context.base import InContextEstimator, load_weights
from sklearn_looped.estimators.probabilities import ProbabilisticClassifier, check_classes
from sklearn_looped.estimators.validation import validate_labels, weights_of_classes
from sklearn_looped.learned.inference.support import Support


class LoopedICLClassifier(ProbabilisticClassifier, InContextEstimator):
    """In-context classification with a looped transformer.

    `fit` loads a looped transformer that was meta-trained on synthetic tables of classes and keeps
    the training rows as its support; the network is not trained. `predict_proba` runs one block of
    weights again and again over support and queries, as in `LoopedICLRegressor`, and reads the log
    odds of a class off the query's last state [1]_.

    Closed-form experts, ridge regression and two kernel machines, are fitted to the indicators of
    all classes and calibrated by leave-one-out; each row's token contains their probabilities. The
    network weights their logarithms and adds votes of the support rows: means, over similar rows,
    of the experts' residuals of each class. Up to ten classes are predicted in one pass, up to a
    hundred in two, up to a thousand in three: each pass distinguishes ten groups of classes, and
    the probabilities of the classes are those that agree with all passes.

    Parameters
    ----------
    weights : str or path, default="tabular-classifier"
        Name of shipped weights or path of a checkpoint file.
    n_loops : int, "auto" or None, default="auto"
        Loops a prediction takes, 1 to 1000. None: as many as the weights were made for. "auto": at
        most as many, by `exit_rule`. `predict` reads it too: changing it needs no new `fit`.
    exit_rule : {"support", "settled", "gate", "holdout"}, default="support"
        What "auto" means. "support": as many loops as the weights were made for; unlike
        `LoopedICLRegressor`, classifiers do not choose fewer. "settled": each query leaves the loop
        once two successive changes of all its probabilities are below 6 % of the standard deviation
        of the class's indicator. "gate": a query leaves once its probability of having left, by the
        exit gate of the weights, reaches `exit_quantile`; the shipped weights have no gate.
        "holdout": a quarter of the support is held out, and all queries take the fewest loops whose
        log loss on it is within one standard error of the best; needs 20 rows.
    exit_quantile : float, default=0.95
        For "gate": a higher value takes more loops. Strictly between 0 and 1.
    n_estimators : int, default=None
        Members of the ensemble, 1 to 1000, whose log probabilities are averaged. What each sees,
        and what None stands for, is described in `LoopedICLRegressor`.
    max_support : int or "auto", default="auto"
        "auto": all rows count; more than 2,048 are divided into parts as in `LoopedICLRegressor`.
        The class frequencies of all rows are mixed in with the weight of one row, so that a class
        without rows in a query's part has a small probability. A number, at least 2: rows that a
        member attends to; from a larger table each draws a stratified subsample, with a warning.
        Rare classes have more rows in it than their share, and the odds are corrected for it.
    class_weight : dict, "balanced" or None, default=None
        Positive factors of the odds of the classes, by label: how many times as frequent each class
        is among the queries as among the training rows. "balanced": the inverse of the class's
        frequency, in which rows count by their `sample_weight`.
    device : str, default="auto"
        "auto" (a CUDA device where there is one), "cpu", "cuda" or "cuda:N".
    random_state : int, RandomState instance or None, default=None
        Seed of the subsamples of rows. Without them the result does not depend on it.
    n_jobs : int, default=None
        Parts of a divided table that run side by side, as in `LoopedICLRegressor`.
    verbose : int, default=0
        Above 0: a bar shows the members of the ensemble during `fit`, and the parts of a divided
        table in every call but the staged ones.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X was a DataFrame with text names.
    column_kinds_ : dict of str
        What each column was read as, as in `LoopedICLRegressor`.
    feature_importances_ : ndarray of shape (n_features_in_,)
        Weights of the columns in the experts' metric, of sum one; only with weights with experts.
    n_loops_ : int
        Loops that queries take at most, by `n_loops` at the time of `fit`.
    weights_digest_ : str
        sha256 of the configuration and weights used.
    predictor_ : SupportPredictor
        Encoder, views, network and the memory of the support.

    Raises
    ------
    ValueError
        In `fit` and `predict`, if parameters, weights or data are invalid; says what to do.
    TypeError
        If cells contain lists or other objects, or X is a lazy frame of polars.

    See Also
    --------
    LoopedICLRegressor : The same for numeric targets.

    Notes
    -----
    Missing cells (NaN) are information to the network; columns are read by what their cells contain
    (`sklearn_looped.learned.inference.encoding.TableEncoder`). A pickle contains the support and,
    for shipped weights, their name and digest in place of the weights.

    Memory is that of `LoopedICLRegressor` with one target, and grows little with the number of
    classes: experts share what they keep of pairs of rows, 16 bytes for each pair and member, and
    keys and values are kept for each pass, of which there are one up to ten classes, two up to a
    hundred and then three. With 1,000 rows of 10 columns a process grows by 160 MB; with 300 rows
    by 36 MB for 3 classes, 42 MB for 10 and 70 MB for 30. Up to 512 MB are kept in all. A
    prediction takes 40 to 80 MB more. What keeps it small is the same: `n_estimators=1`, numbers as
    `n_loops` and `max_support`, and a pickle, which leaves all of it out.

    References
    ----------
    .. [1] L. Yang, K. Lee, R. Nowak, D. Papailiopoulos, "Looped Transformers are Better at
       Learning Learning Algorithms", ICLR 2024, Eq. 1 and Section 5.5.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn_looped import LoopedICLClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> X, X_query, y, y_query = train_test_split(X, y, random_state=0)
    >>> model = LoopedICLClassifier().fit(X, y)
    >>> model.predict_proba(X_query).shape
    (38, 3)
    >>> model.score(X_query, y_query) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **InContextEstimator._parameter_constraints,
        "weights": [str, os.PathLike],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        weights: str | os.PathLike[str] = "tabular-classifier",
        *,
        n_loops: int | str | None = "auto",
        exit_rule: str = "support",
        exit_quantile: float = 0.95,
        n_estimators: int | None = None,
        max_support: int | str = "auto",
        class_weight: dict[Any, float] | str | None = None,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.weights = weights
        self.n_loops = n_loops
        self.exit_rule = exit_rule
        self.exit_quantile = exit_quantile
        self.n_estimators = n_estimators
        self.max_support = max_support
        self.device = device
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.class_weight = class_weight
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    @whole_or_not_at_all
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> "LoopedICLClassifier":
        """Load the weights and keep the support.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            Support rows, of pandas, polars or Arrow too; NaN or None marks a missing cell.
        y : array-like of shape (n_samples,)
            Labels of two or more classes: whole numbers, text or booleans.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts, as in `LoopedICLRegressor.fit`.

        Returns
        -------
        self
        """
        self._prepare(X, y, sample_weight)
        self._run_support()
        return self

    def _prepare(self, X: Any, y: Any, sample_weight: Any) -> None:
        choose_device(self.device)
        checkpoint = load_weights(self.weights, classifies=True)
        table, y, weights = validate_labels(self, X, y, sample_weight)
        check_classification_targets(y)
        kept = slice(None) if weights is None else weights > 0
        self.classes_ = np.unique(y[kept])
        if len(self.classes_) < 2:
            raise ValueError(
                f"Got one class only, {self.classes_[0]}, but at least two are required."
            )
        counts = None if weights is None else weights[kept]
        self._class_weight = weights_of_classes(self.class_weight, self.classes_, y[kept], counts)
        check_classes(len(y), len(self.classes_), "LoopedICLRegressor")
        codes = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        indicators = np.eye(len(self.classes_))[codes]
        kind = "binary" if len(self.classes_) == 2 else "multiclass"
        rows = Support(table, indicators, weights)
        self._keep(rows, codes.astype(float), kind, checkpoint)

    def _decode(self, output: Array) -> Array:
        """From the probability of each class, (C, q, 1), to (q, C)."""
        proba: Array = output[..., 0].T * self._class_weight
        return proba / proba.sum(axis=1, keepdims=True)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict the probability of each class for each query.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        return self._decode(self._run(X)[0])

    @overload
    def predict(
        self,
        X: ArrayLike,
        return_n_loops: Literal[False] = ...,
        return_novelty: Literal[False] = ...,
    ) -> NDArray[Any]: ...
    @overload
    def predict(
        self, X: ArrayLike, return_n_loops: bool = ..., return_novelty: bool = ...
    ) -> Any: ...
    def predict(
        self, X: ArrayLike, return_n_loops: bool = False, return_novelty: bool = False
    ) -> Any:
        """Predict the most probable class of each query.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.
        return_n_loops : bool, default=False
            Whether to return the loops that each query took too.
        return_novelty : bool, default=False
            Whether to return how far each query lies outside the training rows too, as in
            `LoopedICLRegressor.predict`.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        n_loops : ndarray of shape (n_samples,)
            Only if `return_n_loops`.
        novelty : ndarray of shape (n_samples,)
            Only if `return_novelty`.
        """
        output, n_loops, novelty = self._run(X)
        results = [self.classes_[self._decode(output).argmax(axis=1)]]
        if return_n_loops:
            results.append(n_loops)
        if return_novelty:
            results.append(novelty)
        return results[0] if len(results) == 1 else tuple(results)

    def staged_predict_proba(self, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """Predict probabilities after every loop, in one pass.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.

        Yields
        ------
        ndarray of shape (n_samples, n_classes)
            After the first loop, the second, and so on up to `n_loops`.
        """
        for output in self._stages(X):
            yield self._decode(output)

    def staged_predict(self, X: ArrayLike) -> Iterator[NDArray[Any]]:
        """Predict classes after every loop, in one pass.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.

        Yields
        ------
        ndarray of shape (n_samples,)
            After the first loop, the second, and so on up to `n_loops`.
        """
        for proba in self.staged_predict_proba(X):
            yield self.classes_[proba.argmax(axis=1)]
