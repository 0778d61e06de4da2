"""Who classifies real tables best? A folder of CSV files from KEEL, against baselines.

``python -m benchmarks keel --data FOLDER --jobs 2`` fits every classifier on every file and fold,
appends a row each to benchmarks/results/keel.jsonl (rows that are there of the same weights are not
computed again), and prints accuracy by data set, then ranks and means of accuracy, log loss and ROC
AUC. A file has no header, its last column is the label, ``?`` or ``<null>`` marks a missing cell,
and text is nominal. Classes of fewer than ten rows are dropped, ten stratified folds are shuffled
with seed 0, and at most 1,024 training rows and 600 test rows are drawn, classes in proportion, at
least two rows of each. Files of few rows come first.
"""

import argparse
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from benchmarks.common.openml_tasks import coded, quiet, scaled, store
from benchmarks.common.options import add_rows, folder
from benchmarks.common.report import on_shared_folds
from benchmarks.common.timing import timed
from benchmarks.common.weights import checkpoint_of
from sklearn_looped import KernelMachineClassifier, LoopedICLClassifier

OURS = "LoopedICLClassifier"
FEWEST_ROWS = 10  # of a class
SPLITTER = StratifiedKFold(10, shuffle=True, random_state=0)
LEAST_PROBABILITY = 1e-6  # below it the log loss of some baselines is infinite
SCORES = {"accuracy": -1, "log_loss": 1, "auc": -1}  # the sign by which the best comes first
ESTIMATORS = {
    OURS: LoopedICLClassifier(random_state=0),
    "KernelMachineClassifier": KernelMachineClassifier(),
    "LogisticRegressionCV": scaled(
        LogisticRegressionCV(
            scoring="neg_log_loss", max_iter=300, l1_ratios=(0.0,), use_legacy_attributes=False
        )
    ),
    "kNN": scaled(GridSearchCV(KNeighborsClassifier(), {"n_neighbors": (1, 3, 5, 9, 15, 25)})),
    "SVC": scaled(
        GridSearchCV(SVC(probability=True, random_state=0), {"C": (0.1, 1.0, 10.0, 100.0)})
    ),
    "random forest": coded(RandomForestClassifier(random_state=0)),
    "extra trees": coded(ExtraTreesClassifier(random_state=0)),
    "HistGradientBoosting": coded(HistGradientBoostingClassifier(random_state=0)),
}


@lru_cache(maxsize=2)  # jobs on one file follow one another
def read(path: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Features and codes of the labels of a file, without its rarest classes."""
    table = pd.read_csv(path, header=None, na_values=["?", "<null>"], skipinitialspace=True)
    table = table.rename(columns="c{}".format)
    label = table.pop(table.columns[-1])
    kept = label.groupby(label).transform("size") >= FEWEST_ROWS
    return table[kept].reset_index(drop=True), label[kept].factorize(sort=True)[0]


def draw(rows: np.ndarray, y: np.ndarray, n_rows: int, seed: int) -> np.ndarray:
    """Draw at most `n_rows` rows, classes in proportion, at least two of each."""
    rows = np.random.default_rng(seed).permutation(rows)
    by_class = pd.Series(rows).groupby(y[rows])
    place, size = by_class.cumcount().to_numpy(), by_class.transform("size").to_numpy()
    key = np.where(place < 2, 0, (place + 0.5) / size)
    return np.sort(rows[np.argsort(key, kind="stable")[:n_rows]])


def macro_auc(y: np.ndarray, proba: np.ndarray) -> float:
    """Mean ROC AUC of each class against the rest, of the classes that occur."""
    return float(np.mean([roc_auc_score(y == code, proba[:, code]) for code in np.unique(y)]))


@quiet
def score(
    dataset: str, fold: int, estimator: str, *, data: Path, n_rows: int
) -> list[dict[str, Any]]:
    """Fit and score a classifier on one fold."""
    X, y = read(data / f"{dataset}.csv")
    train, test = list(SPLITTER.split(X, y))[fold]
    train, test = draw(train, y, n_rows, fold), draw(test, y, 600, fold)
    model, fit_cpu, _ = timed(lambda: clone(ESTIMATORS[estimator]).fit(X.iloc[train], y[train]))
    proba, predict_cpu, _ = timed(lambda: model.predict_proba(X.iloc[test]))
    clipped = proba.clip(LEAST_PROBABILITY, 1)
    clipped /= clipped.sum(axis=1, keepdims=True)
    return [
        {
            "n_train": len(train),
            "n_test": len(test),
            "n_columns": X.shape[1],
            "n_classes": len(model.classes_),
            "accuracy": float(np.mean(model.classes_[proba.argmax(axis=1)] == y[test])),
            "log_loss": log_loss(y[test], clipped, labels=model.classes_),
            "auc": macro_auc(y[test], proba),
            "fit_seconds": fit_cpu,
            "predict_seconds": predict_cpu,
        }
    ]


def by_set(rows: pd.DataFrame, score: str) -> pd.DataFrame:
    """Mean of a score by data set (rows) and classifier (columns)."""
    table = rows.groupby(["dataset", "estimator"])[score].mean().unstack()
    return table[[name for name in ESTIMATORS if name in table]].round(9)


def summarise(rows: pd.DataFrame) -> None:
    """Print accuracy by data set; by score, ranks, means and wins; the sets where ours loses.

    They are of the folds on which all classifiers have been scored.
    """
    rows = on_shared_folds(rows, "estimator")
    print(by_set(rows, "accuracy").round(3).to_string())
    for score, sign in SCORES.items():
        table = by_set(rows, score)
        summary = pd.DataFrame(
            {"mean rank": (sign * table).rank(axis=1).mean(), "mean": table.mean()}
        )
        if OURS in table:
            lead = (-sign * table).rsub(-sign * table[OURS], axis=0)
            summary["we win"], summary["ties"] = (lead > 0).sum(), (lead == 0).sum()
            summary.loc[OURS, ["we win", "ties"]] = np.nan
        print(f"\n{score}, {len(table)} data sets")
        print(summary.sort_values("mean rank").round(3).to_string(na_rep=""))
        for name in table.columns.drop(OURS) if OURS in table else []:
            behind = lead[name].loc[lambda lead: lead < 0].sort_values()
            sets = ", ".join(f"{dataset} {-value:.3f}" for dataset, value in behind.items())
            print(f"behind {name} on {len(behind)} of {len(table)}: {sets}")
    seconds = rows.groupby("estimator")[["fit_seconds", "predict_seconds"]].median()
    print("\nprocessor seconds, medians")
    print(seconds.round(3).to_string())


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=folder, required=True, help="folder of the CSV files")
    parser.add_argument("--folds", type=int, default=3, choices=range(1, 11), metavar="N")
    parser.add_argument("--estimators", nargs="+", default=list(ESTIMATORS), choices=ESTIMATORS)
    add_rows(parser)


def run(args: argparse.Namespace) -> None:
    paths = sorted(args.data.glob("*.csv"), key=lambda path: (len(read(path)[1]), path.stem))
    if not paths:
        raise SystemExit(f"{args.data} has no CSV files. Name the folder of the KEEL tables.")
    keys = [
        {"dataset": path.stem, "fold": fold, "estimator": name} | checkpoint_of(ESTIMATORS[name])
        for path in paths
        for fold in range(args.folds)
        for name in args.estimators
    ]
    job = partial(score, data=args.data, n_rows=args.rows)
    summarise(pd.DataFrame(store(args, "keel").complete(keys, job, args.jobs)))
