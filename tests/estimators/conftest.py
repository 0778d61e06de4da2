import pytest

from sklearn_looped import LoopedICLRegressor


@pytest.fixture
def split(diabetes):
    X, y = diabetes
    return X[:200], y[:200], X[200:260]


@pytest.fixture
def fitted(split):
    return LoopedICLRegressor().fit(*split[:2])
