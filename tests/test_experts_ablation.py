"""What the ablation of the experts says of both is what the estimator predicts."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from benchmarks import experts_ablation
from sklearn_looped import LoopedICLRegressor


def test_a_table_with_an_overview_is_answered_with_it(monkeypatch):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.uniform(size=(560, 3)))
    y = np.floor(4 * X[0]) + 3 * (X[1] > 0.3) + 0.1 * rng.normal(size=560)
    train, test = np.arange(500), np.arange(500, 560)
    monkeypatch.setattr(experts_ablation, "load", lambda task, cache: (None, "steps", X, y))
    monkeypatch.setattr(experts_ablation, "fold_rows", lambda task, fold, n_rows: (train, test))
    both, *_ = experts_ablation.score(0, 0, n_rows=1024, cache=None)
    n_loops = experts_ablation.WEIGHTS.network.config.n_loops
    model = LoopedICLRegressor(n_loops=n_loops, random_state=0).fit(X.iloc[train], y[train])
    assert model.predictor_.overview is not None
    assert both["form"] == "both"
    expected = r2_score(y[test], model.predict(X.iloc[test]))
    assert both["r2"] == pytest.approx(expected, abs=1e-6)
