"""Closed-form experts on classes: each is fitted to the classes' indicators and calibrated.

Shapes: B tables, n rows, s support rows, q queries, d columns, E experts, C classes.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sklearn_looped.core.calibration import Calibration, pool_exponents, relative_log_loss
from sklearn_looped.core.kernel_machine import DEFAULT_SEARCH, Search
from sklearn_looped.core.kernel_ridge import mean_over_rows
from sklearn_looped.learned.inference.experts import (
    FEWEST_ROWS,
    LEAST_ERROR,
    Models,
    cells,
    columns_to_read,
    fit_models,
)
from sklearn_looped.learned.model.class_opinions import ClassOpinions
from sklearn_looped.learned.model.opinions import N_EXPERTS

ENOUGH_ROWS = 80  # from which on the metric (`shrunk`) and members' errors are taken as they are


@dataclass(frozen=True)
class ClassExperts:
    """Ridge regression and kernel machines on the indicators of all classes of B tables.

    All classes share a decomposition and a metric. Each expert's scores become probabilities by
    the log loss of its leave-one-out scores (`Calibration`).

    Attributes
    ----------
    models : tuple of Ridge and KernelMachine
        As many as there are experts, or none where the support is too small.
    calibrations : list of Calibration
    support : ClassOpinions
        Of the support rows, each from the other rows.
    columns : Tensor of shape (B, d')
        Columns that the network reads: those of most weight in the metric, first ones first.
    metric : Tensor of shape (B, d)
        Mean of the machines' metrics, of mean 1: how much each column matters.
    """

    models: Models
    calibrations: list[Calibration]
    support: ClassOpinions
    columns: Tensor
    metric: Tensor

    @classmethod
    def fit(
        cls,
        X: Tensor,
        Y: Tensor,
        weights: Tensor | None = None,
        max_columns: int = 32,
        search: Search = DEFAULT_SEARCH,
        known: Tensor | None = None,
    ) -> "ClassExperts":
        """Fit to supports X (B, s, d), NaN where a cell is missing, and indicators Y (B, s, C).

        `known` (B, s, C) are scores of the rows by a model that did not see them.
        """
        Y = Y.double()
        w = torch.ones_like(Y[..., 0]) if weights is None else weights.double()
        frequencies = mean_over_rows(Y, w)[:, 0]
        if Y.shape[1] < FEWEST_ROWS:
            columns, gate = columns_to_read(torch.ones_like(X[:, 0]), max_columns)
            silent = _opinions(_known(frequencies, Y.shape[1]), Y, w, gate, frequencies)
            return cls((), [], silent, columns, torch.ones_like(X[:, 0]))
        search = replace(search, metric_rows=ENOUGH_ROWS)
        models, metric, place = fit_models(X, Y, Y.argmax(2), w, search, known)
        place = place.expand_as(Y)
        scores = [model.left_out.gather(1, place) for model in models]
        calibrations = [Calibration.fit(each, Y, w) for each in scores]
        parts = [c.probabilities(each) for c, each in zip(calibrations, scores, strict=True)]
        columns, gate = columns_to_read(metric, max_columns)
        opinions = _opinions(torch.stack(parts, 2), Y, w, gate, frequencies)
        return cls(models, calibrations, opinions, columns, metric)

    def of_queries(self, X: Tensor, known: Tensor | None = None) -> ClassOpinions:
        """Opinions of queries (B, q, d); `known` (B, q, C) as in `fit`."""
        if not self.models:
            return self.support._replace(proba=_known(self.support.frequencies, X.shape[1]))
        Z, pairs = cells(X), zip(self.calibrations, self.models, strict=True)
        parts = [calibration.probabilities(model.mean(Z, known)) for calibration, model in pairs]
        return self.support._replace(proba=torch.stack(parts, 2))

    def of_all(self, X: Tensor) -> ClassOpinions:
        """Opinions of a table (B, n, d) whose first rows are the support."""
        known = self.support.proba
        queries = self.of_queries(X[:, known.shape[1] :])
        return queries._replace(proba=torch.cat([known, queries.proba], 1))

    def read(self, X: Tensor) -> Tensor:
        """Columns that the network reads, (B, n, d) -> (B, n, d')."""
        return X.gather(2, self.columns[:, None].expand(-1, X.shape[1], -1))


def _known(frequencies: Tensor, n_rows: int) -> Tensor:
    """Probabilities (B, n, E, C) of rows of which only the frequencies (B, C) are known."""
    return frequencies[:, None, None].expand(-1, n_rows, N_EXPERTS, -1)


def _opinions(
    proba: Tensor, Y: Tensor, weights: Tensor, gate: Tensor, frequencies: Tensor
) -> ClassOpinions:
    """Opinions with leave-one-out probabilities (B, s, E, C): errors and pool follow from them."""
    exponents = pool_exponents(proba, Y, weights)
    error = proba.new_ones(len(proba), N_EXPERTS + 1)
    opinions = ClassOpinions(proba, error, exponents, gate, frequencies, weights.sum(1))
    pool = torch.softmax(opinions.pool(), -1)
    parts = [*proba.unbind(2), pool]
    error = torch.stack([relative_log_loss(part, Y, weights) for part in parts], 1).sqrt()
    return opinions._replace(error=error.nan_to_num(1.0).clamp(LEAST_ERROR, 1))


def silenced(opinions: ClassOpinions, silent: Tensor, Y: Tensor) -> ClassOpinions:
    """Take experts out of tables, as a mask (B, E) says; Y (B, s, C) are the support's labels."""
    known = _known(opinions.frequencies, opinions.proba.shape[1])
    proba = torch.where(silent[:, None, :, None], known, opinions.proba)
    gate = torch.where(silent[:, 1:].all(1, keepdim=True), 1, opinions.gate)
    support = proba[:, : Y.shape[1]]
    found = _opinions(
        support, Y.to(proba), torch.ones_like(support[..., 0, 0]), gate, opinions.frequencies
    )
    return found._replace(proba=proba)
