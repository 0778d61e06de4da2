"""Do more loops than trained hurt on real tables? R2 by loop on the OpenML regression sets.

``python benchmarks/openml_loops.py --jobs 2 --picture docs/images/openml_loops.svg`` fits once a
task and fold (three official folds, at most 1,024 support rows), scores the test rows after every
loop up to twice the trained number in one `staged_predict`, appends a row each to
benchmarks/results/openml_loops.jsonl (those there of the same weights are not computed again),
prints the mean by loop and draws it. ``--cache FOLDER``: an offline OpenML cache, writable.
"""

import argparse
import itertools
from pathlib import Path

import pandas as pd
from openml_regression import TASKS
from openml_tasks import append_rows, fold_rows, load, read_rows
from pictures import draw_loops, picture_file
from report import RESULTS
from sklearn.metrics import r2_score

from sklearn_looped import LoopedICLRegressor
from sklearn_looped.learned.checkpoints import load_checkpoint

ROWS = RESULTS / "openml_loops.jsonl"
WEIGHTS = load_checkpoint("tabular")
TRAINED = WEIGHTS.network.config.n_loops


def run(task_id: int, fold: int, n_rows: int, cache: str | None) -> list[dict]:
    """Score the predictions after every loop on one fold."""
    task, dataset, X, target = load(task_id, cache)
    y = target.to_numpy("float64")
    train, test = fold_rows(task, fold, n_rows)
    model = LoopedICLRegressor(n_loops=2 * TRAINED, max_support=n_rows, random_state=0)
    stages = model.fit(X.iloc[train], y[train]).staged_predict(X.iloc[test])
    row = {"task": task_id, "dataset": dataset, "fold": fold, "weights": model.weights_digest_}
    row |= {"n_train": len(train), "n_test": len(test)}
    return [row | {"r2": [r2_score(y[test], stage) for stage in stages]}]


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Print the mean clipped R2 by loop; return R2 by data set (rows) and loop (columns)."""
    r2 = pd.DataFrame(rows["r2"].tolist(), index=rows["dataset"]).groupby(level=0).mean()
    r2.columns = pd.RangeIndex(1, len(r2.columns) + 1, name="loop")
    clipped = r2.clip(0, 1)
    change = clipped.sub(clipped[TRAINED], axis=0)
    table = pd.DataFrame({"mean clipped R2": clipped.mean(), "change": change.mean()})
    table["largest fall"], table["of"] = change.min(), change.idxmin()
    table["largest rise"], table["on"] = change.max(), change.idxmax()
    table.loc[TRAINED, ["of", "on"]] = ""
    print(f"{len(r2)} data sets, {len(rows)} folds; changes from loop {TRAINED}, as trained")
    print(table.round(4).to_string())
    return r2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=list(TASKS))
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1024, help="support rows at most")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", help="offline OpenML cache, writable")
    parser.add_argument("--output", type=Path, default=ROWS)
    parser.add_argument("--picture", type=picture_file, help="draw R2 by loop, .png or .svg")
    args = parser.parse_args()

    done = {(row["task"], row["fold"], row["weights"]) for row in read_rows(args.output)}
    keys = itertools.product(args.tasks, range(args.folds))
    todo = [(*k, args.rows, args.cache) for k in keys if (*k, WEIGHTS.digest) not in done]
    rows = pd.DataFrame(append_rows(args.output, run, todo, args.jobs))
    r2 = summarise(rows[rows["weights"] == WEIGHTS.digest])
    if args.picture:
        draw_loops(r2.clip(0, 1), TRAINED, args.picture)


if __name__ == "__main__":
    main()
