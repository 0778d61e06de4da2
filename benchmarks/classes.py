"""How does the classifier cope with many classes, a rare one, and digits? Against baselines.

``python -m benchmarks classes`` prints three tables and writes their rows to
benchmarks/results/classes_*.json. ``seconds``: 1,000 rows of 20 columns in 2 to 100 normal clouds,
a class each, 1,000 queries; seconds of processor time, and the largest memory of the process so
far. ``rare``: ten of 20,000 rows, of ten columns, are positive, two of their columns shifted by 1.5
and half as wide; of 2,000 negative and 500 positive queries the mean probability, weighted by the
share of the positive ones, over that share, and how well the classes are ranked. ``digits``: the
1,797 images of scikit-learn, five stratified folds.
"""

import argparse
import resource
import warnings
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.common.report import Rows, report
from benchmarks.common.timing import timed
from sklearn_looped import KernelMachineClassifier, LoopedICLClassifier

MODELS = {
    "LoopedICLClassifier": LoopedICLClassifier(random_state=0),
    "KernelMachineClassifier": KernelMachineClassifier(),
    "LogisticRegression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "extra trees": ExtraTreesClassifier(random_state=0),
    "SVC": make_pipeline(StandardScaler(), SVC()),
}
RARE_MODELS = {
    "LoopedICLClassifier": MODELS["LoopedICLClassifier"],
    "LoopedICLClassifier, max_support=1024": LoopedICLClassifier(max_support=1024, random_state=0),
    "LogisticRegression": MODELS["LogisticRegression"],
    "extra trees": MODELS["extra trees"],
}
CLASSES = (2, 5, 10, 20, 50, 100)
N_ROWS, N_POSITIVE = 20_000, 10
MEGABYTE = 2**10  # of the kilobytes that the system counts


def half_and_half(name: str, X: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Fit to the first half of the rows, predict the others."""
    half = len(X) // 2
    model, fit, _ = timed(lambda: clone(MODELS[name]).fit(X[:half], y[:half]))
    prediction, predict, _ = timed(lambda: model.predict(X[half:]))
    return {
        "classes": len(model.classes_),
        "model": name,
        "accuracy": float(np.mean(prediction == y[half:])),
        "fit s": fit,
        "predict s": predict,
        "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE,
    }


def seconds() -> Rows:
    """Accuracy and seconds by number of classes."""
    names, rows = ("LoopedICLClassifier", "extra trees"), []
    for name in names:  # first calls take longer
        half_and_half(name, *make_blobs(100, 20, centers=2, random_state=0))
    for n_classes in CLASSES:
        X, y = make_blobs(2000, 20, centers=n_classes, cluster_std=6, random_state=0)
        rows += [half_and_half(name, X, y) for name in names]
    return rows


def rare_rows(
    n_rows: int, n_positive: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows, of which the first ones are positive."""
    X = rng.normal(size=(n_rows, 10))
    X[:n_positive, :2] = 1.5 + X[:n_positive, :2] / 2
    return X, np.arange(n_rows) < n_positive


def rare() -> Rows:
    """Probabilities of a rare class: their mean over its share, and its ranking."""
    rng, rows = np.random.default_rng(0), []
    X, y = rare_rows(N_ROWS, N_POSITIVE, rng)
    queries, label = rare_rows(2500, 500, rng)
    share = N_POSITIVE / N_ROWS
    for name, model in RARE_MODELS.items():
        proba = clone(model).fit(X, y).predict_proba(queries)[:, 1]
        negative, positive = proba[~label].mean(), proba[label].mean()
        rows.append(
            {
                "model": name,
                "mean / share": (1 - share) / share * negative + positive,
                "negative": negative,
                "positive": positive,
                "auc": roc_auc_score(label, proba),
            }
        )
    return rows


def digits() -> Rows:
    """Accuracy and log loss on digits."""
    X, y = load_digits(return_X_y=True)
    folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(X, y))
    rows = []
    for name, model in MODELS.items():
        scores: list[dict[str, Any]] = []
        for train, test in folds:
            fitted = clone(model).fit(X[train], y[train])
            scores.append({"accuracy": fitted.score(X[test], y[test])})
            if hasattr(fitted, "predict_proba"):
                scores[-1]["log loss"] = log_loss(y[test], fitted.predict_proba(X[test]))
        mean = {score: float(np.mean([each[score] for each in scores])) for score in scores[0]}
        rows.append({"model": name, **mean, "worst fold": min(s["accuracy"] for s in scores)})
    return rows


PARTS = {"seconds": seconds, "rare": rare, "digits": digits}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))


def run(args: argparse.Namespace) -> None:
    for part in args.parts:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Got .* rows, more than max_support")
            rows = PARTS[part]()
        report(args, f"classes_{part}", rows, chooses="parts")
        print()
