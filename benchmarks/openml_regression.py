"""Who predicts real tables best? OpenML regression tasks, official splits, against baselines.

``python -m benchmarks openml_regression --jobs 2`` fits every estimator on every task and fold,
appends a row each to benchmarks/results/openml_regression.jsonl (rows that are there of the same
weights are not computed again), and prints a summary. Tasks come from the OpenML server, or from an
offline cache in the layout of the openml package: ``--cache FOLDER`` (a writable copy). The
baseline xRFM needs the package xrfm, the picture scikit-posthocs (both in the dependency group
``bench``); without xrfm that baseline is left out.
"""

import argparse
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest, rankdata
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import LassoCV, LinearRegression, RidgeCV
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from benchmarks.common.openml_tasks import coded, fold_rows, folds, load, quiet, scaled, store
from benchmarks.common.options import add_openml, add_picture
from benchmarks.common.pictures import draw_ranks
from benchmarks.common.report import on_shared_folds
from benchmarks.common.timing import timed
from benchmarks.common.weights import checkpoint_of
from benchmarks.common.xrfm_baseline import IS_INSTALLED, XRFMRegressor
from sklearn_looped import KernelMachineRegressor, LoopedICLRegressor

OURS = "LoopedICLRegressor"
XRFM = "xRFM"
# Tasks of CTR23, AMLB and others that fit a laptop; the last four exist in offline caches only.
TASKS = (
    361235, 361237, 361617, 361244, 361247, 361250, 361256, 361258, 361622, 361623, 361616, 359930,
    359931, 359950, 2311, 2318, 4831, 4839, 4872, 4727, 5005, 9000198, 9000542, 9000572, 9000690,
)  # fmt: skip


def scaled_target(model: Any) -> Any:
    return TransformedTargetRegressor(scaled(model), transformer=StandardScaler())


KERNEL = ConstantKernel(1.0) * RBF(3.0) + WhiteKernel(0.1)
ESTIMATORS = {
    OURS: LoopedICLRegressor(max_support=1024, random_state=0),
    "KernelMachineRegressor": KernelMachineRegressor(),
    "OLS": scaled(LinearRegression()),
    "LassoCV": scaled(LassoCV(random_state=0)),
    "RidgeCV": scaled(RidgeCV(np.logspace(-3, 3, 13))),
    "kNN": scaled(KNeighborsRegressor(10, weights="distance")),
    "SVR": scaled_target(SVR()),
    "random forest": coded(RandomForestRegressor(random_state=0)),
    "extra trees": coded(ExtraTreesRegressor(random_state=0)),
    "HistGradientBoosting": coded(HistGradientBoostingRegressor(random_state=0)),
    "Gaussian process": scaled_target(GaussianProcessRegressor(KERNEL, random_state=0)),
    XRFM: scaled_target(XRFMRegressor()),
}


def scored(
    estimator: str, X: pd.DataFrame, y: np.ndarray, train: np.ndarray, test: np.ndarray
) -> dict[str, Any]:
    """Fit and score an estimator on rows of a table."""
    model, _, fit_seconds = timed(lambda: clone(ESTIMATORS[estimator]).fit(X.iloc[train], y[train]))
    prediction, _, predict_seconds = timed(lambda: model.predict(X.iloc[test]))
    return {
        "n_train": len(train),
        "n_test": len(test),
        "r2": r2_score(y[test], prediction),
        "rmse": root_mean_squared_error(y[test], prediction),
        "fit_seconds": fit_seconds,
        "predict_seconds": predict_seconds,
    }


@quiet
def score(
    task: int, fold: int, estimator: str, *, n_rows: int, cache: str | None
) -> list[dict[str, Any]]:
    """Fit and score an estimator on one fold; at most `n_rows` training rows, drawn by the fold."""
    openml_task, dataset, X, target = load(task, cache)
    train, test = fold_rows(openml_task, fold, n_rows)
    return [{"dataset": dataset} | scored(estimator, X, target.to_numpy("float64"), train, test)]


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Print R2 by data set and, by estimator, ranks, our wins, a sign test and our losses.

    Returns R2 by data set (rows) and estimator (columns), where all have been scored.
    """
    rows = on_shared_folds(rows, "estimator")
    r2 = rows.groupby(["dataset", "estimator"])["r2"].mean().unstack()
    r2 = r2[[name for name in ESTIMATORS if name in r2]]
    print(r2.round(3).to_string())
    ranks = rankdata(-r2, axis=1).mean(0)
    seconds = rows.groupby("estimator")[["fit_seconds", "predict_seconds"]].median()
    table = pd.DataFrame({"mean rank": ranks, "mean clipped R2": r2.clip(0, 1).mean()})
    if OURS in r2:
        others = r2.drop(columns=OURS)
        wins, losses = others.lt(r2[OURS], axis=0).sum(), others.gt(r2[OURS], axis=0).sum()
        table["we win"] = wins.map(str)
        table["sign test p"] = pd.Series(
            {name: f"{sign_test(wins[name], losses[name]):.2g}" for name in others}, dtype=object
        )
    print(f"\n{len(r2)} data sets")
    print(table.join(seconds).sort_values("mean rank").round(3).to_string(na_rep=""))
    if OURS in r2:
        print_losses(r2)
    return r2


def sign_test(wins: int, losses: int) -> float:
    """Two-sided p of a sign test, which leaves ties out."""
    return binomtest(int(wins), int(wins + losses)).pvalue if wins + losses else 1.0


def print_losses(r2: pd.DataFrame) -> None:
    """Print for each baseline the data sets where it is ahead of ours, and by how much."""
    for baseline in r2.columns.drop(OURS):
        lead = (r2[baseline] - r2[OURS]).loc[lambda lead: lead > 0].sort_values(ascending=False)
        sets = ", ".join(f"{dataset} {value:.3f}" for dataset, value in lead.items())
        print(f"behind {baseline} on {len(lead)} of {len(r2)}: {sets}")


def by_estimator(splits: list[dict[str, Any]], estimators: list[str]) -> list[dict[str, Any]]:
    """Keys of rows: each fold with each estimator, and the weights of ours."""
    return [
        split | {"estimator": name} | checkpoint_of(ESTIMATORS[name])
        for split in splits
        for name in estimators
    ]


def add_estimators(parser: argparse.ArgumentParser) -> None:
    """Add ``--estimators``; without xrfm its baseline is left out."""
    available = [name for name in ESTIMATORS if IS_INSTALLED or name != XRFM]
    parser.add_argument("--estimators", nargs="+", default=available, choices=available)


def add_options(parser: argparse.ArgumentParser) -> None:
    add_openml(parser, TASKS)
    add_estimators(parser)
    add_picture(parser, "the mean ranks")


def run(args: argparse.Namespace) -> None:
    if not IS_INSTALLED:
        print(f"{XRFM} is left out: the package xrfm is not installed (pip install xrfm).")
    keys = by_estimator(folds(args), args.estimators)
    job = partial(score, n_rows=args.rows, cache=args.cache)
    rows = store(args, "openml_regression").complete(keys, job, args.jobs)
    r2 = summarise(pd.DataFrame(rows))
    if args.picture:
        draw_ranks(r2, OURS, args.picture)
