import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_looped import LoopedICLRegressor, LoopedICLRegressorCV
from sklearn_looped.inspection import PredictionIntervalDisplay


@pytest.fixture
def fitted(diabetes):
    X, y = diabetes
    model = LoopedICLRegressor(n_estimators=1, n_loops=4).fit(X[:100], y[:100])
    return model, X[100:160], y[100:160]


@pytest.mark.parametrize("kind", ["sorted", "against_prediction"])
def test_what_is_drawn_is_what_is_predicted(fitted, axes, kind):
    model, X, y = fitted
    lower, median, upper = model.predict_quantiles(X, [0.05, 0.5, 0.95]).T
    ax = axes()
    display = PredictionIntervalDisplay.from_estimator(model, X, y, coverage=0.9, kind=kind, ax=ax)
    assert display.ax_ is ax
    covered = (lower <= y) & (y <= upper)
    np.testing.assert_array_equal(display.covered, covered)
    assert display.covered_share == covered.mean()

    order = np.argsort(median, kind="stable")
    x = median[order] if kind == "against_prediction" else np.arange(1, 61)
    segments = np.array(display.intervals_.get_segments())
    np.testing.assert_allclose(segments[:, :, 0], np.column_stack([x, x]))
    np.testing.assert_allclose(segments[:, :, 1], np.column_stack([lower, upper])[order])
    np.testing.assert_allclose(display.line_.get_ydata(), median[order])
    for points, shown in ((display.points_, covered[order]), (display.outside_, ~covered[order])):
        np.testing.assert_allclose(points.get_xdata(), x[shown])
        np.testing.assert_allclose(points.get_ydata(), y[order][shown])
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    share = 100 * covered.mean()
    assert f"observed, covered: {covered.sum()} of 60 ({share:.1f} %)" in texts
    assert "90 % interval" in texts


def test_pipelines_and_the_cv_estimator_are_drawn(fitted, diabetes):
    model, X, y = fitted
    X_train, y_train = diabetes[0][:100], diabetes[1][:100]
    pipeline = make_pipeline(StandardScaler(), LoopedICLRegressor(n_estimators=1)).fit(
        X_train, y_train
    )
    display = PredictionIntervalDisplay.from_estimator(pipeline, X, y)
    lower = pipeline[-1].predict_quantiles(pipeline[:-1].transform(X), [0.1])[:, 0]
    np.testing.assert_allclose(display.lower, lower, rtol=1e-5)
    chosen = LoopedICLRegressorCV(n_loops=[4], cv=2, n_estimators=1).fit(X_train, y_train)
    display = PredictionIntervalDisplay.from_estimator(chosen, X, y)
    np.testing.assert_allclose(display.upper, model.predict_quantiles(X, [0.9])[:, 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"regressor": Ridge()}, TypeError, "Got Ridge, which predicts no quantiles"),
        ({"coverage": 1.0}, ValueError, "coverage == 1.0, must be < 1"),
        ({"coverage": "wide"}, TypeError, "coverage must be an instance of float"),
        ({"kind": "bars"}, ValueError, "Got kind='bars', but expected one of sorted"),
        ({"y": [1.0, 2.0]}, ValueError, "inconsistent numbers of samples"),
        ({"y": [*[1.0] * 59, np.nan]}, ValueError, "Input y contains NaN"),
    ],
)
def test_wrong_arguments_are_refused(fitted, change, error, message):
    arguments = dict(zip(("regressor", "X", "y"), fitted, strict=True)) | change
    with pytest.raises(error, match=message):
        PredictionIntervalDisplay.from_estimator(**arguments)


@pytest.mark.parametrize("name", ["y_true", "y_pred", "lower", "upper"])
@pytest.mark.parametrize("missing", [np.nan, None, -np.inf])
def test_missing_and_infinite_values_are_refused(name, missing):
    values = {"y_true": [1, 2], "y_pred": [1, 2], "lower": [0, 1], "upper": [2, 3]}
    with pytest.raises(ValueError, match=f"Input {name} contains (NaN|infinity)"):
        PredictionIntervalDisplay(**values | {name: [1, missing]}, coverage=0.8)
    masked = np.ma.masked_equal([1, 7], 7)
    with pytest.raises(ValueError, match=f"{name} has 1 masked entries"):
        PredictionIntervalDisplay(**values | {name: masked}, coverage=0.8)


def test_several_targets_are_refused(diabetes):
    X, y = diabetes[0][:40], diabetes[1][:40]
    model = LoopedICLRegressor(n_estimators=1).fit(X, np.column_stack([y, -y]))
    with pytest.raises(ValueError, match="Got a regressor of 2 targets, but the display draws one"):
        PredictionIntervalDisplay.from_estimator(model, X, y)


def test_without_matplotlib_nothing_is_predicted(no_matplotlib, fitted):
    with pytest.raises(ImportError, match=r"PredictionIntervalDisplay\.from_estimator requires"):
        PredictionIntervalDisplay.from_estimator(None, *fitted[1:])
    display = PredictionIntervalDisplay(y_true=[1], y_pred=[1], lower=[0], upper=[2], coverage=0.8)
    with pytest.raises(ImportError, match=r"PredictionIntervalDisplay\.plot requires matplotlib"):
        display.plot()
