"""An ensemble over views of one support: in-context inference for many queries."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_looped.learned.encoding import Array
from sklearn_looped.learned.network import LoopedNetwork, SupportMemory
from sklearn_looped.learned.standardise import Standardiser
from sklearn_looped.learned.views import View

CHUNK = 1024  # queries at a time: bounds the memory of a prediction
TOLERANCE = 0.01  # a change below this share of the target's spread is a small one
SMALL_CHANGES = 2  # successive small changes after which a query has settled


@dataclass
class SupportEnsemble:
    """Views of one support, each with its canonical form.

    Networks passed in are those of `load_checkpoint`, whose weights ask for no gradients.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        The encoded support, NaN for missing cells.
    y : ndarray of shape (n,)
    views : list of View
    standardisers : list of Standardiser
        One a view, fitted on what it sees of the support.
    """

    X: Array
    y: Array
    views: list[View]
    standardisers: list[Standardiser]

    @classmethod
    def fit(cls, X: Array, y: Array, views: list[View]) -> "SupportEnsemble":
        """Fit the canonical form of every view."""
        parts = [view.support(X, y) for view in views]
        return cls(X, y, views, [Standardiser.fit(_batch(Z), _batch(t)) for Z, t in parts])

    def remember(self, network: LoopedNetwork, n_loops: int) -> list[SupportMemory]:
        """Run the support through the network, once a view; keep keys and values."""
        device = next(network.parameters()).device
        memories = []
        for view, scale in zip(self.views, self.standardisers, strict=True):
            Z, t = view.support(self.X, self.y)
            features, target = scale.features(_batch(Z)), scale.target(_batch(t))
            memories.append(
                network.encode_support(
                    features.float().to(device), target.float().to(device), n_loops
                )
            )
        return memories

    def predict_by_loop(
        self, network: LoopedNetwork, memories: list[SupportMemory], X: Array
    ) -> Iterator[Array]:
        """Yield after every loop the members' average, (q, 1 + n_quantiles), in units of y.

        The mean comes first, then the quantiles in rising order.
        """
        device = next(network.parameters()).device
        runs = []
        for view, scale, memory in zip(self.views, self.standardisers, memories, strict=True):
            features = scale.features(_batch(view.query(X))).float().to(device)
            runs.append(network.predict_queries(features, memory))
        for outputs in zip(*runs, strict=True):
            members = [
                _in_units(output[0], scale)
                for output, scale in zip(outputs, self.standardisers, strict=True)
            ]
            yield torch.stack(members).mean(0).numpy()


def _batch(x: Array) -> Tensor:
    """Make a batch of one table; copies, since arrays may be read-only."""
    return torch.tensor(x)[None]


def _in_units(output: Tensor, scale: Standardiser) -> Tensor:
    """Bring one member's output to units of y, its quantiles sorted, in float64 on the CPU."""
    output = scale.undo_target(output.cpu().double())
    return torch.cat([output[:, :1], output[:, 1:].sort(-1).values], -1)


def last_loop(by_loop: Iterator[Array]) -> Array:
    """Return the prediction of the last loop."""
    *_, last = by_loop
    return last


def settled_loop(by_loop: Iterator[Array], spread: float) -> tuple[Array, NDArray[np.intp]]:
    """Freeze every query once its mean has settled; stop when all have.

    A query has settled after two successive changes smaller than a hundredth of `spread`. What
    one query gets does not depend on the others.

    Returns
    -------
    output : ndarray of shape (q, 1 + n_quantiles)
    n_loops : ndarray of shape (q,)
        The loop each query's output was taken from.
    """
    output = next(by_loop).copy()
    n_loops, calm = np.ones(len(output), dtype=np.intp), np.zeros(len(output), dtype=np.intp)
    for loop, current in enumerate(by_loop, 2):
        moving = calm < SMALL_CHANGES
        small = np.abs(current[:, 0] - output[:, 0]) <= TOLERANCE * spread
        calm[moving] = np.where(small, calm + 1, 0)[moving]
        output[moving], n_loops[moving] = current[moving], loop
        if (calm >= SMALL_CHANGES).all():
            break
    return output, n_loops
