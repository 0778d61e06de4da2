"""Memory of the in-context estimators is bounded, and the bound does not show in predictions."""

import pickle
from functools import partial

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_looped import (
    KernelMachineClassifier,
    LoopedICLClassifier,
    LoopedICLRegressor,
    LoopedICLRegressorCV,
)
from sklearn_looped.core import memory as machine
from sklearn_looped.estimators.in_context import predict_many
from sklearn_looped.learned.inference import by_loop, members
from sklearn_looped.learned.inference.batch import SupportBatch
from sklearn_looped.learned.model import blocks

CASES = [
    ("one", {"n_loops": 3}),
    ("weighted", {"n_loops": "auto"}),
    ("several", {"n_loops": "auto", "exit_rule": "gate"}),
    ("several", {"n_loops": "auto", "exit_rule": "holdout"}),
    ("classes", {}),
    ("classes", {"n_loops": "auto"}),
]


@pytest.fixture
def table(rng):
    X = rng.normal(size=(70, 3))
    return X[:50], X[50:], np.column_stack([X[:, 0], X[:, 1] ** 2])[:50], np.arange(50) % 4


@pytest.fixture
def nothing_kept(monkeypatch):
    """Bounds so low that everything goes in parts; the sizes of the parts that were encoded."""
    monkeypatch.setattr(members, "KEPT", 0)
    monkeypatch.setattr(members, "PART", 2**21)
    monkeypatch.setattr(by_loop, "QUERIES", 8)
    monkeypatch.setattr(by_loop, "ANSWERS", 3000)
    monkeypatch.setattr(blocks, "WORKSPACE", 100_000)
    sizes, remember = [], SupportBatch.remember

    def recording(support, network, n_loops, stream=False):
        sizes.append((len(support.y), stream))
        return remember(support, network, n_loops, stream)

    monkeypatch.setattr(SupportBatch, "remember", recording)
    return sizes


def answers(model, X):
    """All that a fitted model says of X."""
    if isinstance(model, LoopedICLClassifier):
        methods = [model.predict_proba, lambda X: list(model.staged_predict_proba(X))]
    else:
        methods = [
            partial(model.predict, return_std=True, return_n_loops=True),
            partial(model.predict_quantiles, conformal=model.n_loops == 3),
            lambda X: list(model.staged_predict(X)),
        ]
    return [np.asarray(part) for method in methods for part in method(X)]


@pytest.mark.parametrize(("kind", "settings"), CASES, ids=str)
def test_predictions_in_parts_are_those_of_all_at_once(kind, settings, table, request):
    X, queries, Y, labels = table
    if kind == "classes":
        model, y = LoopedICLClassifier(n_estimators=2, **settings), labels
    else:
        model = LoopedICLRegressor(n_estimators=2, **settings)
        y = Y if kind == "several" else Y[:, 0]
    weights = np.arange(50) % 3 + 1.0 if kind == "weighted" else None
    expected = answers(clone(model).fit(X, y, weights), queries)
    sizes = request.getfixturevalue("nothing_kept")
    fitted = model.fit(X, y, weights)
    found = answers(fitted, queries)
    assert fitted.predictor_.memories.members is None
    assert len(sizes) > 0
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(queries), fitted.predict(queries))


def test_parts_hold_few_targets_and_stream_what_passes_once(nothing_kept, table, monkeypatch):
    X, queries, Y, _ = table
    Y = np.hstack([Y, -(Y[:, ::-1] ** 2)])
    model = LoopedICLRegressor("linear", n_loops=4).fit(X, Y)
    assert nothing_kept == []  # `fit` runs nothing that it would not keep
    model.predict(queries)  # 410 kB a target
    assert nothing_kept == [(4, False)] * (len(nothing_kept))
    nothing_kept.clear()
    monkeypatch.setattr(by_loop, "ANSWERS", 2**24)
    monkeypatch.setattr(members, "PART", 2**19)
    monkeypatch.setattr(by_loop, "QUERIES", 8192)
    model.predict(queries)
    assert nothing_kept == [(1, True)] * 4
    nothing_kept.clear()
    monkeypatch.setattr(members, "PART", 1)  # the loops of one target are too many to keep
    monkeypatch.setattr(by_loop, "QUERIES", 10)
    model.predict(queries)
    assert nothing_kept == [(1, True)] * 4 * 2


def test_tables_side_by_side_keep_no_loop_either(table, nothing_kept):
    X, queries, Y, _ = table
    model = LoopedICLRegressor(n_estimators=1)
    [found] = predict_many(model, [(X, Y[:, 0], queries)])
    np.testing.assert_allclose(
        found, clone(model).fit(X, Y[:, 0]).predict(queries), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("member", [0, 1])
def test_attention_is_drawn_from_what_is_not_kept(table, nothing_kept, member):
    X, queries, Y, _ = table
    model = LoopedICLRegressor(n_estimators=2, n_loops=3).fit(X, Y[:, 0])
    weights = list(model.attention_by_loop(queries, member))
    assert [w.shape[2:] for w in weights] == [(20, 50)] * 3


def test_what_cannot_be_cut_is_refused_before_it_begins(table, monkeypatch):
    X, _, Y, _ = table
    monkeypatch.setattr(machine, "memory_limit", lambda: 2**28)
    with pytest.raises(
        MemoryError,
        match=r"support of 50 rows and 3 columns needs about 0\.3 GB.*Lower max_support",
    ):
        LoopedICLRegressor().fit(X, Y[:, 0])
    monkeypatch.setattr(machine, "memory_limit", lambda: 30_000)
    with pytest.raises(MemoryError, match=r"Telling 25 classes apart.*LoopedICLRegressor"):
        LoopedICLClassifier().fit(X, np.arange(50) % 25)
    with pytest.raises(MemoryError, match=r"Telling 25 classes apart.*KernelMachineRegressor"):
        KernelMachineClassifier().fit(X, np.arange(50) % 25)


@pytest.mark.parametrize(
    "parameters", [{"n_loops": 10**9}, {"n_loops": 1001}, {"n_estimators": 10**9}], ids=str
)
def test_counts_beyond_sense_are_refused(parameters, table):
    X, _, Y, labels = table
    for model, y in ((LoopedICLRegressor(), Y), (LoopedICLClassifier(), labels)):
        with pytest.raises(ValueError, match=r"must be .*an int in the range \[1, 1000\]"):
            model.set_params(**parameters).fit(X, y)
    if "n_loops" in parameters:
        with pytest.raises(ValueError, match="whole numbers from 1 to 1000"):
            LoopedICLRegressorCV(n_loops=[1, parameters["n_loops"]]).fit(X, Y[:, 0])
