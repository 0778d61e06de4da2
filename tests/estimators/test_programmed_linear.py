"""Programmed SGD estimators against scikit-learn's."""

import pickle
import warnings

import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from sklearn_looped import ProgrammedSGDClassifier, ProgrammedSGDRegressor
from sklearn_looped.estimators.sgd import fit_many
from sklearn_looped.estimators.sgd.base import build_block

# Scikit-learn 1.9 changed the objective of its stopping rule; ours is that of 1.9.
same_stopping_rule = pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"),
    reason="needs the stopping rule of scikit-learn 1.9",
)

RATES = ["constant", "optimal", "invscaling", "adaptive"]
PENALTIES = [None, "l2", "l1", "elasticnet"]


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


def test_n_loops_is_read_by_predict():
    X, y = regression()
    model = ProgrammedSGDRegressor(tol=None, max_iter=9, average=True, random_state=0).fit(X, y)
    stages = list(model.staged_predict(X))
    assert model.stages_.tolist() == [60 * epoch for epoch in range(1, 10)]
    np.testing.assert_array_equal(stages[-1], model.predict(X))
    for n_loops in (1, 60, 77, 539, 10**6):
        short = ProgrammedSGDRegressor(
            tol=None, max_iter=9, average=True, n_loops=n_loops, random_state=0
        ).fit(X, y)
        np.testing.assert_array_equal(
            model.set_params(n_loops=n_loops).predict(X), short.predict(X)
        )
        np.testing.assert_allclose(short.predict(X), X @ short.coef_ + short.intercept_, atol=1e-14)
        np.testing.assert_array_equal(short.set_params(n_loops=None).predict(X), stages[-1])
    assert model.set_params(n_loops=130).stages_.tolist() == [60, 120, 130]
    np.testing.assert_array_equal(next(model.staged_predict(X)), stages[0])
    with pytest.raises(ValueError, match="'n_loops' parameter"):
        model.set_params(n_loops=0).predict(X)


def test_coefficients_changed_by_hand_change_no_prediction():
    X, y = regression()
    model = ProgrammedSGDRegressor(random_state=0).fit(X, y)
    before = model.predict(X)
    model.coef_[:] = 0.0
    np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_dense_evaluation_of_one_sequence_gives_the_same_bits(n_classes):
    X, y = classification(n=20, n_classes=n_classes)
    options = {"loss": "log_loss", "n_loops": 27, "random_state": 0, "alpha": 0.1}
    fast = ProgrammedSGDClassifier(**options).fit(X, y)
    dense = ProgrammedSGDClassifier(**options, evaluation="dense").fit(X, y)
    for name in ("coef_", "intercept_"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(dense, name))
    np.testing.assert_array_equal(fast.predict_proba(X), dense.predict_proba(X))
    np.testing.assert_array_equal(fast.predict(X), dense.predict(X))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda:99", "evaluation": "dense"}, "does not have|is not"),
        ({"device": "meta"}, "choose evaluation='dense' or device='cpu'"),
        ({"evaluation": "slow"}, "'evaluation' parameter"),
    ],
)
def test_evaluations_and_devices_that_do_not_exist_raise(options, message):
    with pytest.raises(ValueError, match=message):
        ProgrammedSGDRegressor(**options).fit(*regression())


def test_hinge_has_no_probabilities():
    assert hasattr(ProgrammedSGDClassifier(loss="log_loss"), "predict_proba")
    assert not hasattr(ProgrammedSGDClassifier(loss="hinge"), "predict_proba")


def test_diabetes_score_is_that_of_sgd_regressor_to_six_digits():
    X, y = load_diabetes(return_X_y=True)
    scores = [
        make_pipeline(StandardScaler(), model(random_state=0)).fit(X, y).score(X, y)
        for model in (ProgrammedSGDRegressor, SGDRegressor)
    ]
    assert scores[0] > 0.5
    assert scores[0] == pytest.approx(scores[1], abs=5e-7)


def test_n_loops_sets_the_loops_and_more_of_them_fit_better():
    X, y = regression()
    losses = []
    for n_loops in (1, 50, 500, 5000):
        model = ProgrammedSGDRegressor(n_loops=n_loops, tol=None, random_state=0).fit(X, y)
        assert model.n_loops_ == n_loops
        assert model.n_iter_ == -(-n_loops // len(X))
        losses.append(np.mean((model.predict(X) - y) ** 2))
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > 10 * losses[-1]


def test_n_loops_is_a_cap():
    X, y = regression()
    free = ProgrammedSGDRegressor(random_state=0).fit(X, y)
    capped = ProgrammedSGDRegressor(random_state=0, n_loops=10**6).fit(X, y)
    assert capped.n_loops_ == free.n_loops_ == free.n_iter_ * len(X)


def test_grid_search_over_loops():
    X, y = regression()
    grid = {"n_loops": [1, 300]}
    search = GridSearchCV(ProgrammedSGDRegressor(random_state=0), grid, cv=3).fit(X, y)
    assert search.best_params_ == {"n_loops": 300}


def test_weights_do_not_depend_on_the_data():
    hashes = []
    for seed in range(2):
        build_block.cache_clear()  # build the weights anew
        model = ProgrammedSGDRegressor(alpha=0.1**seed, max_iter=2, tol=None)
        model.fit(*regression(seed=seed))
        transformer = model.block_.transformer(model.punchcard_.tokens)
        hashes.append(transformer.fingerprint())
        model.predict(regression(seed=5)[0])
        hashes.append(transformer.fingerprint())
    assert len(set(hashes)) == 1


def test_trace_has_a_row_for_every_loop():
    X, y = regression(n=20)
    model = ProgrammedSGDRegressor(n_loops=50, keep_trace=True, random_state=0).fit(X, y)
    assert len(model.trace_) == 50
    assert model.trace_["epoch"].tolist() == [1] * 20 + [2] * 20 + [3] * 10
    last = model.trace_.iloc[-1]
    assert last[[f"w{i}" for i in range(5)]].tolist() == model.coef_.tolist()
    first = model.trace_.iloc[0]
    assert first["score"] == -y[int(first["sample"])]


def test_fit_many_leaves_every_estimator_as_its_own_fit_would():
    X, y = regression()
    rng = np.random.default_rng(0)
    rows = [rng.choice(len(X), size=size) for size in (60, 31, 45)]
    grid = [
        {"alpha": 0.1, "l1_ratio": 0.9, "n_loops": 100},
        {"learning_rate": "adaptive", "tol": 1e-2},
        {"penalty": "l1", "eta0": 0.05, "shuffle": False},
    ]
    common = {"penalty": "elasticnet", "random_state": 0}
    many = fit_many([ProgrammedSGDRegressor(**common | g) for g in grid], X, y, rows)
    for parameters, own, model in zip(grid, rows, many, strict=True):
        alone = ProgrammedSGDRegressor(**common | parameters).fit(X[own], y[own])
        assert alone.n_loops_ == model.n_loops_
        np.testing.assert_array_equal(alone.coef_, model.coef_)
        np.testing.assert_array_equal(alone.predict(X), model.predict(X))


def test_fit_many_classifiers_over_folds():
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    rows = [np.arange(len(X)) % 3 != fold for fold in range(3)]
    many = fit_many([ProgrammedSGDClassifier(random_state=0) for _ in rows], X, y, rows)
    for own, model in zip(rows, many, strict=True):
        alone = ProgrammedSGDClassifier(random_state=0).fit(X[own], y[own])
        np.testing.assert_array_equal(alone.coef_, model.coef_)
        assert model.score(X[~own], y[~own]) > 0.8


def test_fit_many_refuses_estimators_of_different_blocks():
    X, y = regression()
    with pytest.raises(ValueError, match="cannot share one block"):
        fit_many([ProgrammedSGDRegressor(), ProgrammedSGDRegressor("huber")], X, y)
    with pytest.raises(ValueError, match="cannot share one block"):
        fit_many([ProgrammedSGDRegressor(product="linear")], X, y)


@pytest.mark.parametrize("learning_rate", ["constant", "invscaling"])
def test_diverging_learning_rate_names_the_step(learning_rate):
    X, y = regression()
    model = ProgrammedSGDRegressor(learning_rate=learning_rate, eta0=100.0, random_state=0)
    with pytest.raises(ValueError, match=r"diverges: eta0=100 blew up at step \d+ \(epoch 1\)"):
        model.fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        *[({"n_loops": n}, "'n_loops' parameter .* must be an int in the range") for n in (0, -1)],
        ({"n_loops": 2.5}, "'n_loops' parameter .* must be an int in the range"),
        ({"loss": "quantile"}, "'loss' parameter .* must be a str among .*'huber'"),
        ({"penalty": "l3"}, "'penalty' parameter .* must be a str among .*'elasticnet'"),
        ({"learning_rate": "pa1"}, "'learning_rate' parameter .* must be .*'invscaling'"),
        ({"product": "exact"}, "'product' parameter .* must be .*'gated'"),
        ({"eta0": 0.0}, "'eta0' parameter"),
        ({"learning_rate": "optimal", "alpha": 0.0}, "learning_rate='optimal' divides by alpha"),
    ],
)
def test_bad_parameters_raise_one_line(parameters, message):
    X, y = regression()
    for fit in (lambda model: model.fit(X, y), lambda model: fit_many([model], X, y)):
        with pytest.raises(ValueError, match=message) as error:
            fit(ProgrammedSGDRegressor(**parameters))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_data_raise(value):
    X, y = regression()
    broken_X, broken_y = X.copy(), y.copy()
    broken_X[3, 1] = broken_y[3] = value
    for arrays in ((broken_X, y), (X, broken_y)):
        with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
            ProgrammedSGDRegressor().fit(*arrays)
    with pytest.raises(ValueError, match="Input X contains"):
        ProgrammedSGDRegressor().fit(X, y).predict(broken_X)


def test_too_few_epochs_warn():
    with pytest.warns(ConvergenceWarning, match="after 2 epochs"):
        ProgrammedSGDRegressor(max_iter=2).fit(*regression())


def test_pickle_predicts_the_same_bits():
    X, y = regression()
    model = ProgrammedSGDRegressor(random_state=0).fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(X), model.predict(X))
