"""Many small tables in few passes: tables of like width share a batch.

Shapes: B tables, n rows, s support rows, q queries, d columns.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sklearn_looped.learned.constant import ConstantEnsemble
from sklearn_looped.learned.encoding import Array
from sklearn_looped.learned.ensemble import SupportEnsemble, decode, tables_of
from sklearn_looped.learned.network import LoopedNetwork
from sklearn_looped.learned.standardise import Standardiser

ROWS = 16_384  # rows of a batch, support and queries, that bound its memory


class _Member(NamedTuple):
    """What one member of one ensemble adds to a batch, all in canonical form."""

    ensemble: int
    X: Tensor  # (B, s, d)
    y: Tensor  # (B, s)
    weights: Tensor  # (B, s)
    queries: Tensor  # (B, q, d)
    scale: Standardiser

    def n_rows(self) -> int:
        return len(self.y) * (self.X.shape[1] + self.queries.shape[1])


def predict_tables(
    network: LoopedNetwork, ensembles: list[SupportEnsemble], queries: list[Array], n_loops: int
) -> list[Array]:
    """Predict the queries (q, d) of each ensemble, as it would by itself, after the last loop.

    Supports and queries are padded to the longest of a batch; padding rows have weight zero, so
    that nothing attends to them.

    Returns
    -------
    list of ndarray of shape (T, q, n_outputs)
    """
    members = [
        member
        for index, (ensemble, X) in enumerate(zip(ensembles, queries, strict=True))
        if not isinstance(ensemble, ConstantEnsemble)
        for member in _members(index, ensemble, X)
    ]
    members.sort(key=lambda m: (m.X.shape[2], m.X.shape[1], m.queries.shape[1]))
    outputs: list[list[Tensor]] = [[] for _ in ensembles]
    for batch in _batches(members):
        for member, output in zip(batch, _run(network, batch, n_loops), strict=True):
            outputs[member.ensemble].append(decode(output, member.scale, network.config.classifies))
    return [
        ensemble.output(network.config, len(X))
        if isinstance(ensemble, ConstantEnsemble)
        else torch.stack(each).mean(0).numpy()
        for ensemble, X, each in zip(ensembles, queries, outputs, strict=True)
    ]


def _members(index: int, ensemble: SupportEnsemble, X: Array) -> list[_Member]:
    members = []
    for view, scale in zip(ensemble.views, ensemble.standardisers, strict=True):
        rows, y, weights = tables_of(view.support(ensemble.support))
        members.append(
            _Member(
                index,
                scale.features(rows).float(),
                scale.target(y).float(),
                torch.ones_like(y).float() if weights is None else weights.float(),
                scale.features(torch.tensor(view.query(X)).expand(len(y), -1, -1)).float(),
                scale,
            )
        )
    return members


def _batches(members: list[_Member]) -> list[list[_Member]]:
    """Cut the sorted members where the width changes or a batch is full."""
    batches: list[list[_Member]] = []
    n_rows = 0
    for member in members:
        new = not batches or batches[-1][-1].X.shape[2] != member.X.shape[2]
        if new or n_rows + member.n_rows() > ROWS:
            batches.append([])
            n_rows = 0
        batches[-1].append(member)
        n_rows += member.n_rows()
    return batches


def _run(network: LoopedNetwork, batch: list[_Member], n_loops: int) -> list[Tensor]:
    """Return outputs (T, q, n_outputs) of each member, in float64 on the CPU."""
    device = next(network.parameters()).device
    n_support = max(member.X.shape[1] for member in batch)
    n_query = max(member.queries.shape[1] for member in batch)

    def joined(parts: list[Tensor], n_rows: int) -> Tensor:
        padded = [
            F.pad(part, (0, 0) * (part.ndim - 2) + (0, n_rows - part.shape[1])) for part in parts
        ]
        return torch.cat(padded).to(device)

    weights = joined([member.weights for member in batch], n_support)
    memory = network.encode_support(
        joined([member.X for member in batch], n_support),
        joined([member.y for member in batch], n_support),
        n_loops,
        None if bool((weights == 1).all()) else weights,
    )
    *_, last = network.predict_queries(joined([m.queries for m in batch], n_query), memory)
    outputs = last.output.cpu().double().split([len(member.y) for member in batch])
    return [o[:, : m.queries.shape[1]] for o, m in zip(outputs, batch, strict=True)]
