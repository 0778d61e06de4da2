"""Closed-form experts: ridge regression and two kernel machines, fitted to the support.

Shapes: B tables, n rows, s support rows, q queries, d columns, E experts.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

from sklearn_looped.core.kernel_machine import DEFAULT_SEARCH, KernelMachine, Search
from sklearn_looped.core.ridge import Ridge
from sklearn_looped.core.threads import in_threads
from sklearn_looped.learned.inference.standardise import TIE
from sklearn_looped.learned.model.opinions import N_EXPERTS, Opinions

CLIP = 8.0  # standard deviations: cells beyond are outliers
DIGITS = 12  # decimals of a cell: beyond is rounding, and would order what is equal
LEAST_ERROR = 1e-4  # of a standard deviation: below, an expert is as good as exact
STEPS = "manhattan"  # the kernel of the machine for steps; the other machine has the rest
FEWEST_ROWS = 3  # a left-out row must leave two behind
Models: TypeAlias = tuple[Ridge | KernelMachine, ...]


@dataclass(frozen=True)
class Experts:
    """Ridge regression and kernel machines on the supports of B tables in canonical form.

    The machines differ in their kernels: smooth ones of the Euclidean distance, and one of the
    Manhattan distance, which suits steps.

    Attributes
    ----------
    models : tuple of Ridge and KernelMachine
        As many as there are experts, or none where the support is too small.
    support : Opinions
        Of the support rows, each from the other rows.
    columns : Tensor of shape (B, d')
        Columns that the network reads: those of most weight in the metric, first ones first.
    metric : Tensor of shape (B, d)
        Mean of the machines' metrics, of mean 1: how much each column matters.
    """

    models: Models
    support: Opinions
    columns: Tensor
    metric: Tensor

    @classmethod
    def fit(
        cls,
        X: Tensor,
        y: Tensor,
        weights: Tensor | None = None,
        max_columns: int = 32,
        search: Search = DEFAULT_SEARCH,
        known: Tensor | None = None,
    ) -> "Experts":
        """Fit to supports X (B, s, d), NaN where a cell is missing, and targets y (B, s).

        `known` (B, s) are predictions of the rows by a model that did not see them.
        """
        if y.shape[1] < FEWEST_ROWS:
            columns = torch.arange(min(max_columns, X.shape[2])).expand(len(X), -1)
            gate = torch.ones_like(columns).to(y)
            return cls((), _silence(y)._replace(gate=gate), columns, torch.ones_like(X[:, 0]))
        known = None if known is None else known[..., None]
        models, metric, place = fit_models(X, y[..., None], y, weights, search, known)
        error = torch.stack([model.relative_error for model in models], 1).sqrt()
        parts = [
            (model.left_out.gather(1, place), model.left_out_std.gather(1, place))
            for model in models
        ]
        columns, gate = columns_to_read(metric, max_columns)
        error = error.nan_to_num(1.0).clamp(LEAST_ERROR, 1)
        return cls(models, _joined(parts, error, gate), columns, metric)

    def of_queries(self, X: Tensor, known: Tensor | None = None) -> Opinions:
        """Opinions of queries (B, q, d); `known` (B, q) as in `fit`."""
        if not self.models:
            return _silence(X[..., 0])._replace(gate=self.support.gate)
        Z = cells(X)
        known = None if known is None else known[..., None]
        parts = [model.predict(Z, known, coarse=True) for model in self.models]  # read in float32
        return _joined(parts, self.support.error, self.support.gate)

    def of_all(self, X: Tensor) -> Opinions:
        """Opinions of a table (B, n, d) whose first rows are the support."""
        queries = self.of_queries(X[:, self.support.prediction.shape[1] :])
        return queries._replace(
            prediction=torch.cat([self.support.prediction, queries.prediction], 1),
            std=torch.cat([self.support.std, queries.std], 1),
        )

    def read(self, X: Tensor) -> Tensor:
        """Columns that the network reads, (B, n, d) -> (B, n, d')."""
        return X.gather(2, self.columns[:, None].expand(-1, X.shape[1], -1))


def _sorted_rows(Z: Tensor, key: Tensor) -> Tensor:
    """Order of rows by a key, and of equal keys by a mixture of the cells, (B, n)."""
    factors = torch.arange(1, Z.shape[2] + 1, dtype=Z.dtype, device=Z.device).cos()
    order = torch.argsort(Z @ factors, dim=1, stable=True)
    return order.gather(1, torch.argsort(key.gather(1, order), dim=1, stable=True))


def cells(X: Tensor) -> Tensor:
    """Cells as the experts read them: missing ones are the column's mean; equal ones are equal."""
    return X.double().nan_to_num(0.0).clamp(-CLIP, CLIP).round(decimals=DIGITS)


def fit_models(
    X: Tensor,
    Y: Tensor,
    key: Tensor,
    weights: Tensor | None,
    search: Search,
    known: Tensor | None = None,
) -> tuple[Models, Tensor, Tensor]:
    """Fit ridge regression and both machines to targets Y (B, s, T).

    The machines' mixtures have predictions that are known already, (B, s, T), as a member in place
    of the kernels without a learned metric. Machines learn from every other row: sorted by a key
    (B, s), so that the order is their own.

    Returns
    -------
    models : tuple of Ridge and KernelMachine
    metric : Tensor of shape (B, d)
        The machines' mean metric.
    place : Tensor of shape (B, s, 1)
        Of each row among the models' rows.
    """
    read = cells(X)
    order = _sorted_rows(read, key)
    Z = read.gather(1, order[..., None].expand_as(X))
    Y = Y.double().gather(1, order[..., None].expand_as(Y))
    w = None if weights is None else weights.double().gather(1, order)
    if known is not None:
        known = known.double().gather(1, order[..., None].expand_as(Y))
        search = replace(search, plain=False)
    smooth = tuple(kind for kind in search.kinds if kind != STEPS)

    def fit(kinds: tuple[str, ...]) -> tuple[KernelMachine, Tensor]:
        machine = KernelMachine.fit(Z, Y, w, replace(search, kinds=kinds), known)
        return machine, machine.metric()

    fits = [partial(fit, kinds) for kinds in (smooth, (STEPS,))]
    machines, metrics = zip(*in_threads(fits), strict=True)
    metric = torch.stack(metrics).mean(0)
    return (Ridge.fit(Z, Y, w), *machines), metric, order.argsort(1)[..., None]


def columns_to_read(metric: Tensor, max_columns: int) -> tuple[Tensor, Tensor]:
    """Columns of most weight in a metric (B, d), first ones first, and their gates, (B, d')."""
    rounded = (metric / TIE).round()  # of equal columns the first comes first
    columns = torch.argsort(rounded, dim=1, descending=True, stable=True)[:, :max_columns]
    read = metric.gather(1, columns)
    return columns, (read / read.mean(1, keepdim=True)).sqrt()


def _joined(parts: list[tuple[Tensor, Tensor]], error: Tensor, gate: Tensor) -> Opinions:
    """Opinions from each expert's predictions and standard deviations (B, n, 1)."""
    predictions, stds = (torch.cat(part, -1) for part in zip(*parts, strict=True))
    return Opinions(predictions, stds, error, gate)


def _silence(y: Tensor) -> Opinions:
    """Nothing is known of rows (B, n) but mean and spread of the target."""
    prediction = y.new_zeros(*y.shape, N_EXPERTS)
    error = y.new_ones(len(y), N_EXPERTS)
    return Opinions(prediction, prediction + 1, error, error)


def silenced(opinions: Opinions, silent: Tensor) -> Opinions:
    """Take experts out of tables, as a mask (B, E) says."""
    rows = silent[:, None]
    return opinions._replace(
        prediction=torch.where(rows, 0, opinions.prediction),
        std=torch.where(rows, 1, opinions.std),
        error=torch.where(silent, 1, opinions.error),
        gate=torch.where(silent[:, 1:].all(1, keepdim=True), 1, opinions.gate),
    )
