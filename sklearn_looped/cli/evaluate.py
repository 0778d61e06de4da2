"""``demo`` and ``evaluate``: the looped transformer beside baselines."""

import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss, r2_score, root_mean_squared_error
from tqdm.auto import tqdm

from sklearn_looped.cli.csv_files import is_regression
from sklearn_looped.cli.models import baselines, for_baselines, ours
from sklearn_looped.cli.tables import Problem
from sklearn_looped.cli.text import printable
from sklearn_looped.inspection import LoopCurveDisplay

TINY = 1e-15  # smallest probability in the log loss
Scores = dict[str, float]


class FoldResult(NamedTuple):
    """The result of one model on one fold; only the looped transformer has scores by loop."""

    scores: Scores
    fit_seconds: float
    predict_seconds: float
    by_loop: list[Scores]


def report(
    problem: Problem,
    picture: Path | None,
    weights: str | None = None,
    names: list[str] | None = None,
) -> None:
    """Evaluate all models, print the table and draw the picture."""
    started = time.perf_counter()
    model = ours(problem.task, weights)
    others = baselines(problem.task, names)
    results, kinds = _evaluate(problem, model, others)
    seconds = time.perf_counter() - started
    lines = [_headline(problem, seconds), *_columns_read(kinds), "", *_lines(results)]
    sys.stdout.writelines(f"{printable(line)}\n" for line in lines)
    if picture is not None:
        _draw(problem, type(model).__name__, next(iter(results.values())), picture)


def _evaluate(
    problem: Problem, model: Any, others: dict[str, Any]
) -> tuple[dict[str, list[FoldResult]], dict[str, str]]:
    """Fit and score every model on every fold; also return how ours, the first, read columns."""
    models = {type(model).__name__: model, **others}
    tables = dict.fromkeys(models, for_baselines(problem.X)) | {type(model).__name__: problem.X}
    results: dict[str, list[FoldResult]] = {}
    kinds: dict[str, str] = {}
    n_runs = len(models) * len(problem.splits)
    with tqdm(total=n_runs, desc=printable(problem.name), leave=False, disable=None) as runs:
        for name, each in models.items():
            results[name] = []
            for train, test in problem.splits:
                fitted = clone(each)
                results[name].append(_score(fitted, tables[name], problem.y, train, test))
                kinds = getattr(fitted, "column_kinds_", kinds)
                runs.update()
    return results, kinds


def _score(model: Any, X: Any, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> FoldResult:
    X_train, X_test = X.iloc[train], X.iloc[test]
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # LassoCV's smallest alphas
        # Columns or levels that do not occur in the training rows of a baseline's fold.
        warnings.filterwarnings("ignore", "Skipping features without|Found unknown categories")
        model.fit(X_train, y[train])
        fitted = time.perf_counter()
        predict = "predict" if is_regression(y) else "predict_proba"
        if by_loop := hasattr(model, f"staged_{predict}"):  # the last stage is the prediction
            stages = list(getattr(model, f"staged_{predict}")(X_test))
        else:
            stages = [getattr(model, predict)(X_test)]
        predicted = time.perf_counter()
    classes = getattr(model, "classes_", None)
    scores = [_scores(y[test], stage, classes) for stage in stages]
    return FoldResult(
        scores[-1],
        fitted - started,
        predicted - fitted,
        scores if by_loop else [],
    )


def _scores(truth: np.ndarray, prediction: np.ndarray, classes: np.ndarray | None) -> Scores:
    """Return R2 and error of numbers, or accuracy and log loss of probabilities (n, n_classes)."""
    if classes is None:
        return {
            "R2": float(r2_score(truth, prediction)),
            "root mean squared error": float(root_mean_squared_error(truth, prediction)),
        }
    labels = np.union1d(classes, truth)  # a rare class may be missing in a training part
    proba = np.full((len(truth), len(labels)), TINY)
    proba[:, np.searchsorted(labels, classes)] = prediction.clip(TINY)
    accuracy = float(accuracy_score(truth, classes[prediction.argmax(axis=1)]))
    proba = proba / proba.sum(axis=1, keepdims=True)
    return {"accuracy": accuracy, "log loss": float(log_loss(truth, proba, labels=labels))}


def _headline(problem: Problem, seconds: float) -> str:
    n_rows, n_columns = problem.X.shape
    used = max(len(train) + len(test) for train, test in problem.splits)
    return (
        f"{problem.name}: {problem.task} of {problem.target}, {n_rows} rows, {n_columns} columns, "
        f"{len(problem.splits)} folds{f' of {used} rows' if used < n_rows else ''}, {seconds:.0f} s"
    )


def _columns_read(kinds: dict[str, str]) -> Iterator[str]:
    """Yield one line per kind, with the columns that were read as this kind."""
    for kind in dict.fromkeys(kinds.values()):
        names = [name for name, each in kinds.items() if each == kind]
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        ignored = ", ignored" if kind in ("identifier", "text", "missing") else ""
        yield f"{len(names)} read as {kind}{ignored}: {shown}"


def _lines(results: dict[str, list[FoldResult]]) -> Iterator[str]:
    """Yield the lines of the table: scores with their spread over folds, seconds, and by loop."""
    first = next(iter(results.values()))
    main, second = first[0].scores
    short = "RMSE" if second == "root mean squared error" else second
    yield f"{main} (mean and standard deviation over folds), {second}, seconds a fold"
    yield f"{'model':<20} {main:>8} {'std':>6} {short:>9} {'fit s':>7} {'predict s':>10}"
    for name, folds in results.items():
        score = np.array([fold.scores[main] for fold in folds])
        other = np.mean([fold.scores[second] for fold in folds])
        fit, predict = (np.mean([fold[i] for fold in folds]) for i in (1, 2))
        yield (
            f"{name:<20} {score.mean():>8.3f} {score.std():>6.3f} {other:>9.5g} {fit:>7.2f} "
            f"{predict:>10.3f}"
        )
    yield ""
    yield f"{main} of {next(iter(results))} by loop"
    by_loop = np.array([[scores[main] for scores in fold.by_loop] for fold in first])
    for loop, scores in enumerate(by_loop.T, 1):
        yield f"{loop:>4} {scores.mean():>8.3f} {scores.std():>6.3f}"


def _draw(problem: Problem, name: str, folds: list[FoldResult], path: Path) -> None:
    """Draw the error by loop."""
    from matplotlib.figure import Figure

    error = list(folds[0].scores)[1]
    errors = np.array([[scores[error] for scores in fold.by_loop] for fold in folds]).T
    figure = Figure((7, 4.4), layout="constrained")
    LoopCurveDisplay(
        loops=np.arange(1, len(errors) + 1),
        scores=errors,
        n_loops=len(errors),
        score_name=f"{error[0].upper()}{error[1:]}, {problem.target}",
    ).plot(figure.subplots())
    figure.suptitle(f"{name} on {problem.name}, held-out rows")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
