"""`KernelMachineClassifier`: kernel ridge on class indicators, in a loop that learns its metric."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.utils.multiclass import check_classification_targets

from sklearn_looped.core.arrays import Array
from sklearn_looped.core.calibration import Calibration
from sklearn_looped.core.modes import in_own_modes
from sklearn_looped.estimators.fitting import whole_or_not_at_all
from sklearn_looped.estimators.kernel.base import KernelMachineEstimator
from sklearn_looped.estimators.probabilities import ProbabilisticClassifier, check_classes
from sklearn_looped.estimators.validation import validate_labels


class KernelMachineClassifier(ProbabilisticClassifier, KernelMachineEstimator):
    r"""Classification by a kernel machine on the indicators of the classes.

    The kernel machine of `KernelMachineRegressor` predicts the indicator of every class; all
    classes share the metric and the decompositions. Its scores :math:`f_c` become probabilities by

    .. math:: p_c \propto \max(f_c, \epsilon)^a

    with the :math:`\epsilon` and a from a small grid for which the log loss of the rows'
    leave-one-out scores is smallest. The classes' frequencies are mixed in with the weight of one
    row, so that no probability is zero.

    Parameters
    ----------
    n_loops : int, default=3
        Rounds in which the metric is learned, 0 or more. 0: all columns have the same weight.
    max_rows : int, default=4096
        Largest number of different rows used, at least 2, as in `KernelMachineRegressor`. From a
        larger table that many are taken, evenly spaced along the classes, with a warning. Memory
        grows with its square, time with its cube.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    metric_ : ndarray of shape (n_encoded_columns,)
        The columns' weights, as in `KernelMachineRegressor`.
    feature_importances_ : ndarray of shape (n_features_in_,)
        The metric summed over the parts of each column, divided by its sum.
    loo_proba_ : ndarray of shape (n_samples, n_classes)
        Probabilities of each row of `fit`, left out with all rows that equal it.
    loo_predictions_ : ndarray of shape (n_samples,)
        The most probable label of each row, likewise.
    loo_score_ : float
        Accuracy of `loo_predictions_`.
    column_kinds_ : dict of str
        What each column was read as, as in `LoopedICLRegressor`.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X was a DataFrame with text names.

    Raises
    ------
    ValueError
        In `fit` and `predict`, if parameters or data are invalid; says what to do.
    TypeError
        If cells contain lists or other objects, or X is a lazy frame of polars.

    See Also
    --------
    KernelMachineRegressor : The same for numeric targets, with the formulas and papers.
    LoopedICLClassifier : A looped transformer that was meta-trained.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_looped import KernelMachineClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = KernelMachineClassifier().fit(X[::2], y[::2])
    >>> model.predict_proba(X[1::2]).shape
    (75, 3)
    >>> model.score(X[1::2], y[1::2]) > 0.9
    True
    """

    @_fit_context(prefer_skip_nested_validation=True)
    @whole_or_not_at_all
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> "KernelMachineClassifier":
        """Choose length scale and penalty, solve, learn the metric and calibrate.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            NaN marks a missing cell.
        y : array-like of shape (n_samples,)
            Labels of two or more classes: whole numbers, text or booleans.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts, as in `KernelMachineRegressor.fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is one class only, the labels are continuous, or the data are invalid.
        MemoryError
            If there are more classes than their indicators have memory for.
        """
        table, y, weights = validate_labels(self, X, y, sample_weight)
        check_classification_targets(y)
        counts = np.ones(len(y)) if weights is None else weights
        self.classes_ = np.unique(y[counts > 0])
        if len(self.classes_) < 2:
            raise ValueError(
                f"Got one class only, {self.classes_[0]}, but at least two are required."
            )
        check_classes(len(y), len(self.classes_), "KernelMachineRegressor")
        codes = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        kind = "binary" if len(self.classes_) == 2 else "multiclass"
        indicators = np.eye(len(self.classes_))[codes]
        scores, _ = self._fit_machine(table, indicators, weights, codes.astype(float), kind)
        self._calibrate(scores, indicators, counts)
        self.loo_proba_ = self._probabilities(scores)
        self.loo_predictions_ = self.classes_[self.loo_proba_.argmax(axis=1)]
        self.loo_score_ = float(np.average(self.loo_predictions_ == y, weights=counts))
        return self

    @in_own_modes
    def _calibrate(self, *parts: Array) -> None:
        """Fit to scores, indicators (n, C) and counts (n,) of the rows."""
        self._calibration = Calibration.fit(*(torch.tensor(part)[None] for part in parts))

    @in_own_modes
    def _probabilities(self, scores: Array) -> Array:
        """Turn scores (q, C) into probabilities."""
        return self._calibration.probabilities(torch.tensor(scores)[None])[0].numpy()

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
        return self._probabilities(self._query(X)[0])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the most probable class of each query.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(axis=1)]
