"""What classifiers that predict probabilities share."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin

from sklearn_looped.core.memory import check_memory

ARRAYS = 4  # of one number a row and class, which `fit` makes


class ProbabilisticClassifier(ClassifierMixin):
    """A classifier with `predict_proba`."""

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict the probability of each class for each query."""
        raise NotImplementedError

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict the logarithm of the probability of each class for each query.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        return np.log(self.predict_proba(X))


def check_classes(n_rows: int, n_classes: int, regressor: str) -> None:
    """Raise before work on more classes than there is memory for their indicators.

    Parameters
    ----------
    n_rows, n_classes : int
    regressor : str
        Name of the estimator for numbers.

    Raises
    ------
    MemoryError
    """
    check_memory(
        ARRAYS * 8 * n_rows * n_classes,
        f"Telling {n_classes} classes apart in {n_rows} rows",
        f"Leave rows out or join rare classes; for numbers take {regressor}.",
    )
