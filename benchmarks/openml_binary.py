"""Who classifies the ten binary OpenML sets of Yang et al. 2024, Table 2, best?

``python -m benchmarks openml_binary --protocol prompts --jobs 2`` repeats the paper's protocol: of
a test split of 5 % (seed 2021) each row is predicted from 40 other rows of the split, drawn anew
for each; numeric columns only; mean accuracy and standard deviation over five seeds. Unlike the
paper's code, which scales by the whole data set, every model scales by the 40 rows alone.
``--protocol folds`` uses the task's official folds with all columns and at most `--rows` training
rows. Rows go to benchmarks/results/openml_binary_PROTOCOL.jsonl; those that are there of the same
weights are not computed again. ``--cache FOLDER``: an offline OpenML cache, writable.
"""

import argparse
import itertools
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.common.openml_tasks import coded, fold_rows, load, quiet, scaled, store
from benchmarks.common.options import add_openml
from benchmarks.common.report import on_shared_folds
from benchmarks.common.timing import timed
from benchmarks.common.weights import checkpoint_of
from sklearn_looped import LoopedICLClassifier
from sklearn_looped.estimators.in_context import predict_many

OURS = "LoopedICLClassifier"
NO_SIGNAL = "pollen"  # its label says on which side of the middle a row's number lies
SEEDS = range(4242, 4247)
N_SHOTS = 40
# Table 2 of the paper: mean accuracy of its 12-layer and its looped transformer. The last task
# exists in offline caches only (the set has no OpenML task with these columns).
PAPER = {
    3586: ("abalone", 0.626, 0.662),
    3591: ("bank8FM", 0.511, 0.504),
    3603: ("space_ga", 0.656, 0.720),
    3668: ("delta_ailerons", 0.394, 0.40),
    3672: ("kin8nm", 0.405, 0.416),
    3681: ("puma8NH", 0.463, 0.462),
    3684: ("delta_elevators", 0.483, 0.568),
    3712: ("wind", 0.668, 0.757),
    3735: ("pollen", 0.532, 0.510),
    9042192: ("compas-two-years", 0.650, 0.648),
}
BASELINES = {
    "LogisticRegression": LogisticRegression(),
    "LDA": LinearDiscriminantAnalysis(),
    "naive Bayes": GaussianNB(),
    "5-NN": KNeighborsClassifier(),
}
# Of a fold all columns, with a careful user's encoding; of a prompt the numeric ones, as arrays.
MODELS: dict[str, dict[str, Any]] = {
    "prompts": {
        OURS: LoopedICLClassifier(random_state=0),
        **{name: make_pipeline(StandardScaler(), baseline) for name, baseline in BASELINES.items()},
    },
    "folds": {
        OURS: LoopedICLClassifier(random_state=0),
        **{name: scaled(baseline) for name, baseline in BASELINES.items()},
        "random forest": coded(RandomForestClassifier(random_state=0)),
    },
}

Split = tuple[np.ndarray, np.ndarray]  # numbers of the training rows, of the test rows


def prompts(n_rows: int, seed: int) -> list[Split]:
    """Return the splits of the paper's protocol: one row of the test split from 40 others of it."""
    _, rows = train_test_split(np.arange(n_rows), test_size=0.05, random_state=2021)
    rng = np.random.default_rng(seed)
    return [
        (rng.choice(np.delete(rows, place), N_SHOTS, replace=False), rows[[place]])
        for place in range(len(rows))
    ]


@quiet
def score(
    task: int, repeat: int, classifier: str, *, protocol: str, n_rows: int, cache: str | None
) -> list[dict[str, Any]]:
    """Score one classifier on one task and seed or fold."""
    openml_task, dataset, X, labels = load(task, cache)
    y = (labels == labels.cat.categories[-1]).to_numpy(int)
    if protocol == "prompts":
        numbers, splits = X.select_dtypes("number").to_numpy("float64"), prompts(len(X), repeat)
        tables = [(numbers[train], y[train], numbers[test]) for train, test in splits]
    else:
        splits = [fold_rows(openml_task, repeat, n_rows)]
        tables = [(X.iloc[train], y[train], X.iloc[test]) for train, test in splits]
    label = np.concatenate([y[test] for _, test in splits])
    model = MODELS[protocol][classifier]

    def predict() -> list[np.ndarray]:
        if classifier == OURS:
            return predict_many(model, tables)
        return [clone(model).fit(X, y).predict_proba(query) for X, y, query in tables]

    predictions, _, seconds = timed(predict)
    proba = np.concatenate(predictions)[:, 1]
    return [
        {
            "dataset": dataset,
            "accuracy": float(np.mean((proba > 0.5) == label)),
            "n_test": len(label),
            "log_loss": log_loss(label, proba.clip(1e-7, 1 - 1e-7)),
            "auc": float(roc_auc_score(label, proba)),
            "seconds": seconds,
        }
    ]


def summarise(protocol: str, rows: pd.DataFrame) -> None:
    """Print each score by data set, and on how many with signal ours is at least each baseline.

    They are of the folds, or seeds of prompts, on which all classifiers have been scored.
    """
    rows = on_shared_folds(rows, "classifier", "repeat")
    for score in ("accuracy", "log_loss"):
        by_set = rows.groupby(["dataset", "classifier"])[score]
        mean, deviation = by_set.mean().unstack(), by_set.std().unstack()
        names = [name for name in MODELS[protocol] if name in mean]
        table = mean[names].map("{:.3f}".format) + " ±" + deviation[names].map("{:.3f}".format)
        if score == "accuracy" and protocol == "prompts":
            published = pd.DataFrame(PAPER.values(), columns=["dataset", "12-layer", "looped"])
            published = published.set_index("dataset").add_prefix("paper: ")
            table, mean = table.join(published), mean.join(published)
        print(f"\n{score}\n{table.to_string()}")
        signal = mean.drop(index=NO_SIGNAL, errors="ignore")
        better = np.greater_equal if score == "accuracy" else np.less_equal
        for name in signal.columns.drop(OURS) if OURS in signal else []:
            wins = int(better(signal[OURS], signal[name]).sum())
            print(f"at least as good as {name} on {wins} of {len(signal)} sets with signal")


def add_options(parser: argparse.ArgumentParser) -> None:
    add_openml(parser, PAPER, n_folds=10)
    parser.add_argument("--protocol", choices=MODELS, required=True)
    parser.add_argument(
        "--classifiers", nargs="+", choices=MODELS["folds"], help="default: all of a protocol"
    )


def run(args: argparse.Namespace) -> None:
    models = MODELS[args.protocol]
    if missing := [name for name in args.classifiers or () if name not in models]:
        raise SystemExit(f"--protocol {args.protocol} has no classifier {', '.join(missing)}")
    names = [name for name in models if name in (args.classifiers or models)]
    repeats = SEEDS if args.protocol == "prompts" else range(args.folds)
    keys = [
        {"task": task, "repeat": repeat, "classifier": name} | checkpoint_of(models[name])
        for task, repeat, name in itertools.product(args.tasks, repeats, names)
    ]
    kept = store(args, f"openml_binary_{args.protocol}")
    job = partial(score, protocol=args.protocol, n_rows=args.rows, cache=args.cache)
    summarise(args.protocol, pd.DataFrame(kept.complete(keys, job, args.jobs)))
