"""PyPI's xRFM, the reference implementation of recursive feature machines, as an estimator."""

from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import train_test_split

IS_INSTALLED = find_spec("xrfm") is not None


class XRFMRegressor(RegressorMixin, BaseEstimator):
    """xRFM with its own defaults; a fifth of the rows is held out, as its documentation does."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> "XRFMRegressor":
        """Fit to four fifths of the rows, choose the round on the others."""
        from xrfm import xRFM

        parts = train_test_split(X, np.asarray(y)[:, None], test_size=0.2, random_state=0)
        rows, held_out, targets, held_out_targets = map(_tensor, parts)
        cpu = torch.device("cpu")
        self.model_ = xRFM(device=cpu, tuning_metric="mse", random_state=0, verbose=False)
        self.model_.fit(rows, targets, held_out, held_out_targets)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the predictions, (q,)."""
        prediction: Any = self.model_.predict(_tensor(X))
        return np.asarray(prediction).reshape(len(X))


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(array, dtype=torch.float32)
