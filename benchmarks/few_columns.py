"""What are closed-form experts for? Few columns among many, and many that all matter.

``python -m benchmarks few_columns`` prints R2 of two questions, beside baselines:
Friedman #1 (600 rows, noise 1, five folds) with 5, 30 and 100 columns, of which five matter;
and `make_regression` with 64, 100 and 300 columns that all matter (300 training rows, noise 20).
"""

import argparse
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.datasets import make_friedman1, make_regression
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_score

from benchmarks.common.openml_tasks import coded, scaled
from benchmarks.common.report import report
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


def run(args: argparse.Namespace) -> None:
    report(args, "few_columns", [*map(friedman, (5, 30, 100)), *map(linear, (64, 100, 300))])
