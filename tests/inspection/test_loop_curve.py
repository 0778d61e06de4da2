import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss, mean_absolute_error, r2_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_looped import LoopedICLClassifier, LoopedICLRegressor, LoopedICLRegressorCV
from sklearn_looped.inspection import LoopCurveDisplay


@pytest.fixture
def small(diabetes):
    X, y = diabetes
    return X[:90], y[:90]


def drawn(display):
    return display.line_.get_xydata().T


def ends(band):
    """Lower and upper end of a band at each count."""
    vertices = band.get_paths()[0].vertices
    counts = np.unique(vertices[:, 0])
    parts = [vertices[vertices[:, 0] == count, 1] for count in counts]
    return np.array([[part.min(), part.max()] for part in parts]).T


def test_the_line_is_the_mean_score_of_every_stage_over_folds(small):
    X, y = small
    model = LoopedICLRegressor(n_estimators=1)
    folds = KFold(3, shuffle=True, random_state=0)
    display = LoopCurveDisplay.from_estimator(model, X, y, cv=folds)
    columns = []
    for train, test in folds.split(X):
        stages = model.fit(X[train], y[train]).staged_predict(X[test])
        columns.append([r2_score(y[test], stage) for stage in stages])
    expected = np.column_stack(columns)
    np.testing.assert_array_equal(display.scores, expected)
    loops, line = drawn(display)
    np.testing.assert_array_equal(loops, np.arange(1, 7))
    np.testing.assert_array_equal(line, expected.mean(axis=1))
    low, high = ends(display.fill_between_)
    np.testing.assert_allclose(
        low, np.maximum(expected.mean(1) - expected.std(1), expected.min(1)), rtol=1e-9
    )
    np.testing.assert_allclose(
        high, np.minimum(expected.mean(1) + expected.std(1), expected.max(1)), rtol=1e-9
    )
    assert display.n_loops_line_.get_xdata()[0] == 6
    assert display.ax_.get_ylabel() == "R2"


def test_bands_stay_among_the_scores_and_show_differences_between_loops():
    """Folds of unlike difficulty, of which each gains .01 a loop, give or take."""
    gains = np.outer(np.arange(4), [0.01, 0.01, 0.01, 0.012])
    scores = np.array([0.96, 0.95, 0.96, 0.4]) + gains
    display = LoopCurveDisplay(loops=[1, 2, 4, 8], scores=scores, n_loops=2).plot()
    low, high = ends(display.fill_between_)
    assert (scores.mean(1) + scores.std(1) > 1).any()
    np.testing.assert_array_equal(high, scores.max(1))
    np.testing.assert_allclose(low, scores.mean(1) - scores.std(1))
    low, high = ends(display.differences_)
    spread = (scores - scores[1]).std(1)
    np.testing.assert_allclose(high - low, 2 * spread, atol=1e-12)
    assert high[1] == low[1]
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert "± that of the difference to 2 loops" in labels
    unmarked = LoopCurveDisplay(loops=[1, 2, 4, 8], scores=scores).plot()
    low, high = ends(unmarked.differences_)
    assert high[3] == low[3]


def test_a_fitted_regressor_is_scored_as_it_is_beyond_its_own_loops(small):
    X, y = small
    model = LoopedICLRegressor(n_estimators=1, n_loops=3).fit(X[:60], y[:60])
    display = LoopCurveDisplay.from_estimator(
        model, X[60:], y[60:], cv="prefit", n_loops=5,
        scoring="neg_mean_absolute_error", negate_score=True,
    )  # fmt: skip
    assert model.n_loops == 3
    assert display.n_loops == 3
    assert display.fill_between_ is None
    longer = LoopedICLRegressor(n_estimators=1, n_loops=5).fit(X[:60], y[:60])
    errors = [mean_absolute_error(y[60:], stage) for stage in longer.staged_predict(X[60:])]
    np.testing.assert_allclose(drawn(display)[1], errors, rtol=1e-6)
    assert display.ax_.get_ylabel() == "Mean absolute error"


@pytest.mark.parametrize("scoring", [None, "neg_log_loss"])
def test_a_classifier_in_a_pipeline_is_scored_on_labels_and_probabilities(scoring, axes):
    X, y = load_iris(return_X_y=True)
    y = np.array(["a", "b", "c"])[y]
    pipeline = make_pipeline(StandardScaler(), LoopedICLClassifier(n_estimators=1, n_loops=3))
    pipeline.fit(X[::2], y[::2])
    ax = axes()
    display = LoopCurveDisplay.from_estimator(
        pipeline, X[1::2], y[1::2], cv="prefit", scoring=scoring, ax=ax
    )
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    stages = pipeline[-1].staged_predict_proba(pipeline[:-1].transform(X[1::2]))
    labels = pipeline[-1].classes_
    expected = [
        -log_loss(y[1::2], p) if scoring else np.mean(labels[p.argmax(axis=1)] == y[1::2])
        for p in stages
    ]
    np.testing.assert_allclose(drawn(display)[1], expected, rtol=1e-9)


def test_a_cv_estimator_shows_all_counts_and_marks_its_choice(small):
    X, y = small
    model = LoopedICLRegressorCV(n_loops=[1, 2, 4], cv=3, n_estimators=1).fit(X, y)
    display = LoopCurveDisplay.from_estimator(model, X, y, cv=3)
    np.testing.assert_allclose(display.scores[[0, 1, 3]], model.score_path_, rtol=1e-6)
    assert display.n_loops_line_.get_xdata()[0] == model.n_loops_
    prefit = LoopCurveDisplay.from_estimator(model, X, y, cv="prefit")
    assert len(prefit.scores) == 4
    assert prefit.scores[model.n_loops_ - 1] == pytest.approx(r2_score(y, model.predict(X)))
    at_hand = LoopCurveDisplay(loops=model.candidates_, scores=model.score_path_).plot()
    np.testing.assert_array_equal(drawn(at_hand), [[1, 2, 4], model.score_path_.mean(axis=1)])
    assert at_hand.n_loops_line_ is None


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"estimator": Ridge()}, TypeError, "Got Ridge, which has no loops"),
        ({"n_loops": 0}, ValueError, "n_loops == 0, must be >= 1"),
        ({"scoring": ["r2"]}, ValueError, "expected the name of a score"),
        ({"cv": "prefit"}, ValueError, "not fitted"),
        ({"y": [1.0]}, ValueError, "inconsistent numbers of samples"),
    ],
)
def test_wrong_arguments_are_refused(small, change, error, message):
    X, y = small
    arguments = {"estimator": LoopedICLRegressor(), "X": X, "y": y, **change}
    with pytest.raises(error, match=message):
        LoopCurveDisplay.from_estimator(**arguments)


def test_the_line_takes_the_short_names_of_its_style():
    display = LoopCurveDisplay(loops=[1, 2], scores=[[0.1], [0.2]])
    line = display.plot(line_kw={"c": "red", "ls": ":"}).line_
    assert (line.get_color(), line.get_linestyle(), line.get_marker()) == ("red", ":", "o")


def test_scores_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="expected \\(n_counts,\\) and \\(n_counts, n_folds\\)"):
        LoopCurveDisplay(loops=[1, 2], scores=[0.1, 0.2])


def test_without_matplotlib_nothing_is_fitted(no_matplotlib, small):
    with pytest.raises(ImportError, match=r"LoopCurveDisplay\.from_estimator requires matplotlib"):
        LoopCurveDisplay.from_estimator(None, *small)
