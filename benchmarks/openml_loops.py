"""R2 by number of loops on real tables, fixed and by the rules of ``n_loops="auto"``.

``python benchmarks/openml_loops.py --jobs 2 --picture docs/images/openml_loops.svg`` fits once a
task and fold of the OpenML regression sets (three official folds, at most 1,024 support rows),
scores the test rows after every loop up to twice the trained number, and by each exit rule, with
the loops taken. Rows go to benchmarks/results/openml_loops.jsonl (those there of the same weights
are not computed again). It prints mean clipped R2 and mean loops, and draws R2 by loop.
``--cache FOLDER``: an offline OpenML cache, writable.
"""

import itertools
import time

import pandas as pd
from openml_regression import TASKS
from openml_tasks import append_rows, arguments, fold_rows, load, read_rows
from pictures import draw_loops
from report import RESULTS
from sklearn.metrics import r2_score

from sklearn_looped import LoopedICLRegressor
from sklearn_looped.cli.arguments import picture_file
from sklearn_looped.learned.checkpoints import load_checkpoint

ROWS = RESULTS / "openml_loops.jsonl"
WEIGHTS = load_checkpoint("tabular")
TRAINED = WEIGHTS.network.config.n_loops
QUANTILES = (0.7, 0.9, 0.95, 0.97)
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


def main() -> None:
    parser = arguments(__doc__, TASKS, ROWS)
    parser.add_argument("--picture", type=picture_file, help="draw R2 by loop, .png or .svg")
    args = parser.parse_args()

    done = {(row["task"], row["fold"], row["weights"]) for row in read_rows(args.output)}
    keys = itertools.product(args.tasks, range(args.folds))
    todo = [(*k, args.rows, args.cache) for k in keys if (*k, WEIGHTS.digest) not in done]
    rows = pd.DataFrame(append_rows(args.output, run, todo, args.jobs))
    rows = rows[rows["weights"] == WEIGHTS.digest]
    rows = rows.assign(r2=rows["r2"].clip(0, 1))
    summarise(rows)
    if args.picture:
        draw_loops(by_loop(rows), TRAINED, args.picture)


if __name__ == "__main__":
    main()
