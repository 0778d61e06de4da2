"""What is known of a large table as a whole: closed-form experts that see all of its rows.

Shapes: n rows, q queries, d columns, T targets.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_looped.core.arrays import Array
from sklearn_looped.core.kernel_machine import DEFAULT_SEARCH, N_ROWS
from sklearn_looped.core.modes import in_own_modes
from sklearn_looped.core.nystroem import WARPED, LargeKernelMachine
from sklearn_looped.core.rows import evenly_spaced
from sklearn_looped.core.stacking import TargetScale, stacking_shares
from sklearn_looped.learned.inference.experts import cells
from sklearn_looped.learned.inference.standardise import Standardiser
from sklearn_looped.learned.inference.support import Support
from sklearn_looped.learned.inference.views import varying_columns

FEWEST = 500  # rows that are searched for steps: of fewer the search takes too much of `fit`


@dataclass(frozen=True)
class Overview:
    """Mixture of two kernel machines that are fitted to all rows of a table, through landmarks.

    One has a smooth kernel of the Euclidean distance, one that of the Manhattan distance with
    warped columns, which suits steps (`LargeKernelMachine`). They are mixed by leave-one-out as
    the experts of a support are. Rows are taken in the order of the support, which does not depend
    on the order they came in; nothing is drawn.

    Attributes
    ----------
    columns : ndarray of int
        Those that vary; the others are not read.
    n_columns : int
        All of them, d.
    scale : Standardiser
        Of these columns.
    target : TargetScale
    machines : list of LargeKernelMachine
    shares : Tensor of shape (T, 2)
    left_out : ndarray of shape (n, T)
        Predictions of the rows, each left out with all its copies.
    metric : Tensor
        Weights of the standardised columns, of mean 1.
    """

    columns: NDArray[np.intp]
    n_columns: int
    scale: Standardiser
    target: TargetScale
    machines: list[LargeKernelMachine]
    shares: Tensor
    left_out: Array
    metric: Tensor

    @classmethod
    @in_own_modes
    def fit(cls, support: Support) -> "Overview":
        """Fit to an encoded support."""
        columns = varying_columns(support.X)
        scale, target, X, Z, w = _standardised(support, columns)
        machines = [LargeKernelMachine.fit(X, Z, w, kind) for kind in DEFAULT_SEARCH.kinds]
        left_out = torch.stack([machine.left_out for machine in machines], -1)
        shares = stacking_shares(left_out[None], Z[None], w[None])[0]
        mixed = target.restored((left_out * shares).sum(-1)[None])[0]
        metric = torch.stack([machine.metric(X, w) for machine in machines]).mean(0)
        return cls(
            columns, support.X.shape[1], scale, target, machines, shares, mixed.numpy(), metric
        )

    @in_own_modes
    def predict(self, X: Array) -> Array:
        """Predictions of encoded queries, (q, d) -> (q, T)."""
        Z = self._cells(X)
        parts = torch.stack([machine.predict(Z) for machine in self.machines], -1)
        return self.target.restored((parts * self.shares).sum(-1)[None])[0].numpy()

    def weights(self) -> Array:
        """Weights of the encoded columns, (d,)."""
        weights = np.zeros(self.n_columns)
        weights[self.columns] = self.scale.in_original_order(self.metric[None])[0].numpy()
        return weights

    def scaled(self, X: Array) -> Tensor:
        """Columns of encoded rows that vary, in units of the metric, (q, d) -> (q, d')."""
        return self._cells(X) * self.metric.sqrt()

    def _cells(self, X: Array) -> Tensor:
        return cells(self.scale.features(torch.from_numpy(X[:, self.columns])[None]))[0]


def _standardised(
    support: Support, columns: NDArray[np.intp]
) -> tuple[Standardiser, TargetScale, Tensor, Tensor, Tensor]:
    """Scales of some columns of a support; cells, targets (n, T) on them, and weights (n,)."""
    X, Y = torch.from_numpy(support.X[:, columns])[None], torch.from_numpy(support.Y)[None]
    w = torch.from_numpy(support.counts)[None]
    scale, target = Standardiser.fit(X, Y[..., 0], w), TargetScale.fit(Y, w)
    return scale, target, cells(scale.features(X))[0], target.standardised(Y)[0], w[0]


@in_own_modes
def has_steps(support: Support) -> bool:
    """Whether a few evenly spaced rows of at least `FEWEST` show that the target has steps.

    They do if the machine for steps misses so much less on warped columns that it keeps them: 28 %
    less of so few rows, which smooth or noisy targets do not reach.
    """
    if len(support.X) < FEWEST:
        return False
    some = support.take(evenly_spaced(len(support.X), N_ROWS).numpy())
    *_, X, Z, w = _standardised(some, varying_columns(support.X))
    return LargeKernelMachine.fit(X, Z, w, WARPED, n_warps=1).warp is not None
