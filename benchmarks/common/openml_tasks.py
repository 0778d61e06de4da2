"""What the OpenML benchmarks share: tasks, their folds and careful encodings."""

import argparse
import warnings
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

import numpy as np
import openml
import pandas as pd
from sklearn.compose import make_column_selector
from sklearn.compose import make_column_transformer as columns
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from benchmarks.common.options import N_ROWS
from benchmarks.common.report import RESULTS, Rows, Store

NUMERIC = make_column_selector(dtype_include="number")
NOMINAL = make_column_selector(dtype_exclude="number")


def scaled(model: Any) -> Any:
    """Encode for models that need it: numbers filled and scaled, nominal columns one-hot."""
    numeric = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_pipeline(columns((numeric, NUMERIC), (one_hot, NOMINAL)), model)


def coded(model: Any) -> Any:
    """Encode for trees: numbers filled, nominal columns as codes."""
    numeric = SimpleImputer(strategy="median", keep_empty_features=True)
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
    )
    return make_pipeline(columns((numeric, NUMERIC), (codes, NOMINAL)), model)


@lru_cache(maxsize=2)  # jobs on one task follow one another
def load(task_id: int, cache: str | None) -> tuple[Any, str, pd.DataFrame, pd.Series]:
    """Task, name of its data set, features and target, from the server or an offline cache."""
    if cache:
        openml.config.set_root_cache_directory(cache)
    task: Any = openml.tasks.get_task(task_id, download_splits=True)
    dataset = task.get_dataset()
    X, y, *_ = dataset.get_data(target=task.target_name)
    return task, dataset.name, X, y


def fold_rows(task: Any, fold: int, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of an official fold's training rows, at most `n_rows` drawn by it, and test rows."""
    train, test = task.get_train_test_split_indices(fold=fold)
    return np.random.default_rng(fold).permutation(train)[:n_rows], test


def store(args: argparse.Namespace, name: str, **setting: Any) -> Store:
    """Open the file of rows; that in results/ has rows of the default number of training rows."""
    if args.output is None and args.rows != N_ROWS:
        raise SystemExit(
            f"Rows in {RESULTS.name}/ are of at most {N_ROWS:,} training rows: with --rows, name "
            "another file by --output."
        )
    return Store(args.output or RESULTS / f"{name}.jsonl", **setting)


def folds(args: argparse.Namespace) -> list[dict[str, int]]:
    """Return the tasks and official folds that are asked for, as keys of rows."""
    return [{"task": task, "fold": fold} for task in args.tasks for fold in range(args.folds)]


def quiet(job: Callable[..., Rows]) -> Callable[..., Rows]:
    """Leave out the baselines' own warnings: convergence, kernel bounds, categories.

    What this library says is shown: its estimators warn in the name of the line that calls them.
    """

    @wraps(job)
    def quietly(*args: Any, **kwargs: Any) -> Rows:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("default", module=r"(benchmarks|sklearn_looped)\b")
            return job(*args, **kwargs)

    return quietly
