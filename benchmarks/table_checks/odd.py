"""Odd tables: a plain one with a strong signal, spoilt in one or two ways.

Right is what predicts well in silence, what says what it leaves out, and what is refused in a line.
"""

import datetime
import decimal
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import sparse

from sklearn_looped import LoopedICLClassifier, LoopedICLRegressor

N_ROWS, N_QUERIES = 40, 20
LEAST_CORRELATION = 0.8  # of predictions in silence with the truth
LEAST_OF_LABELS = 0.5  # the same of probabilities
OF_SCIKIT_LEARN = ("The feature names", "Feature names")  # its own errors, of several lines
LONGEST = 400  # letters of an error


class Asked(NamedTuple):
    """What `fit` and `predict` are given."""

    X: Any
    y: Any
    Q: Any
    weights: Any = None


Oddity = Callable[[np.random.Generator, Asked], Asked]


def plain(rng: np.random.Generator) -> tuple[Asked, Any]:
    """Table, target and queries, and the truth of the queries."""
    n = N_ROWS + N_QUERIES
    soil = rng.choice(["clay", "sand", "loam"], n)
    X = pd.DataFrame({"a": rng.normal(size=n), "b": rng.uniform(size=n), "soil": soil})
    y = 2 * X["a"] - X["b"] + 2 * (X["soil"] == "sand") + 0.05 * rng.normal(size=n)
    Q = X[N_ROWS:].reset_index(drop=True)
    return Asked(X[:N_ROWS], y[:N_ROWS].to_numpy(), Q), y[N_ROWS:].to_numpy()


def _both(ask: Asked, change: Callable[[Any], Any]) -> Asked:
    return ask._replace(X=change(ask.X), Q=change(ask.Q))


def _column(make: Callable[[np.random.Generator, int], Any]) -> Oddity:
    """Add a column to both."""
    return lambda rng, ask: _both(ask, lambda X: X.assign(odd=make(rng, len(X))))


def _cell(name: str, *values: Any) -> Oddity:
    """Put a value into one row of the support."""

    def change(rng: np.random.Generator, ask: Asked) -> Asked:
        X = ask.X.astype({name: object}).reset_index(drop=True)
        X.loc[rng.integers(N_ROWS), name] = values[rng.integers(len(values))]
        return ask._replace(X=X.infer_objects())

    return change


def _target(change: Callable[[Any], Any]) -> Oddity:
    return lambda rng, ask: ask._replace(y=change(ask.y))


def _one_target(value: Any) -> Oddity:
    def change(y: Any) -> Any:
        y = y.astype(object)
        y[3] = value
        return y

    return _target(change)


def _days(rng: np.random.Generator, n: int, **options: Any) -> Any:
    return pd.Series(pd.date_range("2023-01-01", periods=400, **options)).sample(
        n, random_state=int(rng.integers(99)), ignore_index=True
    )


COLUMNS: dict[str, Callable[[np.random.Generator, int], Any]] = {
    "constant": lambda rng, n: np.full(n, rng.choice([0.0, 1e300, -7])),
    "all None": lambda rng, n: pd.Series([None] * n, dtype=object).to_numpy(),
    "all NaN": lambda rng, n: np.full(n, np.nan),
    "tiny numbers": lambda rng, n: rng.normal(size=n) * 1e-310,
    "huge numbers": lambda rng, n: rng.normal(size=n) * 1e300,
    "large integers": lambda rng, n: rng.integers(2**62, 2**63 - 1, n),
    "unsigned": lambda rng, n: rng.integers(0, 2**63, n).astype(np.uint64) * 2,
    "heavy tails": lambda rng, n: rng.standard_cauchy(n),
    "exponential": lambda rng, n: np.exp(8 * rng.normal(size=n)),
    "half floats": lambda rng, n: rng.normal(size=n).astype(np.float16),
    "Decimal": lambda rng, n: [decimal.Decimal(str(round(x, 2))) for x in rng.normal(size=n)],
    "Python dates": lambda rng, n: _days(rng, n).dt.date.to_numpy(),
    "dates with zone": lambda rng, n: _days(rng, n, tz="Europe/Berlin").array,
    "periods": lambda rng, n: _days(rng, n).dt.to_period("M").array,
    "durations": lambda rng, n: pd.to_timedelta(rng.integers(0, 99, n), "h"),
    "times of day": lambda rng, n: [datetime.time(int(h), 30) for h in rng.integers(0, 24, n)],
    "intervals": lambda rng, n: pd.cut(rng.normal(size=n), 4),
    "bytes": lambda rng, n: [bytes([65 + i]) for i in rng.integers(0, 4, n)],
    "emoji": lambda rng, n: rng.choice(["🙂", "🙁", "é", "\u202e"], n),
    "controls": lambda rng, n: rng.choice(["a\nb", "a\tb", "\x1b[31m", ""], n),
    "mixed": lambda rng, n: [[1, "one", 1.5, True, None][i] for i in rng.integers(0, 5, n)],
    "free text": lambda rng, n: [f"a house of {x:.3f} by the sea" for x in rng.normal(size=n)],
    "serial numbers": lambda rng, n: [f"SN-{x}" for x in rng.permutation(10**6)[:n]],
    "numbers as text": lambda rng, n: [f" {x:.3e} " for x in rng.normal(size=n)],
    "commas": lambda rng, n: [f"{x:.2f}".replace(".", ",") for x in rng.normal(size=n)],
    "one level": lambda rng, n: ["all"] * n,
    "rare level": lambda rng, n: np.where(np.arange(n) == 0, "rare", "common"),
    "one stray word": lambda rng, n: [
        *rng.normal(size=n - 1).round(3).tolist(), "broken"
    ],
    "unused categories": lambda rng, n: pd.Categorical(rng.choice(["x", "y"], n), list("xyz")),
    "nullable": lambda rng, n: pd.array(np.where(rng.random(n) < 0.3, None, 3), "Int64"),
    "lists": lambda rng, n: [[1, 2]] * n,
    "dicts": lambda rng, n: [{"a": 1}] * n,
    "complex": lambda rng, n: rng.normal(size=n) + 1j,
    "infinite": lambda rng, n: np.where(np.arange(n) == 2, np.inf, 1.0),
    "objects": lambda rng, n: [object()] * n,
}  # fmt: skip

ODDITIES: dict[str, Oddity] = {
    **{f"column: {name}": _column(make) for name, make in COLUMNS.items()},
    "cell: outlier": _cell("a", 1e4, -1e6, 1e30, 1e300),
    "cell: infinite": _cell("a", np.inf, -np.inf),
    "cell: text": _cell("a", "?", "n/a", "", "broken"),
    "cell: None": _cell("soil", None, np.nan, "", "other"),
    "cell: too large": _cell("a", 10**400),
    "cell: list": _cell("soil", [1]),
    "target: Decimal": _target(lambda y: [decimal.Decimal(str(round(v, 3))) for v in y]),
    "target: objects": _target(lambda y: y.astype(object)),
    "target: a list": _target(list),
    "target: a column": _target(lambda y: y[:, None]),
    "target: a Series": _target(lambda y: pd.Series(y, index=np.arange(len(y)) + 5)),
    "target: nullable": _target(lambda y: pd.Series(y).astype("Float64")),
    "target: text numbers": _target(lambda y: y.round(2).astype(str)),
    "target: words": _target(lambda y: np.where(y > 0, "up", "down")),
    "target: far from zero": _target(lambda y: y + 1e9),
    "target: tiny": _target(lambda y: y * 1e-200),
    "target: huge": _target(lambda y: y * 1e200),
    "target: too large": _target(lambda y: y * 1e307),
    "target: NaN": _one_target(np.nan),
    "target: None": _one_target(None),
    "target: infinite": _one_target(np.inf),
    "target: complex": _target(lambda y: y + 1j),
    "target: constant": _target(lambda y: np.full(len(y), 3.0)),
    "target: shorter": _target(lambda y: y[:-1]),
    "target: empty": _target(lambda y: y[:0]),
    "target: none": _target(lambda y: None),
    "target: dates": _target(lambda y: pd.Timestamp("2024-01-01") + pd.to_timedelta(y, "D")),
    "rows: two": lambda rng, ask: ask._replace(X=ask.X[:2], y=ask.y[:2]),
    "rows: one": lambda rng, ask: ask._replace(X=ask.X[:1], y=ask.y[:1]),
    "rows: none": lambda rng, ask: ask._replace(X=ask.X[:0], y=ask.y[:0]),
    "rows: all the same": lambda rng, ask: ask._replace(X=pd.concat([ask.X[:1]] * N_ROWS)),
    "rows: each three times": lambda rng, ask: ask._replace(
        X=pd.concat([ask.X] * 3), y=np.tile(ask.y, 3)
    ),
    "rows: labels repeat": lambda rng, ask: ask._replace(X=ask.X.set_axis([0] * N_ROWS)),
    "queries: none": lambda rng, ask: ask._replace(Q=ask.Q[:0]),
    "queries: column missing": lambda rng, ask: ask._replace(Q=ask.Q.drop(columns="b")),
    "queries: column more": lambda rng, ask: ask._replace(Q=ask.Q.assign(more=1)),
    "queries: other order": lambda rng, ask: ask._replace(Q=ask.Q[["soil", "b", "a"]]),
    "queries: new level": lambda rng, ask: ask._replace(Q=ask.Q.assign(soil="rock")),
    "queries: text for numbers": lambda rng, ask: ask._replace(Q=ask.Q.assign(a="high")),
    "queries: dates for numbers": lambda rng, ask: ask._replace(Q=ask.Q.assign(a=_days(rng, 20))),
    "queries: infinite": lambda rng, ask: ask._replace(Q=ask.Q.assign(a=np.inf)),
    "queries: far": lambda rng, ask: ask._replace(Q=ask.Q.assign(b=1e9)),
    "queries: all missing": lambda rng, ask: ask._replace(Q=ask.Q.assign(b=np.nan)),
    "queries: one dimension": lambda rng, ask: ask._replace(Q=ask.Q.iloc[0]),
    "queries: an array": lambda rng, ask: ask._replace(Q=ask.Q.to_numpy()),
    "names: twice": lambda rng, ask: _both(ask, lambda X: X.set_axis(["a", "a", "soil"], axis=1)),
    "names: numbers": lambda rng, ask: _both(ask, lambda X: X.set_axis([0, 1, 2], axis=1)),
    "names: mixed": lambda rng, ask: _both(ask, lambda X: X.set_axis([0, "b", 2.5], axis=1)),
    "names: of two levels": lambda rng, ask: _both(
        ask, lambda X: X.set_axis(pd.MultiIndex.from_product([["x"], list("abc")]), axis=1)
    ),
    "names: empty": lambda rng, ask: _both(ask, lambda X: X.set_axis(["", " ", "c"], axis=1)),
    "array: of objects": lambda rng, ask: _both(ask, lambda X: X.to_numpy()),
    "array: a list of lists": lambda rng, ask: _both(ask, lambda X: X.to_numpy().tolist()),
    "array: sparse": lambda rng, ask: _both(
        ask, lambda X: sparse.csr_array(X[["a", "b"]].to_numpy().round(1))
    ),
    "array: masked": lambda rng, ask: _both(
        ask, lambda X: np.ma.masked_less(X[["a", "b"]].to_numpy(), -2)
    ),
    "array: of three dimensions": lambda rng, ask: ask._replace(X=np.zeros((N_ROWS, 2, 2))),
    "array: ragged": lambda rng, ask: ask._replace(X=[[1, 2], [3]] * (N_ROWS // 2)),
    "array: float32": lambda rng, ask: _both(
        ask, lambda X: X[["a", "b"]].to_numpy(np.float32)
    ),
    "columns: doubled": lambda rng, ask: _both(
        ask, lambda X: pd.concat([X, X.add_prefix("again ")], axis=1)
    ),
    "columns: many of noise": lambda rng, ask: _both(
        ask,
        lambda X: X.join(pd.DataFrame(rng.normal(size=(len(X), 60)), X.index).add_prefix("c")),
    ),
    "columns: none": lambda rng, ask: _both(ask, lambda X: X[[]]),
    "weights: sum one": lambda rng, ask: ask._replace(weights=np.full(N_ROWS, 1 / N_ROWS)),
    "weights: negative": lambda rng, ask: ask._replace(weights=-np.ones(N_ROWS)),
    "weights: NaN": lambda rng, ask: ask._replace(weights=np.full(N_ROWS, np.nan)),
    "weights: zero": lambda rng, ask: ask._replace(weights=np.zeros(N_ROWS)),
    "weights: one row": lambda rng, ask: ask._replace(weights=np.eye(N_ROWS)[0]),
    "weights: shorter": lambda rng, ask: ask._replace(weights=np.ones(3)),
    "weights: extreme": lambda rng, ask: ask._replace(weights=10.0 ** rng.integers(-3, 9, N_ROWS)),
}  # fmt: skip


class Verdict(NamedTuple):
    """How a table was answered.

    Attributes
    ----------
    oddity : str
    answer : str
        "predicted", "said" (predicted with a warning), or "refused".
    fault : str
        What is wrong with the answer; empty if nothing is.
    """

    oddity: str
    answer: str
    fault: str


def judge(seed: int) -> Verdict:
    """Answer an odd table: each oddity in turn, from the second round on with another beside it."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    names = [[*ODDITIES][seed % len(ODDITIES)]]
    if seed >= len(ODDITIES):
        names.append("column: " + str(rng.choice([*COLUMNS])))
    ask, truth = plain(rng)
    labels = seed % 3 == 2 and not names[0].startswith("target")
    if labels:
        ask, truth = ask._replace(y=ask.y > 0), truth > 0
    estimator = (LoopedICLClassifier if labels else LoopedICLRegressor)(n_loops=2)
    oddity = ", ".join(names)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            for name in reversed(names):
                ask = ODDITIES[name](rng, ask)
        except Exception as error:  # two oddities that do not go together
            return Verdict(oddity, "no table", "" if len(names) > 1 else repr(error))
        caught.clear()
        try:
            model = estimator.fit(ask.X, ask.y, ask.weights)
            found = model.predict_proba(ask.Q)[:, 1] if labels else model.predict(ask.Q)
        except Exception as error:
            return Verdict(oddity, "refused", _fault_of_error(error))
    said = [w for w in caught if issubclass(w.category, UserWarning)]
    fault = "; ".join(repr(w.message) for w in caught if w not in said)
    fault = fault or _fault_of_predictions(np.asarray(found), np.asarray(truth), ask, bool(said))
    return Verdict(oddity, "said" if said else "predicted", fault)


def _fault_of_error(error: Exception) -> str:
    if not isinstance(error, ValueError | TypeError):
        return f"{type(error).__name__}: {error}"
    text = str(error)
    if text.startswith(OF_SCIKIT_LEARN):
        return ""
    return f"{text[:60]!r}..." if "\n" in text.strip() or len(text) > LONGEST else ""


def _fault_of_predictions(found: Any, truth: Any, ask: Asked, said: bool) -> str:
    """Finite, of one shape, and in silence as good as the signal allows."""
    if found.shape[0] != len(truth) or not np.isfinite(found.astype(float)).all():
        return f"predictions {found.ravel()[:3]} of shape {found.shape}"
    nothing_to_learn = np.ptp(found) == 0 or len(ask.y) < N_ROWS
    if said or nothing_to_learn:
        return ""
    found = found.ravel().astype(float) / np.abs(found).max()
    least = LEAST_OF_LABELS if truth.dtype == bool else LEAST_CORRELATION
    correlation = np.corrcoef(found, truth)[0, 1]
    return "" if correlation > least else f"silent, correlation {correlation:.2f}"
