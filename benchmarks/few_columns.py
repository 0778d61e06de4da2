"""Few columns among many, and many that all matter: what closed-form experts are for.

``python benchmarks/few_columns.py`` prints R2 of three questions, beside baselines:
Friedman #1 (600 rows, noise 1, five folds) with 5, 30 and 100 columns, of which five matter;
`make_regression` with 64, 100 and 300 columns that all matter (300 training rows, noise 20); and,
with ``--null-columns`` and an OpenML cache, the regression sets of `openml_regression.py` with one
and three times their columns added as permuted copies (fold 0), as falls of R2.
"""

import argparse
from typing import Any

import numpy as np
import pandas as pd
from openml_regression import ESTIMATORS, TASKS
from openml_tasks import coded, fold_rows, load, scaled
from report import report
from sklearn.base import clone
from sklearn.datasets import make_friedman1, make_regression
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_score

from sklearn_looped import KernelMachineRegressor, LoopedICLRegressor

MODELS = {
    "LoopedICLRegressor": LoopedICLRegressor(random_state=0),
    "KernelMachineRegressor": KernelMachineRegressor(),
    "RidgeCV": scaled(RidgeCV(np.logspace(-3, 3, 13))),
    "HistGradientBoosting": coded(HistGradientBoostingRegressor(random_state=0)),
}


def friedman(n_columns: int) -> dict[str, Any]:
    """R2 over five folds of Friedman #1."""
    X, y = make_friedman1(600, n_columns, noise=1, random_state=0)
    folds = KFold(5, shuffle=True, random_state=0)
    table = pd.DataFrame(X)
    scores = {name: cross_val_score(m, table, y, cv=folds).mean() for name, m in MODELS.items()}
    return {"question": f"Friedman #1, {n_columns} columns", **scores}


def linear(n_columns: int) -> dict[str, Any]:
    """R2 on 500 rows of a linear function of all columns, from 300."""
    X, y = make_regression(800, n_columns, n_informative=n_columns, noise=20, random_state=0)
    table = pd.DataFrame(X)
    scores = {
        name: clone(model).fit(table[:300], y[:300]).score(table[300:], y[300:])
        for name, model in MODELS.items()
    }
    return {"question": f"linear in {n_columns} columns", **scores}


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
    model, falls = ESTIMATORS["LoopedICLRegressor"], {1: [], 3: [], 7: []}
    for task_id in TASKS:
        task, _, X, target = load(task_id, cache)
        train, test = fold_rows(task, 0, 512)
        y, test = target.to_numpy("float64"), test[:300]

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--null-columns", action="store_true")
    parser.add_argument("--cache", help="offline OpenML cache, writable")
    args = parser.parse_args()
    report("few_columns", [*map(friedman, (5, 30, 100)), *map(linear, (64, 100, 300))])
    if args.null_columns:
        report("null_columns", null_columns(args.cache))


if __name__ == "__main__":
    main()
