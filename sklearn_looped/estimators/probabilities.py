"""What classifiers that predict probabilities share."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin


class ProbabilisticClassifier(ClassifierMixin):
    """A classifier with `predict_proba`."""

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict the probability of each class for each query."""
        raise NotImplementedError

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict the logarithm of the probability of each class for each query.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        return np.log(self.predict_proba(X))
