"""Who predicts real tables best? OpenML regression tasks, official splits, scikit-learn's models.

``python benchmarks/openml_regression.py --folds 3 --rows 1024 --jobs 2`` fits every estimator on
every task and fold, appends a row each to benchmarks/results/openml_regression.jsonl (rows that are
there are not computed again), and prints a summary. Tasks come from the OpenML server, or from an
offline cache in the layout of the openml package: ``--cache FOLDER`` (a writable copy).
"""

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import openml
import pandas as pd
from report import RESULTS
from scipy.stats import binomtest, rankdata
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor, make_column_selector
from sklearn.compose import make_column_transformer as columns
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LassoCV, LinearRegression, RidgeCV
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVR
from tqdm.auto import tqdm

from sklearn_looped import LoopedICLRegressor

ROWS = RESULTS / "openml_regression.jsonl"
OURS = "LoopedICLRegressor"
# Tasks of CTR23, AMLB and others that fit a laptop; the last three exist in offline caches only.
TASKS = (
    361235, 361237, 361617, 361244, 361247, 361250, 361256, 361258, 361622, 361623, 361616, 359930,
    359931, 359950, 2311, 2318, 4831, 4839, 4872, 4727, 5005, 9000198, 9000542, 9000572, 9000690,
)  # fmt: skip

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


def scaled_target(model: Any) -> Any:
    return TransformedTargetRegressor(scaled(model), transformer=StandardScaler())


KERNEL = ConstantKernel(1.0) * RBF(3.0) + WhiteKernel(0.1)
ESTIMATORS = {
    OURS: LoopedICLRegressor(max_support=1024, random_state=0),
    "OLS": scaled(LinearRegression()),
    "LassoCV": scaled(LassoCV(random_state=0)),
    "RidgeCV": scaled(RidgeCV(np.logspace(-3, 3, 13))),
    "kNN": scaled(KNeighborsRegressor(10, weights="distance")),
    "SVR": scaled_target(SVR()),
    "random forest": coded(RandomForestRegressor(random_state=0)),
    "extra trees": coded(ExtraTreesRegressor(random_state=0)),
    "HistGradientBoosting": coded(HistGradientBoostingRegressor(random_state=0)),
    "Gaussian process": scaled_target(GaussianProcessRegressor(KERNEL, random_state=0)),
}


def load(task_id: int, cache: str | None) -> tuple[Any, str, pd.DataFrame, np.ndarray]:
    if cache:
        openml.config.set_root_cache_directory(cache)
    task: Any = openml.tasks.get_task(task_id, download_splits=True)
    dataset = task.get_dataset()
    X, y, *_ = dataset.get_data(target=task.target_name)
    return task, dataset.name, X, y.to_numpy("float64")


def run(task_id: int, fold: int, names: list[str], n_rows: int, cache: str | None) -> list[dict]:
    """Fit and score estimators on one fold; at most `n_rows` training rows, drawn by the fold."""
    task, dataset, X, y = load(task_id, cache)
    train, test = task.get_train_test_split_indices(fold=fold)
    train = np.random.default_rng(fold).permutation(train)[:n_rows]
    rows = []
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rivals' own: convergence, kernel bounds, categories
            start = time.perf_counter()
            model = clone(ESTIMATORS[name]).fit(X.iloc[train], y[train])
            fitted = time.perf_counter()
            prediction = model.predict(X.iloc[test])
            predicted = time.perf_counter()
        rows.append(
            {
                "task": task_id,
                "dataset": dataset,
                "fold": fold,
                "estimator": name,
                "n_train": len(train),
                "n_test": len(test),
                "r2": r2_score(y[test], prediction),
                "rmse": root_mean_squared_error(y[test], prediction),
                "fit_seconds": fitted - start,
                "predict_seconds": predicted - fitted,
            }
        )
    return rows


def summarise(rows: pd.DataFrame) -> None:
    """Print R2 by data set and, by estimator, mean rank, clipped R2, our wins and a sign test."""
    r2 = rows.groupby(["dataset", "estimator"])["r2"].mean().unstack()
    r2 = r2[[name for name in ESTIMATORS if name in r2]].dropna()
    print(r2.round(3).to_string())
    ranks = rankdata(-r2, axis=1).mean(0)
    seconds = rows.groupby("estimator")[["fit_seconds", "predict_seconds"]].median()
    table = pd.DataFrame({"mean rank": ranks, "mean clipped R2": r2.clip(0, 1).mean()})
    if OURS in r2:
        wins = (r2[OURS].to_numpy()[:, None] > r2).sum()
        table["we win"] = wins
        table["sign test p"] = [binomtest(int(w), len(r2)).pvalue for w in wins]
        table.loc[OURS, ["we win", "sign test p"]] = np.nan
    print(f"\n{len(r2)} data sets")
    print(table.join(seconds).sort_values("mean rank").round(3).to_string())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=list(TASKS))
    parser.add_argument("--estimators", nargs="+", default=list(ESTIMATORS), choices=ESTIMATORS)
    parser.add_argument("--folds", type=int, default=1)
    parser.add_argument("--rows", type=int, default=1024, help="training rows at most")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", help="offline OpenML cache, writable")
    parser.add_argument("--output", type=Path, default=ROWS)
    args = parser.parse_args()

    lines = args.output.read_text().splitlines() if args.output.exists() else []
    rows = [json.loads(line) for line in lines]
    done = {(row["task"], row["fold"], row["estimator"]) for row in rows}
    jobs = []
    for task_id in args.tasks:
        for fold in range(args.folds):
            names = [name for name in args.estimators if (task_id, fold, name) not in done]
            if names:
                jobs.append(joblib.delayed(run)(task_id, fold, names, args.rows, args.cache))
    results = joblib.Parallel(args.jobs, return_as="generator_unordered")(jobs)
    with args.output.open("a") as file:
        for new in tqdm(results, total=len(jobs), desc="tasks x folds"):
            file.writelines(json.dumps(row) + "\n" for row in new)
            file.flush()
            rows += new
    summarise(pd.DataFrame(rows))


if __name__ == "__main__":
    main()
