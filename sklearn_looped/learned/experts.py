"""Closed-form experts: ridge regression and the kernel machine, fitted to the support.

Shapes: B tables, n rows, s support rows, q queries, d columns, E experts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_looped.core.kernel_machine import DEFAULT_SEARCH, KernelMachine, Search
from sklearn_looped.core.ridge import Ridge
from sklearn_looped.learned.opinions import N_EXPERTS, Opinions

CLIP = 8.0  # standard deviations: cells beyond are outliers
LEAST_ERROR = 1e-4  # of a standard deviation: below, an expert is as good as exact
FEWEST_ROWS = 3  # a left-out row must leave two behind


@dataclass(frozen=True)
class Experts:
    """Ridge regression and a kernel machine on the supports of B tables in canonical form.

    Attributes
    ----------
    ridge, machine : fitted, or None where the support is too small
    support : Opinions
        Of the support rows, each from the other rows.
    columns : Tensor of shape (B, d')
        Columns that the network reads: those of most weight in the machine's metric, first ones
        first.
    """

    ridge: Ridge | None
    machine: KernelMachine | None
    support: Opinions
    columns: Tensor

    @classmethod
    def fit(
        cls,
        X: Tensor,
        y: Tensor,
        weights: Tensor | None = None,
        max_columns: int = 32,
        search: Search = DEFAULT_SEARCH,
    ) -> "Experts":
        """Fit to supports X (B, s, d), NaN where a cell is missing, and targets y (B, s)."""
        metric = X.new_ones(len(X), X.shape[2])
        ridge = machine = None
        opinions = _silence(y)
        if y.shape[1] >= FEWEST_ROWS:
            Z, Y = _cells(X), y[..., None].double()
            w = None if weights is None else weights.double()
            ridge, machine = Ridge.fit(Z, Y, w), KernelMachine.fit(Z, Y, w, search)
            metric = machine.kernel.metric
            opinions = _joined(
                (ridge.left_out, machine.left_out),
                (ridge.left_out_std, machine.left_out_std),
                torch.stack([ridge.relative_error, machine.relative_error], 1).sqrt(),
            )
        columns = torch.argsort(metric, dim=1, descending=True, stable=True)[:, :max_columns]
        read = metric.gather(1, columns)
        gate = (read / read.mean(1, keepdim=True)).sqrt()
        return cls(ridge, machine, opinions._replace(gate=gate), columns)

    def of_queries(self, X: Tensor) -> Opinions:
        """Opinions of queries (B, q, d)."""
        if self.ridge is None or self.machine is None:
            return _silence(X[..., 0])._replace(gate=self.support.gate)
        Z = _cells(X)
        (ridge, ridge_std), (machine, machine_std) = self.ridge.predict(Z), self.machine.predict(Z)
        opinions = _joined((ridge, machine), (ridge_std, machine_std), self.support.error)
        return opinions._replace(gate=self.support.gate)

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


def _cells(X: Tensor) -> Tensor:
    """Cells as the experts read them: missing ones are the column's mean."""
    return X.double().nan_to_num(0.0).clamp(-CLIP, CLIP)


def _joined(
    predictions: tuple[Tensor, Tensor], stds: tuple[Tensor, Tensor], error: Tensor
) -> Opinions:
    error = error.nan_to_num(1.0).clamp(LEAST_ERROR, 1)
    return Opinions(torch.cat(predictions, -1), torch.cat(stds, -1), error, error)


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
        gate=torch.where(silent[:, 1:], 1, opinions.gate),
    )
