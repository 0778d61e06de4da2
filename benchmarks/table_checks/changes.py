"""Changes of a table that change nothing of what it says, and how predictions follow them."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow

from benchmarks.table_checks.tables import Array, Table

Undo = Callable[[Array], Array]


@dataclass(frozen=True)
class Changed:
    """A table that says the same.

    Attributes
    ----------
    X, queries : table of any container
    y : ndarray of shape (n,)
    weights : ndarray of shape (n,) or None
    undo : callable
        Brings its predictions to those of the table as it was.
    """

    X: Any
    y: Array
    queries: Any
    weights: Array | None
    undo: Undo = lambda predictions: predictions


def of(table: Table, undo: Undo = lambda predictions: predictions) -> Changed:
    return Changed(table.X, table.y, table.queries, table.weights, undo)


Change = Callable[[np.random.Generator, Table], Changed | None]


def rows(rng: np.random.Generator, table: Table) -> Changed:
    order = rng.permutation(len(table.X))
    weights = None if table.weights is None else table.weights[order]
    return of(replace(table, X=table.X.iloc[order], y=table.y[order], weights=weights))


def columns(rng: np.random.Generator, table: Table) -> Changed:
    order = rng.permutation(list(table.X))
    return of(table.mapped(lambda X: X[order]))


def _affine(table: Table, scales: dict[str, float], shifts: dict[str, float]) -> Changed:
    def change(X: pd.DataFrame) -> pd.DataFrame:
        return X.assign(**{
            name: scales.get(name, 1.0) * X[name].astype(float) + shifts.get(name, 0.0)
            for name in {*scales, *shifts}
        })[list(X)]  # fmt: skip

    return of(table.mapped(change))


def units(rng: np.random.Generator, table: Table) -> Changed | None:
    names = table.of("number")
    return _affine(table, {name: 10.0 ** rng.integers(-6, 7) for name in names}, {})


def shift(rng: np.random.Generator, table: Table) -> Changed | None:
    names = table.of("number")
    return _affine(table, {}, {name: 100 * rng.normal() for name in names})


def sign(rng: np.random.Generator, table: Table) -> Changed | None:
    names = table.of("number")
    turned = [name for name in names if rng.random() < 0.5] or names[:1]
    return _affine(table, dict.fromkeys(turned, -1.0), {})


def target_units(rng: np.random.Generator, table: Table) -> Changed | None:
    if table.y.dtype.kind != "f":
        return None
    a, b = 10.0 ** rng.integers(-3, 4), rng.normal()
    return of(replace(table, y=a * (table.y + b)), lambda p: p / a - b)


def target_sign(rng: np.random.Generator, table: Table) -> Changed | None:
    if table.y.dtype.kind != "f":
        return None
    return of(replace(table, y=-table.y), lambda p: -p)


def names_of_labels(rng: np.random.Generator, table: Table) -> Changed | None:
    if table.y.dtype.kind == "f":
        return None
    labels = np.unique(table.y)
    names = rng.permutation([f"label {i}" for i in range(len(labels))])
    other = names[np.searchsorted(labels, table.y)]
    return of(replace(table, y=other), lambda p: p[:, np.argsort(np.argsort(names))])


def names_of_levels(rng: np.random.Generator, table: Table) -> Changed | None:
    change = {}
    for name in table.of("nominal"):
        levels = pd.unique(pd.concat([table.X[name], table.queries[name]]).dropna())
        change[name] = dict(zip(levels, rng.permutation(len(levels)), strict=True))
    return of(table.mapped(lambda X: X.assign(**{
        name: X[name].map(lambda cell, names=names: f"name {names[cell]}", na_action="ignore")
        for name, names in change.items()
    })))  # fmt: skip


def names_of_columns(rng: np.random.Generator, table: Table) -> Changed:
    names = rng.permutation([f"column {i}" for i in range(table.X.shape[1])])
    return of(table.mapped(lambda X: X.set_axis(names, axis=1)))


def row_labels(rng: np.random.Generator, table: Table) -> Changed:
    labels = rng.permutation(len(table.X)) + 7
    return of(replace(table, X=table.X.set_axis(labels, axis=0)))


def objects(rng: np.random.Generator, table: Table) -> Changed:
    return of(table.mapped(lambda X: X.astype(object).to_numpy()))


def floats(rng: np.random.Generator, table: Table) -> Changed | None:
    if len(table.of("number")) < table.X.shape[1]:
        return None
    return of(table.mapped(lambda X: X.to_numpy(float)))


def in_polars(rng: np.random.Generator, table: Table) -> Changed:
    return of(table.mapped(polars.from_pandas))


def in_arrow(rng: np.random.Generator, table: Table) -> Changed:
    return of(table.mapped(lambda X: pyarrow.Table.from_pandas(X, preserve_index=False)))


def nullable(rng: np.random.Generator, table: Table) -> Changed:
    return of(table.mapped(lambda X: X.convert_dtypes()))


def text(rng: np.random.Generator, table: Table) -> Changed:
    """Every cell as text; missing ones spelled, but not in nominal columns: there it is a level."""
    word = rng.choice(["", "?", "NA", "nan", "-"])
    names = table.of("nominal")

    def change(X: pd.DataFrame) -> pd.DataFrame:
        words = X.astype(object).map(str).mask(X.isna(), word)
        return words.assign(**{name: X[name] for name in names})

    return of(table.mapped(change))


def categories(rng: np.random.Generator, table: Table) -> Changed | None:
    def change(X: pd.DataFrame) -> pd.DataFrame:
        return X.assign(**{
            name: pd.Categorical(X[name], rng.permutation(_levels(table, name)))
            for name in table.of("nominal")
        })  # fmt: skip

    return of(table.mapped(change))


def _levels(table: Table, name: str) -> Array:
    return np.asarray(pd.unique(pd.concat([table.X[name], table.queries[name]]).dropna()))


def repetition(rng: np.random.Generator, table: Table) -> Changed | None:
    """Rows of whole weights, repeated."""
    if table.weights is None:
        return None
    which = rng.permutation(np.repeat(np.arange(len(table.X)), table.weights.astype(int)))
    return of(replace(table, X=table.X.iloc[which], y=table.y[which], weights=None))


def weights_of_one(rng: np.random.Generator, table: Table) -> Changed | None:
    if table.weights is not None:
        return None
    return of(replace(table, weights=np.ones(len(table.X))))


def rows_of_no_weight(rng: np.random.Generator, table: Table) -> Changed:
    """Other rows with other targets, of weight zero."""
    place = rng.integers(0, len(table.X), 3)
    X = pd.concat([table.X, table.X.iloc[place]])
    y = np.append(table.y, table.y[place - 1])
    weights = np.ones(len(table.X)) if table.weights is None else table.weights
    return of(replace(table, X=X, y=y, weights=np.append(weights, np.zeros(3))))


def constant_column(rng: np.random.Generator, table: Table) -> Changed:
    value = rng.choice([0.0, 3.0, np.nan])
    return of(table.mapped(lambda X: X.assign(same=value)))


def constant_text(rng: np.random.Generator, table: Table) -> Changed:
    return of(table.mapped(lambda X: X.assign(same="all")))


def identifier(rng: np.random.Generator, table: Table) -> Changed | None:
    """Left out, with a warning, of more than ten rows."""
    if len(table.X) <= 10:
        return None
    return of(table.mapped(lambda X: X.assign(customer_id=np.arange(len(X)) + 1000)))


CHANGES: dict[str, Change] = {
    "order of rows": rows,
    "order of columns": columns,
    "units of columns": units,
    "shift of columns": shift,
    "sign of columns": sign,
    "units of the target": target_units,
    "sign of the target": target_sign,
    "names of labels": names_of_labels,
    "names of levels": names_of_levels,
    "names of columns": names_of_columns,
    "labels of rows": row_labels,
    "array of objects": objects,
    "array of floats": floats,
    "polars": in_polars,
    "Arrow": in_arrow,
    "nullable types": nullable,
    "text": text,
    "categories, reordered": categories,
    "weights as repetition": repetition,
    "weights of one": weights_of_one,
    "rows of no weight": rows_of_no_weight,
    "a constant column": constant_column,
    "a column of one level": constant_text,
    "an identifier": identifier,
}

Asked = Callable[[np.random.Generator, Any, Any, Callable[[Any, Any], Array]], Array]


def _one_by_one(rng: np.random.Generator, model: Any, Q: Any, predict: Any) -> Array:
    return np.concatenate([predict(model, Q.iloc[[i]]) for i in range(len(Q))])


def _shuffled(rng: np.random.Generator, model: Any, Q: Any, predict: Any) -> Array:
    order = rng.permutation(len(Q))
    return np.asarray(predict(model, Q.iloc[order])[np.argsort(order)])


def _among_others(rng: np.random.Generator, model: Any, Q: Any, predict: Any) -> Array:
    """Beside a far row."""
    far = Q.iloc[:1].assign(**{
        name: 1e9 for name in Q if pd.api.types.is_float_dtype(Q[name])
    })  # fmt: skip
    return np.asarray(predict(model, pd.concat([far, Q]))[1:])


def _pickled(rng: np.random.Generator, model: Any, Q: Any, predict: Any) -> Array:
    return np.asarray(predict(pickle.loads(pickle.dumps(model)), Q))


QUESTIONS: dict[str, Asked] = {
    "queries one by one": _one_by_one,
    "queries shuffled": _shuffled,
    "queries beside a far one": _among_others,
    "a pickle": _pickled,
}
