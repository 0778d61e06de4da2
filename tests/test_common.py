"""scikit-learn's own checks on every public estimator, with no failure expected."""

import inspect

from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

import sklearn_looped
from sklearn_looped import (
    LoopedICLClassifier,
    LoopedICLRegressor,
    LoopedICLRegressorCV,
    ProgrammedKernelRegressor,
    ProgrammedKMeans,
    ProgrammedLinearRegression,
    ProgrammedMLPClassifier,
    ProgrammedMLPRegressor,
    ProgrammedPCA,
    ProgrammedRidge,
    ProgrammedSGDClassifier,
    ProgrammedSGDRegressor,
)

ESTIMATORS = [
    LoopedICLRegressor(),
    LoopedICLClassifier(),
    LoopedICLRegressorCV(n_loops=[1, 3], cv=2),
    ProgrammedMLPRegressor((3,), learning_rate_init=0.1, tol=0.02, n_iter_no_change=1),
    ProgrammedMLPClassifier((3,), learning_rate_init=0.1, tol=0.02, n_iter_no_change=1),
    ProgrammedSGDRegressor(),
    ProgrammedSGDClassifier(),
    ProgrammedSGDClassifier(loss="hinge"),
    ProgrammedLinearRegression(),
    ProgrammedRidge(),
    ProgrammedPCA(),
    ProgrammedKMeans(),
    ProgrammedKernelRegressor(),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_every_public_estimator_is_checked():
    public = (getattr(sklearn_looped, name) for name in sklearn_looped.__all__)
    estimators = {c for c in public if inspect.isclass(c) and issubclass(c, BaseEstimator)}
    assert estimators == {type(estimator) for estimator in ESTIMATORS}


def test_no_tag_excuses_an_estimator():
    for estimator in ESTIMATORS:
        tags = estimator.__sklearn_tags__()
        assert not tags.non_deterministic
        assert not tags._skip_test
        for kind in (tags.regressor_tags, tags.classifier_tags):
            assert kind is None or not kind.poor_score
