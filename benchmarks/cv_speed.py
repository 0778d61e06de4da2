"""Does `LoopedICLRegressorCV` choose as a grid search does, and what does it cost?

``python -m benchmarks cv_speed --cache FOLDER`` takes ten OpenML regression sets (300 rows each),
chooses the number of loops among 1 to 16 with `LoopedICLRegressorCV` and with `GridSearchCV` on the
same folds, and times both beside `cross_val_score` at 16 loops, and beside one plain `fit` and
`score` at the trained number of loops. It prints a table and writes
benchmarks/results/cv_speed.json. Last it times a small grid search in one process and in two, in
turns; ``--processes`` does that alone.
"""

import argparse

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from benchmarks.common.openml_tasks import fold_rows, load
from benchmarks.common.options import add_cache
from benchmarks.common.report import print_table, report, spread
from benchmarks.common.timing import timed
from benchmarks.openml_regression import TASKS
from sklearn_looped import LoopedICLRegressor, LoopedICLRegressorCV

N_ROWS, FOLDS = 300, KFold(5)
COUNTS = list(range(1, 17))
N_TURNS = 3


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", type=int, nargs="+", default=list(TASKS[:10]), metavar="ID")
    parser.add_argument("--processes", action="store_true", help="compare one process and two only")
    add_cache(parser)


def in_processes(X: pd.DataFrame, y: np.ndarray) -> None:
    """Print wall seconds of a grid search in one process and in two, and their ratio."""
    grid = {"n_loops": [2, 4, 6]}
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(N_TURNS):
        for n_jobs, taken in seconds.items():
            search = GridSearchCV(LoopedICLRegressor(random_state=0), grid, cv=FOLDS, n_jobs=n_jobs)
            taken.append(timed(lambda search=search: search.fit(X, y)).wall)
    ratios = [one / two for one, two in zip(*seconds.values(), strict=True)]
    rows = [{"processes": n_jobs} | spread(taken, "s") for n_jobs, taken in seconds.items()]
    rows[1] |= spread(ratios, "one / two")
    print_table(pd.DataFrame(rows))


def data(task_id: int, cache: str | None) -> tuple[str, pd.DataFrame, np.ndarray]:
    """Name and training rows of a task."""
    task, dataset, table, target = load(task_id, cache)
    train, _ = fold_rows(task, 0, N_ROWS)
    return dataset, table.iloc[train].reset_index(drop=True), target.to_numpy("float64")[train]


def run(args: argparse.Namespace) -> None:
    if not args.processes:
        compare(args)
    in_processes(*data(args.tasks[0], args.cache)[1:])


def compare(args: argparse.Namespace) -> None:
    """Print and write choices and seconds for all tasks."""
    plain = LoopedICLRegressor(random_state=0)
    most = clone(plain).set_params(n_loops=max(COUNTS))
    rows = []
    for task_id in args.tasks:
        dataset, X, y = data(task_id, args.cache)
        chosen, _, ours = timed(
            lambda X=X, y=y: LoopedICLRegressorCV(n_loops=COUNTS, cv=FOLDS, random_state=0).fit(
                X, y
            )
        )
        grid, _, theirs = timed(
            lambda X=X, y=y: GridSearchCV(plain, {"n_loops": COUNTS}, cv=FOLDS).fit(X, y)
        )
        _, _, folds = timed(lambda X=X, y=y: cross_val_score(most, X, y, cv=FOLDS))
        _, _, once = timed(lambda X=X, y=y: plain.fit(X, y).score(X, y))
        rows.append(
            {
                "data": dataset,
                "n_loops CV": chosen.n_loops_,
                "n_loops grid": grid.best_params_["n_loops"],
                "CV s": ours,
                "grid s": theirs,
                "cross_val_score s": folds,
                "fit and score s": once,
                "CV / cross_val_score": ours / folds,
                "grid / CV": theirs / ours,
            }
        )
    report(args, "cv_speed", rows)
    same = np.mean([row["n_loops CV"] == row["n_loops grid"] for row in rows])
    print(f"the same number of loops on {same:.0%} of {len(rows)} data sets")
