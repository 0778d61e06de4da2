"""Tables of one shape are fitted as one batch, and what is fitted is cut apart again.

Shapes: B tables, n rows.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from sklearn.utils import gen_batches
from torch import Tensor

PAIRS = 2**18  # that bound a batch, in memory too: larger tables take as long together as alone

Fitted = TypeVar("Fitted")


def count_pairs(n_tables: int, n_rows: int, n_columns: int) -> int:
    """Pairs of rows of some tables, or of columns where those are more: what a fit takes."""
    return n_tables * max(n_rows, n_columns) ** 2


def alike(shapes: Sequence[Hashable], n_pairs: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of tables of one shape, of at most `PAIRS` pairs together or alone.

    Examples
    --------
    >>> from sklearn_looped.core.tables import alike
    >>> list(alike(["a", "b", "a", "a"], [2**17] * 4))
    [[0, 2], [3], [1]]
    """
    found = defaultdict(list)
    for number, shape in enumerate(shapes):
        found[shape].append(number)
    for numbers in found.values():
        for part in gen_batches(len(numbers), max(1, PAIRS // n_pairs[numbers[0]])):
            yield numbers[part]


def tables_of(fitted: Any, tables: slice) -> Any:
    """Return some of the tables that a batch was fitted to.

    Every tensor in `fitted`, which is made of dataclasses, tuples and lists, has a leading
    dimension of tables.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.core.ridge import Ridge
    >>> from sklearn_looped.core.tables import tables_of
    >>> X = torch.rand(3, 50, 2, dtype=torch.float64)
    >>> tables_of(Ridge.fit(X, X[..., :1]), slice(1, 2)).coef.shape
    torch.Size([1, 2, 1])
    """
    if fitted is None:
        return None
    if isinstance(fitted, Tensor):
        return fitted[tables]
    if is_dataclass(fitted) and not isinstance(fitted, type):
        parts = {each.name: getattr(fitted, each.name) for each in fields(fitted)}
        return replace(fitted, **{name: tables_of(part, tables) for name, part in parts.items()})
    cut = [tables_of(part, tables) for part in fitted]
    return type(fitted)(*cut) if hasattr(fitted, "_fields") else type(fitted)(cut)


def fit_alike(
    fit: Callable[..., Fitted], tables: Sequence[tuple[Tensor, *tuple[Tensor | None, ...]]]
) -> list[Fitted]:
    """Fit each of some tables, those of one shape in batches.

    Parameters
    ----------
    fit : callable
        Takes what a table consists of, each a batch, and returns what `tables_of` cuts.
    tables : sequence of tuple of (Tensor of shape (B, n, ...) or None)
        The first of each are its cells, (B, n, d). A table may itself be a batch.

    Returns
    -------
    list
        As if `fit` had been called for each.
    """
    shapes = [tuple(None if part is None else part.shape for part in each) for each in tables]
    sizes = [cells.shape for cells, *_ in tables]
    found: dict[int, Fitted] = {}
    for numbers in alike(shapes, [count_pairs(*size) for size in sizes]):
        batch = [
            None if parts[0] is None else torch.cat(parts)
            for parts in zip(*(tables[number] for number in numbers), strict=True)
        ]
        fitted, size = fit(*batch), sizes[numbers[0]][0]
        for place, number in enumerate(numbers):
            found[number] = tables_of(fitted, slice(place * size, (place + 1) * size))
    return [found[number] for number in range(len(tables))]
