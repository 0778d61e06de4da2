"""The main job: ``python -m sklearn_looped`` compares the looped transformer with its rivals."""

import argparse
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin, clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LassoCV, LinearRegression, RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tqdm.auto import tqdm

from sklearn_looped import LoopedICLRegressor

N_FOLDS = 5
EXAMPLES = """examples:
  python -m sklearn_looped
  python -m sklearn_looped --csv houses.csv --target price
  python -m sklearn_looped --openml-task 361235
"""

Split = tuple[np.ndarray, np.ndarray]


class Problem(NamedTuple):
    """A regression problem with its folds."""

    name: str
    X: pd.DataFrame
    y: np.ndarray
    splits: list[Split]


class FoldResult(NamedTuple):
    """One model on one fold; `by_loop` only for the looped transformer."""

    r2: float
    fit_seconds: float
    predict_seconds: float
    by_loop: list[float]


def main(argv: list[str] | None = None) -> None:
    """Cross-validate `LoopedICLRegressor` beside its rivals and print a table.

    Parameters
    ----------
    argv : list of str, default=None
        Command-line arguments; None: those of the process. Wrong ones end the process with
        status 2 and one line that says what to do.
    """
    parser = argparse.ArgumentParser(
        prog="python -m sklearn_looped",
        description="Cross-validate LoopedICLRegressor against OLS, LassoCV, RidgeCV and a random "
        "forest: on scikit-learn's diabetes data, on a CSV file, or on an OpenML task.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--csv", type=Path, metavar="FILE", help="a table with a header line")
    source.add_argument(
        "--openml-task", type=int, metavar="ID", help="a regression task, with its own splits"
    )
    parser.add_argument("--target", metavar="NAME", help="the column of FILE to predict")
    args = parser.parse_args(argv)
    if (args.csv is None) != (args.target is None):
        parser.error("--csv and --target go together: --csv FILE --target NAME")
    try:
        problem = _load(args)
        _print_report(problem, _evaluate(problem))
    except (OSError, ValueError) as error:
        parser.error(str(error).strip().splitlines()[0])


def _load(args: argparse.Namespace) -> Problem:
    if args.csv is not None:
        return _from_csv(args.csv, args.target)
    if args.openml_task is not None:
        return _from_openml(args.openml_task)
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return Problem("diabetes", X, y.to_numpy(), _five_folds(len(X)))


def _five_folds(n_rows: int) -> list[Split]:
    return list(KFold(N_FOLDS, shuffle=True, random_state=0).split(np.zeros(n_rows)))


def _from_csv(path: Path, target: str) -> Problem:
    try:
        table = pd.read_csv(path)
    except pd.errors.EmptyDataError as error:
        raise ValueError(
            f"{path} is empty, but a header and at least {2 * N_FOLDS} rows are needed."
        ) from error
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no CSV file that pandas can read: {error}") from error
    if target not in table.columns:
        raise ValueError(
            f"{path} has no column {target!r}; its columns are {', '.join(table.columns)}."
        )
    if not pd.api.types.is_numeric_dtype(table[target]):
        raise ValueError(
            f"Column {target!r} of {path} holds {table[target].dtype}, but a regression target "
            "must be numbers."
        )
    table = table[table[target].notna()]
    if len(table) < 2 * N_FOLDS:
        raise ValueError(
            f"{path} has {len(table)} rows with a target, but at least {2 * N_FOLDS} are needed."
        )
    X, y = table.drop(columns=target), table[target].to_numpy("float64")
    if X.shape[1] == 0:
        raise ValueError(f"{path} has no column but {target!r}; give at least one to predict from.")
    return Problem(path.name, X.reset_index(drop=True), y, _five_folds(len(X)))


def _from_openml(task_id: int) -> Problem:
    import openml

    try:
        # The task's class, and so its attributes, depend on what the server says.
        task: Any = openml.tasks.get_task(task_id, download_splits=True)
        dataset: Any = task.get_dataset()
        X, y, *_ = dataset.get_data(target=task.target_name)
    except (openml.exceptions.PyOpenMLError, OSError) as error:
        raise ValueError(f"OpenML task {task_id} could not be had: {error}") from error
    if not pd.api.types.is_numeric_dtype(y):
        raise ValueError(f"OpenML task {task_id} is no regression task: its target is nominal.")
    n_folds = min(N_FOLDS, task.get_split_dimensions()[1])
    splits = [task.get_train_test_split_indices(fold=fold) for fold in range(n_folds)]
    return Problem(dataset.name, X, y.to_numpy("float64"), splits)


def _models() -> dict[str, RegressorMixin]:
    """Models by name, each with the encoding a careful user would give it."""
    linear = {
        "OLS": LinearRegression(),
        "LassoCV": LassoCV(random_state=0),
        "RidgeCV": RidgeCV(np.logspace(-3, 3, 13)),
    }
    return {
        "LoopedICLRegressor": LoopedICLRegressor(random_state=0),
        **{name: _encoded(model) for name, model in linear.items()},
        "random forest": _encoded(RandomForestRegressor(random_state=0)),
    }


def _encoded(model: RegressorMixin) -> Pipeline:
    """Scale and fill numeric columns, one-hot encode nominal ones."""
    numeric = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    nominal = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer(
        (numeric, make_column_selector(dtype_include="number")),
        (nominal, make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(columns, model)


def _evaluate(problem: Problem) -> dict[str, list[FoldResult]]:
    """Fit and score every model on every fold."""
    models = _models()
    runs = tqdm(total=len(models) * len(problem.splits), desc=problem.name, leave=False)
    results: dict[str, list[FoldResult]] = {}
    for name, model in models.items():
        results[name] = []
        for train, test in problem.splits:
            results[name].append(_score(clone(model), problem, train, test))
            runs.update()
    runs.close()
    return results


def _score(model: Any, problem: Problem, train: np.ndarray, test: np.ndarray) -> FoldResult:
    X_train, X_test = problem.X.iloc[train], problem.X.iloc[test]
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # LassoCV's smallest alphas
        model.fit(X_train, problem.y[train])
    fitted = time.perf_counter()
    prediction = model.predict(X_test)
    predicted = time.perf_counter()
    staged = model.staged_predict(X_test) if hasattr(model, "staged_predict") else []
    return FoldResult(
        r2_score(problem.y[test], prediction),
        fitted - started,
        predicted - fitted,
        [r2_score(problem.y[test], stage) for stage in staged],
    )


def _report(problem: Problem, results: dict[str, list[FoldResult]]) -> Iterator[str]:
    """Yield the lines of the table: R2 over folds with its spread, seconds a fold, R2 by loop."""
    n_rows, n_columns = problem.X.shape
    yield (
        f"{problem.name}: {n_rows} rows, {n_columns} columns, {len(problem.splits)} folds; "
        "R2 (mean and standard deviation over folds), seconds a fold"
    )
    yield f"{'model':<20} {'R2':>7} {'std':>6} {'fit s':>7} {'predict s':>10}"
    for name, folds in results.items():
        r2 = np.array([fold.r2 for fold in folds])
        fit, predict = (np.mean([fold[i] for fold in folds]) for i in (1, 2))
        yield f"{name:<20} {r2.mean():>7.3f} {r2.std():>6.3f} {fit:>7.2f} {predict:>10.3f}"
    yield ""
    yield "R2 of LoopedICLRegressor by loop"
    by_loop = np.array([fold.by_loop for fold in results["LoopedICLRegressor"]])
    for loop, r2 in enumerate(by_loop.T, 1):
        yield f"{loop:>4} {r2.mean():>7.3f} {r2.std():>6.3f}"


def _print_report(problem: Problem, results: dict[str, list[FoldResult]]) -> None:
    sys.stdout.write("\n".join(_report(problem, results)) + "\n")


if __name__ == "__main__":
    main()
