"""What programmed estimators read of their data, keep of it, and refuse."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone

from sklearn_looped import (
    ProgrammedKernelMachineRegressor,
    ProgrammedKernelRegressor,
    ProgrammedKMeans,
    ProgrammedLinearRegression,
    ProgrammedMLPClassifier,
    ProgrammedMLPRegressor,
    ProgrammedRidge,
    ProgrammedSGDClassifier,
    ProgrammedSGDRegressor,
)

SHORT = {"max_iter": 2, "tol": None, "random_state": 0}
NETWORK = {"hidden_layer_sizes": (2,), "max_iter": 2, "random_state": 0}
REGRESSORS = (
    ProgrammedLinearRegression(),
    ProgrammedRidge(),
    ProgrammedKernelRegressor(),
    ProgrammedKernelMachineRegressor(n_loops=20, n_rounds=0, tol=1.0),
    ProgrammedSGDRegressor(**SHORT),
    ProgrammedMLPRegressor(**NETWORK),
)
CLASSIFIERS = (ProgrammedSGDClassifier(**SHORT), ProgrammedMLPClassifier(**NETWORK))
FINITE = pytest.mark.filterwarnings("ignore:The loss still fell", "ignore:The result is certified")


@FINITE
@pytest.mark.parametrize("model", REGRESSORS, ids=lambda model: type(model).__name__)
def test_numbers_as_text_are_targets(model, rng):
    X = rng.normal(size=(12, 2))
    y = X[:, 0].round(3)
    expected = clone(model).fit(X, y).predict(X)
    for text in (y.astype(str), y.astype(str).astype(object), pd.Series(y).astype(str)):
        np.testing.assert_array_equal(clone(model).fit(X, text).predict(X), expected)


@pytest.mark.parametrize("model", REGRESSORS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (np.array(["1", "nan", "2"] * 2), ValueError, "Input y contains NaN"),
        (np.array(["1", "two", "3"] * 2), ValueError, "target that is not numeric .*two"),
        (np.arange(6).astype("m8[h]"), ValueError, "target that is not numeric .*timedelta"),
        (np.arange(6).astype("M8[D]"), ValueError, "target that is not numeric .*datetime"),
        (np.ma.masked_equal(np.arange(6.0), 2), ValueError, "y has 1 masked entries"),
        (csr_array(np.ones((6, 1))), TypeError, "Got sparse targets, but expected dense"),
    ],
)
def test_targets_that_are_no_numbers_are_refused(model, y, error, message, rng):
    with pytest.raises(error, match=message):
        clone(model).fit(rng.normal(size=(6, 2)), y)


@pytest.mark.parametrize("model", CLASSIFIERS, ids=lambda model: type(model).__name__)
def test_masked_labels_are_refused(model, rng):
    X, y = rng.normal(size=(6, 2)), np.ma.masked_equal([0, 1, 0, 1, 0, 5], 5)
    with pytest.raises(ValueError, match="y has 1 masked entries"):
        clone(model).fit(X, y)
    with pytest.raises(ValueError, match="y has 1 masked entries"):
        clone(model).partial_fit(X, y, classes=[0, 1])


@pytest.mark.parametrize("model", CLASSIFIERS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([0], "Got 1 class"),
        ([0, 1, np.nan], "NaN"),
        (np.ma.masked_equal([0, 1], 1), "classes has 1 masked"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")  # by scikit-learn
def test_classes_of_partial_fit_are_checked(model, classes, message, rng):
    with pytest.raises(ValueError, match=message):
        clone(model).partial_fit(rng.normal(size=(6, 2)), np.zeros(6), classes=classes)


@pytest.mark.parametrize("name", ["coef_init", "intercept_init"])
def test_values_to_begin_with_are_finite(name, rng):
    X = rng.normal(size=(6, 1))
    with pytest.raises(ValueError, match=f"Input {name} contains NaN"):
        ProgrammedSGDRegressor(**SHORT).fit(X, X[:, 0], **{name: [np.nan]})


def test_values_to_begin_with_have_a_row_a_class(rng):
    X, y = rng.normal(size=(9, 2)), np.arange(9) % 3
    model = ProgrammedSGDClassifier(max_iter=1, tol=None)
    for name, values in {"coef_init": np.ones((2, 3)), "intercept_init": np.ones((3, 1))}.items():
        with pytest.raises(ValueError, match=f"Got {name} of shape"):
            model.fit(X, y, **{name: values})
    for shape in ((2,), (1, 2), (2, 1)):
        model.fit(X, y > 0, coef_init=np.ones(shape), intercept_init=1.0)


def test_a_bandwidth_that_is_set_behind_fit_is_checked(rng):
    X = rng.normal(size=(6, 1))
    model = ProgrammedKernelRegressor().fit(X, X[:, 0]).set_params(bandwidth=-1.0)
    with pytest.raises(ValueError, match="The 'bandwidth' parameter"):
        model.predict(X)


@pytest.mark.parametrize(
    "model",
    [REGRESSORS[0], *REGRESSORS[-2:], *CLASSIFIERS, ProgrammedKMeans(2)],
    ids=lambda model: type(model).__name__,
)
def test_masked_weights_are_refused(model, rng):
    weights = np.ma.masked_equal([1.0, 2.0, 1.0, 1.0, 1.0, 1.0], 2)
    with pytest.raises(ValueError, match="sample_weight has 1 masked entries"):
        clone(model).fit(rng.normal(size=(6, 2)), [0, 1, 0, 1, 0, 1], sample_weight=weights)


@FINITE
@pytest.mark.parametrize("model", [*REGRESSORS, *CLASSIFIERS], ids=lambda m: type(m).__name__)
def test_data_that_is_changed_behind_fit_changes_no_prediction(model, rng):
    X, y = rng.normal(size=(12, 2)), np.tile([0, 1], 6)
    kept = X.copy()
    models = [clone(model).fit(data, y) for data in (X, kept)]
    X *= 0
    for each in models:
        if "n_loops" in each.get_params():
            each.set_params(n_loops=5)  # runs the samples again
    methods = ("decision_function", "predict_proba", "predict")
    method = next(name for name in methods if hasattr(model, name))
    found, expected = (getattr(each, method)(kept) for each in models)
    np.testing.assert_array_equal(found, expected)


def test_an_intercept_beyond_float64_is_refused():
    model = ProgrammedLinearRegression()
    with pytest.raises(ValueError, match="beyond the range of float64"):
        model.fit([[1.0], [2.0], [3.0]], [1.7e308, 0.5e308, -0.7e308])


@pytest.mark.parametrize("exponent", [-1074, -1000, 1000, 1023])
def test_sample_weights_are_read_in_any_unit(exponent):
    X, y = np.array([[1.0], [2.0], [4.0]]), np.array([1.0, 3.0, 6.0])
    weights, unit = np.full(3, np.ldexp(1.0, exponent)), np.ldexp(1.0, min(exponent, 1000))
    for model, one in (
        (ProgrammedLinearRegression(), ProgrammedLinearRegression()),
        (ProgrammedRidge(unit), ProgrammedRidge(np.ldexp(unit, -exponent))),
    ):
        found, expected = model.fit(X, y, weights), one.fit(X, y)
        np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-12)
        np.testing.assert_allclose(found.intercept_, expected.intercept_, rtol=1e-12)
    for init in ("random", "k-means++"):
        clusters = ProgrammedKMeans(2, init=init, random_state=0)
        expected = clusters.fit(X).cluster_centers_
        np.testing.assert_array_equal(clusters.fit(X, None, weights).cluster_centers_, expected)
