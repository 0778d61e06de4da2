"""A user's own tables for ``train``: rows to train on, and held-out rows to score the result."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

from sklearn_looped import LoopedICLClassifier, LoopedICLRegressor
from sklearn_looped.cli.arguments import CsvFormat
from sklearn_looped.cli.csv_files import MIN_ROWS, is_regression, read_csv
from sklearn_looped.estimators.in_context import predict_many
from sklearn_looped.learned.inference.encoding import TableEncoder
from sklearn_looped.learned.priors import Prior
from sklearn_looped.learned.training.recipe import Recipe

HELD_OUT = 0.2  # share of the rows of a table
FRESH_TABLES = 16  # new tables of a prior, drawn to score the result


class OwnTable(NamedTuple):
    """A table in two parts: rows to train on and held-out rows."""

    name: str
    X: pd.DataFrame
    y: np.ndarray
    X_held: pd.DataFrame
    y_held: np.ndarray

    @property
    def is_regression(self) -> bool:
        """Whether the target contains numbers."""
        return is_regression(self.y)

    def data_sets(self, n_classes: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return encoded arrays (X, y) to train on; one-vs-rest for more than n labels."""
        if self.is_regression:
            return [(TableEncoder().fit_transform(self.X, self.y), self.y)]
        classes, codes = np.unique(self.y, return_inverse=True)
        kind = "binary" if len(classes) == 2 else "multiclass"
        X = TableEncoder(kind).fit_transform(self.X, codes.astype(float))
        if len(classes) <= n_classes:
            return [(X, codes.astype(float))]
        return [(X, (codes == code).astype(float)) for code in range(len(classes))]

    def score(self, weights: str | Path) -> float:
        """Return R2 or accuracy on the held-out rows after `fit` on the other rows."""
        kind: Any = LoopedICLRegressor if self.is_regression else LoopedICLClassifier
        model = kind(weights, random_state=0).fit(self.X, self.y)
        return float(model.score(self.X_held, self.y_held))


def read_tables(
    pairs: list[list[str]], task: str | None, form: CsvFormat, seed: int
) -> list[OwnTable]:
    """Read CSV files and their targets, all numbers or all labels; hold out a fifth of the rows.

    Raises
    ------
    ValueError
        If a file cannot be read, or some targets are numbers and some labels.
    """
    tables = []
    for path, target in pairs:
        X, y = read_csv(Path(path), target, task, form)
        if not is_regression(y) and len(np.unique(y)) < 2:
            raise ValueError(
                f"Column {target!r} of {path} has only one label, but expected two or more."
            )
        if len(y) * (1 - HELD_OUT) < MIN_ROWS:
            raise ValueError(f"{path} has {len(y)} rows, too few to train and to score on.")
        X_kept, X_held, y_kept, y_held = train_test_split(
            X, y, test_size=HELD_OUT, random_state=seed, stratify=_strata(y)
        )
        tables.append(OwnTable(path, X_kept, y_kept, X_held, y_held))
    if len({table.is_regression for table in tables}) > 1:
        raise ValueError(
            "Some targets are numbers and some are labels; train weights for each, or set --task."
        )
    return tables


def _strata(y: np.ndarray) -> np.ndarray | None:
    """Return the labels by which to stratify, or None if a label has too few rows."""
    if is_regression(y):
        return None
    classes, counts = np.unique(y, return_counts=True)
    return y if counts.min() * HELD_OUT >= 1 and len(classes) <= len(y) * HELD_OUT else None


def on_held_out_rows(tables: list[OwnTable], start: str, weights: Path) -> Iterator[str]:
    """Yield one line per table: its score on held-out rows after and before training."""
    for table in tables:
        score = "R2" if table.is_regression else "accuracy"
        yield (
            f"{table.name}: {score} on {len(table.y_held)} held-out rows {table.score(weights):.3f}"
            f", with {start} {table.score(start):.3f}"
        )


def on_fresh_tables(prior: Prior, recipe: Recipe, weights: Path) -> Iterator[str]:
    """Yield one line: the mean R2 on tables of the prior that training has not drawn."""
    generator = torch.Generator().manual_seed(recipe.seed + 1_000_003)
    n_support, n_query = recipe.n_support[1], recipe.n_query
    X, y = prior.sample(generator, FRESH_TABLES, n_support + n_query, recipe.n_features[1])
    tables = [
        (x[:n_support], t[:n_support], x[n_support:])
        for x, t in zip(X.double().numpy(), y.double().numpy(), strict=True)
    ]
    predictions = predict_many(LoopedICLRegressor(weights), tables)
    scores = [
        r2_score(t[n_support:], prediction)
        for t, prediction in zip(y.double().numpy(), predictions, strict=True)
    ]
    yield (
        f"R2 on {n_query} rows each of {FRESH_TABLES} fresh tables with {n_support} support rows: "
        f"{np.mean(scores):.3f}"
    )
