"""Estimators on tables as people have them: containers, constants, quantiles, groups, shapes."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.ensemble import AdaBoostRegressor, BaggingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from sklearn_looped import LoopedICLClassifier, LoopedICLRegressor, LoopedICLRegressorCV
from sklearn_looped.estimators.in_context import predict_many
from sklearn_looped.learned.inference.reached import reached_levels
from sklearn_looped.learned.model.readout import interpolate_quantiles


@pytest.fixture
def frame(rng):
    return pd.DataFrame({"a": rng.normal(size=60), "soil": rng.choice(["clay", "sand"], 60)})


@pytest.fixture
def target(frame):
    return frame["a"] + 2 * (frame["soil"] == "sand")


def test_arrays_of_objects_are_read_by_column_as_ensembles_pass_them(frame, target):
    model = LoopedICLRegressor(n_loops=2)
    alone = model.fit(frame, target).predict(frame)
    np.testing.assert_array_equal(
        model.fit(frame.to_numpy(), target).predict(frame.to_numpy()), alone
    )
    assert model.column_kinds_ == {"0": "number", "1": "nominal"}
    for ensemble in (BaggingRegressor(model, 2), AdaBoostRegressor(model, n_estimators=2)):
        assert ensemble.fit(frame, target).score(frame, target) > 0.95


def test_a_column_may_have_nan_for_a_name(frame, target):
    model = LoopedICLRegressor(n_loops=1, n_estimators=1)
    expected = model.fit(frame, target).predict(frame)
    unnamed = frame.set_axis([np.nan, 1.0], axis=1)
    np.testing.assert_array_equal(model.fit(unnamed, target).predict(unnamed), expected)


def test_a_sparse_step_before_is_accepted(frame, target):
    pipeline = make_pipeline(OneHotEncoder(), LoopedICLRegressor(n_loops=2))
    assert pipeline.fit(frame[["soil"]], target).score(frame[["soil"]], target) > 0.3


@pytest.mark.parametrize("container", ["polars", "pyarrow"])
def test_frames_of_others_are_read_with_their_names(frame, target, container):
    module = pytest.importorskip(container)
    make = module.DataFrame if container == "polars" else module.table
    table = make({name: frame[name].tolist() for name in frame})
    model = LoopedICLRegressorCV(n_loops=[1, 2], cv=2).fit(table, target)
    assert model.feature_names_in_.tolist() == ["a", "soil"]
    assert model.column_kinds_ == {"a": "number", "soil": "nominal"}
    np.testing.assert_array_equal(model.predict(table), model.predict(frame))


def test_rows_that_are_all_the_same_predict_the_mean(rng):
    X, y = np.full((31, 2), 3.0), rng.normal(size=31) + 5
    weights = rng.integers(0, 4, 31)
    model = LoopedICLRegressor().fit(X, y, weights)
    queries = np.array([[3.0, 3.0], [4.0, np.nan]])
    mean = np.average(y, weights=weights)
    np.testing.assert_allclose(model.predict(queries), mean, rtol=1e-6)
    np.testing.assert_allclose(next(model.staged_predict(queries)), mean, rtol=1e-6)
    median = np.median(np.repeat(y, weights))
    np.testing.assert_allclose(model.predict_quantiles(queries, [0.5])[:, 0], median, atol=0.15)
    model.set_params(n_loops="auto").predict(queries)
    many = predict_many(LoopedICLRegressor(), [(X, y, queries), (rng.normal(size=(31, 2)), y, X)])
    np.testing.assert_allclose(many[0], y.mean(), rtol=1e-6)
    shares = LoopedICLClassifier().fit(X, np.arange(31) % 3).predict_proba(queries)
    np.testing.assert_allclose(shares, [np.bincount(np.arange(31) % 3) / 31] * 2)


def test_extreme_levels_go_on_beyond_what_the_network_predicts(split, fitted):
    levels = [1e-6, 1e-3, 0.01, 0.02, 0.5, 0.98, 0.99, 0.999, 1 - 1e-6]
    quantiles = fitted.predict_quantiles(split[2], levels)
    assert (np.diff(quantiles, axis=1) > 0).all()
    negative = LoopedICLRegressor().fit(split[0], -split[1])
    mirrored = -negative.predict_quantiles(split[2], levels)[:, ::-1]
    np.testing.assert_allclose(mirrored, quantiles, rtol=1e-3, atol=0.5)


def test_conformal_levels_that_the_support_cannot_tell_apart_are_refused(split, fitted):
    with pytest.raises(ValueError, match=r"can correct only levels from 0.00498 to 0.995"):
        fitted.predict_quantiles(split[2], [0.001], conformal=True)
    low, lower = fitted.predict_quantiles(split[2], [0.01, 0.006], conformal=True).T
    assert (lower < low).all()


def test_a_level_is_reached_where_its_quantile_is(rng):
    known = np.sort(rng.normal(size=(1, 5, 31)), axis=-1)
    levels = np.array([0.001, 0.1, 0.5, 0.93, 0.9999])
    values = interpolate_quantiles(known[0], levels)
    for i, level in enumerate(levels):
        np.testing.assert_allclose(reached_levels(known, values[None, :, i]), level, rtol=1e-6)
    constant = np.ones((1, 3, 31))
    np.testing.assert_allclose(
        reached_levels(constant, np.array([[0.0, 1.0, 2.0]])), [[0, 0.5, 1]], atol=0.5
    )
    assert (interpolate_quantiles(constant, np.array([0.001, 0.999])) == 1).all()


def test_quantiles_keep_the_bounds_of_counts(rng):
    X = rng.normal(size=(60, 2))
    counts = rng.poisson(np.exp(X[:, 0] - 1)).astype(float)
    model = LoopedICLRegressor().fit(X, counts)
    free = model.predict_quantiles(X, [0.001, 0.5])
    kept = model.predict_quantiles(X, [0.001, 0.5], bounds=(0, None))
    assert free.min() < 0 <= kept.min()
    np.testing.assert_array_equal(kept, free.clip(0))
    for bounds, message in [
        ((0, 1), "targets of fit range from 0 to"),
        ((2, 1), "expected an increasing pair"),
        (3, "expected an increasing pair"),
        (("a", None), "expected an increasing pair"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.predict_quantiles(X, bounds=bounds)


@pytest.mark.filterwarnings("ignore:Targets of")
def test_targets_far_out_may_lie_on_a_bound(rng):
    X, counts = rng.normal(size=(12, 2)), np.append(rng.integers(500, 512, size=11), 0)
    for y, bounds in [(counts, (0, None)), (512 - counts, (None, 512)), (0.1 * counts, (0, None))]:
        quantiles = LoopedICLRegressor(n_loops=1).fit(X, y).predict_quantiles(X, bounds=bounds)
        assert np.isfinite(quantiles).all()


def test_groups_reach_the_splitter_by_metadata_routing(rng):
    X = rng.normal(size=(40, 2))
    groups = np.arange(40) % 4
    model = LoopedICLRegressorCV(n_loops=[1, 2], cv=GroupKFold(2))
    with sklearn.config_context(enable_metadata_routing=True):
        model.fit(X, X[:, 0], groups=groups)
        expected = [*GroupKFold(2).split(X, groups=groups)]
        given = LoopedICLRegressorCV(n_loops=[1, 2], cv=expected).fit(X, X[:, 0])
    np.testing.assert_array_equal(model.score_path_, given.score_path_)
    with pytest.raises(ValueError, match="enable_metadata_routing=True"):
        model.fit(X, X[:, 0], groups=groups)


def test_one_column_of_targets_has_the_shape_of_linear_regression(rng):
    X = rng.normal(size=(30, 2))
    y = X[:, :1] + 1
    for each in (y, pd.DataFrame(y), y[:, 0]):
        shape = LinearRegression().fit(X, each).predict(X).shape
        with warnings.catch_warnings(action="error"):
            for model in (LoopedICLRegressor(n_loops=1), LoopedICLRegressorCV(n_loops=[1], cv=2)):
                assert model.fit(X, each).predict(X).shape == shape


def test_numbers_as_text_are_targets_in_any_container(rng):
    X = rng.normal(size=(20, 1))
    y = X[:, 0].round(3)
    expected = LoopedICLRegressor(n_loops=1).fit(X, y).predict(X)
    for text in (y.astype(str), y.astype(str).astype(object), pd.Series(y).astype(str)):
        found = LoopedICLRegressor(n_loops=1).fit(X, text).predict(X)
        np.testing.assert_array_equal(found, expected)


def test_masked_labels_and_weights_are_refused(rng):
    X, labels = rng.normal(size=(6, 1)), np.ma.masked_equal([0, 1, 0, 1, 0, 5], 5)
    with pytest.raises(ValueError, match="y has 1 masked entries"):
        LoopedICLClassifier().fit(X, labels)
    with pytest.raises(ValueError, match="sample_weight has 1 masked entries"):
        LoopedICLRegressor().fit(X, X[:, 0], labels)


@pytest.mark.parametrize("sizes", [{}, {"max_support": 50}])
def test_order_units_and_sign_of_mixed_tables_do_not_matter(rng, sizes):
    n = 80
    table = pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "city": rng.choice([f"c{i}" for i in range(15)], n),
            "b": rng.normal(size=n),
            "when": pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D"),
            "soil": rng.choice(list("xyz"), n),
        }
    )
    table.loc[3:9, "b"] = np.nan
    y = rng.integers(1, 6, n) + table["a"].round()
    queries = table[:8]

    def predict(table, y, queries):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Got 80 rows, more than")
            return LoopedICLRegressor(random_state=0, **sizes).fit(table, y).predict(queries)

    expected = predict(table, y, queries)
    order, rows = ["city", "soil", "when", "b", "a"], rng.permutation(n)
    scaled = table.assign(a=-1000 * table["a"] + 5)
    for other in (
        predict(table[order], y, queries[order]),
        predict(table.iloc[rows], y.iloc[rows], queries),
        predict(scaled, y, scaled[:8]),
        -predict(table, -y, queries),
        (predict(table, 7 * y + 3, queries) - 3) / 7,
    ):
        assert np.abs(other - expected).max() < 1e-4 * y.std()
