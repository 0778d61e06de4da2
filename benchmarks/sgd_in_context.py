"""How good is SGD inside the transformer on five OpenML tasks, and how many loops does it need?

The first five tasks of the regression benchmark, at most `--rows` rows of each, three folds:
`cross_val_score` (R2) of ordinary least squares, LassoCV, ProgrammedSGDRegressor until its stopping
rule, and the same with `n_loops` chosen by GridSearchCV on the training folds; then the mean R2 of
one fit a fold by `n_loops`, which is read at predict. ``python -m benchmarks sgd_in_context``
prints two tables and writes benchmarks/results/sgd_in_context.json and
sgd_in_context_loops.json.
"""

import argparse
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LassoCV, LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.preprocessing import StandardScaler

from benchmarks.common.openml_tasks import load, quiet, scaled
from benchmarks.common.options import add_cache
from benchmarks.common.report import Rows, report
from benchmarks.openml_regression import TASKS
from sklearn_looped import ProgrammedSGDRegressor

LOOPS = [10, 30, 100, 300, 1000, 3000]
N_LOOPS = "regressor__programmedsgdregressor__n_loops"
FOLDS = KFold(3, shuffle=True, random_state=0)


def programmed() -> TransformedTargetRegressor:
    """SGD on scaled columns and a scaled target."""
    model = scaled(ProgrammedSGDRegressor(random_state=0))
    return TransformedTargetRegressor(model, transformer=StandardScaler())


def scores(name: str, X: Any, y: Any) -> dict[str, Any]:
    """Mean R2 of the estimators, and the numbers of loops that were chosen."""
    search = GridSearchCV(programmed(), {N_LOOPS: LOOPS}, cv=3)
    models = {"OLS": scaled(LinearRegression()), "LassoCV": scaled(LassoCV())}
    models |= {"SGD": programmed(), "SGD, n_loops by grid": search}
    row: dict[str, Any] = {"data set": name, "rows": len(X)}
    for kind, model in models.items():
        found = cross_validate(model, X, y, cv=FOLDS, return_estimator=True)
        row[kind] = float(found["test_score"].mean())
    chosen = [fitted.best_params_[N_LOOPS] for fitted in found["estimator"]]
    return row | {"chosen": " ".join(map(str, chosen))}


def by_loop(name: str, X: Any, y: Any) -> dict[str, Any]:
    """Mean R2 by number of loops, of one fit a fold."""
    curves = []
    for train, test in FOLDS.split(X):
        model = clone(programmed()).fit(X.iloc[train], y.iloc[train])
        sgd, curve = model.regressor_[-1], []
        for n_loops in [*LOOPS, None]:
            sgd.set_params(n_loops=n_loops)
            curve.append(r2_score(y.iloc[test], model.predict(X.iloc[test])))
        curves.append(curve)
    names = [*map(str, LOOPS), "until the rule"]
    return {"data set": name} | dict(zip(names, np.mean(curves, axis=0).tolist(), strict=True))


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=300, help="rows of a task at most (300)")
    add_cache(parser)


@quiet
def run_tasks(args: argparse.Namespace) -> Rows:
    tables: Rows = []
    for task in TASKS[:5]:
        _, name, X, y = load(task, args.cache)
        rows = np.random.default_rng(0).permutation(len(X))[: args.rows]
        X, y = X.iloc[rows], y.iloc[rows].astype(float)
        tables += [scores(name, X, y), by_loop(name, X, y)]
    return tables


def run(args: argparse.Namespace) -> None:
    tables = run_tasks(args)
    report(args, "sgd_in_context", tables[::2])
    print()
    report(args, "sgd_in_context_loops", tables[1::2])
