"""Data and comparisons that the tests of the programmed SGD estimators share."""

import warnings

import numpy as np
import pytest
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.fixes import parse_version

# Scikit-learn 1.9 changed the objective of its stopping rule; ours is that of 1.9.
same_stopping_rule = pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"),
    reason="needs the stopping rule of scikit-learn 1.9",
)


def regression(n=60, d=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, X @ rng.normal(size=d) + 0.5 + 0.1 * rng.normal(size=n)


def classification(n=50, d=4, n_classes=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    scores = X @ rng.normal(size=(d, n_classes)) + rng.normal(size=(n, n_classes))
    return X, np.array(["a", "b", "c"])[scores.argmax(axis=1)]


def fit_quietly(model, X, y, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y, **more)


def assert_same_fit(ours, theirs, tolerance=1e-12):
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.coef_.shape == theirs.coef_.shape
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=tolerance)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=0, atol=tolerance)


def compare(ours, theirs, X, y, parameters, tolerance=1e-12):
    ours, theirs = ours(**parameters), theirs(**parameters)
    assert_same_fit(fit_quietly(ours, X, y), fit_quietly(theirs, X, y), tolerance)
