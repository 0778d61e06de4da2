"""What the kernel machine's estimators share: reading a table, and the fitted machine.

Shapes: n rows, q queries, d columns, d' encoded columns, T targets.
"""

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing, gen_batches
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from sklearn_looped.core.arrays import Array
from sklearn_looped.core.kernel_machine import KernelMachine, Search
from sklearn_looped.core.modes import in_own_modes
from sklearn_looped.core.rows import evenly_spaced
from sklearn_looped.core.warning import warn_user
from sklearn_looped.estimators.documentation import DocumentationLink
from sklearn_looped.estimators.validation import validate_table
from sklearn_looped.learned.inference.experts import cells
from sklearn_looped.learned.inference.prepare import encoded_rows, in_own_order
from sklearn_looped.learned.inference.standardise import Standardiser
from sklearn_looped.learned.inference.support import Support
from sklearn_looped.learned.inference.ties import settle
from sklearn_looped.learned.inference.views import varying

BATCH = 1024  # queries at a time


class KernelMachineEstimator(DocumentationLink, BaseEstimator):
    """Base of the kernel machine's estimators."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_loops": [Interval(Integral, 0, None, closed="left")],
        "max_rows": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(self, *, n_loops: int = 3, max_rows: int = 4096) -> None:
        self.n_loops = n_loops
        self.max_rows = max_rows

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags

    @property
    def column_kinds_(self) -> dict[str, str]:
        """What each column was read as in `fit`; see `TableEncoder`."""
        check_is_fitted(self, "metric_")
        return self._encoder.column_kinds_

    @in_own_modes
    def _fit_machine(
        self, table: Any, Y: Array, weights: Array | None, target: Array, target_type: str
    ) -> tuple[Array, Array]:
        """Fit to a validated table and targets Y (n, T), whose size is about one.

        Nominal columns of many levels are encoded by `target` (n,) or (n, T), of `target_type`.
        Returns the rows' leave-one-out predictions and their standard deviations, (n, T) each.
        """
        self._encoder, rows = encoded_rows(Support(table, Y, weights), target, target_type)
        rows = rows.take(np.lexsort((*rows.X.T, *rows.Y.T)))
        merged = in_own_order(rows, target_type)
        support = merged if len(merged.X) > 1 else merged.take(np.zeros(2, int))
        support = self._fit_scale(self._thinned(support))
        w = None if support.weights is None else _tensor(support.weights / support.weights.mean())
        search = Search(n_loops=self.n_loops)
        self._machine = KernelMachine.fit(_tensor(support.X), _tensor(support.Y), w, search)
        self._keep_metric()
        return self._left_out(table, rows, merged, support)

    def _thinned(self, support: Support) -> Support:
        """Of too many rows, those evenly spaced in canonical order, which is that of the target."""
        n_rows = len(support.X)
        if n_rows <= self.max_rows:
            return support
        warn_user(
            f"Got {n_rows} different rows, more than max_rows={self.max_rows}: only that many, "
            "evenly spaced along the target, are used. Raise max_rows to use more; memory grows "
            "with its square, time with its cube."
        )
        return support.take(evenly_spaced(n_rows, self.max_rows).numpy())

    def _fit_scale(self, support: Support) -> Support:
        """Fit means and sizes of the columns, leave out constant ones; return the scaled rows.

        Rows that are equal in what they are sorted by, the last target, are sorted once more, now
        that signs and order of the columns are canonical; the order, rising or falling, stays.
        """
        weights = None if support.weights is None else _tensor(support.weights)
        key = support.Y[:, -1]
        y = _tensor(key)
        X = _tensor(support.X)
        self._scale, _ = settle(Standardiser.fit(X, y, weights), X, y, weights)
        varies = varying(support.X)[self._scale.order[0].numpy()]
        self._varying = np.flatnonzero(varies)
        support = support._replace(X=self._scaled(support.X), Y=support.Y[:, :-1])
        place = np.append(0, np.cumsum(np.diff(key) != 0))
        return support.take(np.lexsort((*support.X.T, place)))

    def _scaled(self, encoded: Array) -> Array:
        """Standardised, clipped columns in canonical order; a missing cell is the mean."""
        Z = self._scale.features(_tensor(encoded))
        return cells(Z)[0].numpy()[:, self._varying]

    def _keep_metric(self) -> None:
        """Set the columns' weights in the encoding's order, constant columns zero."""
        self.metric_ = np.zeros(len(self._encoder.sources_))
        order = self._scale.order[0].numpy()[self._varying]
        self.metric_[order] = self._machine.metric()[0].numpy()
        self.feature_importances_ = self._encoder.shares_of_columns(
            self.metric_, self.n_features_in_
        )

    def _left_out(
        self, table: Any, rows: Support, merged: Support, support: Support
    ) -> tuple[Array, Array]:
        """Predictions and standard deviations of all rows of the table, in its order.

        Of rows that took no part, of weight zero or beyond `max_rows`, the plain ones.
        """
        numbers, firsts, known = map(np.asarray, (rows.rows, merged.rows, support.rows))
        is_first = np.isin(numbers, firsts)
        first = numbers[is_first][np.cumsum(is_first) - 1]  # of each run of equal rows
        known, place = np.unique(known, return_index=True)
        used = np.isin(first, known)
        place = place[np.searchsorted(known, first[used])]
        results = np.empty((2, len(table), support.Y.shape[1]))
        others = np.setdiff1d(np.arange(len(table)), numbers[used])
        if len(others):
            results[:, others] = self._run(self._encoder.transform(_safe_indexing(table, others)))
        left_out = (self._machine.left_out, self._machine.left_out_std)
        for result, values in zip(results, left_out, strict=True):
            result[numbers[used]] = values[0].numpy()[place]
        return results[0], results[1]

    @in_own_modes
    def _run(self, encoded: Array, with_std: bool = True) -> tuple[Array, Array]:
        """Predictions of encoded queries and their standard deviations, (q, T) each.

        Standard deviations, which cost more than the predictions, are zeros unless asked for.
        """
        Z, parts = self._scaled(encoded), []
        for rows in gen_batches(len(Z), BATCH):
            Q = _tensor(Z[rows])
            idle = Q.new_zeros(1, Q.shape[1], 1)
            machine = self._machine
            parts.append(machine.predict(Q) if with_std else (machine.mean(Q), idle))
        mean, std = (torch.cat(part, 1)[0].numpy() for part in zip(*parts, strict=True))
        return mean, std

    def _query(self, X: Any, with_std: bool = False) -> tuple[Array, Array]:
        check_is_fitted(self, "metric_")
        encoded = self._encoder.transform(validate_table(self, X, reset=False))
        return self._run(encoded, with_std)


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    """Turn rows into a batch of one table, (n, ...) to (1, n, ...)."""
    return torch.tensor(np.asarray(array, np.float64))[None]
