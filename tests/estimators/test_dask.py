"""The estimators on a dask cluster: two processes on this machine, reached over 127.0.0.1."""

import os

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score

from sklearn_looped import LoopedICLRegressor
from sklearn_looped.learned import checkpoints
from sklearn_looped.learned.inference import divided

distributed = pytest.importorskip("distributed", reason="needs dask's distributed scheduler")


@pytest.fixture(scope="module")
def cluster():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def loads():
    """Checkpoint files that this process has read, and its id."""
    return checkpoints._load.cache_info().misses, os.getpid()


def test_a_search_on_two_workers_scores_as_here_and_each_loads_the_weights_once(cluster, diabetes):
    X, y = (part[:60] for part in diabetes)
    model = LoopedICLRegressor(n_estimators=1, random_state=0)
    search = GridSearchCV(model, {"n_loops": [2, 4]}, cv=3)
    here = search.fit(X, y).cv_results_
    folds = cross_val_score(model, X, y, cv=3)
    with joblib.parallel_config(backend="dask"):
        there = search.fit(X, y).cv_results_
        folds_there = cross_val_score(model, X, y, cv=3)
    for split in range(3):
        scores = f"split{split}_test_score"
        np.testing.assert_allclose(there[scores], here[scores], rtol=1e-5)
    np.testing.assert_allclose(folds_there, folds, rtol=1e-5)

    counts, pids = zip(*cluster.run(loads).values(), strict=True)
    assert len({*pids, os.getpid()}) == 3
    assert set(counts) <= {0, 1}
    assert max(counts) == 1


def test_parts_of_a_table_are_predicted_on_two_workers(cluster, diabetes, monkeypatch):
    monkeypatch.setattr(divided, "WHOLE", 60)
    monkeypatch.setattr(divided, "PART", 60)
    X, y = diabetes
    model = LoopedICLRegressor(n_loops=1, n_estimators=1, n_jobs=2).fit(X[:150], y[:150])
    here = model.predict(X[150:180])
    with joblib.parallel_config(backend="dask"):
        there = model.predict(X[150:180])
    np.testing.assert_allclose(there, here, rtol=1e-5)
