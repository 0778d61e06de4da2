"""Masked cells of samples, queries and matrices, which the programmed half cannot leave out."""

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_looped import (
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
    UniversalMachine,
)
from sklearn_looped.learned.priors import OwnTables
from sklearn_looped.programmed import algoformer, linalg
from sklearn_looped.programmed.algorithms.descent import NEWTON, descend

MODELS = (
    ProgrammedLinearRegression(),
    ProgrammedRidge(),
    ProgrammedPCA(),
    ProgrammedKMeans(2),
    ProgrammedKernelRegressor(),
    ProgrammedKernelMachineRegressor(n_loops=20, n_rounds=0, tol=1.0),
    ProgrammedSGDRegressor(max_iter=1, tol=None),
    ProgrammedSGDClassifier(max_iter=1, tol=None),
    ProgrammedMLPRegressor((2,), max_iter=1),
    ProgrammedMLPClassifier((2,), max_iter=1),
)
X = np.arange(12.0).reshape(6, 2) % 5
Y = np.array([0, 1, 0, 1, 1, 0])
MASKED = np.ma.masked_equal(X, 3)
IS_MASKED = pytest.raises(ValueError, match=r"^\w+ has \d+ masked entries")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_samples_and_queries(model):
    with pytest.raises(ValueError, match="X has 2 masked entries"):
        clone(model).fit(MASKED, Y)
    fitted = clone(model).fit(np.ma.masked_array(X), Y)  # nothing is masked
    asked = [name for name in ("predict", "transform", "inverse_transform") if hasattr(model, name)]
    for name in asked:
        with pytest.raises(ValueError, match="X has 2 masked entries"):
            getattr(fitted, name)(MASKED)
    if hasattr(model, "partial_fit"):
        with pytest.raises(ValueError, match="X has 2 masked entries"):
            fitted.partial_fit(MASKED, Y)


def test_values_to_begin_with():
    start = np.ma.masked_equal([1.0, 2.0], 2)
    with pytest.raises(ValueError, match="coef_init has 1 masked entries"):
        ProgrammedSGDRegressor().fit(X, Y, coef_init=start)
    with pytest.raises(ValueError, match="init has 1 masked entries"):
        ProgrammedKMeans(2, init=np.ma.masked_equal([[1, 2], [3, 4]], 4)).fit(X)


@pytest.mark.parametrize(
    "call",
    [
        lambda: linalg.inv(MASKED[:2]),
        lambda: linalg.solve(np.eye(2), MASKED[1]),
        lambda: linalg.matmul(X.T, MASKED),
        lambda: linalg.gauss_seidel(np.eye(2), MASKED[1]),
        lambda: algoformer.regress(MASKED, Y, X, step_size=0.1),
        lambda: algoformer.autoregress(MASKED[:, 0], order=1, step_size=0.1),
        lambda: algoformer.chain_of_thought(np.stack([X, X], 1), MASKED, step_size=0.1),
        lambda: next(descend(X, Y, MASKED, steps=[NEWTON])),
        lambda: UniversalMachine(2).linear_sgd(MASKED, Y),
        lambda: UniversalMachine(2).inv(MASKED[:2]),
        lambda: UniversalMachine(2).cell(MASKED[1]),
        lambda: OwnTables([(np.tile(X, (2, 1)), np.ma.masked_equal(np.tile(Y, 2), 1))]),
    ],
)
def test_matrices(call):
    with IS_MASKED:
        call()
