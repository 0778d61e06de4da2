"""The prior of two classes, from which the `tabular-classifier` weights learn.

Shapes: B tables, n rows, d columns.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sklearn_looped.learned.priors.mechanisms import uniform
from sklearn_looped.learned.priors.tables import SyntheticTables

MAX_PARTS = 8


def _above_a_quantile(generator: Generator, y: Tensor) -> Tensor:
    """Label a row 1 if y is above a quantile, which is near the median in half of the tables."""
    level = uniform(generator, len(y), 1, low=0.05, high=0.95)
    central = torch.rand(level.shape, generator=generator) < 0.5
    level = torch.where(central, 0.5 + (level - 0.5) / 3, level)
    ordered = y.sort(1).values
    return y > ordered.gather(1, (level * y.shape[1]).long())


def _some_parts(generator: Generator, y: Tensor) -> Tensor:
    """Label a row 1 in a random half of two to eight equal parts of the ranks of y."""
    n_parts = torch.randint(2, MAX_PARTS + 1, (len(y), 1), generator=generator)
    rank = y.argsort(1).argsort(1)
    part = rank * n_parts // y.shape[1]
    chosen = torch.rand(len(y), MAX_PARTS, generator=generator) < 0.5
    return chosen.gather(1, part)


@dataclass(frozen=True)
class TwoClassTables(SyntheticTables):
    """Tables of `SyntheticTables` whose target is cut into the labels 0 and 1.

    In 70 % of the tables the label says whether the target is above a quantile. In the others,
    label 1 consists of several parts of the target's range, like one class among several. The noise
    of the target becomes the noise of the label.

    Parameters
    ----------
    causal : float, default=0.4
        As in `SyntheticTables`.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.priors import TwoClassTables
    >>> X, y = TwoClassTables().sample(torch.Generator().manual_seed(0), 8, 100, 5)
    >>> y.unique()
    tensor([0., 1.])
    """

    def sample(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw X (B, n, d), NaN where a cell is missing, and labels y (B, n)."""
        X, y, _ = self.sample_with_signal(generator, n_tables, n_rows, n_features)
        return X, y

    def sample_with_signal(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw X (B, n, d) and labels y (B, n), which are returned twice: labels have no signal."""
        X, y = super().sample(generator, n_tables, n_rows, n_features)
        ordered = torch.rand(n_tables, 1, generator=generator) < 0.7
        above, within = _above_a_quantile(generator, y), _some_parts(generator, y)
        label = torch.where(ordered, above, within).float()
        return X, label, label
