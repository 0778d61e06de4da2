import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer, load_digits, make_friedman1, make_regression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_looped import KernelMachineClassifier, KernelMachineRegressor, LoopedICLRegressor
from sklearn_looped.learned.inference.support import canonical_order


@pytest.fixture
def friedman():
    X, y = make_friedman1(190, n_features=8, noise=0.5, random_state=0)
    return X[:130], y[:130], X[130:]


@pytest.fixture
def frame(rng):
    """Two numeric columns with holes, and nominal ones of two, three and many levels."""
    table = pd.DataFrame(
        {
            "number": np.where(rng.random(150) < 0.1, np.nan, rng.normal(size=150)),
            "noise": rng.normal(size=150),
            "two": rng.choice(["a", "b"], 150),
            "three": pd.Categorical(rng.choice(["x", "y", "z"], 150)),
            "many": [f"level {i}" for i in rng.integers(0, 15, 150)],
        }
    )
    y = table["number"].fillna(0) + 2.0 * (table["three"] == "y") + 0.2 * rng.normal(size=150)
    return table, y.to_numpy()


def test_nominal_columns_and_missing_cells_are_read(frame):
    table, y = frame
    model = KernelMachineRegressor().fit(table[:110], y[:110])
    assert model.score(table[110:], y[110:]) > 0.8
    assert model.loo_score_ > 0.8
    assert model.feature_importances_.shape == (5,)
    assert model.feature_importances_.sum() == pytest.approx(1)
    assert {*np.argsort(model.feature_importances_)[-2:]} == {0, 3}  # parts of "three" add up
    assert len(model.metric_) == 4 + 3


def test_order_of_rows_and_columns_and_units_do_not_matter(friedman, rng):
    X, y, Q = friedman
    model = KernelMachineRegressor().fit(X, y)
    expected, expected_std = model.predict(Q, return_std=True)
    rows, columns = rng.permutation(len(X)), rng.permutation(X.shape[1])
    a, b = rng.choice([-1, 1], 8) * 10.0 ** rng.integers(-9, 9, 8), rng.normal(size=8)
    other = KernelMachineRegressor().fit((a * X + b)[rows][:, columns], 50 - 3 * y[rows])
    mean, std = other.predict((a * Q + b)[:, columns], return_std=True)
    np.testing.assert_allclose((50 - mean) / 3, expected, atol=1e-5)
    np.testing.assert_allclose(std / 3, expected_std, atol=1e-5)
    np.testing.assert_allclose(
        (50 - other.loo_predictions_) / 3, model.loo_predictions_[rows], atol=1e-5
    )
    np.testing.assert_allclose(other.metric_, model.metric_[columns], atol=1e-5)


@pytest.mark.filterwarnings("ignore:Got 400 different rows")
@pytest.mark.parametrize("max_rows", [300, 4096])
def test_order_and_sign_do_not_matter_where_a_part_of_the_rows_chooses(rng, max_rows):
    """More rows than `Search.n_rows`, and more than `max_rows`."""
    X, y = make_friedman1(420, n_features=5, noise=0.5, random_state=0)
    rows = rng.permutation(400)
    model = KernelMachineRegressor(n_loops=1, max_rows=max_rows).fit(X[:400], y[:400])
    other = KernelMachineRegressor(n_loops=1, max_rows=max_rows).fit(X[rows], -y[rows])
    np.testing.assert_allclose(-other.predict(X[400:]), model.predict(X[400:]), atol=1e-7)
    np.testing.assert_allclose(-other.loo_predictions_, model.loo_predictions_[rows], atol=1e-7)


@pytest.mark.parametrize("estimator", [KernelMachineRegressor(), KernelMachineClassifier()])
def test_a_sparse_table_is_read_as_a_dense_one(rng, estimator):
    X = rng.normal(size=(60, 4)) * (rng.random((60, 4)) < 0.4)
    y = (X[:, 0] > X[:, 1]).astype(int)
    expected = estimator.fit(X, y).predict(X)
    np.testing.assert_array_equal(estimator.fit(csr_array(X), y).predict(csr_array(X)), expected)


def test_order_does_not_matter_where_targets_and_cells_are_tied(rng):
    X = rng.integers(0, 3, (300, 5)).astype(float)
    y = (X[:, 0] + X[:, 1] > 2).astype(int)
    rows, columns = rng.permutation(300), [3, 1, 4, 0, 2]
    model = KernelMachineClassifier().fit(X, y)
    other = KernelMachineClassifier().fit(X[rows][:, columns], y[rows])
    np.testing.assert_allclose(
        other.predict_proba(X[:, columns]), model.predict_proba(X), atol=1e-5
    )


def test_batches_of_queries_do_not_matter(friedman):
    X, y, Q = friedman
    model = KernelMachineRegressor().fit(X, y)
    alone = np.concatenate([model.predict(query[None]) for query in Q])
    np.testing.assert_allclose(alone, model.predict(Q), atol=1e-7)


def test_a_weight_counts_as_repetition(friedman, rng):
    X, y, Q = friedman
    w = rng.integers(0, 3, len(X))
    weighted = KernelMachineRegressor().fit(X, y, sample_weight=w)
    repeated = KernelMachineRegressor().fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    np.testing.assert_allclose(weighted.predict(Q), repeated.predict(Q), atol=1e-8)
    assert weighted.loo_score_ == pytest.approx(repeated.loo_score_)
    np.testing.assert_allclose(
        np.repeat(weighted.loo_predictions_, w), repeated.loo_predictions_, atol=1e-8
    )
    unused = w == 0
    np.testing.assert_array_equal(weighted.loo_predictions_[unused], weighted.predict(X[unused]))


def test_cells_that_are_not_understood_are_said_once(rng):
    table = pd.DataFrame({"a": [*rng.normal(size=29), "?!"], "b": rng.normal(size=30)})
    with pytest.warns(UserWarning, match="another kind than their column") as caught:
        KernelMachineRegressor(n_loops=0).fit(table, table["b"], np.append(0, np.ones(29)))
    assert len(caught) == 1


def test_a_weight_counts_as_repetition_of_nominal_cells_too(frame, rng):
    table, y = frame
    w = rng.integers(0, 3, len(y))
    weighted = KernelMachineRegressor().fit(table, y, sample_weight=w)
    rows = rng.permutation(np.repeat(np.arange(len(y)), w))
    repeated = KernelMachineRegressor().fit(table.iloc[rows], y[rows])
    np.testing.assert_allclose(weighted.predict(table), repeated.predict(table), atol=1e-8)
    np.testing.assert_allclose(
        weighted.loo_predictions_[rows], repeated.loo_predictions_, atol=1e-8
    )
    np.testing.assert_allclose(
        weighted.feature_importances_, repeated.feature_importances_, atol=1e-8
    )


@pytest.mark.parametrize("lightest", [1e-12, 1e-3, 1.0])
def test_one_row_may_have_nearly_all_weight(lightest, rng):
    X, y, w = rng.normal(size=(30, 3)), rng.normal(size=30), np.full(30, lightest)
    w[4] = 1e12
    model = KernelMachineRegressor().fit(X, y, sample_weight=w)
    mean, std = model.predict(X, return_std=True)
    assert np.isfinite(std).all()
    assert np.isfinite(model.loo_predictions_).all()
    assert mean[4] == pytest.approx(y[4], abs=1e-3)


def test_leave_one_out_predictions_are_in_the_order_of_the_rows(friedman):
    X, y, _ = friedman
    model = KernelMachineRegressor().fit(X, y)
    assert model.loo_score_ == pytest.approx(r2_score(y, model.loo_predictions_))
    assert 0.85 < model.loo_score_ < model.score(X, y)
    missed = np.abs(y - model.loo_predictions_) < 1.2816 * model.loo_std_
    assert 0.7 < missed.mean() < 0.92


def test_useless_columns_leave_the_mean_and_a_line_stays_a_line(rng):
    X, noise = rng.normal(size=(100, 4)), rng.normal(size=100)
    far = 3 * rng.normal(size=(50, 4))
    assert KernelMachineRegressor().fit(X, noise).predict(far).std() < 0.4
    X, y = make_regression(200, 64, n_informative=64, noise=20, random_state=0)
    assert KernelMachineRegressor().fit(X[:150], y[:150]).score(X[150:], y[150:]) > 0.98


@pytest.mark.parametrize("c", [1e-200, 1e200])
def test_targets_of_any_size_are_predicted(friedman, c):
    X, y, Q = friedman
    mean, std = KernelMachineRegressor().fit(X, c * y).predict(Q, return_std=True)
    expected = KernelMachineRegressor().fit(X, y).predict(Q, return_std=True)
    np.testing.assert_allclose(mean / c, expected[0], rtol=1e-6)
    np.testing.assert_allclose(std / c, expected[1], rtol=1e-6)


def test_several_targets(friedman):
    X, y, Q = friedman
    Y = np.column_stack([y, np.full(len(y), 4.0)])
    mean, std = KernelMachineRegressor().fit(X, Y).predict(Q, return_std=True)
    assert mean.shape == std.shape == (60, 2)
    assert (mean[:, 1] == 4).all()
    np.testing.assert_allclose(mean[:, 0], KernelMachineRegressor().fit(X, y).predict(Q))


@pytest.mark.parametrize("kind", [KernelMachineRegressor, LoopedICLRegressor])
def test_a_level_has_an_effect_on_each_of_several_targets(kind, rng):
    """Effects of opposite signs do not cancel, and signs and order of targets do not matter."""
    level = rng.integers(0, 14, 150)
    X = pd.DataFrame({"shop": [f"s{i}" for i in level], "size": rng.normal(size=150)})
    effect, noise = rng.normal(size=14)[level], 0.1 * rng.normal(size=(2, 150))
    y = effect + noise[0]
    model = kind().fit(X[:100], np.column_stack([y, noise[1] - effect])[:100])
    both = model.predict(X[100:])
    assert r2_score(y[100:], both[:, 0]) > 0.9
    other = model.fit(X[:100], np.column_stack([effect - noise[1], y])[:100]).predict(X[100:])
    np.testing.assert_allclose(other, np.column_stack([-both[:, 1], both[:, 0]]), atol=1e-5)


@pytest.mark.parametrize("kind", [KernelMachineRegressor, LoopedICLRegressor])
def test_weights_of_several_targets_count_as_repetition(kind, rng):
    level, number = rng.integers(0, 14, 60), rng.normal(size=60)
    X = pd.DataFrame({"shop": [f"s{i}" for i in level], "size": number})
    Y = np.column_stack([number + level / 5, 100 * number**3])
    weights = rng.integers(0, 3, 60)
    rows = np.repeat(np.arange(60), weights)
    Y[weights == 0] = 1e9
    found = kind().fit(X, Y, sample_weight=weights).predict(X)
    expected = kind().fit(X.iloc[rows], Y[rows]).predict(X)
    spread = Y[rows].std(axis=0)
    np.testing.assert_allclose(found / spread, expected / spread, atol=1e-5)


def test_names_of_classes_do_not_matter(rng):
    X, queries = rng.normal(size=(60, 4)), rng.normal(size=(30, 4))
    y = np.digitize(X[:, 0] + X[:, 1] ** 2 + 0.5 * rng.normal(size=60), [-0.5, 3])
    named = np.array([1, 2, 0])
    proba = KernelMachineClassifier().fit(X, y).predict_proba(queries)
    other = KernelMachineClassifier().fit(X, named[y]).predict_proba(queries)
    np.testing.assert_allclose(proba, other[:, named], atol=1e-9)


def test_of_too_many_rows_evenly_spaced_ones_are_used(friedman):
    X, y, Q = friedman
    with pytest.warns(UserWarning, match="130 different rows, more than max_rows=50: only"):
        model = KernelMachineRegressor(max_rows=50).fit(X, y)
    rows = canonical_order(X, y)[np.arange(50) * 130 // 50]
    np.testing.assert_array_less(1, np.diff(np.sort(y.argsort().argsort()[rows])))  # spaced along y
    np.testing.assert_allclose(
        model.predict(Q), KernelMachineRegressor().fit(X[rows], y[rows]).predict(Q), atol=1e-8
    )
    others = np.setdiff1d(np.arange(130), rows)
    np.testing.assert_allclose(model.loo_predictions_[others], model.predict(X[others]))


@pytest.mark.parametrize(
    ("X", "y"),
    [
        ([[1.0], [1.0]], [2.0, 2.0]),
        ([[1.0], [2.0]], [2.0, 3.0]),
        ([[np.nan], [np.nan], [np.nan]], [2.0, 3.0, 2.5]),
        ([[1.0, np.nan], [2.0, 5.0], [2.0, np.nan]], [2.0, 3.0, 2.5]),
    ],
)
def test_tables_of_hardly_any_information_are_predicted_within_the_range(X, y):
    model = KernelMachineRegressor().fit(X, y)
    mean, std = model.predict([*X, [1e6] * len(X[0])], return_std=True)
    assert mean.min() >= min(y) - np.ptp(y) / 2
    assert mean.max() <= max(y) + np.ptp(y) / 2
    assert np.isfinite(std).all()
    assert np.isfinite(model.loo_predictions_).all()


def test_a_pickle_is_small_and_predicts_the_same(diabetes):
    X, y = diabetes
    model = KernelMachineRegressor().fit(X[:400], y[:400])
    text = pickle.dumps(model)
    assert len(text) < 200_000
    again = pickle.loads(text)
    for found, expected in zip(
        again.predict(X, return_std=True), model.predict(X, return_std=True), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_probabilities_are_calibrated_and_sum_to_one():
    X, y = load_breast_cancer(return_X_y=True)
    labels = np.array(["malignant", "benign"])[y]
    model = KernelMachineClassifier().fit(X[:250], labels[:250])
    proba = model.predict_proba(X[250:])
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert proba.min() > 0
    assert model.score(X[250:], labels[250:]) > 0.93
    assert model.loo_score_ == pytest.approx(np.mean(model.loo_predictions_ == labels[:250]))
    baseline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[:250], labels[:250])
    expected = log_loss(labels[250:], baseline.predict_proba(X[250:]))
    assert log_loss(labels[250:], proba) < 1.1 * expected


def test_many_classes_share_one_machine():
    X, y = load_digits(return_X_y=True)
    model = KernelMachineClassifier(n_loops=0).fit(X[:300], y[:300])  # pixels weigh the same
    assert model.loo_proba_.shape == (300, 10)
    assert model.score(X[300:600], y[300:600]) > 0.88


def test_logarithms_of_probabilities(rng):
    X = rng.normal(size=(40, 2))
    model = KernelMachineClassifier().fit(X, np.arange(40) % 3)
    np.testing.assert_array_equal(model.predict_log_proba(X), np.log(model.predict_proba(X)))


def test_labels_of_weight_zero_do_not_count(rng):
    X, y = rng.normal(size=(40, 2)), np.arange(40) % 3
    weights = (y < 2).astype(float)
    model = KernelMachineClassifier().fit(X, y, sample_weight=weights)
    assert model.classes_.tolist() == [0, 1]
    kept = KernelMachineClassifier().fit(X[y < 2], y[y < 2])
    np.testing.assert_allclose(model.predict_proba(X), kept.predict_proba(X), atol=1e-10)
    with pytest.raises(ValueError, match="one class only, 0"):
        KernelMachineClassifier().fit(X, y, sample_weight=(y == 0).astype(float))
