"""scikit-learn's own checks on every public estimator; three fail one as scikit-learn's do."""

import inspect
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import sklearn_looped
from sklearn_looped import (
    KernelMachineClassifier,
    KernelMachineRegressor,
    LoopedICLClassifier,
    LoopedICLRegressor,
    LoopedICLRegressorCV,
    ProgrammedKernelMachineRegressor,
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

# Some checks ask for 1,000 epochs, whatever the parameters of the estimator, as scikit-learn's own
# take a moment; a cap on the loops holds then too. The regressors run without one.
FEW_LOOPS = {"n_loops": 1000}
FEW_EPOCHS = {"tol": 0.01, "n_iter_no_change": 2}
ESTIMATORS = [
    LoopedICLRegressor(),
    LoopedICLClassifier(),
    LoopedICLRegressorCV(n_loops=[1, 3], cv=2, n_estimators=1),
    KernelMachineRegressor(n_loops=1),
    KernelMachineClassifier(n_loops=1),
    ProgrammedMLPRegressor((3,), "tanh", learning_rate_init=0.2, **FEW_EPOCHS),
    ProgrammedMLPClassifier((3,), "tanh", learning_rate_init=0.5, **FEW_EPOCHS, **FEW_LOOPS),
    ProgrammedSGDRegressor(),
    ProgrammedSGDClassifier(**FEW_LOOPS),
    ProgrammedSGDClassifier(loss="log_loss", **FEW_LOOPS),
    ProgrammedLinearRegression(),
    ProgrammedRidge(),
    ProgrammedPCA(),
    ProgrammedKMeans(),
    ProgrammedKernelRegressor(),
    ProgrammedKernelMachineRegressor(penalty=10.0, n_rounds=1),
]


def fails_as_in_scikit_learn(estimator):
    """Say what scikit-learn's own estimators fail, marked so in its own tests.

    A weight is one longer step of SGD, and other draws of the starts of k-means.
    """
    as_there = ProgrammedSGDRegressor | ProgrammedSGDClassifier | ProgrammedKMeans
    if not isinstance(estimator, as_there):
        return {}
    reason = "sample_weight is not equivalent to removing or repeating samples, as in scikit-learn"
    return {"check_sample_weight_equivalence_on_dense_data": reason}


# A loss still falls where the loops are few; two checks ask for eight clusters of four distinct
# samples.
@pytest.mark.filterwarnings("ignore:.*have no samples:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:The loss still fell:sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=fails_as_in_scikit_learn)
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


def test_the_html_representation_links_to_the_api_reference(monkeypatch):
    reference = (Path(__file__).parents[1] / "docs" / "api" / "estimators.rst").read_text()
    monkeypatch.setenv("SKLEARN_LOOPED_DOCS", "https://example.org/{docs}/")
    for estimator in ESTIMATORS:
        name = type(estimator).__name__
        page = f"generated/sklearn_looped.{name}.html"
        assert f'href="https://example.org/{{docs}}/{page}"' in estimator._repr_html_()
        assert f"\n   {name}\n" in reference  # the page is there


@pytest.mark.parametrize("address", [None, ""])
def test_without_documentation_the_html_representation_has_no_link(monkeypatch, address):
    monkeypatch.delenv("SKLEARN_LOOPED_DOCS", raising=False)
    if address is not None:
        monkeypatch.setenv("SKLEARN_LOOPED_DOCS", address)
    for estimator in ESTIMATORS:
        assert "href=" not in estimator._repr_html_()


def test_a_pipeline_links_each_step_to_its_own_documentation(monkeypatch):
    monkeypatch.setenv("SKLEARN_LOOPED_DOCS", "..")
    html = make_pipeline(StandardScaler(), ProgrammedRidge())._repr_html_()
    assert 'href="../generated/sklearn_looped.ProgrammedRidge.html"' in html
    assert "sklearn.preprocessing.StandardScaler.html" in html
