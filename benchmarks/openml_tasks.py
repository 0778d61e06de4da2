"""What the OpenML benchmarks share: tasks, careful encodings, rows kept between runs."""

import argparse
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import openml
import pandas as pd
from report import read_rows
from sklearn.compose import make_column_selector
from sklearn.compose import make_column_transformer as columns
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from tqdm.auto import tqdm

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


def arguments(description: str, tasks: Sequence[int], output: Path) -> argparse.ArgumentParser:
    """Return a parser of the options that all OpenML benchmarks have."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=list(tasks))
    parser.add_argument("--folds", type=int, default=3, help="official folds, from the first")
    parser.add_argument("--rows", type=int, default=1024, help="training rows at most")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", help="offline OpenML cache, writable")
    parser.add_argument("--output", type=Path, default=output)
    return parser


def _quietly(job: Callable[..., list[dict[str, Any]]], *args: Any) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the baselines' own: convergence, kernel bounds, categories
        return job(*args)


def append_rows(
    path: Path, job: Callable[..., list[dict[str, Any]]], todo: list[tuple[Any, ...]], n_jobs: int
) -> list[dict[str, Any]]:
    """Run ``job(*args)`` for all of `todo`, append its rows as they come; return all rows."""
    rows = read_rows(path)
    results = joblib.Parallel(n_jobs, return_as="generator_unordered")(
        joblib.delayed(_quietly)(job, *args) for args in todo
    )
    with path.open("a") as file:
        for new in tqdm(results, total=len(todo), desc=path.stem):
            file.writelines(json.dumps(row) + "\n" for row in new)
            file.flush()
            rows += new
    return rows
