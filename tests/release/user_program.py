"""A user's program, run and type-checked strictly against the installed wheel by .ci/release."""

from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from sklearn_looped import (
    FleqMachine,
    LoopedICLClassifier,
    LoopedICLRegressor,
    LoopedICLRegressorCV,
    ProgrammedKMeans,
    ProgrammedLinearRegression,
    ProgrammedMLPClassifier,
    ProgrammedPCA,
    ProgrammedSGDRegressor,
    SubleqMachine,
    __version__,
)
from sklearn_looped.learned.checkpoints import load_checkpoint, save_checkpoint
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.priors import LinearPrior
from sklearn_looped.learned.training.metatrain import MetaTraining, meta_train
from sklearn_looped.learned.training.recipe import Recipe
from sklearn_looped.programmed import csgraph, linalg


def learned(X: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    model: LoopedICLRegressor = LoopedICLRegressor(n_estimators=1, random_state=0).fit(X, y)
    plain: NDArray[np.float32] = model.predict(X)
    mean, std = model.predict(X, return_std=True)
    quantiles = model.predict_quantiles(X, [0.1, 0.9])
    stages: list[NDArray[np.float64]] = [np.asarray(stage) for stage in model.staged_predict(X)]
    chosen = LoopedICLRegressorCV(n_loops=[1, 2], cv=2, n_estimators=1).fit(X, y)
    classifier = LoopedICLClassifier(n_estimators=1).fit(X, y > y.mean())
    labels: NDArray[np.bool_] = classifier.predict(X)
    score: float = chosen.score(X, y)
    assert (
        plain.shape
        == mean.shape
        == std.shape
        == labels.shape
        == quantiles[:, 0].shape
        == stages[0].shape
    )
    assert classifier.predict_proba(X).shape == (len(X), 2)
    return score


def programmed(X: NDArray[np.float64], y: NDArray[np.float64]) -> int:
    for model in (ProgrammedSGDRegressor(), ProgrammedLinearRegression()):
        prediction: NDArray[np.float64] = model.fit(X, y).predict(X)
        assert prediction.shape == y.shape
    ProgrammedPCA(n_components=1).fit(X).transform(X)
    ProgrammedKMeans(n_clusters=2, random_state=0).fit(X).predict(X)
    ProgrammedMLPClassifier(hidden_layer_sizes=(2,), max_iter=1)
    distances = csgraph.dijkstra(np.array([[0.0, 1.0], [1.0, 0.0]]))
    inverse: NDArray[np.float64] = linalg.inv([[2.0, 1.0], [1.0, 3.0]]).value
    assert distances.shape == inverse.shape
    machine = SubleqMachine(n_memory=8, n_instructions=12)
    assert FleqMachine is not None
    result = machine.run("x: .word 20\n y: .word 22\n add x, y")
    margin: float = machine.certificate.logit_margin
    assert margin > 0
    return int(result["y"])


def trained(path: str) -> MetaTraining[LoopedNetwork]:
    network = NetworkConfig(n_features=2, width=16, n_heads=2)
    recipe = Recipe(2, n_features=(2, 2), n_support=(8, 16), rows_per_step=256)
    run = meta_train(network, LinearPrior(), recipe, device="cpu")
    save_checkpoint(run.network, path, {"steps": len(run.losses)})
    assert load_checkpoint(path).network.config == network
    return run


if __name__ == "__main__":
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(40, 2))
    target: NDArray[np.float64] = rows @ np.array([1.0, -2.0]) + 0.1 * draw.normal(size=40)
    with TemporaryDirectory() as folder:
        losses: list[float] = trained(f"{folder}/own.safetensors").losses
    print(f"sklearn_looped {__version__}: R2 {learned(rows, target):.2f}, 20 + 22 =", end=" ")
    print(f"{programmed(rows, target)}, loss {losses[-1]:.2f}")
