"""Prediction member by member and a few targets at a time, where all at once take much memory.

Shapes: T targets, q queries, d columns.
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import gen_batches
from torch import Tensor

from sklearn_looped.learned.encoding import Array
from sklearn_looped.learned.memory import memory_of_target
from sklearn_looped.learned.network import LoopedNetwork
from sklearn_looped.learned.standardise import Standardiser

if TYPE_CHECKING:
    from sklearn_looped.learned.ensemble import SupportEnsemble

PART = 2**27  # bytes of keys and values held at a time
QUERIES = 4096  # queries that pass together, summed over targets
ANSWERS = 2**24  # numbers of a call's output, over all loops


def queries_at_once(network: LoopedNetwork, n_targets: int, n_loops: int) -> int:
    """Count the queries whose answers after every loop are held at a time."""
    return max(1, ANSWERS // (n_loops * n_targets * (1 + network.config.n_quantiles)))


def answers_by_loop(
    ensemble: "SupportEnsemble", network: LoopedNetwork, n_loops: int, X: Array
) -> tuple[Array, Array | None]:
    """Mean output of the members after every loop, and the gate's mean probability to leave.

    Returns
    -------
    output : ndarray of shape (n_loops, T, q, n_outputs)
    leaving : ndarray of shape (n_loops, q) or None
    """
    n_targets, n_members = ensemble.support.Y.shape[1], len(ensemble.views)
    output = np.zeros((n_loops, n_targets, len(X), 1 + network.config.n_quantiles))
    leaving = None if network.gate is None else np.zeros((n_loops, len(X)))
    for member in range(n_members):
        for part, rows, loop, outcome, exits in _steps(ensemble, network, n_loops, X, member):
            output[loop, part, rows] += outcome / n_members
            if leaving is not None and exits is not None:
                leaving[loop, rows] += exits.sum(axis=0) / (n_members * n_targets)
    return output, leaving


def _steps(
    ensemble: "SupportEnsemble", network: LoopedNetwork, n_loops: int, X: Array, member: int
) -> Iterator[tuple[slice, slice, int, Array, NDArray[np.float32] | None]]:
    """Yield targets, queries, loop, output (T', q', n_outputs) and exits (T', q') of each part."""
    from sklearn_looped.learned.ensemble import decode, encode, tables_of

    view, scale = ensemble.views[member], ensemble.standardisers[member]
    support, queries = view.support(ensemble.support), torch.tensor(view.query(X))
    n_targets, device = support.Y.shape[1], next(network.parameters()).device
    each = memory_of_target(network.config, len(support.X), n_loops)
    n_together = max(1, min(n_targets, PART // each))
    batches = list(gen_batches(len(X), max(1, QUERIES // n_together)))
    keep = len(batches) > 1 and each <= PART  # else computing it anew costs less
    for part in gen_batches(n_targets, n_together):
        own = _of_targets(scale, part)
        tables = tables_of(support._replace(Y=support.Y[:, part]))
        memory = encode(network, own, tables, n_loops) if keep else None
        for rows in batches:
            passing = memory or encode(network, own, tables, n_loops, stream=True)
            asked = own.features(queries[rows].expand(len(own.mean), -1, -1)).float()
            for loop, step in enumerate(network.predict_queries(asked.to(device), passing)):
                outcome = decode(step.output.cpu().double(), own, network.config.classifies)
                exits = None if step.exit is None else step.exit.sigmoid().cpu().numpy()
                yield part, rows, loop, outcome.numpy(), exits


def _of_targets(scale: Standardiser, part: slice) -> Standardiser:
    """Canonical form of some of the targets."""
    tensors: dict[str, Tensor] = {f.name: getattr(scale, f.name)[part] for f in fields(scale)}
    return Standardiser(**tensors)
