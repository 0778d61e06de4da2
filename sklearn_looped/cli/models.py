"""The baselines of `evaluate`, each with the encoding that a careful user would choose."""

from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LassoCV, LinearRegression, LogisticRegression, RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from sklearn_looped import LoopedICLClassifier, LoopedICLRegressor
from sklearn_looped.cli.arguments import BASELINES
from sklearn_looped.learned.inference.columns import as_numbers, factorized, kind_of
from sklearn_looped.learned.inference.dates import DateEncoder
from sklearn_looped.learned.inference.levels import level_name

NUMERIC = ("number", "boolean", "duration")


def ours(task: str, weights: str | None) -> Any:
    """Return the looped transformer for a task."""
    if task == "regression":
        return LoopedICLRegressor(weights or "tabular", random_state=0)
    return LoopedICLClassifier(weights or "tabular-classifier", random_state=0)


def baselines(task: str, names: list[str] | None) -> dict[str, Any]:
    """Return baselines by name; None: all for the task that are installed.

    Raises
    ------
    ValueError
        If a baseline is not for the task, or is not installed.
    """
    installed = [n for n in BASELINES[task] if n != "LightGBM" or find_spec("lightgbm")]
    for name in names or ():
        if name not in BASELINES[task]:
            raise ValueError(
                f"{name} is not a baseline for {task}; choose from {', '.join(BASELINES[task])}."
            )
        if name not in installed:
            raise ValueError("LightGBM is not installed: pip install lightgbm, or omit it.")
    return {name: _baseline(task, name) for name in (installed if names is None else names)}


def _baseline(task: str, name: str) -> Pipeline:
    is_regression = task == "regression"
    match name:
        case "OLS":
            return _scaled(LinearRegression())
        case "LassoCV":
            return _scaled(LassoCV(random_state=0))
        case "RidgeCV":
            return _scaled(RidgeCV(np.logspace(-3, 3, 13)))
        case "LogisticRegression":
            return _scaled(LogisticRegression(max_iter=1000))
        case "forest":
            forest = RandomForestRegressor if is_regression else RandomForestClassifier
            return _scaled(forest(random_state=0))
        case "boosting":
            boosting = (
                HistGradientBoostingRegressor if is_regression else HistGradientBoostingClassifier
            )
            return _ordinal(boosting(random_state=0))
    import lightgbm

    kind = lightgbm.LGBMRegressor if is_regression else lightgbm.LGBMClassifier
    return _ordinal(kind(random_state=0, verbose=-1))


def _scaled(model: Any) -> Pipeline:
    """Scale and fill numeric columns, one-hot encode nominal ones."""
    numeric = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    nominal = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer(
        (numeric, make_column_selector(dtype_include="number")),
        (nominal, make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(columns, model)


def _ordinal(model: Any) -> Pipeline:
    """Encode levels as numbers and keep missing cells, which the trees handle."""
    nominal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = make_column_transformer(
        (nominal, make_column_selector(dtype_exclude="number")), remainder="passthrough"
    ).set_output(transform="default")
    return make_pipeline(columns, model)


def for_baselines(X: pd.DataFrame) -> pd.DataFrame:
    """Return columns as `TableEncoder` reads them: numbers, parts of dates, levels as text."""
    read: dict[Any, Any] = {}
    for name in X:
        kind = kind_of(X[name])
        if kind == "date":
            parts = DateEncoder().fit_transform(X[name])
            read |= {f"{name} {i}": part for i, part in enumerate(parts.T)}
        elif kind in NUMERIC:
            read[name] = as_numbers(X[name], kind)
        elif kind == "nominal":
            codes, values = factorized(X[name])
            read[name] = np.array([*map(level_name, values), None], dtype=object)[codes]
    return pd.DataFrame(read or {"constant": np.zeros(len(X))})
