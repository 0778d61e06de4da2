"""Programmed SGD estimators against scikit-learn's."""

import numpy as np
import pytest
from sgd_cases import (
    assert_same_fit,
    classification,
    compare,
    fit_quietly,
    regression,
    same_stopping_rule,
)
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.preprocessing import StandardScaler

from sklearn_looped import ProgrammedSGDClassifier, ProgrammedSGDRegressor

RATES = ["constant", "optimal", "invscaling", "adaptive"]
PENALTIES = [None, "l2", "l1", "elasticnet"]


@same_stopping_rule
@pytest.mark.parametrize("loss", ["squared_error", "huber", "epsilon_insensitive"])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("learning_rate", RATES)
@pytest.mark.parametrize("shuffle", [True, False])
def test_regressor_is_sgd_regressor(loss, penalty, learning_rate, shuffle):
    X, y = regression()
    parameters = {"loss": loss, "penalty": penalty, "learning_rate": learning_rate}
    # "optimal" steps are 1 / sqrt(alpha) ** 1.5 long at first: a small alpha makes them diverge.
    alpha = 10.0 if learning_rate == "optimal" else 0.01
    parameters |= {"shuffle": shuffle, "random_state": 3, "alpha": alpha, "max_iter": 12}
    compare(ProgrammedSGDRegressor, SGDRegressor, X, y, parameters)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("average", [True, 100])
@pytest.mark.parametrize("tol", [None, 1e-3])
def test_average_is_that_of_sgd_regressor(penalty, average, tol):
    X, y = regression()
    parameters = {"penalty": penalty, "average": average, "tol": tol, "alpha": 0.02}
    parameters |= {"max_iter": 10, "random_state": 0}
    compare(ProgrammedSGDRegressor, SGDRegressor, X, y, parameters)


@pytest.mark.parametrize("parameters", [{"fit_intercept": False}, {"average": 10_000}, {}])
def test_further_parameters_are_those_of_sgd_regressor(parameters):
    X, y = regression()
    compare(ProgrammedSGDRegressor, SGDRegressor, X, y, {"random_state": 1} | parameters)


@pytest.mark.parametrize(("product", "tolerance"), [("linear", 1e-12), ("softmax", 1e-8)])
@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_other_products_meet_their_bounds(product, tolerance, loss):
    X, y = regression(n=40, d=3)
    theirs = SGDRegressor(loss, alpha=0.01, max_iter=3, tol=None, random_state=0).fit(X, y)
    ours = ProgrammedSGDRegressor(
        loss, alpha=0.01, max_iter=3, tol=None, random_state=0, product=product
    ).fit(X, y)
    assert_same_fit(ours, theirs, tolerance)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=tolerance)
    assert (ours.certificate_.error_bound > 0) == (product == "softmax")


@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_classifier_is_sgd_classifier(loss, penalty, n_classes):
    X, y = classification(n_classes=n_classes)
    parameters = {"loss": loss, "penalty": penalty, "max_iter": 8, "tol": None, "random_state": 0}
    for extra in ({"alpha": 0.1}, {"learning_rate": "invscaling", "eta0": 0.1, "average": True}):
        compare(ProgrammedSGDClassifier, SGDClassifier, X, y, parameters | extra)


@same_stopping_rule
@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("learning_rate", ["optimal", "adaptive"])
def test_classifier_stops_when_sgd_classifier_does(loss, penalty, learning_rate):
    X, y = classification(n_classes=3)
    parameters = {"loss": loss, "penalty": penalty, "learning_rate": learning_rate}
    parameters |= {"alpha": 0.1, "eta0": 0.1, "max_iter": 30, "random_state": 0}
    compare(ProgrammedSGDClassifier, SGDClassifier, X, y, parameters)


@same_stopping_rule
@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_and_decisions_are_those_of_sgd_classifier(n_classes):
    X, y = classification(n_classes=n_classes)
    options = {"alpha": 0.1, "random_state": 0}
    ours = ProgrammedSGDClassifier("log_loss", **options).fit(X, y)
    theirs = SGDClassifier(loss="log_loss", **options).fit(X, y)
    for method in ("decision_function", "predict_proba"):
        mine, other = getattr(ours, method)(X), getattr(theirs, method)(X)
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-12)
    assert (ours.predict(X) == theirs.predict(X)).all()


def table(load):
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@same_stopping_rule
@pytest.mark.parametrize("load", [load_breast_cancer, load_wine, load_iris, load_diabetes])
def test_defaults_are_those_of_scikit_learn(load):
    # Digits, of ten models, is part of ``python -m benchmarks parity``.
    X, y = table(load)
    regression = load is load_diabetes
    ours = (ProgrammedSGDRegressor if regression else ProgrammedSGDClassifier)(random_state=0)
    theirs = (SGDRegressor if regression else SGDClassifier)(random_state=0)
    shared = ours.get_params().keys() & theirs.get_params().keys()
    assert all(ours.get_params()[name] == theirs.get_params()[name] for name in shared)
    assert_same_fit(ours.fit(X, y), theirs.fit(X, y))
    assert ours.t_ == theirs.t_


WEIGHTS = np.tile([0.0, 0.5, 1.0, 2.5, 1.0], 12)


@same_stopping_rule
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"early_stopping": True, "learning_rate": "constant", "eta0": 0.01},
        {"early_stopping": True, "average": True, "penalty": "elasticnet", "tol": 1e-2},
        {"penalty": "l1", "n_iter_no_change": 2, "loss": "huber", "epsilon": 0.3},
    ],
)
def test_weights_and_early_stopping_are_those_of_sgd_regressor(changes):
    X, y = regression()
    parameters = {"random_state": 3, "alpha": 0.01, "max_iter": 20} | changes
    ours, theirs = ProgrammedSGDRegressor(**parameters), SGDRegressor(**parameters)
    later = {"coef_init": np.arange(5.0), "intercept_init": [0.5]}
    for more in ({"sample_weight": WEIGHTS}, later):
        if more is later and "average" in changes:
            continue
        assert_same_fit(fit_quietly(ours, X, y, **more), fit_quietly(theirs, X, y, **more))


@same_stopping_rule
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "log_loss", "class_weight": "balanced"},
        {"loss": "hinge", "class_weight": {"a": 2.0}, "early_stopping": True},
        {"loss": "log_loss", "early_stopping": True, "penalty": "elasticnet"},
        {"loss": "squared_error", "learning_rate": "invscaling"},
        {"loss": "huber", "epsilon": 0.3},
        {"loss": "epsilon_insensitive", "learning_rate": "adaptive"},
    ],
)
def test_weights_and_early_stopping_are_those_of_sgd_classifier(n_classes, changes):
    X, y = classification(n=60, n_classes=n_classes)
    parameters = {"random_state": 3, "alpha": 0.1, "max_iter": 12, "eta0": 0.02} | changes
    ours, theirs = ProgrammedSGDClassifier(**parameters), SGDClassifier(**parameters)
    shape = (1 if n_classes == 2 else 3, 4)
    later = {"coef_init": np.ones(shape), "intercept_init": np.ones(shape[0])}
    for more in ({}, {"sample_weight": WEIGHTS}, later):
        assert_same_fit(fit_quietly(ours, X, y, **more), fit_quietly(theirs, X, y, **more))


@same_stopping_rule
@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_warm_starts_and_partial_fits_are_those_of_scikit_learn(penalty):
    X, y = regression()
    labels = np.array(["a", "b", "c"])[np.digitize(y, [-1.0, 1.0])]
    for pair, target, first in (
        ((ProgrammedSGDRegressor, SGDRegressor), y, {}),
        ((ProgrammedSGDClassifier, SGDClassifier), labels, {"classes": ["a", "b", "c"]}),
    ):
        options = {"alpha": 0.1, "penalty": penalty, "random_state": 0, "max_iter": 3, "tol": None}
        ours, theirs = (kind(warm_start=True, **options) for kind in pair)
        for rows in (slice(30), slice(30, 60)):
            for model in (ours, theirs):
                model.partial_fit(X[rows], target[rows], **first)
            assert_same_fit(ours, theirs)
            assert ours.t_ == theirs.t_
        for _ in range(2):
            assert_same_fit(ours.fit(X, target), theirs.fit(X, target))
        np.testing.assert_array_equal(ours.predict(X) == theirs.predict(X) if first else True, True)


@pytest.mark.parametrize("average", [True, 500])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_warm_starts_of_averages_begin_where_those_of_scikit_learn_do(n_classes, average):
    X, y = classification(n_classes=n_classes)
    options = {"average": average, "alpha": 0.1, "max_iter": 3, "tol": None, "random_state": 0}
    pair = ProgrammedSGDClassifier, SGDClassifier
    ours, theirs = (kind(warm_start=True, **options).fit(X, y) for kind in pair)
    assert_same_fit(ours.fit(X, y), theirs.fit(X, y))
    options |= {"learning_rate": "constant", "max_iter": 1, "warm_start": True}
    model = ProgrammedSGDRegressor(**options).fit(X, X[:, 0])
    start = {"coef_init": model._models[0]["w"], "intercept_init": model._models[0]["b"]}
    fresh = ProgrammedSGDRegressor(**options).fit(X, X[:, 0], **start)
    assert_same_fit(model.fit(X, X[:, 0]), fresh, tolerance=0)


def test_averages_go_on_over_partial_fits():
    X, y = regression()
    ours, theirs = (
        kind(average=10, random_state=0) for kind in (ProgrammedSGDRegressor, SGDRegressor)
    )
    for rows in (slice(5), slice(5, 40), slice(40, 60)):
        for model in (ours, theirs):
            model.partial_fit(X[rows], y[rows])
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-12)


def test_partial_fit_refuses_what_it_cannot_do_and_leaves_the_model_as_it_was():
    X, y = classification()
    model = ProgrammedSGDClassifier(random_state=0)
    with pytest.raises(ValueError, match="Got classes=None"):
        model.partial_fit(X, y)
    model.partial_fit(X, y, classes=["a", "b"])
    before = model.coef_
    with pytest.raises(ValueError, match="not among the classes"):
        model.partial_fit(X, np.where(y == "a", "d", y))
    with pytest.raises(ValueError, match="but the first call had"):
        model.partial_fit(X, y, classes=["a", "d"])
    for parameters, message in (
        ({"early_stopping": True}, "Got early_stopping=True"),
        ({"class_weight": "balanced", "early_stopping": False}, "Got class_weight='balanced'"),
    ):
        with pytest.raises(ValueError, match=message):
            model.set_params(**parameters).partial_fit(X, y)
    assert model.coef_ is before
