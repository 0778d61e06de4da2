"""How long do fit and predict take? Diabetes (353 + 89 rows x 10) and 1,000 + 1,000 rows x 10.

``python -m benchmarks icl_speed [--threads 1]`` prints a table and writes
benchmarks/results/icl_speed.json. Imports are excluded; models take turns within one run.
"""

import argparse
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LassoCV
from sklearn.metrics import r2_score
from threadpoolctl import threadpool_limits

from benchmarks.common.report import report, spread
from benchmarks.common.timing import timed
from sklearn_looped import LoopedICLRegressor

N_REPEATS = 5
MODELS = {
    "LoopedICLRegressor": LoopedICLRegressor(),
    "LoopedICLRegressor, 1 member": LoopedICLRegressor(n_estimators=1),
    "LassoCV": LassoCV(),
    "random forest": RandomForestRegressor(random_state=0),
    "HistGradientBoosting": HistGradientBoostingRegressor(random_state=0),
    "Gaussian process": GaussianProcessRegressor(RBF(3.0) + WhiteKernel(), normalize_y=True),
}


def problems():
    X, y = load_diabetes(return_X_y=True)
    yield "diabetes 353 + 89", X[:353], y[:353], X[353:], y[353:]
    X, y = make_friedman1(2000, n_features=10, noise=1.0, random_state=0)
    yield "friedman 1,000 + 1,000", X[:1000], y[:1000], X[1000:], y[1000:]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=1)


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    rows = []
    with threadpool_limits(args.threads):
        for name, *data in problems():
            rows += measure(name, *data)
    report(args, "icl_speed", rows)


def measure(
    problem: str, X: np.ndarray, y: np.ndarray, X_query: np.ndarray, y_query: np.ndarray
) -> list[dict[str, Any]]:
    """Rows of a problem: models take turns, and the first turn warms up."""
    fits: dict[str, list[float]] = {name: [] for name in MODELS}
    predictions: dict[str, list[float]] = {name: [] for name in MODELS}
    scores = {}
    for _ in range(N_REPEATS + 1):
        for name, model in MODELS.items():
            fit = timed(lambda model=model: clone(model).fit(X, y))
            predict = timed(lambda fit=fit: fit.result.predict(X_query))
            fits[name].append(fit.wall)
            predictions[name].append(predict.wall)
            scores[name] = r2_score(y_query, predict.result)
    return [
        {"problem": problem, "model": name, "R2": scores[name]}
        | spread(fits[name][1:], "fit s")
        | spread(predictions[name][1:], "predict s")
        for name in MODELS
    ]
