"""Who predicts real tables best? OpenML regression tasks, official splits, against baselines.

``python benchmarks/openml_regression.py --folds 3 --rows 1024 --jobs 2`` fits every estimator on
every task and fold, appends a row each to benchmarks/results/openml_regression.jsonl (rows that are
there are not computed again), and prints a summary. Tasks come from the OpenML server, or from an
offline cache in the layout of the openml package: ``--cache FOLDER`` (a writable copy). The
baseline xRFM needs the package xrfm (dependency group ``bench``); without it, it is left out.
"""

import itertools
import time
from typing import Any

import numpy as np
import pandas as pd
from openml_tasks import append_rows, arguments, coded, fold_rows, load, read_rows, scaled
from pictures import draw_ranks
from report import RESULTS
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
from xrfm_baseline import IS_INSTALLED, XRFMRegressor

from sklearn_looped import KernelMachineRegressor, LoopedICLRegressor
from sklearn_looped.cli.arguments import picture_file

ROWS = RESULTS / "openml_regression.jsonl"
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


def run(task_id: int, fold: int, names: list[str], n_rows: int, cache: str | None) -> list[dict]:
    """Fit and score estimators on one fold; at most `n_rows` training rows, drawn by the fold."""
    task, dataset, X, target = load(task_id, cache)
    y = target.to_numpy("float64")
    train, test = fold_rows(task, fold, n_rows)
    rows = []
    for name in names:
        start = time.perf_counter()
        model = clone(ESTIMATORS[name]).fit(X.iloc[train], y[train])
        fitted = time.perf_counter()
        prediction = model.predict(X.iloc[test])
        predicted = time.perf_counter()
        rows.append(
            {
                "task": task_id,
                "dataset": dataset,
                "fold": fold,
                "estimator": name,
                "n_train": len(train),
                "n_test": len(test),
                "r2": r2_score(y[test], prediction),
                "rmse": root_mean_squared_error(y[test], prediction),
                "fit_seconds": fitted - start,
                "predict_seconds": predicted - fitted,
            }
        )
    return rows


def summarise(rows: pd.DataFrame) -> tuple[pd.Series, int]:
    """Print R2 by data set and, by estimator, ranks, our wins, a sign test and our losses.

    Returns the mean ranks and the number of data sets.
    """
    r2 = rows.groupby(["dataset", "estimator"])["r2"].mean().unstack()
    r2 = r2[[name for name in ESTIMATORS if name in r2]].dropna()
    print(r2.round(3).to_string())
    ranks = rankdata(-r2, axis=1).mean(0)
    seconds = rows.groupby("estimator")[["fit_seconds", "predict_seconds"]].median()
    table = pd.DataFrame({"mean rank": ranks, "mean clipped R2": r2.clip(0, 1).mean()})
    if OURS in r2:
        wins = (r2[OURS].to_numpy()[:, None] > r2).sum()
        table["we win"] = wins
        table["sign test p"] = [binomtest(int(w), len(r2)).pvalue for w in wins]
        table.loc[OURS, ["we win", "sign test p"]] = np.nan
    print(f"\n{len(r2)} data sets")
    print(table.join(seconds).sort_values("mean rank").round(3).to_string())
    if OURS in r2:
        print_losses(r2)
    return table["mean rank"], len(r2)


def print_losses(r2: pd.DataFrame) -> None:
    """Print for each baseline the data sets where it is ahead of ours, and by how much."""
    for baseline in r2.columns.drop(OURS):
        lead = (r2[baseline] - r2[OURS]).loc[lambda lead: lead > 0].sort_values(ascending=False)
        sets = ", ".join(f"{dataset} {value:.3f}" for dataset, value in lead.items())
        print(f"behind {baseline} on {len(lead)} of {len(r2)}: {sets}")


def main() -> None:
    parser = arguments(__doc__, TASKS, ROWS)
    available = [name for name in ESTIMATORS if IS_INSTALLED or name != XRFM]
    parser.add_argument("--estimators", nargs="+", default=available, choices=available)
    parser.add_argument("--picture", type=picture_file, help="draw the mean ranks, .png or .svg")
    args = parser.parse_args()
    if not IS_INSTALLED:
        print(f"{XRFM} is left out: the package xrfm is not installed (pip install xrfm).")

    rows = read_rows(args.output)
    done = {(row["task"], row["fold"], row["estimator"]) for row in rows}
    todo = []
    for task_id, fold in itertools.product(args.tasks, range(args.folds)):
        names = [name for name in args.estimators if (task_id, fold, name) not in done]
        if names:
            todo.append((task_id, fold, names, args.rows, args.cache))
    rows = append_rows(args.output, run, todo, args.jobs)
    ranks, n_sets = summarise(pd.DataFrame(rows))
    if args.picture:
        draw_ranks(ranks, n_sets, OURS, args.picture)


if __name__ == "__main__":
    main()
