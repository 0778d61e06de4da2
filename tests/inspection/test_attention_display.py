import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_looped import LoopedICLClassifier, LoopedICLRegressor, LoopedICLRegressorCV
from sklearn_looped.inspection import AttentionDisplay
from sklearn_looped.learned.inference import divided


@pytest.fixture
def fitted(diabetes):
    X, y = diabetes
    return LoopedICLRegressor(n_estimators=2, n_loops=3).fit(X[:60], y[:60])


def test_the_picture_is_the_mean_over_heads_on_the_rows_of_fit(fitted, diabetes, axes):
    X, y = diabetes
    ax = axes()
    display = AttentionDisplay.from_estimator(fitted, X[60:64], query=2, n_rows=10, ax=ax)
    assert display.ax_ is ax
    assert display.weights.shape == (3, 4, 60)
    np.testing.assert_allclose(display.weights.sum(axis=-1), 1, rtol=1e-5)
    assert sorted(display.support_rows) == list(range(60))
    np.testing.assert_array_equal(display.support_target, y[display.support_rows])
    heads = [AttentionDisplay.from_estimator(fitted, X[60:64], head=h).weights for h in range(10)]
    np.testing.assert_allclose(np.mean(heads, axis=0), display.weights, atol=1e-7)

    weights = display.weights[:, 2]
    largest = set(np.argsort(-weights.mean(axis=0))[:10])
    assert set(display.drawn_) == largest
    assert (np.diff(display.support_target[display.drawn_]) >= 0).all()
    np.testing.assert_array_equal(display.image_.get_array(), weights[:, display.drawn_])
    first = display.drawn_[0]
    row = display.support_rows[first]
    assert ax.get_xticklabels()[0].get_text() == f"{row}: {y[row]:.4g}"


def test_a_query_beside_its_own_row_attends_to_it_more_than_chance(diabetes):
    """A copy of a support row is found under that row's number, wherever rows are sorted to."""
    X, y = diabetes
    model = LoopedICLRegressor(n_estimators=1).fit(X[:60], y[:60])
    weights = AttentionDisplay.from_estimator(model, X[:60])
    own = weights.weights[0][np.arange(60), np.argsort(weights.support_rows)]
    assert np.mean(own) > 2 / 60


def test_a_subsample_and_joined_rows_keep_their_numbers(diabetes):
    X, y = diabetes
    X, y = np.vstack([X[:30], X[:5]]), np.append(y[:30], y[:5])  # rows 30 to 34 repeat 0 to 4
    model = LoopedICLRegressor(n_estimators=1).fit(X, y)
    display = AttentionDisplay.from_estimator(model, X[:1], n_rows=None)
    assert len(display.support_rows) == 30
    np.testing.assert_array_equal(display.support_target, y[display.support_rows])
    with pytest.warns(UserWarning, match="more than max_support"):
        model = LoopedICLRegressor(n_estimators=1, max_support=12, random_state=0).fit(X, y)
    display = AttentionDisplay.from_estimator(model, X[:1])
    assert display.weights.shape == (6, 1, 12)
    np.testing.assert_array_equal(display.support_target, y[display.support_rows])


def test_targets_far_out_are_shown_as_they_are(rng):
    X = rng.normal(size=(40, 2))
    y = X[:, 0].copy()
    y[7] = 1e4
    with pytest.warns(UserWarning, match="are compressed"):
        model = LoopedICLRegressor(n_estimators=1, n_loops=1).fit(X, y)
    display = AttentionDisplay.from_estimator(model, X[:1])
    np.testing.assert_allclose(display.support_target, y[display.support_rows])


def test_classes_pipelines_and_the_cv_estimator(diabetes):
    X, y = load_iris(return_X_y=True)
    y = np.array(["setosa", "versicolor", "virginica"])[y]
    pipeline = make_pipeline(StandardScaler(), LoopedICLClassifier(n_estimators=1, n_loops=2))
    pipeline.fit(X[::3], y[::3])
    display = AttentionDisplay.from_estimator(pipeline, X[1:3])
    np.testing.assert_array_equal(display.support_target, y[::3][display.support_rows])
    with pytest.raises(ValueError, match="target == 1"):
        AttentionDisplay.from_estimator(pipeline, X[1:3], target=1)
    two = LoopedICLClassifier(n_estimators=1, n_loops=2).fit(X[50::3], y[50::3])
    display = AttentionDisplay.from_estimator(two, X[51:52])
    np.testing.assert_array_equal(display.support_target, y[50::3][display.support_rows])
    chosen = LoopedICLRegressorCV(n_loops=[2], cv=2, n_estimators=1).fit(
        *(a[:40] for a in diabetes)
    )
    assert AttentionDisplay.from_estimator(chosen, diabetes[0][:1]).weights.shape == (2, 1, 40)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"member": 2}, ValueError, "member == 2, must be <= 1"),
        ({"head": 10}, ValueError, "head == 10, must be <= 9"),
        ({"target": 1}, ValueError, "target == 1, must be <= 0"),
        ({"query": 1}, ValueError, "query == 1, must be <= 0"),
        ({"query": -1}, ValueError, "query == -1, must be >= 0"),
        ({"member": 0.5}, TypeError, "member must be an instance of int"),
        ({"n_rows": 0}, ValueError, "n_rows == 0, must be >= 1"),
        ({"estimator": Ridge()}, TypeError, "Got Ridge, which attends to no support"),
        ({"estimator": LoopedICLRegressor()}, ValueError, "not fitted"),
        ({"X": np.zeros((1, 3))}, ValueError, "has 3 features"),
    ],
)
def test_wrong_arguments_are_refused(fitted, diabetes, change, error, message):
    arguments = {"estimator": fitted, "X": diabetes[0][:1], **change}
    with pytest.raises(error, match=message):
        AttentionDisplay.from_estimator(**arguments)


@pytest.mark.parametrize(
    ("change", "error"),
    [({"query": 2}, ValueError), ({"n_rows": 0}, ValueError), ({"n_rows": 99.5}, TypeError)],
)
def test_what_cannot_be_drawn_is_refused_before_any_work(
    fitted, diabetes, monkeypatch, change, error
):
    monkeypatch.setattr(LoopedICLRegressor, "attention_by_loop", None)
    with pytest.raises(error, match=next(iter(change))):
        AttentionDisplay.from_estimator(fitted, diabetes[0][:2], **change)


def test_a_divided_table_is_refused(rng, monkeypatch):
    monkeypatch.setattr(divided, "WHOLE", 60)
    X = rng.normal(size=(100, 1))
    model = LoopedICLRegressor(n_loops=1, n_estimators=1).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="needs a table that is not divided"):
        AttentionDisplay.from_estimator(model, X[:2])


def test_weights_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="expected \\(n_loops, n_queries, n_support\\)"):
        AttentionDisplay(weights=np.ones((2, 3)), support_rows=[0], support_target=[1.0])


def test_without_matplotlib_nothing_is_computed(no_matplotlib, diabetes):
    with pytest.raises(ImportError, match=r"AttentionDisplay\.from_estimator requires matplotlib"):
        AttentionDisplay.from_estimator(None, diabetes[0])
