"""How many loops do real tables take? R2 by fixed number and by the rules of ``n_loops="auto"``.

``python -m benchmarks openml_loops --jobs 2 --picture docs/images/openml_loops.svg`` fits once a
task and fold of the OpenML regression sets (three official folds, at most 1,024 support rows),
scores the test rows after every loop up to twice the trained number, and by each exit rule, with
the loops taken. Rows go to benchmarks/results/openml_loops.jsonl (those there of the same weights
are not computed again). It prints mean clipped R2 and mean loops, and draws R2 by loop.
``--cache FOLDER``: an offline OpenML cache, writable.
"""

import argparse
from functools import partial
from typing import Any

import pandas as pd
from sklearn.metrics import r2_score

from benchmarks.common.openml_tasks import fold_rows, folds, load, quiet, store
from benchmarks.common.options import add_openml, add_picture
from benchmarks.common.pictures import draw_loops
from benchmarks.common.timing import timed
from benchmarks.common.weights import checkpoint
from benchmarks.openml_regression import TASKS
from sklearn_looped import LoopedICLRegressor
from sklearn_looped.learned.checkpoints import load_checkpoint

WEIGHTS = load_checkpoint("tabular")
TRAINED = WEIGHTS.network.config.n_loops
QUANTILES = (0.7, 0.9, 0.95, 0.97)
RULES = {
    "support": {"exit_rule": "support"},
    "settled": {"exit_rule": "settled"},
    "holdout": {"exit_rule": "holdout"},
    **{f"gate, q = {q}": {"exit_rule": "gate", "exit_quantile": q} for q in QUANTILES},
}


@quiet
def score(task: int, fold: int, *, n_rows: int, cache: str | None) -> list[dict[str, Any]]:
    """Score every fixed count and every rule on one fold."""
    openml_task, dataset, X, target = load(task, cache)
    y = target.to_numpy("float64")
    train, test = fold_rows(openml_task, fold, n_rows)
    model = LoopedICLRegressor(n_loops=2 * TRAINED, max_support=n_rows, random_state=0)
    model.fit(X.iloc[train], y[train])
    queries, truth = X.iloc[test], y[test]
    row: dict[str, Any] = {"dataset": dataset}
    rows = [
        row | {"rule": f"{loop} loops", "r2": r2_score(truth, stage), "loops": loop}
        for loop, stage in enumerate(model.staged_predict(queries), 1)
    ]
    for rule, parameters in {f"{TRAINED} loops, timed": {"n_loops": TRAINED}, **RULES}.items():
        model.set_params(**{"n_loops": "auto", **parameters})
        (prediction, loops), _, seconds = timed(lambda: model.predict(queries, return_n_loops=True))
        taken = {"rule": rule, "r2": r2_score(truth, prediction), "loops": float(loops.mean())}
        rows.append(row | taken | {"predict_seconds": seconds})
    return rows


def summarise(rows: pd.DataFrame) -> None:
    """Print each rule's mean clipped R2 and loops, and its distance from the best fixed count."""
    means = rows.groupby(["rule", "dataset"], sort=False)[["r2", "loops", "predict_seconds"]].mean()
    table = means.groupby(level="rule", sort=False).mean()
    by_set = means["r2"].unstack("dataset")
    change = by_set - by_set.loc[f"{TRAINED} loops"]
    table["largest fall"], table["largest rise"] = change.min(axis=1), change.max(axis=1)
    fixed = table[table.index.str.endswith("loops")]
    best = fixed["r2"].idxmax()
    table["below best"] = fixed.loc[best, "r2"] - table["r2"]
    table["share of its loops"] = table["loops"] / fixed.loc[best, "loops"]
    print(
        f"{rows['dataset'].nunique()} data sets; R2 clipped to [0, 1]; falls and rises of single "
        f"sets from {TRAINED} loops, as trained; the best fixed count is {best}"
    )
    print(table.round(4).to_string(na_rep=""))


def by_loop(rows: pd.DataFrame) -> pd.DataFrame:
    """R2 by data set (rows) and fixed number of loops (columns)."""
    fixed = rows[rows["rule"].str.endswith("loops")]
    return fixed.groupby(["dataset", "loops"])["r2"].mean().unstack()


def add_options(parser: argparse.ArgumentParser) -> None:
    add_openml(parser, TASKS)
    add_picture(parser, "R2 by loop")


def run(args: argparse.Namespace) -> None:
    kept = store(args, "openml_loops", **checkpoint("tabular"))
    job = partial(score, n_rows=args.rows, cache=args.cache)
    rows = pd.DataFrame(kept.complete(folds(args), job, args.jobs))
    rows = rows.assign(r2=rows["r2"].clip(0, 1))
    summarise(rows)
    if args.picture:
        draw_loops(by_loop(rows), TRAINED, args.picture)
