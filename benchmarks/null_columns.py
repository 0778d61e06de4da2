"""What do columns of no use cost? The OpenML regression sets with permuted copies of their columns.

``python -m benchmarks null_columns`` adds one and three times the columns of each regression set,
their cells permuted (fold 0), prints the falls of R2 of `LoopedICLRegressor` and writes
benchmarks/results/null_columns.json.
"""

import argparse
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import r2_score

from benchmarks.common.openml_tasks import fold_rows, load
from benchmarks.common.options import add_cache
from benchmarks.common.report import report
from benchmarks.openml_regression import ESTIMATORS, OURS, TASKS


def with_copies(table: pd.DataFrame, times: int, rng: np.random.Generator) -> pd.DataFrame:
    """Add each column so many times, its cells permuted: columns of no use."""
    copies = [
        table[[name]].iloc[rng.permutation(len(table))].set_axis([f"{name} {i}"], axis=1)
        for i in range(times)
        for name in table
    ]
    return pd.concat([table, *(c.set_index(table.index) for c in copies)], axis=1)


def null_columns(cache: str | None) -> list[dict[str, Any]]:
    """Median fall of R2 over the sets for each number of copies."""
    model, falls = ESTIMATORS[OURS], {1: [], 3: []}
    for task_id in TASKS:
        task, _, X, target = load(task_id, cache)
        train, test = fold_rows(task, 0, 1024)
        y, test = target.to_numpy("float64"), test[:500]

        def score(table: pd.DataFrame, y=y, train=train, test=test) -> float:
            fitted = clone(model).fit(table.iloc[train], y[train])
            return r2_score(y[test], fitted.predict(table.iloc[test]))

        plain = score(X)
        for times, fall in falls.items():
            fall.append(plain - score(with_copies(X, times, np.random.default_rng(times))))
    return [
        {
            "question": f"{times} times the columns added, of no use",
            "median fall of R2": float(np.median(fall)),
            "largest": max(fall),
        }
        for times, fall in falls.items()
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    add_cache(parser)


def run(args: argparse.Namespace) -> None:
    report("null_columns", null_columns(args.cache))
