"""How closely do the programmed estimators equal scikit-learn's, and where can nobody tell?

Parameters and data are drawn at random, and every case counts. A case is *chaotic* if
scikit-learn's own result moves by more than the bound where each entry of its data is moved by one
unit in the last place (three draws of the directions): its steps amplify rounding, and no other
program can be closer to it than it is to itself. Such cases are marked, not left out; a difference
above the bound in any other is a defect. Differences are those of all fitted arrays, relative to
their largest entry above one; another number of epochs or another label counts as one.
``python -m benchmarks parity`` prints three tables: drawn cases, the growth of a difference by
epoch on the breast-cancer table, and the defaults on scikit-learn's tables. It writes
benchmarks/results/parity.json, parity_growth.json and parity_defaults.json.
"""

import argparse
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import joblib
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import SGDClassifier

from benchmarks.common.report import Rows, report
from benchmarks.parity_cases import mlp, others, sgd
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
    "LinearRegression and Ridge": (150, others.linear),
    "PCA": (100, others.components),
    "KMeans": (100, others.clusters),
    "smoother and kernel ridge": (100, others.kernels),
}
EPOCHS = (1, 2, 3, 5, 10, 15, 20)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--share", type=float, default=1.0, help="of the drawn cases (1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes")


def summary(outcomes: Iterable[Outcome | None], bound: float) -> dict[str, float]:
    """Count and measure: ordinary cases, chaotic ones, those that both refuse to fit."""
    found = list(outcomes)
    fitted = [outcome for outcome in found if outcome is not None]
    calm = [outcome for outcome in fitted if not outcome.chaotic]
    wild = [outcome for outcome in fitted if outcome.chaotic]
    return {
        "cases": len(found),
        "diverged": len(found) - len(fitted),
        "largest difference": max((o.difference for o in calm), default=0.0),
        "bound": bound,
        "above": int(sum(o.difference > o.bound for o in calm)),
        "chaotic": len(wild),
        "of these above": int(sum(o.difference > o.bound for o in wild)),
        "their largest": max((o.difference for o in wild), default=0.0),
        "scikit-learn's own": max((o.own for o in wild), default=0.0),
    }


def family(name: str, seed: int, share: float) -> dict[str, Any]:
    """Run the cases of a family."""
    n_cases, draw = FAMILIES[name]
    rng = np.random.default_rng([seed, list(FAMILIES).index(name)])
    cases = list(draw(rng, max(2, round(n_cases * share))))
    outcomes = [compare(case, rng) for case in cases]
    return {"equal to": name, **summary(outcomes, max(case.bound for case in cases))}


def drawn(args: argparse.Namespace) -> Rows:
    jobs = (joblib.delayed(family)(name, args.seed, args.share) for name in FAMILIES)
    rows: Rows = joblib.Parallel(n_jobs=args.jobs)(jobs)
    return rows


def defaults() -> Rows:
    rng, rows = np.random.default_rng(0), []
    for loss in ("hinge", "log_loss", "squared_error"):
        for table, case in sgd.defaults(loss):
            outcome = compare(case, rng)
            if outcome is not None:
                marks = {"chaotic": "yes" if outcome.chaotic else ""}
                own = {"difference": outcome.difference, "scikit-learn's own": outcome.own}
                rows.append({"table": table, "loss": loss, **own, **marks})
    return rows


def growth() -> Rows:
    """Differences after each epoch of the log loss on the breast-cancer table."""
    rng = np.random.default_rng(0)
    X, y = sgd.standardised(load_breast_cancer)
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
    report("parity", drawn(args))
    if args.share < 1:
        return
    print()
    report("parity_growth", growth())
    print()
    report("parity_defaults", defaults())
