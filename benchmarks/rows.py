"""What do more rows bring, and what do they cost? 500 to 100,000 rows, and OpenML tasks in full.

``python -m benchmarks rows`` fits on 500, 1,000, ... rows of two functions with noise, Friedman #1
(ten columns, half of them of no use) and steps (six columns, one of no use, with interactions),
and of a third of twenty columns for the times, and predicts 1,000 other rows. ``--tasks ID ...``
asks for OpenML tasks instead, all training rows of the official folds; ``--published FILE`` prints
the mean RMSE of each beside published ones, a CSV file with columns task_id (a name), learner_id
and rmse. Rows of a run are appended to results/rows.jsonl; those that are there of the same
weights are not computed again. Memory is the peak of the process that computed a row, those before
it included: all rows with one job, and with ``--jobs`` those that the same worker took.
"""

import argparse
import resource
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.datasets import make_friedman1
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, root_mean_squared_error

from benchmarks.common.openml_tasks import coded, fold_rows, load, quiet
from benchmarks.common.options import add_cache
from benchmarks.common.report import RESULTS, Rows, Store
from benchmarks.common.timing import timed
from benchmarks.common.weights import checkpoint_of
from sklearn_looped import LoopedICLRegressor

OURS = "LoopedICLRegressor"
SIZES = (500, 1000, 2000, 4000, 8000, 20_000, 50_000, 100_000)
N_TEST = 1000
MODELS = {
    OURS: LoopedICLRegressor(random_state=0),
    "HistGradientBoosting": coded(HistGradientBoostingRegressor(random_state=0)),
    "extra trees": coded(ExtraTreesRegressor(random_state=0)),
}
# Regression tasks of the 25 (openml_regression) with more than 1,024 training rows.
LARGE = (
    361235, 361247, 361250, 361256, 361258, 361623, 361616, 359930, 4831, 9000198, 9000572,
)  # fmt: skip


def friedman(rng: np.random.RandomState, n: int) -> tuple[np.ndarray, np.ndarray]:
    return make_friedman1(n, n_features=10, noise=1.0, random_state=rng)


def steps(rng: np.random.RandomState, n: int) -> tuple[np.ndarray, np.ndarray]:
    X = rng.uniform(size=(n, 6))
    y = 2.0 * (X[:, 0] > 0.3) + np.floor(4 * X[:, 1]) + 3 * ((X[:, 2] > 0.5) & (X[:, 3] > 0.5))
    return X, y + 2 * ((X[:, 4] > 0.7) & (X[:, 1] > 0.5)) + 0.3 * rng.normal(size=n)


def wide(rng: np.random.RandomState, n: int) -> tuple[np.ndarray, np.ndarray]:
    X = rng.normal(size=(n, 20))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + X[:, 3:8].sum(1) + rng.normal(size=n)


FUNCTIONS = {"friedman": friedman, "steps": steps, "20 columns": wide}


def compared(
    estimator: str, X: Any, y: np.ndarray, Q: Any, truth: np.ndarray, n_jobs: int | None
) -> Rows:
    """Fit and score an estimator, with seconds and gigabytes."""
    model = clone(MODELS[estimator])
    if estimator == OURS:
        model.set_params(n_jobs=n_jobs)
    model, fit_cpu, fit_seconds = timed(lambda: model.fit(X, y))
    prediction, predict_cpu, predict_seconds = timed(lambda: model.predict(Q))
    return [
        {
            "r2": r2_score(truth, prediction),
            "rmse": root_mean_squared_error(truth, prediction),
            "fit_seconds": fit_seconds,
            "predict_seconds": predict_seconds,
            "cpu_seconds": fit_cpu + predict_cpu,
            "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        }
    ]


def on_function(function: str, n_rows: int, estimator: str, *, n_jobs: int | None) -> Rows:
    """Rows of one function: the same first ones for every size."""
    X, y = FUNCTIONS[function](np.random.RandomState(0), N_TEST + max(SIZES))
    rows = slice(N_TEST, N_TEST + n_rows)
    table = pd.DataFrame(X)
    parts = table[rows], y[rows], table[:N_TEST], y[:N_TEST]
    return compared(estimator, *parts, n_jobs)


@quiet
def on_task(task: int, fold: int, estimator: str, *, n_jobs: int | None, cache: str | None) -> Rows:
    """All training rows of one official fold."""
    openml_task, dataset, X, target = load(task, cache)
    y = target.to_numpy("float64")
    train, test = fold_rows(openml_task, fold, len(y))
    parts = X.iloc[train], y[train], X.iloc[test], y[test]
    named = {"dataset": dataset, "n_train": len(train)}
    return [named | row for row in compared(estimator, *parts, n_jobs)]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--functions", nargs="+", default=list(FUNCTIONS), choices=FUNCTIONS)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=list(SIZES), metavar="N",
        help=f"training rows, {max(SIZES):,} at most",
    )  # fmt: skip
    parser.add_argument(
        "--tasks", type=int, nargs="*", metavar="ID", help="OpenML tasks instead; none: the large"
    )
    parser.add_argument("--folds", type=int, default=3, help="official folds, from the first (3)")
    parser.add_argument("--estimators", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--published", type=Path, help="RMSEs to print beside")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--parts", type=int, help="n_jobs of LoopedICLRegressor")
    parser.add_argument("--output", type=Path, help="file of rows (default: in results/)")
    add_cache(parser)


def run(args: argparse.Namespace) -> None:
    if max(args.sizes) > max(SIZES):
        raise SystemExit(f"--sizes: the functions are drawn at {max(SIZES):,} rows at most")
    store = Store(args.output or RESULTS / "rows.jsonl")
    weights = {name: checkpoint_of(model) for name, model in MODELS.items()}
    if args.tasks is None:
        keys = [
            {"function": function, "n_rows": n_rows, "estimator": name} | weights[name]
            for n_rows in args.sizes
            for function in args.functions
            for name in args.estimators
        ]
        job, index = partial(on_function, n_jobs=args.parts), ["function", "n_rows"]
    else:
        keys = [
            {"task": task, "fold": fold, "estimator": name} | weights[name]
            for fold in range(args.folds)
            for task in args.tasks or LARGE
            for name in args.estimators
        ]
        job = partial(on_task, n_jobs=args.parts, cache=args.cache)
        index = ["dataset", "n_train"]
    store.complete(keys, job, args.jobs)
    rows = pd.DataFrame([row for key in keys for row in store.select(key)])
    summarise(rows, index)
    if args.published:
        beside_published(rows, args.published)


def summarise(rows: pd.DataFrame, index: list[str]) -> None:
    """Print mean R2 and seconds by table, and on how many tables ours is at least as good."""
    if "task" in rows:
        rows = rows.assign(n_train=rows.groupby("task")["n_train"].transform("max"))
    values = ("r2", "fit_seconds", "predict_seconds", "cpu_seconds", "peak_gb")
    for value in (value for value in values if value in rows):  # old rows have no seconds
        table = rows.pivot_table(value, index, "estimator")
        print(f"\n{value}\n{table.round(4 if value == 'r2' else 1).to_string()}")
        if value == "r2" and OURS in table:
            for name in table.columns.drop(OURS):
                both = table[[OURS, name]].dropna()
                wins = int((both[OURS] >= both[name]).sum())
                print(f"{OURS} is at least as good as {name} on {wins} of {len(both)}")


def beside_published(rows: pd.DataFrame, path: Path) -> None:
    """Print our mean RMSE over the folds that were run beside published means over all ten."""
    published = pd.read_csv(path).pivot_table("rmse", "task_id", "learner_id")
    ours = (
        rows[rows["estimator"] == OURS]
        .groupby("dataset")
        .agg(folds=("fold", "nunique"), ours=("rmse", "mean"))
    )
    table = ours.join(published, how="inner")
    print(f"\nRMSE\n{table.to_string(float_format='{:.5g}'.format)}")
    for name in published:
        print(f"below {name} on {int((table['ours'] < table[name]).sum())} of {len(table)}")
