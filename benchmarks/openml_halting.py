"""What does stopping early cost? Every fixed number of loops and every rule of ``n_loops="auto"``.

``python benchmarks/openml_halting.py --jobs 2`` fits once a task and fold of the OpenML regression
sets (three official folds, at most 1,024 support rows), scores the test rows after every loop up to
twice the trained number, and by each exit rule, with the loops taken; rows go to
benchmarks/results/openml_halting.jsonl (those there of the same weights are not computed again).
It prints mean clipped R2 and mean loops. ``--cache FOLDER``: an offline OpenML cache, writable.
"""

import argparse
import itertools
import time
from pathlib import Path

import pandas as pd
from openml_regression import TASKS
from openml_tasks import append_rows, fold_rows, load, read_rows
from report import RESULTS
from sklearn.metrics import r2_score

from sklearn_looped import LoopedICLRegressor
from sklearn_looped.learned.checkpoints import load_checkpoint

ROWS = RESULTS / "openml_halting.jsonl"
WEIGHTS = load_checkpoint("tabular")
TRAINED = WEIGHTS.network.config.n_loops
QUANTILES = (0.3, 0.5, 0.7, 0.9)
RULES = {
    "settled": {"exit_rule": "settled"},
    "holdout": {"exit_rule": "holdout"},
    **{f"gate, q = {q}": {"exit_rule": "gate", "exit_quantile": q} for q in QUANTILES},
}


def run(task_id: int, fold: int, n_rows: int, cache: str | None) -> list[dict]:
    """Score every fixed count and every rule on one fold."""
    task, dataset, X, target = load(task_id, cache)
    y = target.to_numpy("float64")
    train, test = fold_rows(task, fold, n_rows)
    model = LoopedICLRegressor(n_loops=2 * TRAINED, max_support=n_rows, random_state=0)
    model.fit(X.iloc[train], y[train])
    queries, truth = X.iloc[test], y[test]
    row = {"task": task_id, "dataset": dataset, "fold": fold, "weights": model.weights_digest_}
    rows = [
        row | {"rule": f"{loop} loops", "r2": r2_score(truth, stage), "loops": loop}
        for loop, stage in enumerate(model.staged_predict(queries), 1)
    ]
    for rule, parameters in {f"{TRAINED} loops, timed": {"n_loops": TRAINED}, **RULES}.items():
        model.set_params(**{"n_loops": "auto", **parameters})
        start = time.perf_counter()
        prediction, loops = model.predict(queries, return_n_loops=True)
        seconds = time.perf_counter() - start
        taken = {"rule": rule, "r2": r2_score(truth, prediction), "loops": float(loops.mean())}
        rows.append(row | taken | {"predict_seconds": seconds})
    return rows


def summarise(rows: pd.DataFrame) -> None:
    """Print each rule's mean clipped R2 and loops, and its distance from the best fixed count."""
    rows = rows.assign(r2=rows["r2"].clip(0, 1))
    by_set = rows.groupby(["rule", "dataset"], sort=False)[["r2", "loops", "predict_seconds"]]
    table = by_set.mean().groupby(level="rule", sort=False).mean()
    fixed = table[table.index.str.endswith("loops")]
    best = fixed["r2"].idxmax()
    table["below best"] = fixed.loc[best, "r2"] - table["r2"]
    table["share of its loops"] = table["loops"] / fixed.loc[best, "loops"]
    print(f"{rows['dataset'].nunique()} data sets; the best fixed count is {best}")
    print(table.round(4).to_string(na_rep=""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=list(TASKS))
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1024, help="support rows at most")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", help="offline OpenML cache, writable")
    parser.add_argument("--output", type=Path, default=ROWS)
    args = parser.parse_args()

    done = {(row["task"], row["fold"], row["weights"]) for row in read_rows(args.output)}
    keys = itertools.product(args.tasks, range(args.folds))
    todo = [(*k, args.rows, args.cache) for k in keys if (*k, WEIGHTS.digest) not in done]
    rows = pd.DataFrame(append_rows(args.output, run, todo, args.jobs))
    summarise(rows[rows["weights"] == WEIGHTS.digest])


if __name__ == "__main__":
    main()
