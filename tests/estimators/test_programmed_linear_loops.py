"""Loops of the programmed SGD estimators, many at once, and what they refuse."""

import pickle

import numpy as np
import pytest
import torch
from sgd_cases import classification, regression
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_looped import ProgrammedSGDClassifier, ProgrammedSGDRegressor
from sklearn_looped.estimators.sgd import fit_many
from sklearn_looped.estimators.sgd.base import build_block
from sklearn_looped.programmed.transformer import evaluation


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
        ({"device": "meta"}, "does not have"),
        ({"evaluation": "slow"}, "'evaluation' parameter"),
    ],
)
def test_evaluations_and_devices_that_do_not_exist_raise(options, message):
    with pytest.raises(ValueError, match=message):
        ProgrammedSGDRegressor(**options).fit(*regression())


def test_fast_evaluation_is_refused_on_another_device(monkeypatch):
    monkeypatch.setattr(evaluation, "choose_device", torch.device)
    with pytest.raises(ValueError, match="choose evaluation='dense' or device='cpu'"):
        ProgrammedSGDRegressor(device="meta").fit(*regression())


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


@pytest.mark.parametrize(
    ("estimator", "rows", "error", "message"),
    [
        (ProgrammedSGDRegressor(warm_start=True), None, ValueError, "Got warm_start=True"),
        (ProgrammedSGDRegressor(early_stopping=True), None, ValueError, "Got early_stopping=True"),
        (SGDRegressor(), None, TypeError, "Got SGDRegressor, but expected ProgrammedSGD"),
        (ProgrammedSGDRegressor(), [], ValueError, "rows for 0 of 1 estimators"),
        (ProgrammedSGDRegressor(), [[0, 10**6]], ValueError, "no numbers of .* rows: index"),
        (ProgrammedSGDRegressor(), [[0.0]], ValueError, "no numbers of .* rows: arrays"),
        (ProgrammedSGDRegressor(), [[False] * 3], ValueError, "no numbers of .* rows: bool"),
    ],
)
def test_fit_many_refuses_what_it_cannot_fit(estimator, rows, error, message):
    with pytest.raises(error, match=message):
        fit_many([estimator], *regression(), rows)


@pytest.mark.parametrize("learning_rate", ["constant", "invscaling"])
def test_diverging_learning_rate_names_the_step(learning_rate):
    X, y = regression()
    model = ProgrammedSGDRegressor(learning_rate=learning_rate, eta0=100.0, random_state=0)
    with pytest.raises(ValueError, match=r"diverges: eta0=100 blew up at step \d+ \(epoch 1\)"):
        model.fit(X, y)


def test_large_targets_are_fitted_as_by_scikit_learn_or_refused():
    X, y = regression()
    y = 1e19 * y / np.abs(y).max()
    model = ProgrammedSGDRegressor(max_iter=3, tol=None, random_state=0)
    reference = SGDRegressor(max_iter=3, tol=None, random_state=0).fit(X, y)
    np.testing.assert_allclose(model.fit(X, y).coef_, reference.coef_, rtol=1e-7)
    for factor in (1e6, 1e280):
        with pytest.raises(ValueError, match=r"blew up at step .* scale the features and target"):
            model.fit(X, factor * y)


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
