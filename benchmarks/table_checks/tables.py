"""Random mixed tables: numbers, ties, heavy tails, levels, dates, booleans, missing cells."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[Any]
Make = Callable[[np.random.Generator, int], Any]

N_QUERIES = 6


@dataclass(frozen=True)
class Table:
    """A table with its target, weights and queries.

    Attributes
    ----------
    X, queries : DataFrame
    y : ndarray of shape (n,)
        Numbers, or labels.
    kinds : dict of str
        What each column is: "number", "nominal", "boolean" or "date".
    weights : ndarray of shape (n,) or None
    """

    X: pd.DataFrame
    y: Array
    queries: pd.DataFrame
    kinds: dict[str, str]
    weights: Array | None = None

    def of(self, *kinds: str) -> list[str]:
        """Names of the columns of some kinds."""
        return [name for name, kind in self.kinds.items() if kind in kinds]

    def mapped(self, change: Callable[[Any], Any]) -> "Table":
        """Change support and queries alike."""
        return replace(self, X=change(self.X), queries=change(self.queries))


def _levels(n_levels: int) -> Make:
    return lambda rng, n: rng.choice([f"level {i}" for i in range(n_levels)], n)


def _dates(rng: np.random.Generator, n: int) -> Any:
    return pd.Timestamp("2022-03-01") + pd.to_timedelta(rng.integers(0, 900, n), "D")


COLUMNS: dict[str, tuple[str, Make]] = {
    "normal": ("number", lambda rng, n: rng.normal(size=n)),
    "tied": ("number", lambda rng, n: rng.integers(-2, 3, n).astype(float)),
    "counts": ("number", lambda rng, n: rng.poisson(2, n)),
    "two values": ("number", lambda rng, n: rng.integers(0, 2, n).astype(float)),
    "balanced": ("number", lambda rng, n: rng.permutation(np.arange(n) % 2).astype(float)),
    "heavy": ("number", lambda rng, n: rng.standard_t(1.5, n)),
    "far from zero": ("number", lambda rng, n: 1000 + rng.normal(size=n)),
    "boolean": ("boolean", lambda rng, n: rng.random(n) < 0.4),
    "2 levels": ("nominal", _levels(2)),
    "5 levels": ("nominal", _levels(5)),
    "14 levels": ("nominal", _levels(14)),
    "30 levels": ("nominal", _levels(30)),
    "dates": ("date", _dates),
}
TARGETS: dict[str, Callable[[np.random.Generator, Array], Array]] = {
    "continuous": lambda rng, signal: signal + 0.3 * rng.normal(size=len(signal)),
    "tied": lambda rng, signal: np.round(signal + rng.normal(size=len(signal))),
    "two values": lambda rng, signal: (signal > np.median(signal)).astype(float),
    "counts": lambda rng, signal: rng.poisson(np.exp(signal.clip(-2, 2) / 2)).astype(float),
    "symmetric": lambda rng, signal: np.sort(np.linspace(-1, 1, len(signal)))[
        signal.argsort().argsort()
    ],
    "heavy": lambda rng, signal: signal + rng.standard_t(1.5, len(signal)),
}
N_LABELS = 3


def mixed_table(rng: np.random.Generator, *, labels: bool = False) -> Table:
    """Draw two to six columns, a target that depends on them, and queries of other rows."""
    n = int(rng.integers(20, 61))
    names = rng.choice([*COLUMNS], rng.integers(2, 7))
    columns, kinds = {}, {}
    for place, name in enumerate(names):
        kind, make = COLUMNS[name]
        kinds[f"{name} {place}"] = kind
        columns[f"{name} {place}"] = make(rng, n + N_QUERIES)
    whole = pd.DataFrame(columns)
    signal = sum(rng.normal() * _standardised(whole[name]) for name in whole)
    if rng.random() < 0.4:
        whole = whole.mask(rng.random(whole.shape) < 0.1)
    if rng.random() < 0.3:  # rows that repeat
        whole.iloc[n // 2 : n // 2 + 5] = whole.iloc[:5].to_numpy()
    if labels:
        cuts = np.quantile(signal, np.arange(1, rng.integers(2, N_LABELS + 1)) / 2.5)
        y = np.array(["ash", "elm", "oak"])[np.searchsorted(cuts, signal[:n])]
    else:
        y = TARGETS[str(rng.choice([*TARGETS]))](rng, np.asarray(signal[:n]))
    weights = rng.integers(1, 4, n).astype(float) if rng.random() < 0.3 else None
    return Table(whole[:n], y, whole[n:].reset_index(drop=True), kinds, weights)


def design(rng: np.random.Generator) -> Table:
    """Draw a factorial design or a grid: columns of no correlation, ties everywhere."""
    levels = rng.choice([2, 3, 5])
    n_columns = 1 if levels == 5 and rng.random() < 0.5 else int(rng.integers(2, 4))
    side = np.linspace(-1, 1, 41 if n_columns == 1 else levels)
    grid = np.stack(np.meshgrid(*[side] * n_columns), -1).reshape(-1, n_columns)
    grid = grid if len(grid) > 8 else np.tile(grid, (4, 1))
    squares = rng.choice([0.0, 1.0, -0.5], n_columns)
    y = grid**2 @ squares + rng.choice([0, 1]) * grid.prod(axis=1)
    if rng.random() < 0.5:
        y = y + grid @ rng.choice([0, 1], n_columns)
    if rng.random() < 0.3 or np.ptp(y) == 0:
        y = y + 0.1 * rng.normal(size=len(y))
    names = [f"factor {i}" for i in range(n_columns)]
    queries = pd.DataFrame(rng.uniform(-1, 1, (N_QUERIES, n_columns)), columns=names)
    X = pd.DataFrame(grid, columns=names)
    return Table(X, y, queries, dict.fromkeys(names, "number"))


def is_odd(table: Table) -> bool:
    """Whether a table of numbers is its own mirror image, with all signs turned."""
    if len(table.of("number")) < table.X.shape[1] or table.y.dtype.kind != "f":
        return False
    rows = np.column_stack([table.X, table.y]).astype(float)
    rows = (rows - rows.mean(axis=0)).round(6) + 0.0
    turned = -rows + 0.0
    signs = [np.array(s) for s in np.ndindex(*[2] * (rows.shape[1] - 1))]
    images = [np.column_stack([rows[:, :-1] * (1 - 2 * s), turned[:, -1]]) + 0.0 for s in signs]
    known = rows[np.lexsort(rows.T)]
    return any(np.allclose(image[np.lexsort(image.T)], known) for image in images)


def _standardised(column: "pd.Series[Any]") -> Array:
    codes = pd.factorize(column)[0] if column.dtype.kind not in "fib" else column.to_numpy(float)
    values = np.asarray(codes, dtype=float)
    return (values - values.mean()).clip(-5, 5) / max(values.std(), 1e-9)
