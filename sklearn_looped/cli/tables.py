"""Regression and classification problems from a CSV file, from OpenML and from scikit-learn."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.utils import resample

from sklearn_looped.cli.arguments import N_FOLDS, CsvFormat
from sklearn_looped.cli.csv_files import FOUND, is_regression, read_csv
from sklearn_looped.core.warning import warn_user

Split = tuple[np.ndarray, np.ndarray]


class Problem(NamedTuple):
    """A regression (y of float64) or classification (y of text) problem with its folds."""

    name: str
    target: str
    X: pd.DataFrame
    y: np.ndarray
    splits: list[Split]

    @property
    def task(self) -> str:
        """The kind of the target."""
        return "regression" if is_regression(self.y) else "classification"


def diabetes() -> Problem:
    """Return scikit-learn's diabetes data in five folds."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return Problem("diabetes", "disease progression", X, y.to_numpy(), _folds(y.to_numpy()))


def from_csv(
    path: Path, target: str, task: str | None = None, form: CsvFormat = FOUND,
    n_folds: int = N_FOLDS,
) -> Problem:  # fmt: skip
    """Return the problem of a CSV file, in folds."""
    X, y = read_csv(path, target, task, form)
    if len(y) < 2 * n_folds:
        raise ValueError(f"{path} has {len(y)} rows, too few for {n_folds} folds; lower --folds.")
    return Problem(path.name, target, X, y, _folds(y, n_folds))


def from_openml(task_id: int, n_folds: int = N_FOLDS) -> Problem:
    """Return an OpenML task with the first of its own folds."""
    import openml

    try:
        # The task's class, and so its attributes, depend on what the server says.
        task: Any = openml.tasks.get_task(task_id, download_splits=True)
        dataset: Any = task.get_dataset()
        X, y, *_ = dataset.get_data(target=task.target_name)
    except (openml.exceptions.PyOpenMLError, OSError) as error:
        raise ValueError(f"OpenML task {task_id} is not available: {error}") from error
    n_folds = min(n_folds, task.get_split_dimensions()[1])
    splits = [task.get_train_test_split_indices(fold=fold) for fold in range(n_folds)]
    is_number = pd.api.types.is_numeric_dtype(y)
    target = y.to_numpy("float64") if is_number else y.astype(str).to_numpy(object)
    return Problem(dataset.name, task.target_name, X, target, splits)


def thinned(problem: Problem, max_rows: int) -> Problem:
    """Keep at most so many rows of each fold, training and test in the same proportion.

    They are drawn at random, stratified for labels; a warning says so.
    """
    n_rows = max(len(train) + len(test) for train, test in problem.splits)
    if n_rows <= max_rows:
        return problem
    warn_user(
        f"{max_rows} of {n_rows} rows, drawn at random, are used in each fold: all models would "
        f"predict better from more. --max-rows {n_rows} uses all and takes longer.",
    )
    share = max_rows / n_rows
    splits = [
        (_drawn(train, problem.y, share), _drawn(test, problem.y, share))
        for train, test in problem.splits
    ]
    return problem._replace(splits=splits)


def _drawn(rows: np.ndarray, y: np.ndarray, share: float) -> np.ndarray:
    """Draw a share of some rows of a table, at least one, in their order."""
    labels = None if is_regression(y) else y[rows]
    n_rows = max(1, round(share * len(rows)))
    drawn = resample(rows, replace=False, n_samples=n_rows, random_state=0, stratify=labels)
    return np.sort(drawn)


def _folds(y: np.ndarray, n_folds: int = N_FOLDS) -> list[Split]:
    """Return shuffled folds, stratified by class for labels."""
    if is_regression(y):
        return list(KFold(n_folds, shuffle=True, random_state=0).split(y))
    classes, counts = np.unique(y, return_counts=True)
    if len(classes) < 2:
        raise ValueError(
            f"The target has only one label, {classes[0]!r}, but expected at least two."
        )
    if counts.min() < 2:
        raise ValueError(
            f"The label {classes[counts.argmin()]!r} occurs in only one row, so it cannot be both "
            "learned and tested. Remove the row, or use --task regression for numbers."
        )
    n_folds = min(n_folds, int(counts.max()))
    return list(StratifiedKFold(n_folds, shuffle=True, random_state=0).split(y, y))
