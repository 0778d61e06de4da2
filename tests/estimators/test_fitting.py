"""An interrupted or refused `fit` leaves the last one's results, whole."""

import pickle
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

import sklearn_looped
from sklearn_looped.estimators.fitting import unfitted_copy
from sklearn_looped.estimators.sgd import fit_many

ESTIMATORS = [
    sklearn_looped.ProgrammedSGDRegressor(random_state=0, max_iter=2, tol=None),
    sklearn_looped.ProgrammedSGDClassifier(random_state=0, max_iter=2, tol=None),
    sklearn_looped.ProgrammedMLPRegressor((2,), random_state=0, max_iter=2, n_iter_no_change=1),
    sklearn_looped.ProgrammedMLPClassifier((2,), random_state=0, max_iter=2, n_iter_no_change=1),
    sklearn_looped.ProgrammedLinearRegression(),
    sklearn_looped.ProgrammedRidge(),
    sklearn_looped.ProgrammedPCA(n_components=1),
    sklearn_looped.ProgrammedKMeans(n_clusters=2, random_state=0),
    sklearn_looped.ProgrammedKernelRegressor(),
    sklearn_looped.KernelMachineRegressor(),
    sklearn_looped.KernelMachineClassifier(),
]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def two_tables(rng):
    """Tables of different columns, so that parts of two models would not even fit together."""
    for n_rows, n_columns, labels in ((8, 2, "ab"), (9, 3, "cd")):
        X = rng.normal(size=(n_rows, n_columns))
        yield X, np.array(list(labels))[np.arange(n_rows) % 2], X[:, 0]


def interrupt_after(n_events, function, *args):
    """Call a function of the library, stopped from the keyboard after so many lines of it."""
    events = iter(range(n_events))

    def trace(frame, event, arg):
        if "sklearn_looped" not in frame.f_code.co_filename:
            return None
        if next(events, None) is None:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        function(*args)
    finally:
        sys.settrace(None)


@pytest.mark.parametrize("model", ESTIMATORS, ids=lambda model: type(model).__name__)
def test_a_fit_that_is_stopped_anywhere_leaves_the_last_model(model, rng):
    (X, labels, y), (Z, more_labels, z) = two_tables(rng)
    if hasattr(model, "classes_") or "Classifier" in type(model).__name__:
        y, z = labels, more_labels
    model = clone(model).fit(X, y)
    before = pickle.dumps(model)
    stopped = 0
    for n_events in (0, 3, 10, 30, 100, 300, 1000):
        try:
            interrupt_after(n_events, model.fit, Z, z)
        except KeyboardInterrupt:
            stopped += 1
            assert pickle.dumps(model) == before
        else:
            break
    assert stopped >= 3
    model.fit(Z, z)
    assert model.n_features_in_ == 3
    with pytest.raises(ValueError, match="infinity"):
        model.fit(np.full((4, 5), np.inf), z[:4])
    assert model.n_features_in_ == 3
    with pytest.raises(KeyboardInterrupt):
        interrupt_after(10, (never := clone(model)).fit, Z, z)
    with pytest.raises(NotFittedError):
        check_is_fitted(never)


IN_CONTEXT = [
    sklearn_looped.LoopedICLRegressor(n_estimators=1, n_loops=1),
    sklearn_looped.LoopedICLClassifier(n_estimators=1, n_loops=1),
    sklearn_looped.LoopedICLRegressorCV(n_estimators=1, n_loops=[1, 2], cv=2),
]


@pytest.mark.parametrize("model", IN_CONTEXT, ids=lambda model: type(model).__name__)
def test_a_fit_in_context_that_is_stopped_anywhere_leaves_the_last_model(model, rng):
    (X, labels, y), (Z, more_labels, z) = two_tables(rng)
    if "Classifier" in type(model).__name__:
        y, z = labels, more_labels
    model = clone(model).fit(X, y)
    expected = model.predict(X)
    stopped = 0
    for n_events in (0, 3, 30, 100, 300, 600, 1000, 1500, 2000, 3000):
        try:
            interrupt_after(n_events, model.fit, Z, z)
        except KeyboardInterrupt:
            stopped += 1
            assert np.array_equal(model.predict(X), expected)
        else:
            break
    assert stopped >= 5
    model.fit(Z, z)
    assert model.predict(Z).shape == (9,)
    with pytest.raises(ValueError, match="infinity"):
        model.fit(np.full((4, 5), np.inf), z[:4])
    assert model.predict(Z).shape == (9,)
    with pytest.raises(KeyboardInterrupt):
        interrupt_after(10, (never := clone(model)).fit, Z, z)
    with pytest.raises(NotFittedError):
        check_is_fitted(never)


def test_many_fits_that_are_stopped_leave_the_last_models(rng):
    (X, _, y), (Z, _, z) = two_tables(rng)
    models = fit_many([clone(ESTIMATORS[0]) for _ in range(2)], X, y)
    before = [pickle.dumps(model) for model in models]
    for n_events in (10, 300, 3000):
        with pytest.raises(KeyboardInterrupt):
            interrupt_after(n_events, fit_many, models, Z, z)
        assert [pickle.dumps(model) for model in models] == before
    assert [model.n_features_in_ for model in fit_many(models, Z, z)] == [3, 3]


def test_what_only_an_earlier_fit_found_does_not_stay(rng):
    (X, _, y), _ = two_tables(rng)
    model = clone(ESTIMATORS[0]).set_params(keep_trace=True).fit(X, y)
    assert len(model.trace_) > 0
    model.set_params(keep_trace=False).fit(X, y)
    assert not hasattr(model, "trace_")


def test_what_is_set_beside_the_parameters_stays(rng):
    (X, _, _), _ = two_tables(rng)
    model = sklearn_looped.ProgrammedPCA(n_components=1).set_output(transform="pandas")
    assert list(model.fit(X).transform(X).columns) == ["programmedpca0"]
    start = unfitted_copy(model)
    assert start.get_params() == model.get_params()
    assert not hasattr(start, "components_")


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
def test_warnings_of_fit_point_to_the_line_that_calls_it(rng):
    X = rng.normal(size=(3, 2))[[0, 1, 2, 0, 1, 2]]
    for model in (
        sklearn_looped.ProgrammedMLPRegressor((2,), random_state=0, max_iter=1),
        sklearn_looped.ProgrammedSGDClassifier(random_state=0, max_iter=1, tol=0),
        sklearn_looped.ProgrammedKMeans(n_clusters=4, random_state=0),
        make_pipeline(sklearn_looped.ProgrammedSGDClassifier(max_iter=1, tol=0)),
        sklearn_looped.LoopedICLClassifier(max_support=4, n_estimators=1),
        sklearn_looped.KernelMachineRegressor(max_rows=4),
    ):
        with pytest.warns(
            UserWarning, match="still fell|have no|a random subsample|max_rows=4"
        ) as caught:
            model.fit(X, [0, 1] * 3)
        assert caught[0].filename == __file__


@pytest.mark.parametrize("kind", ["LinearRegression", "KernelMachineRegressor"])
def test_warnings_of_certificates_point_to_the_line_that_calls_fit(kind, rng):
    X = rng.normal(size=(6, 1))
    with pytest.warns(UserWarning, match="is certified to") as caught:
        getattr(sklearn_looped, f"Programmed{kind}")(tol=1e-30).fit(X, X[:, 0])
    assert caught[0].filename == __file__
