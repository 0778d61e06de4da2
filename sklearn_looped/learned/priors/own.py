"""A user's own tables as a prior, from which fine-tuning draws.

Shapes: B tables, n rows, d columns.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_X_y
from torch import Generator, Tensor

from sklearn_looped.core.arrays import refuse_masked


class OwnTables:
    """Random rows and columns of given data sets.

    All tables of a batch are drawn from one data set, which is chosen at random among those with
    enough rows. Columns are drawn up to the number requested, and rows without repetition, so that
    no query is in the support. ``meta_train(..., start=...)`` then fine-tunes shipped weights on
    data that resemble the user's tasks. Do not include the data sets that are to be predicted.

    Parameters
    ----------
    data_sets : sequence of tuple (X, y)
        Arrays of shape (n_samples, n_features), with NaN for missing cells, and (n_samples,), with
        at least ten rows each. For a classifier y contains a number for each class.

    Attributes
    ----------
    digest : str
        Digest of the data: a run resumes only on the same data.

    Raises
    ------
    ValueError
        If there is no data set, or one is not a numeric table with a finite target.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_looped.learned.priors import OwnTables
    >>> prior = OwnTables([load_diabetes(return_X_y=True)])
    >>> X, y = prior.sample(torch.Generator().manual_seed(0), 3, 50, 4)
    >>> X.shape, y.shape
    (torch.Size([3, 50, 4]), torch.Size([3, 50]))
    """

    def __init__(self, data_sets: Sequence[tuple[ArrayLike, ArrayLike]]) -> None:
        if not data_sets:
            raise ValueError("Got no data set, but expected at least one pair (X, y).")
        for X, y in data_sets:
            refuse_masked(X=X, y=y)
        checked = [
            check_X_y(
                X, y, dtype=np.float64, ensure_all_finite="allow-nan", y_numeric=True,
                ensure_min_samples=10,
            )
            for X, y in data_sets
        ]  # fmt: skip
        # Standardised in float64 first: float32 would lose small differences of large numbers.
        self._data_sets = [(_standard(X), _standard(y[:, None])[:, 0]) for X, y in checked]
        sha = hashlib.sha256()
        for X, y in checked:
            sha.update(f"{X.shape} ".encode() + X.tobytes() + y.tobytes())
        self.digest = sha.hexdigest()

    def __str__(self) -> str:
        return f"OwnTables({len(self._data_sets)} data sets, {self.digest[:12]})"

    def sample(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw tables from one of the data sets.

        Parameters
        ----------
        generator : Generator
            Source of all random numbers.
        n_tables, n_rows, n_features : int
            B, n and d; a data set of fewer columns gives all of its own.

        Returns
        -------
        X : Tensor of shape (n_tables, n_rows, n_features)
            NaN where a cell is missing.
        y : Tensor of shape (n_tables, n_rows)

        Raises
        ------
        ValueError
            If no data set has so many rows.
        """
        long_enough = [(X, y) for X, y in self._data_sets if len(X) >= n_rows]
        if not long_enough:
            raise ValueError(
                f"No data set has {n_rows} rows, as many as a table of this recipe. Lower the "
                "recipe's n_support and n_query."
            )
        X, y = long_enough[int(torch.randint(len(long_enough), (), generator=generator))]
        n_columns = min(n_features, X.shape[1])
        rows = torch.rand(n_tables, len(X), generator=generator).argsort(1)[:, :n_rows]
        columns = torch.rand(n_tables, X.shape[1], generator=generator).argsort(1)[:, :n_columns]
        return X[rows[:, :, None], columns[:, None]], y[rows]


def _standard(X: NDArray[np.float64]) -> Tensor:
    return torch.tensor(StandardScaler().fit_transform(X), dtype=torch.float32)
