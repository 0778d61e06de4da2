"""scikit-learn's own checks of an estimator, for every estimator of the library."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_looped import ProgrammedSGDClassifier, ProgrammedSGDRegressor

ESTIMATORS = [
    ProgrammedSGDRegressor(),
    ProgrammedSGDClassifier(),
    ProgrammedSGDClassifier(loss="hinge"),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_estimator_checks(estimator, check):
    check(estimator)
