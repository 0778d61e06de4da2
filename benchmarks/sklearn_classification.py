"""How good are probabilities on scikit-learn's data? Accuracy, log loss, calibration.

``python -m benchmarks sklearn_classification`` compares `LoopedICLClassifier` with
LogisticRegression and a random forest on breast cancer, wine and iris, prints means and standard
deviations over ten folds and writes benchmarks/results/sklearn_classification.json. The calibration
error is the mean absolute gap between the probability of the predicted class and its accuracy, over
ten bins of equal width weighted by their size, of all folds' queries together.
"""

import argparse
from time import process_time

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.common.report import report
from sklearn_looped import LoopedICLClassifier

FOLDS = StratifiedKFold(10, shuffle=True, random_state=0)
MODELS = {
    "LoopedICLClassifier": LoopedICLClassifier(random_state=0),
    "LogisticRegression": make_pipeline(StandardScaler(), LogisticRegression()),
    "random forest": RandomForestClassifier(random_state=0),
}


def calibration_error(proba: np.ndarray, y: np.ndarray) -> float:
    """Mean absolute gap between confidence and accuracy."""
    confidence, right = proba.max(axis=1), proba.argmax(axis=1) == y
    bins = np.minimum((10 * confidence).astype(int), 9)
    gaps = [
        abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    ]
    return float(sum(gaps))


def run(args: argparse.Namespace) -> None:
    rows = []
    for load in (load_breast_cancer, load_wine, load_iris):
        X, y = load(return_X_y=True)
        for name, model in MODELS.items():
            proba, accuracies, losses = np.zeros((len(y), y.max() + 1)), [], []
            start = process_time()
            for train, test in FOLDS.split(X, y):
                proba[test] = clone(model).fit(X[train], y[train]).predict_proba(X[test])
                accuracies.append(np.mean(proba[test].argmax(axis=1) == y[test]))
                losses.append(log_loss(y[test], proba[test], labels=np.unique(y)))
            rows.append(
                {
                    "data": load.__name__.removeprefix("load_"),
                    "model": name,
                    "accuracy": float(np.mean(accuracies)),
                    "accuracy sd": float(np.std(accuracies)),
                    "log loss": float(np.mean(losses)),
                    "log loss sd": float(np.std(losses)),
                    "calibration error": calibration_error(proba, y),
                    "processor s a fold": (process_time() - start) / FOLDS.get_n_splits(),
                }
            )
    report(args, "sklearn_classification", rows)
