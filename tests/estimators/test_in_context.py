import pickle
import subprocess
import sys
import warnings
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_looped import LoopedICLRegressor
from sklearn_looped.learned.checkpoints import load_checkpoint, save_checkpoint
from sklearn_looped.learned.inference import by_loop
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.training import on_demand


def relative(a, b):
    return np.abs(np.asarray(a, float) - b).max() / np.abs(b).max()


def test_diabetes_is_predicted_about_as_well_as_by_lasso(diabetes):
    folds = KFold(5, shuffle=True, random_state=0)
    assert cross_val_score(LoopedICLRegressor(), *diabetes, cv=folds).mean() >= 0.46


def test_a_nonlinear_function_is_learned_where_a_line_cannot(rng):
    X = rng.uniform(-2, 2, size=(300, 3))
    y = np.sin(2 * X[:, 0]) + X[:, 1] ** 2
    looped = LoopedICLRegressor().fit(X[:200], y[:200]).score(X[200:], y[200:])
    line = LinearRegression().fit(X[:200], y[:200]).score(X[200:], y[200:])
    assert looped > 0.8 > line + 0.3


def test_order_of_support_rows_does_not_matter(split, fitted, rng):
    X, y, queries = split
    order = rng.permutation(len(X))
    shuffled = LoopedICLRegressor().fit(X[order], y[order])
    assert relative(shuffled.predict(queries), fitted.predict(queries)) < 1e-5


def test_order_of_queries_does_not_matter(split, fitted, rng):
    queries = split[2]
    order = rng.permutation(len(queries))
    assert relative(fitted.predict(queries[order]), fitted.predict(queries)[order]) < 1e-5


@pytest.mark.parametrize("size", [1, 7, 59])
def test_batches_of_queries_do_not_matter(split, fitted, size):
    queries = split[2]
    parts = [fitted.predict(queries[i : i + size]) for i in range(0, len(queries), size)]
    assert relative(np.concatenate(parts), fitted.predict(queries)) < 1e-5


def test_order_of_columns_does_not_matter(split, fitted, rng):
    X, y, queries = split
    order = rng.permutation(X.shape[1])
    other = LoopedICLRegressor().fit(X[:, order], y)
    assert relative(other.predict(queries[:, order]), fitted.predict(queries)) < 1e-4


@pytest.mark.parametrize("sign", [1, -1])
def test_predictions_follow_affine_maps_of_columns_and_target(split, fitted, rng, sign):
    X, y, queries = split
    a, b = sign * rng.uniform(0.1, 10, X.shape[1]), rng.normal(size=X.shape[1])
    c, e = sign * 3.0, 50.0
    other = LoopedICLRegressor().fit(a * X + b, c * y + e)
    assert relative((other.predict(a * queries + b) - e) / c, fitted.predict(queries)) < 1e-4


@pytest.mark.parametrize(("c", "e"), [(1e-9, 0), (1e12, 0), (1, 1e9), (1e-200, 0), (1e200, 0)])
def test_any_scale_and_shift_of_the_target(split, fitted, c, e):
    X, y, queries = split
    moved = LoopedICLRegressor().fit(X, c * y + e).predict(queries)
    assert relative((moved.astype(float) - e) / c, fitted.predict(queries)) < 1e-4


def test_missing_cells_are_information(rng):
    X = rng.normal(size=(200, 3))
    missing = rng.random(200) < 0.5
    X[missing, 1] = np.nan
    y = X[:, 0] + 3 * missing
    model = LoopedICLRegressor().fit(X[:150], y[:150])
    assert model.score(X[150:], y[150:]) > 0.8


def test_constant_columns_and_all_missing_columns_change_nothing(split, fitted):
    X, y, queries = split

    def widen(Z):
        return np.column_stack([Z, np.full(len(Z), 7.0), np.full(len(Z), np.nan)])

    wider = LoopedICLRegressor().fit(widen(X), y)
    assert relative(wider.predict(widen(queries)), fitted.predict(queries)) < 1e-5


def test_a_constant_target_is_predicted_exactly(split):
    X, _, queries = split
    model = LoopedICLRegressor().fit(X, np.full(len(X), 12.5))
    assert (model.predict(queries) == 12.5).all()
    assert (model.predict(queries, return_std=True)[1] == 0).all()


@pytest.mark.parametrize("d", [1, 2, 33, 200])
def test_from_one_column_to_many(rng, d):
    X = rng.normal(size=(120, d))
    y = X[:, 0] + 0.1 * rng.normal(size=120)
    model = LoopedICLRegressor(random_state=0).fit(X[:100], y[:100])
    assert model.score(X[100:], y[100:]) > 0.6


@pytest.mark.parametrize("n", [2, 3, 5])
def test_very_small_supports(rng, n):
    X = rng.normal(size=(n, 4))
    prediction = LoopedICLRegressor().fit(X, X[:, 0]).predict(rng.normal(size=(10, 4)))
    assert np.isfinite(prediction).all()
    assert np.abs(prediction).max() < 20


def test_more_rows_than_max_support_are_subsampled_with_a_warning(rng):
    X = rng.normal(size=(100_000, 2))
    y = X[:, 0] - X[:, 1]
    with pytest.warns(UserWarning, match="max_support=64: each of the 2 members") as caught:
        model = LoopedICLRegressor(max_support=64, n_estimators=2, random_state=0).fit(X, y)
    assert len(caught) == 1
    with warnings.catch_warnings(action="error"):
        assert model.score(X[:500], y[:500]) > 0.9


def test_frames_with_nominal_columns(rng):
    n = 240
    frame = pd.DataFrame({"x": rng.normal(size=n), "group": rng.choice(list("abc"), n)})
    y = frame["x"] + frame["group"].map({"a": 0, "b": 3, "c": -3})
    model = LoopedICLRegressor().fit(frame[:200], y[:200])
    assert model.score(frame[200:], y[200:]) > 0.8
    assert model.feature_names_in_.tolist() == ["x", "group"]
    renamed = frame.set_axis([7, 3], axis=1)
    same = LoopedICLRegressor().fit(renamed[:200], y[:200]).predict(renamed[200:])
    assert np.array_equal(same, model.predict(frame[200:]))
    order = rng.permutation(200)
    other = LoopedICLRegressor().fit(frame.iloc[order], y.iloc[order])
    assert relative(other.predict(frame[200:]), model.predict(frame[200:])) < 1e-5


def test_read_only_and_float32_arrays(split, fitted):
    X, y, queries = (part.astype(np.float32) for part in split)
    for part in (X, y, queries):
        part.setflags(write=False)
    prediction = LoopedICLRegressor().fit(X, y).predict(queries)
    assert prediction.dtype == np.float32
    assert relative(prediction, fitted.predict(split[2])) < 1e-3


def test_several_targets_are_predicted_as_each_alone(split):
    X, y, queries = split[0][:80], split[1][:80], split[2]
    Y = np.column_stack([y, -(y**2), X[:, 2]])
    together = LoopedICLRegressor().fit(X, Y)
    assert together.predict(queries).shape == (60, 3)
    for i in range(3):
        alone = LoopedICLRegressor().fit(X, Y[:, i])
        assert relative(together.predict(queries)[:, i], alone.predict(queries)) < 1e-5
        # The third target is a column: its spread is a ten-thousandth of the target's, in float32.
        apart = together.predict(queries, return_std=True)[1][:, i]
        apart = apart - alone.predict(queries, return_std=True)[1]
        assert np.abs(apart).max() < 1e-6 * Y[:, i].std()
        quantiles = together.predict_quantiles(queries)[:, i]
        assert relative(quantiles, alone.predict_quantiles(queries)) < 1e-5
    assert next(together.staged_predict(queries)).shape == (60, 3)


def test_a_weight_is_a_repetition(split, rng):
    X, y, queries = split
    weights = rng.integers(0, 4, len(y))
    weighted = LoopedICLRegressor().fit(X, y, sample_weight=weights)
    repeated = LoopedICLRegressor().fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    assert relative(weighted.predict(queries), repeated.predict(queries)) < 1e-5
    halves = LoopedICLRegressor().fit(X, y, sample_weight=np.full(len(y), 0.5))
    assert relative(halves.predict(queries), repeated.predict(queries)) > 1e-3


def test_prediction_leaves_torchs_modes_alone_and_builds_no_graph(fitted, split):
    stages = fitted.staged_predict(split[2])
    next(stages)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    keys = fitted.predictor_.memories.members[0][0][1].loop(1).loop[0].keys
    assert not keys.requires_grad


def test_queries_are_taken_in_chunks_that_do_not_show(fitted, split, monkeypatch):
    whole, sizes = fitted.predict(split[2]), []
    side_by_side = by_loop.side_by_side

    def recording(memories, network, X, shown):
        sizes.append(len(X))
        return side_by_side(memories, network, X, shown)

    monkeypatch.setattr("sklearn_looped.learned.inference.predictor.CHUNK", 25)
    monkeypatch.setattr(by_loop, "side_by_side", recording)
    assert relative(fitted.predict(split[2]), whole) < 1e-5
    assert sizes == [25, 25, 10]


def test_quantiles_rise_and_the_interval_covers(diabetes):
    X, y = diabetes
    model = LoopedICLRegressor().fit(X[:300], y[:300])
    low, middle, high = model.predict_quantiles(X[300:]).T
    assert ((low < middle) & (middle < high)).all()
    assert 0.65 < ((low < y[300:]) & (y[300:] < high)).mean() < 0.95
    mean, std = model.predict(X[300:], return_std=True)
    assert np.array_equal(mean, model.predict(X[300:]))
    assert 0.5 < std.mean() / (y[300:] - mean).std() < 1.6


def test_model_selection_pipelines_and_clone(diabetes):
    X, y = diabetes[0][:60], diabetes[1][:60]
    model = LoopedICLRegressor(n_estimators=1)
    search = GridSearchCV(model, {"n_loops": [1, 4, 12]}, cv=3, n_jobs=2).fit(X, y)
    assert search.best_params_["n_loops"] in (1, 4, 12)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    pipeline = make_pipeline(StandardScaler(), LoopedICLRegressor()).set_output(transform="pandas")
    direct = LoopedICLRegressor().fit(X, y).predict(X[:20])
    assert relative(pipeline.fit(X, y).predict(X[:20]), direct) < 1e-4
    model = LoopedICLRegressor(n_loops=3, max_support=50, device="cpu")
    assert clone(model).get_params() == model.get_params()


def test_a_pickle_is_small_and_predicts_the_same_in_a_new_process(tmp_path, diabetes):
    X, y = diabetes
    model = LoopedICLRegressor().fit(X, y)
    assert len(pickle.dumps(model)) < 200_000
    joblib.dump(model, tmp_path / "model.joblib")
    np.save(tmp_path / "X.npy", X[:50])
    code = (
        "import joblib, numpy as np, sys; folder = sys.argv[1];"
        "model = joblib.load(folder + '/model.joblib');"
        "np.save(folder + '/y.npy', model.predict(np.load(folder + '/X.npy')))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert relative(np.load(tmp_path / "y.npy"), model.predict(X[:50])) < 1e-6


def test_weights_from_a_file_travel_in_the_pickle(tmp_path, tiny_network, rng):
    path = tmp_path / "mine.safetensors"
    save_checkpoint(tiny_network, path)
    X = rng.normal(size=(30, 4))
    model = LoopedICLRegressor(weights=path).fit(X, X[:, 0])
    data, expected = pickle.dumps(model), model.predict(X)
    path.unlink()
    assert np.array_equal(pickle.loads(data).predict(X), expected)
    assert model.weights_digest_ != load_checkpoint("tabular").digest


def test_weights_say_how_many_views_are_averaged(tmp_path, tiny_network, rng):
    X = rng.normal(size=(30, 4))
    predictions = {}
    for n_views in (1, 4):
        network = LoopedNetwork(replace(tiny_network.config, n_views=n_views))
        network.load_state_dict(tiny_network.state_dict())
        save_checkpoint(network, tmp_path / f"{n_views}.safetensors")
        path = tmp_path / f"{n_views}.safetensors"
        predictions[n_views] = LoopedICLRegressor(path).fit(X, X[:, 0]).predict(X)
        asked = LoopedICLRegressor(path, n_estimators=n_views).fit(X, X[:, 0])
        assert np.array_equal(asked.predict(X), predictions[n_views])
    assert not np.allclose(predictions[1], predictions[4])


def test_weights_are_meta_trained_once_on_demand(tmp_path, monkeypatch, rng):
    monkeypatch.setenv("SKLEARN_LOOPED_CACHE", str(tmp_path))
    network, recipe = on_demand.configuration("linear", 5, 40)
    short = type(recipe)(**{**recipe.__dict__, "n_steps": 3, "rows_per_step": 200})
    monkeypatch.setattr(on_demand, "configuration", lambda prior, d, n: (network, short))
    X = rng.normal(size=(40, 5))
    first = LoopedICLRegressor(weights=None, prior="linear").fit(X, X[:, 0])
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} >= {"weights.safetensors"}
    monkeypatch.setattr("sklearn_looped.learned.training.metatrain.meta_train", None)
    again = LoopedICLRegressor(weights=None, prior="linear").fit(X, X[:, 0])
    assert again.weights_digest_ == first.weights_digest_


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("gate", "weights trained on demand have no exit gate. Use exit_rule='settled'"),
        ("holdout", "Got 19 rows, but exit_rule='holdout' needs at least 20"),
    ],
)
def test_exit_rules_are_refused_before_weights_are_trained(monkeypatch, rng, rule, message):
    monkeypatch.setattr(on_demand, "meta_trained", None)
    X = rng.normal(size=(20, 2))
    X[0] = X[1]  # equal rows count as one
    y = X[:, 0]
    model = LoopedICLRegressor(None, prior="linear", exit_rule=rule)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)


def test_folds_of_a_cross_validation_share_one_training():
    assert on_demand.configuration("linear", 5, 32) == on_demand.configuration("linear", 5, 40)
    assert on_demand.configuration("linear", 5, 40) != on_demand.configuration("linear", 6, 40)
    assert on_demand.configuration("tables", 50, 10_000)[0].n_features == 32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_and_cpu_agree_and_a_gpu_pickle_loads_on_a_cpu(split, monkeypatch):
    X, y, queries = split
    cpu = LoopedICLRegressor(device="cpu").fit(X, y).predict(queries)
    model = LoopedICLRegressor(device="cuda").fit(X, y)
    assert relative(model.predict(queries), cpu) < 1e-3
    data = pickle.dumps(model)
    monkeypatch.setattr(
        "sklearn_looped.core.device.torch.empty",
        lambda *a, **k: (_ for _ in ()).throw(RuntimeError),
    )
    assert relative(pickle.loads(data).predict(queries), cpu) < 1e-3
