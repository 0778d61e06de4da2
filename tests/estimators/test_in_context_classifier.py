import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_looped import LoopedICLClassifier, LoopedICLRegressor
from sklearn_looped.learned.checkpoints import CheckpointError


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return X[:200], y[:200], X[200:260]


@pytest.fixture(scope="module")
def plain(cancer):
    """Fitted on `cancer`; no test changes it."""
    return LoopedICLClassifier().fit(*cancer[:2])


@pytest.fixture
def wine():
    X, y = load_wine(return_X_y=True)
    return X[::2], y[::2], X[1::2], y[1::2]


@pytest.mark.parametrize("load", [load_breast_cancer, load_iris, load_wine])
def test_real_labels_are_predicted_about_as_well_as_by_logistic_regression(load):
    X, y = load(return_X_y=True)
    linear = make_pipeline(StandardScaler(), LogisticRegression())
    ours = cross_val_score(LoopedICLClassifier(), X, y, cv=3).mean()
    assert ours > cross_val_score(linear, X, y, cv=3).mean() - 0.02


def test_a_ring_is_told_from_its_inside_where_a_line_cannot(rng):
    X = rng.normal(size=(400, 2))
    y = (X**2).sum(1) > 1.4
    looped = LoopedICLClassifier().fit(X[:300], y[:300]).score(X[300:], y[300:])
    line = LogisticRegression().fit(X[:300], y[:300]).score(X[300:], y[300:])
    assert looped > 0.9 > line + 0.2


def test_probabilities_follow_those_of_the_labels(rng):
    X = rng.normal(size=(1400, 2))
    truth = 1 / (1 + np.exp(-2 * X[:, 0]))
    y = rng.random(1400) < truth
    proba = LoopedICLClassifier().fit(X[:400], y[:400]).predict_proba(X[400:])[:, 1]
    assert np.abs(proba - truth[400:]).mean() < 0.06


def test_probabilities_sum_to_one_and_name_the_class(wine):
    X, y, queries, _ = wine
    model = LoopedICLClassifier().fit(X, y)
    proba = model.predict_proba(queries)
    assert proba.shape == (89, 3)
    assert (proba >= 0).all()
    np.testing.assert_allclose(proba.sum(1), 1, atol=1e-12)
    assert np.array_equal(model.predict(queries), model.classes_[proba.argmax(1)])


def test_the_names_of_many_classes_do_not_matter(wine):
    X, y, queries, _ = wine
    plain = LoopedICLClassifier(n_loops=2).fit(X, y).predict_proba(queries)
    names = np.array([2, 0, 1])
    renamed = LoopedICLClassifier(n_loops=2).fit(X, names[y]).predict_proba(queries)
    np.testing.assert_allclose(renamed[:, names], plain, atol=1e-4)


def test_fifteen_classes_take_two_passes_and_are_predicted(rng):
    centres = 3 * rng.normal(size=(15, 4))
    label = np.arange(450) % 15
    X = centres[label] + rng.normal(size=(450, 4)) * 0.5
    model = LoopedICLClassifier(n_estimators=2, n_loops=2).fit(X[:300], label[:300])
    proba = model.predict_proba(X[300:])
    assert proba.shape == (150, 15)
    np.testing.assert_allclose(proba.sum(1), 1, atol=1e-12)
    assert model.score(X[300:], label[300:]) > 0.9
    assert next(model.attention_by_loop(X[300:303])).shape[0] == 2


def test_a_rare_class_keeps_its_share_in_subsamples_and_is_recognised(rng):
    X, y = rng.normal(size=(3000, 3)), np.arange(3000) >= 2994
    X[y, 0] += 4
    rare = rng.normal([4, 0, 0], size=(100, 3))
    model = LoopedICLClassifier(max_support=64, n_loops=1, random_state=0)
    with pytest.warns(UserWarning, match="subsample"):
        model.fit(X, y)
    proba, proba_rare = (model.predict_proba(each)[:, 1] for each in (X[:500], rare))
    assert 0.002 / 3 < 0.998 * proba.mean() + 0.002 * proba_rare.mean() < 0.002 * 3
    assert np.median(proba_rare) > 10 * np.median(proba)


def test_a_class_that_no_member_sees_has_its_share(rng):
    X, y = rng.normal(size=(20, 2)), np.repeat([0, 1, 2], [14, 4, 2])
    with pytest.warns(UserWarning, match="subsample"):
        model = LoopedICLClassifier(max_support=2, n_estimators=1, n_loops=1).fit(X, y)
    proba = model.predict_proba(rng.normal(size=(5, 2)))
    shares = [0.7, 0.2, 0.1]
    np.testing.assert_allclose(proba.mean(0), shares, atol=0.21)
    assert (np.abs(proba - shares) < 1e-9).all(axis=0).sum() == 1  # two rows, three classes


def test_class_weights_multiply_the_odds(wine):
    X, y, queries, _ = wine
    weighted = LoopedICLClassifier(n_loops=2, class_weight={0: 3, 1: 1, 2: 2}).fit(X, y)
    expected = LoopedICLClassifier(n_loops=2).fit(X, y).predict_proba(queries) * [3, 1, 2]
    proba = weighted.predict_proba(queries)
    np.testing.assert_allclose(proba, expected / expected.sum(1, keepdims=True), atol=1e-12)
    assert np.array_equal(weighted.predict_log_proba(queries), np.log(proba))
    with pytest.raises(ValueError, match=r"Got class_weight=0 for class 1, but expected a pos"):
        weighted.set_params(class_weight={1: 0}).fit(X, y)


def test_balanced_classes_raise_the_probability_of_a_rare_one(rng):
    X = rng.normal(size=(200, 2))
    y = X[:, 0] + rng.normal(size=200) > 1.8
    plain, balanced = (
        LoopedICLClassifier(n_loops=1, class_weight=each).fit(X, y).predict_proba(X + 1e-3)[:, 1]
        for each in (None, "balanced")
    )
    assert plain.mean() == pytest.approx(y.mean(), abs=0.05)
    assert balanced.mean() > 4 * plain.mean()


def test_a_weight_counts_as_repetition_in_balanced_classes_too(rng):
    X, y = rng.normal(size=(40, 2)), rng.choice(["a", "b", "c"], 40, p=[0.6, 0.3, 0.1])
    w = rng.integers(0, 4, 40)
    model = LoopedICLClassifier(n_loops=1, n_estimators=1, class_weight="balanced")
    weighted = model.fit(X, y, w).predict_proba(X)
    repeated = model.fit(np.repeat(X, w, axis=0), np.repeat(y, w)).predict_proba(X)
    np.testing.assert_allclose(weighted, repeated, atol=1e-6)


def test_verbose_shows_the_members(wine, capsys):
    LoopedICLClassifier(n_estimators=2, n_loops=1, verbose=1).fit(*wine[:2])
    assert "members: 100%" in capsys.readouterr().err


@pytest.mark.parametrize("names", [["no", "yes"], [False, True], [-1, 1], [2.0, 7.0]])
def test_any_labels(cancer, plain, names):
    X, y, queries = cancer
    named = LoopedICLClassifier().fit(X, np.array(names)[y])
    assert named.classes_.tolist() == names
    np.testing.assert_allclose(named.predict_proba(queries), plain.predict_proba(queries))
    assert np.array_equal(named.predict(queries), np.array(names)[plain.predict(queries)])


def test_swapping_the_labels_swaps_the_probabilities(cancer, plain):
    X, y, queries = cancer
    proba = plain.predict_proba(queries)
    swapped = LoopedICLClassifier().fit(X, 1 - y).predict_proba(queries)
    np.testing.assert_allclose(swapped, proba[:, ::-1], atol=1e-5)


def test_order_of_rows_and_batches_of_queries_do_not_matter(cancer, plain, rng):
    X, y, queries = cancer
    order = rng.permutation(len(X))
    shuffled = LoopedICLClassifier().fit(X[order], y[order])
    proba = plain.predict_proba(queries)
    np.testing.assert_allclose(shuffled.predict_proba(queries), proba, atol=1e-5)
    alone = np.concatenate([plain.predict_proba(query[None]) for query in queries[:20]])
    np.testing.assert_allclose(alone, proba[:20], atol=1e-5)


def test_a_weight_is_a_repetition(wine, rng):
    X, y, queries, _ = wine
    weights = rng.integers(0, 3, len(y))
    weighted = LoopedICLClassifier().fit(X, y, sample_weight=weights)
    repeated = LoopedICLClassifier().fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    np.testing.assert_allclose(
        weighted.predict_proba(queries), repeated.predict_proba(queries), atol=1e-5
    )


def test_a_class_without_weight_is_no_class(wine):
    X, y, queries, _ = wine
    model = LoopedICLClassifier().fit(X, y, sample_weight=(y != 1).astype(float))
    assert model.classes_.tolist() == [0, 2]
    alone = LoopedICLClassifier().fit(X[y != 1], y[y != 1])
    np.testing.assert_allclose(model.predict_proba(queries), alone.predict_proba(queries))


def test_stages_end_at_the_prediction_and_auto_is_close(wine):
    X, y, queries, _ = wine
    model = LoopedICLClassifier().fit(X, y)
    stages = list(model.staged_predict_proba(queries))
    assert len(stages) == model.n_loops_ == 3
    assert np.array_equal(stages[-1], model.predict_proba(queries))
    assert np.array_equal(list(model.staged_predict(queries))[-1], model.predict(queries))
    model.set_params(exit_rule="settled")
    labels, n_loops = model.predict(queries, return_n_loops=True)
    assert (n_loops <= 3).all()
    assert np.abs(model.predict_proba(queries) - stages[-1]).max() < 0.1
    assert np.array_equal(labels, model.predict(queries))
    model.set_params(exit_rule="holdout").fit(X, y)
    assert len(set(model.predict(queries, return_n_loops=True)[1])) == 1


def test_nominal_columns_of_many_levels_and_classes(rng):
    level = rng.integers(0, 15, 300)
    frame = pd.DataFrame({"kind": [f"level{i}" for i in level], "noise": rng.normal(size=300)})
    y = level % 3
    model = LoopedICLClassifier(random_state=0).fit(frame[:200], y[:200])
    assert model.score(frame[200:], y[200:]) > 0.9


def test_grid_search_pickle_and_pipeline(cancer):
    X, y, queries = cancer
    search = GridSearchCV(LoopedICLClassifier(n_estimators=1), {"n_loops": [1, 4]}, cv=3)
    search.fit(X[:90], y[:90])
    assert search.best_score_ > 0.85
    model = make_pipeline(StandardScaler(), LoopedICLClassifier()).fit(X, y)
    data = pickle.dumps(model)
    assert len(data) < 300_000  # the weights have 4 MB
    same = pickle.loads(data).predict_proba(queries)
    assert np.array_equal(same, model.predict_proba(queries))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(6), "Got one class only, 0.0, but at least two"),
        (np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), "Unknown label type"),
        (np.array([0, 1, 0, 1, 0, np.nan]), "contains NaN"),
        (np.zeros((6, 2)), "1d array"),
        (None, "requires y to be passed"),
    ],
)
def test_bad_labels_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        LoopedICLClassifier().fit(np.arange(12.0).reshape(6, 2), y)


def test_weights_of_the_other_kind_are_refused(cancer):
    X, y, _ = cancer
    with pytest.raises(CheckpointError, match="'tabular' are those of a regressor, but a class"):
        LoopedICLClassifier(weights="tabular").fit(X, y)
    with pytest.raises(CheckpointError, match="are those of a classifier, but a regressor"):
        LoopedICLRegressor(weights="tabular-classifier").fit(X, y)


def test_a_gate_that_is_not_there_is_refused(cancer):
    model = LoopedICLClassifier(n_loops="auto", exit_rule="gate")
    with pytest.raises(ValueError, match="'tabular-classifier' have no exit gate"):
        model.fit(*cancer[:2])
