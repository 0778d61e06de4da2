"""What do columns of no use cost? The OpenML regression sets with permuted copies of their columns.

``python -m benchmarks null_columns`` adds one, three and seven times the columns of each regression
set, their cells permuted (fold 0, at most 1,024 training rows), and prints the falls of R2 of
`LoopedICLRegressor`. Rows go to benchmarks/results/null_columns.jsonl (those there of the same
weights are not computed again). ``--cache FOLDER``: an offline OpenML cache, writable.
"""

import argparse
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import r2_score

from benchmarks.common.openml_tasks import fold_rows, folds, load, quiet, store
from benchmarks.common.options import add_openml
from benchmarks.common.weights import checkpoint_of
from benchmarks.openml_regression import ESTIMATORS, OURS, TASKS

TIMES = (0, 1, 3, 7)
N_TEST = 500


def with_copies(table: pd.DataFrame, times: int, rng: np.random.Generator) -> pd.DataFrame:
    """Add each column so many times, its cells permuted: columns of no use."""
    copies = [
        table[[name]].iloc[rng.permutation(len(table))].set_axis([f"{name} {i}"], axis=1)
        for i in range(times)
        for name in table
    ]
    return pd.concat([table, *(c.set_index(table.index) for c in copies)], axis=1)


@quiet
def score(
    task: int, fold: int, times: int, *, n_rows: int, cache: str | None
) -> list[dict[str, Any]]:
    """Fit on one fold of a set with so many copies of its columns."""
    openml_task, dataset, X, target = load(task, cache)
    train, test = fold_rows(openml_task, fold, n_rows)
    y, test = target.to_numpy("float64"), test[:N_TEST]
    table = with_copies(X, times, np.random.default_rng(times))
    model = clone(ESTIMATORS[OURS]).fit(table.iloc[train], y[train])
    r2 = r2_score(y[test], model.predict(table.iloc[test]))
    return [{"dataset": dataset, "n_columns": table.shape[1], "r2": r2}]


def summarise(rows: pd.DataFrame) -> None:
    """Print R2 by data set and copies, and the falls from the table as it is."""
    r2 = rows.groupby(["dataset", "times"])["r2"].mean().unstack()
    print(r2.round(4).to_string())
    falls = r2[[0]].to_numpy() - r2.drop(columns=0)
    table = pd.DataFrame(
        {"median fall": falls.median(), "mean": falls.mean(), "largest": falls.max()}
    )
    print(f"\n{len(r2)} data sets, falls of R2 by times the columns that were added")
    print(table.round(4).to_string())


def add_options(parser: argparse.ArgumentParser) -> None:
    add_openml(parser, TASKS, n_folds=1)


def run(args: argparse.Namespace) -> None:
    kept = store(args, "null_columns", **checkpoint_of(ESTIMATORS[OURS]))
    job = partial(score, n_rows=args.rows, cache=args.cache)
    keys = [key | {"times": times} for key in folds(args) for times in TIMES]
    summarise(pd.DataFrame(kept.complete(keys, job, args.jobs)))
