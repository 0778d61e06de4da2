"""How closely do the programmed estimators equal scikit-learn's, and where can nobody tell?

Parameters and data are drawn at random, and every case counts. A case is *chaotic* if
scikit-learn's own result moves by more than the bound where each entry of its data is moved by one
unit in the last place (three draws of the directions): its steps amplify rounding, and no other
program can be closer to it than it is to itself. Such cases are marked, not left out; a difference
above the bound in any other is a defect. Differences are those of all fitted arrays, relative to
their largest entry above one; another number of epochs, another label or another shape counts as
one at least. ``python -m benchmarks parity`` prints three tables: drawn cases, the growth of a
difference by epoch on the breast-cancer table, and the defaults on scikit-learn's tables. It writes
benchmarks/results/parity.json, parity_growth.json and parity_defaults.json. A run that was stopped
goes on: cases are kept in runs/, and met again if neither the package nor scikit-learn has changed.
"""

import argparse
import ast
import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import SGDClassifier

import sklearn_looped
from benchmarks.common.report import RUNS, Rows, Store, report
from benchmarks.parity_cases import defaults, mlp, others, sgd
from benchmarks.parity_cases.case import Case, Outcome, compare
from sklearn_looped import ProgrammedSGDClassifier

Draw = Callable[[np.random.Generator, int], Iterator[Case]]
FAMILIES: dict[str, tuple[int, Draw]] = {
    "SGDRegressor": (500, partial(sgd.drawn, classes=0)),
    "SGDClassifier, 2 classes": (300, partial(sgd.drawn, classes=2)),
    "SGDClassifier, 3 classes": (200, partial(sgd.drawn, classes=3)),
    "MLPRegressor": (300, partial(mlp.drawn, outputs=1)),
    "MLPRegressor, 2 targets": (150, partial(mlp.drawn, outputs=2)),
    "MLPClassifier, 2 classes": (150, partial(mlp.drawn, outputs=-2)),
    "MLPClassifier, 3 classes": (150, partial(mlp.drawn, outputs=-3)),
    "LinearRegression": (150, partial(others.linear, ridge=False)),
    "Ridge": (100, partial(others.linear, ridge=True)),
    "PCA": (100, others.components),
    "KMeans": (150, others.clusters),
    "smoother and kernel ridge": (100, others.kernels),
}
PART = 50  # cases of a job
EPOCHS = (1, 2, 3, 5, 10, 15, 20)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--share", type=float, default=1.0, help="of the drawn cases (1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--epochs", type=int, default=200, help="of the networks on tables (200, their default)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")


def digest(*cases: str) -> str:
    """Digest of what the results depend on: code without comments and docstrings."""
    root = Path(sklearn_looped.__file__).parent
    folders = root / "programmed", root / "estimators"
    files = sorted(path for folder in folders for path in folder.rglob("*.py"))
    files += [Path(__file__).parent / "parity_cases" / f"{name}.py" for name in cases]
    trees = [ast.parse(path.read_text()) for path in files]
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None:
            node.body.pop(0)
    text = "".join(map(ast.dump, trees)) + sklearn.__version__
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def part(name: str, part: int, cases: int, seed: int) -> Rows:
    """Run some cases of a family; rows of infinite differences for cases that both refuse."""
    rng = np.random.default_rng([seed, list(FAMILIES).index(name), part])
    drawn = FAMILIES[name][1](rng, cases)
    outcomes = [(case.bound, compare(case, rng)) for case in drawn]
    return [
        {"bound": bound, "fitted": outcome is not None}
        | ({} if outcome is None else {"difference": outcome.difference, "own": outcome.own})
        for bound, outcome in outcomes
    ]


def summary(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Count and measure: ordinary cases, chaotic ones, those that both refuse to fit."""
    found = list(rows)
    fitted = [Outcome(r["difference"], r["own"], r["bound"]) for r in found if r["fitted"]]
    calm = [outcome for outcome in fitted if not outcome.chaotic]
    wild = [outcome for outcome in fitted if outcome.chaotic]
    return {
        "cases": len(found),
        "diverged": len(found) - len(fitted),
        "largest difference": max((o.difference for o in calm), default=0.0),
        "bound": max(r["bound"] for r in found),
        "above": int(sum(o.difference > o.bound for o in calm)),
        "chaotic": len(wild),
        "of these above": int(sum(o.difference > o.bound for o in wild)),
        "their largest": max((o.difference for o in wild), default=0.0),
        "scikit-learn's own": max((o.own for o in wild), default=0.0),
    }


def drawn(args: argparse.Namespace, store: Store) -> Rows:
    keys = []
    for name, (n_cases, _) in FAMILIES.items():
        n = max(2, round(n_cases * args.share))
        sizes = [min(PART, n - start) for start in range(0, n, PART)]
        keys += [
            {"name": name, "part": i, "cases": size, "seed": args.seed}
            for i, size in enumerate(sizes)
        ]
    store.complete(keys, part, args.jobs)
    rows = []
    for name in FAMILIES:
        own = [row for key in keys if key["name"] == name for row in store.select(key)]
        rows.append({"equal to": name, **summary(own)})
    total = summary(row for key in keys for row in store.select(key))
    return [*rows, {"equal to": "all", **total}]


def on_tables(args: argparse.Namespace, store: Store) -> Rows:
    keys: Rows = [{"table": table, "estimator": name} for name, table in defaults.NAMES]
    for key in keys:
        key["most"] = args.epochs if key["estimator"].startswith("MLP") else 0
    store.complete(keys, defaults.job, args.jobs)
    hidden = {"code", "most"}
    rows = [row for key in keys for row in store.select(key)]
    return [{name: row[name] for name in row if name not in hidden} for row in rows]


def growth() -> Rows:
    """Differences after each epoch of the log loss on the breast-cancer table."""
    rng = np.random.default_rng(0)
    X, y = defaults.standardised(load_breast_cancer)
    moved = np.nextafter(X, rng.choice([-np.inf, np.inf], X.shape))
    options = {"loss": "log_loss", "random_state": 0, "tol": None}
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for n in EPOCHS:
            theirs, again = (
                SGDClassifier(**options, max_iter=n).fit(data, y) for data in (X, moved)
            )
            ours = ProgrammedSGDClassifier(**options, max_iter=n).fit(X, y)
            row = {"epochs": n, "largest weight": np.abs(theirs.coef_).max()}
            row["ours and scikit-learn"] = np.abs(ours.coef_ - theirs.coef_).max()
            row["scikit-learn and itself at one ulp"] = np.abs(again.coef_ - theirs.coef_).max()
            rows.append(row)
    return rows


def run(args: argparse.Namespace) -> None:
    RUNS.mkdir(exist_ok=True)
    code = digest("case", "sgd", "mlp", "others")
    report(args, "parity", drawn(args, Store(RUNS / "parity_drawn.jsonl", code=code)))
    if args.share < 1:
        return
    print()
    report(args, "parity_growth", growth())
    print()
    code = digest("case", "sgd", "mlp", "defaults")
    store = Store(RUNS / "parity_defaults.jsonl", code=code)
    report(args, "parity_defaults", on_tables(args, store))
