import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import GridSearchCV, KFold, LeaveOneOut

from sklearn_looped import LoopedICLClassifier, LoopedICLRegressor, LoopedICLRegressorCV
from sklearn_looped.estimators.in_context import predict_many
from sklearn_looped.learned.checkpoints import load_checkpoint
from sklearn_looped.learned.inference import many
from sklearn_looped.learned.training import on_demand


def tables_of(X, y, rng):
    """Supports and queries of different lengths and widths."""
    for _ in range(6):
        rows = rng.permutation(len(X))[: rng.integers(20, 60)]
        queries = rng.permutation(len(X))[: rng.integers(1, 5)]
        columns = rng.permutation(X.shape[1])[: rng.integers(2, 5)]
        yield X[np.ix_(rows, columns)], y[rows], X[np.ix_(queries, columns)]


@pytest.mark.parametrize("rows", [many.ROWS, 100])
def test_many_tables_are_predicted_as_each_alone(rng, monkeypatch, rows):
    monkeypatch.setattr(many, "ROWS", rows)
    tables = list(tables_of(*load_diabetes(return_X_y=True), rng))
    together = predict_many(LoopedICLRegressor(), tables)
    for prediction, (X, y, queries) in zip(together, tables, strict=True):
        alone = LoopedICLRegressor().fit(X, y).predict(queries)
        assert prediction.dtype == alone.dtype
        np.testing.assert_allclose(prediction, alone, rtol=1e-4)


def test_many_tables_of_classes(rng):
    tables = list(tables_of(*load_wine(return_X_y=True), rng))
    together = predict_many(LoopedICLClassifier(), tables)
    for proba, (X, y, queries) in zip(together, tables, strict=True):
        alone = LoopedICLClassifier().fit(X, y).predict_proba(queries)
        np.testing.assert_allclose(proba, alone, atol=1e-5)


def test_many_tables_whose_weights_depend_on_their_size(rng, monkeypatch):
    names = {2: "linear", 3: "sparse-linear"}
    trained = lambda prior, n_columns, *_: load_checkpoint(names[n_columns])  # noqa: E731
    monkeypatch.setattr(on_demand, "meta_trained", trained)
    X, model = rng.normal(size=(30, 3)), LoopedICLRegressor(weights=None, prior="linear")
    tables = [(X[:20, :d], X[:20, 0] - X[:20, 1], X[20:, :d]) for d in (2, 3, 2)]
    together = predict_many(model, tables)
    for prediction, (X, y, queries) in zip(together, tables, strict=True):
        alone = clone(model).fit(X, y).predict(queries)
        np.testing.assert_allclose(prediction, alone, rtol=1e-3)


def test_many_tables_refuse_what_one_refuses(rng):
    X = rng.normal(size=(10, 2))
    assert predict_many(LoopedICLRegressor(), []) == []
    with pytest.raises(ValueError, match="exit_rule='settled', but"):
        predict_many(LoopedICLRegressor(exit_rule="settled"), [(X, X[:, 0], X)])
    with pytest.raises(ValueError, match="expecting 2 features"):
        predict_many(LoopedICLRegressor(), [(X, X[:, 0], X[:, :1])])
    with pytest.raises(ValueError, match="'n_estimators' parameter"):
        predict_many(LoopedICLRegressor(n_estimators=0), [(X, X[:, 0], X)])
    with pytest.raises(TypeError, match="Got LoopedICLRegressorCV, but expected a LoopedICLReg"):
        predict_many(LoopedICLRegressorCV(), [(X, X[:, 0], X)])


def test_cross_validation_over_loops_chooses_as_a_grid_search():
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:150], y[:150]
    model = LoopedICLRegressorCV(n_loops=[6, 1, 3, 3], cv=3, n_estimators=2).fit(X, y)
    folds = KFold(3)
    search = GridSearchCV(LoopedICLRegressor(n_estimators=2), {"n_loops": [1, 3, 6]}, cv=folds)
    search.fit(X, y)
    assert model.candidates_.tolist() == [1, 3, 6]
    grid = [search.cv_results_[f"split{fold}_test_score"] for fold in range(3)]
    np.testing.assert_allclose(model.score_path_, np.transpose(grid), rtol=1e-5)
    assert model.n_loops_ == search.best_params_["n_loops"]
    np.testing.assert_allclose(model.predict(X[:9]), search.predict(X[:9]), rtol=1e-5)
    assert model.predict_quantiles(X[:9]).shape == (9, 3)


def test_cross_validation_tries_up_to_twice_the_trained_loops_and_knows_weights(rng):
    X = rng.normal(size=(40, 3))
    y, weights = X[:, 0] + 0.1 * rng.normal(size=40), rng.integers(1, 3, 40)
    model = LoopedICLRegressorCV(cv=2, n_estimators=1).fit(X, y, weights)
    assert model.candidates_.tolist() == list(range(1, 13))
    half = np.arange(20)
    first = LoopedICLRegressor(n_loops=12, n_estimators=1).fit(X[20:], y[20:], weights[20:])
    expected = [
        1 - np.average((y[half] - p) ** 2, weights=weights[half])
        / np.average((y[half] - np.average(y[half], weights=weights[half])) ** 2,
                     weights=weights[half])
        for p in first.staged_predict(X[half])
    ]  # fmt: skip
    np.testing.assert_allclose(model.score_path_[:, 0], expected, rtol=1e-4)


@pytest.mark.parametrize("n_loops", [[], [0, 1], [1.5], ["many"], {0, 1}])
def test_impossible_candidates_are_refused(n_loops):
    with pytest.raises(ValueError, match="expected whole numbers from 1 to 1000"):
        LoopedICLRegressorCV(n_loops=n_loops).fit(np.eye(10), np.arange(10))


def test_candidates_may_be_a_set_but_not_a_generator(rng):
    X = rng.normal(size=(20, 2))
    model = LoopedICLRegressorCV(n_loops={3, 1}, cv=2, n_estimators=1).fit(X, X[:, 0])
    assert model.candidates_.tolist() == [1, 3]
    with pytest.raises(ValueError, match=r"'n_loops' parameter .* must be an array-like or None"):
        model.set_params(n_loops=(n for n in (1, 3))).fit(X, X[:, 0])


HALF = (np.arange(10), np.arange(10, 20))


@pytest.mark.parametrize(
    ("cv", "weights", "message"),
    [
        (LeaveOneOut(), None, "fold 0 tests on 1 rows"),
        (20, None, "fold 0 tests on 1 rows"),
        (2, [1.0] * 10 + [0.0] * 10, "fold 0 trains on 0 rows"),
        (4, [1.0] * 15 + [0.0] * 5, "fold 3 tests on 0 rows"),
        ([HALF, (np.arange(1), np.arange(2, 9))], None, "fold 1 trains on 1 rows"),
    ],
)
def test_folds_without_an_r2_are_refused_before_any_work(rng, monkeypatch, cv, weights, message):
    X = rng.normal(size=(20, 2))
    monkeypatch.setattr(LoopedICLRegressor, "fit", None)
    with pytest.raises(ValueError, match=f"{message} of positive weight, but R2 needs two. Give"):
        LoopedICLRegressorCV(n_loops=[1, 3], cv=cv).fit(X, X[:, 0], weights)


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_targets_of_any_size_are_scored(rng, unit):
    X = rng.normal(size=(40, 3))
    y = np.abs(X[:, 0]) + X[:, 1]
    model = LoopedICLRegressorCV(n_loops=[1, 4], cv=2, n_estimators=1)
    expected = model.fit(X, y).score_path_
    np.testing.assert_allclose(model.fit(X, unit * y).score_path_, expected, atol=1e-4)


def test_columns_are_chosen_by_the_importances_of_the_chosen_loops(rng):
    X = rng.normal(size=(60, 4))
    y = X[:, 2] ** 2
    model = LoopedICLRegressorCV(n_loops=[1], cv=2, n_estimators=1)
    for name in ("feature_importances_", "column_kinds_"):
        with pytest.raises(NotFittedError, match="LoopedICLRegressorCV instance is not fitted"):
            getattr(model, name)
    chosen = SelectFromModel(model, max_features=1).fit(X, y)
    assert chosen.get_support().tolist() == [False, False, True, False]
    importances = chosen.estimator_.regressor_.feature_importances_
    np.testing.assert_array_equal(chosen.estimator_.feature_importances_, importances)
