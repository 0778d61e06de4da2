"""A constant column has no influence, whatever its size."""

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_looped import (
    KernelMachineRegressor,
    LoopedICLRegressor,
    ProgrammedKernelMachineRegressor,
    ProgrammedKMeans,
    ProgrammedLinearRegression,
    ProgrammedPCA,
    ProgrammedRidge,
)
from sklearn_looped.learned.inference import divided

SIZES = [0.1, 1e20, -1e100, 1.7e308]


@pytest.fixture
def data(rng):
    X = rng.normal(size=(31, 3))
    return X, X @ [1.0, 2.0, 3.0] + rng.normal(size=31)


def beside(X, value):
    return np.column_stack([X, np.full(len(X), value)])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_rows", [31, 3])
@pytest.mark.parametrize("model", [ProgrammedLinearRegression(), ProgrammedRidge()])
def test_linear_models(model, size, weighted, n_rows, data, rng):
    X, y = (part[:n_rows] for part in data)
    weights = rng.uniform(1, 2, n_rows) if weighted else None
    alone = clone(model).fit(X, y, weights)
    found = clone(model).fit(beside(X, size), y, weights)
    np.testing.assert_allclose(found.coef_[:3], alone.coef_, rtol=1e-9)
    assert found.coef_[3] == 0
    np.testing.assert_allclose(found.predict(beside(X, size)), alone.predict(X), rtol=1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_components(size, data):
    alone, found = ProgrammedPCA(2).fit(data[0]), ProgrammedPCA(2).fit(beside(data[0], size))
    np.testing.assert_allclose(found.explained_variance_, alone.explained_variance_, rtol=1e-12)
    np.testing.assert_allclose(found.components_, beside(alone.components_, 0.0), atol=1e-12)
    np.testing.assert_array_equal(found.mean_[3], size)
    scores = found.transform(beside(data[0], size))
    np.testing.assert_allclose(scores, alone.transform(data[0]), atol=1e-12)
    np.testing.assert_allclose(found.inverse_transform(scores)[:, 3], size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("init", ["random", "rows"])
def test_clusters(size, init, data):
    X, Z = data[0], beside(data[0], size)
    starts = [part[:3] if init == "rows" else init for part in (X, Z)]
    alone = ProgrammedKMeans(3, init=starts[0], random_state=0).fit(X)
    found = ProgrammedKMeans(3, init=starts[1], random_state=0).fit(Z)
    np.testing.assert_array_equal(found.labels_, alone.labels_)
    np.testing.assert_allclose(found.inertia_, alone.inertia_, rtol=1e-12)
    np.testing.assert_array_equal(found.cluster_centers_[:, 3], size)
    np.testing.assert_array_equal(found.predict(Z), alone.labels_)


@pytest.mark.parametrize("size", [0.1, 1e-100, 1e300])  # means that round, with weights or without
@pytest.mark.parametrize("weighted", [False, True])
def test_kernel_machine(size, weighted, data, rng):
    X, y = data
    weights = rng.uniform(1, 2, len(X)) if weighted else None
    alone = KernelMachineRegressor().fit(X, y, weights)
    found = KernelMachineRegressor().fit(beside(X, size), y, weights)
    assert found.feature_importances_[3] == 0
    np.testing.assert_allclose(found.predict(beside(X, size)), alone.predict(X), rtol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_programmed_kernel_machine(size, data):
    X, y = data
    modest, found = (
        ProgrammedKernelMachineRegressor(n_rounds=0).fit(beside(X, value), y)
        for value in (0.0, size)
    )
    assert found.certificate_.error_bound == modest.certificate_.error_bound
    expected = modest.predict(beside(X, 0.0))
    np.testing.assert_array_equal(found.predict(beside(X, size)), expected)


def test_kernel_machine_of_constant_columns_predicts_the_mean():
    X = np.full((31, 2), 0.1)
    X[3, 0] = np.nan
    model = KernelMachineRegressor().fit(X, np.arange(31.0))
    np.testing.assert_allclose(model.predict(X), 15.0)
    assert not model.feature_importances_.any()


@pytest.mark.parametrize("n_rows", [31, 100])  # 100 rows are divided
def test_no_column_matters_where_all_are_constant(n_rows, monkeypatch):
    monkeypatch.setattr(divided, "WHOLE", 60)
    model = LoopedICLRegressor(n_loops=1, n_estimators=1)
    model.fit(np.full((n_rows, 2), 0.1), np.arange(n_rows))
    assert model.feature_importances_.tolist() == [0, 0]


def test_table_with_steps(rng):
    X = rng.normal(size=(600, 3))
    y = (X[:, 0] > 0) * 2.0 + (X[:, 1] > 0.3) + 0.1 * rng.normal(size=600)
    alone = LoopedICLRegressor(n_loops=2).fit(X, y)
    found = LoopedICLRegressor(n_loops=2).fit(beside(X, 0.1), y)
    assert found.predictor_.overview is not None
    expected = alone.predict(X[:20])
    np.testing.assert_allclose(found.predict(beside(X[:20], 0.1)), expected, atol=1e-5)
