import pytest
from sklearn.datasets import load_diabetes

from sklearn_looped import LoopedICLRegressor


@pytest.fixture
def split(diabetes):
    X, y = diabetes
    return X[:200], y[:200], X[200:260]


@pytest.fixture(scope="session")
def fitted_once():
    X, y = load_diabetes(return_X_y=True)
    return LoopedICLRegressor().fit(X[:200], y[:200])


@pytest.fixture
def fitted(fitted_once):
    """A regressor on `split`, fitted once; what a test changes about it is undone."""
    kept = vars(fitted_once).copy()
    yield fitted_once
    vars(fitted_once).clear()
    vars(fitted_once).update(kept)
