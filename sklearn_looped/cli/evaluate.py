"""``demo`` and ``evaluate``: the looped transformer beside its rivals."""

import argparse
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import RegressorMixin, clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LassoCV, LinearRegression, RidgeCV
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tqdm.auto import tqdm

from sklearn_looped import LoopedICLRegressor
from sklearn_looped.cli.arguments import add_parser, picture_file
from sklearn_looped.cli.tables import Problem, diabetes, from_csv, from_openml
from sklearn_looped.inspection import LoopCurveDisplay

OURS = "LoopedICLRegressor"
PURPOSE = f"cross-validate {OURS} beside OLS, LassoCV, RidgeCV and a random forest"
PICTURE = "draw the error by loop to a .png or .svg file (needs matplotlib)"


class FoldResult(NamedTuple):
    """One model on one fold; R2 and error by loop only for the looped transformer."""

    r2: float
    fit_seconds: float
    predict_seconds: float
    r2_by_loop: list[float]
    error_by_loop: list[float]


def add_demo(commands: Any) -> None:
    """Add the parser of ``demo``."""
    parser = add_parser(
        commands,
        "demo",
        f"{PURPOSE}, on scikit-learn's diabetes data; what the bare command does",
        "  python -m sklearn_looped\n"
        "  python -m sklearn_looped demo --picture loops.png",
    )  # fmt: skip
    parser.add_argument("--picture", type=picture_file, metavar="FILE", help=PICTURE)
    parser.set_defaults(run=lambda args: _report(diabetes(), args.picture))


def add_evaluate(commands: Any) -> None:
    """Add the parser of ``evaluate``."""
    parser = add_parser(
        commands,
        "evaluate",
        f"{PURPOSE}, on a CSV file or an OpenML task",
        "  python -m sklearn_looped evaluate --csv houses.csv --target price\n"
        "  python -m sklearn_looped evaluate --csv houses.csv --target price --picture loops.png\n"
        "  python -m sklearn_looped evaluate --openml-task 361235",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--csv", type=Path, metavar="FILE", help="a table with a header line")
    source.add_argument(
        "--openml-task", type=int, metavar="ID", help="a regression task, with its own splits"
    )
    parser.add_argument("--target", metavar="NAME", help="the column of FILE to predict")
    parser.add_argument("--picture", type=picture_file, metavar="FILE", help=PICTURE)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    if (args.csv is None) != (args.target is None):
        raise ValueError("--csv and --target go together: --csv FILE --target NAME")
    if args.csv is not None:
        problem = from_csv(args.csv, args.target)
    else:
        problem = from_openml(args.openml_task)
    _report(problem, args.picture)


def _report(problem: Problem, picture: Path | None) -> None:
    """Evaluate, print the table and draw the picture."""
    results = _evaluate(problem)
    sys.stdout.write("\n".join(_lines(problem, results)) + "\n")
    if picture is not None:
        _draw(problem, results[OURS], picture)


def _models() -> dict[str, RegressorMixin]:
    """Models by name, each with the encoding a careful user would give it."""
    linear = {
        "OLS": LinearRegression(),
        "LassoCV": LassoCV(random_state=0),
        "RidgeCV": RidgeCV(np.logspace(-3, 3, 13)),
    }
    return {
        OURS: LoopedICLRegressor(random_state=0),
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
    n_runs = len(models) * len(problem.splits)
    results: dict[str, list[FoldResult]] = {}
    with tqdm(total=n_runs, desc=problem.name, leave=False, disable=None) as runs:
        for name, model in models.items():
            results[name] = []
            for train, test in problem.splits:
                results[name].append(_score(clone(model), problem, train, test))
                runs.update()
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
    stages = list(model.staged_predict(X_test)) if hasattr(model, "staged_predict") else []
    return FoldResult(
        r2_score(problem.y[test], prediction),
        fitted - started,
        predicted - fitted,
        [r2_score(problem.y[test], stage) for stage in stages],
        [root_mean_squared_error(problem.y[test], stage) for stage in stages],
    )


def _lines(problem: Problem, results: dict[str, list[FoldResult]]) -> Iterator[str]:
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
    yield f"R2 of {OURS} by loop"
    by_loop = np.array([fold.r2_by_loop for fold in results[OURS]])
    for loop, r2 in enumerate(by_loop.T, 1):
        yield f"{loop:>4} {r2.mean():>7.3f} {r2.std():>6.3f}"


def _draw(problem: Problem, folds: list[FoldResult], path: Path) -> None:
    """Draw the root mean squared error by loop."""
    from matplotlib.figure import Figure

    errors = np.array([fold.error_by_loop for fold in folds]).T
    figure = Figure((7, 4.4), layout="constrained")
    LoopCurveDisplay(
        loops=np.arange(1, len(errors) + 1),
        scores=errors,
        n_loops=len(errors),
        score_name=f"Root mean squared error, {problem.target}",
    ).plot(figure.subplots())
    figure.suptitle(f"{OURS} on {problem.name}, held-out rows")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
