"""Are the intervals honest? Coverage, width and CRPS on the OpenML regression sets.

``python -m benchmarks openml_intervals --jobs 2`` compares `LoopedICLRegressor.predict_quantiles`
with a Gaussian process and quantile gradient boosting on three official folds, at most 1,024
training rows. Rows go to benchmarks/results/openml_intervals.jsonl; those there of the same weights
are not computed again. CRPS is the mean pinball loss over 19 levels, .05 to .95, times two, in
standard deviations of the target. ``--cache FOLDER``: an offline OpenML cache, writable.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor

from benchmarks.common.openml_tasks import coded, fold_rows, folds, load, quiet, store
from benchmarks.common.options import add_openml
from benchmarks.common.report import on_shared_folds
from benchmarks.common.weights import checkpoint_of
from benchmarks.openml_regression import ESTIMATORS, OURS, TASKS

LEVELS = np.arange(1, 20) / 20
LOW, HIGH = 1, 17  # places of the levels .1 and .9


def ours(X: pd.DataFrame, y: np.ndarray, X_test: pd.DataFrame) -> np.ndarray:
    return clone(ESTIMATORS[OURS]).fit(X, y).predict_quantiles(X_test, LEVELS)


def conformal(X: pd.DataFrame, y: np.ndarray, X_test: pd.DataFrame) -> np.ndarray:
    model = clone(ESTIMATORS[OURS]).fit(X, y)
    return model.predict_quantiles(X_test, LEVELS, conformal=True)


def gaussian_process(X: pd.DataFrame, y: np.ndarray, X_test: pd.DataFrame) -> np.ndarray:
    model = clone(ESTIMATORS["Gaussian process"]).fit(X, y)
    encoder, process = model.regressor_[:-1], model.regressor_[-1]
    mean, std = process.predict(encoder.transform(X_test), return_std=True)
    scaled = mean[:, None] + std[:, None] * norm.ppf(LEVELS)
    return scaled * model.transformer_.scale_ + model.transformer_.mean_


def boosting(X: pd.DataFrame, y: np.ndarray, X_test: pd.DataFrame) -> np.ndarray:
    models = [
        coded(HistGradientBoostingRegressor(loss="quantile", quantile=level, random_state=0))
        for level in LEVELS
    ]
    return np.sort(np.column_stack([m.fit(X, y).predict(X_test) for m in models]), axis=1)


MODELS: dict[str, Callable[..., np.ndarray]] = {
    OURS: ours,
    f"{OURS}, conformal": conformal,
    "Gaussian process": gaussian_process,
    "quantile boosting": boosting,
}


@quiet
def score(
    task: int, fold: int, model: str, *, n_rows: int, cache: str | None
) -> list[dict[str, Any]]:
    """Score one model's quantiles on one fold."""
    openml_task, dataset, X, target = load(task, cache)
    y = target.to_numpy("float64")
    train, test = fold_rows(openml_task, fold, n_rows)
    quantiles = MODELS[model](X.iloc[train], y[train], X.iloc[test])
    excess = y[test][:, None] - quantiles
    crps = 2 * np.maximum(LEVELS * excess, (LEVELS - 1) * excess).mean() / y[train].std()
    low, high = quantiles[:, LOW], quantiles[:, HIGH]
    coverage = float(((low <= y[test]) & (y[test] <= high)).mean())
    width = float((high - low).mean() / y[train].std())
    return [{"dataset": dataset, "crps": crps, "coverage": coverage, "width": width}]


def summarise(rows: pd.DataFrame) -> None:
    """Print coverage of the 80 % interval by data set, and means with mean ranks by CRPS."""
    rows = on_shared_folds(rows, "model")
    means = rows.groupby(["dataset", "model"], sort=False)[["coverage", "width", "crps"]].mean()
    print("coverage of the 80 % interval")
    print(means["coverage"].unstack()[list(MODELS)].round(3).to_string())
    table = means.groupby(level="model", sort=False).mean()
    table["sd of coverage"] = means["coverage"].groupby(level="model").std()
    table["mean rank by CRPS"] = means["crps"].unstack().rank(axis=1).mean()
    print(f"\n{rows['dataset'].nunique()} data sets; widths and CRPS in standard deviations of y")
    print(table.round(3).to_string())


def add_options(parser: argparse.ArgumentParser) -> None:
    add_openml(parser, TASKS)


def run(args: argparse.Namespace) -> None:
    mine = checkpoint_of(ESTIMATORS[OURS])
    keys = [
        fold | {"model": name} | (mine if name.startswith(OURS) else {})
        for fold in folds(args)
        for name in MODELS
    ]
    job = partial(score, n_rows=args.rows, cache=args.cache)
    rows = store(args, "openml_intervals").complete(keys, job, args.jobs)
    summarise(pd.DataFrame(rows))
