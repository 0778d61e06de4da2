"""Many small tables in few passes: tables of like width share a batch.

Shapes: B tables, n rows, s support rows, q queries, d columns.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sklearn_looped.core.modes import in_own_modes
from sklearn_looped.learned.inference.constant import ConstantEnsemble
from sklearn_looped.learned.inference.encoding import Array
from sklearn_looped.learned.inference.ensemble import SupportEnsemble
from sklearn_looped.learned.inference.members import Member, average
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.model.opinions import Opinions

ROWS = 16_384  # rows of a batch, support and queries, that bound its memory


class _Table(NamedTuple):
    """What one member of one ensemble adds to a batch, a table a target."""

    ensemble: int
    member: Member
    queries: Tensor  # (T, q, d)
    opinions: Opinions | None  # of the queries

    def n_rows(self) -> int:
        return len(self.queries) * (self.member.y.shape[1] + self.queries.shape[1])

    def size(self) -> tuple[int, int, int]:
        """Columns, support rows and queries."""
        return self.queries.shape[2], self.member.y.shape[1], self.queries.shape[1]


@in_own_modes
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
    config = network.config
    tables = []
    for index, (ensemble, X) in enumerate(zip(ensembles, queries, strict=True)):
        if isinstance(ensemble, ConstantEnsemble):
            continue
        for view in ensemble.views:
            member = Member.fit(view, ensemble.support, config)
            read = member.queries(X)
            tables.append(_Table(index, member.without_experts(), *read))
    tables.sort(key=_Table.size)
    outputs: list[list[tuple[Tensor, Tensor]]] = [[] for _ in ensembles]
    for batch in _batches(tables):
        for table, output in zip(batch, _run(network, batch, n_loops), strict=True):
            decoded = table.member.decode(output, config.classifies)
            outputs[table.ensemble].append((decoded, table.member.importance()))
    return [
        ensemble.output(config, len(X))
        if isinstance(ensemble, ConstantEnsemble)
        else average(*map(list, zip(*each, strict=True))).numpy()
        for ensemble, X, each in zip(ensembles, queries, outputs, strict=True)
    ]


def _batches(tables: list[_Table]) -> list[list[_Table]]:
    """Cut the sorted tables where the width changes or a batch is full."""
    batches: list[list[_Table]] = []
    n_rows = 0
    for table in tables:
        new = not batches or batches[-1][-1].queries.shape[2] != table.queries.shape[2]
        if new or n_rows + table.n_rows() > ROWS:
            batches.append([])
            n_rows = 0
        batches[-1].append(table)
        n_rows += table.n_rows()
    return batches


def _run(network: LoopedNetwork, batch: list[_Table], n_loops: int) -> list[Tensor]:
    """Return outputs (T, q, n_outputs) of each member."""
    device = next(network.parameters()).device
    members = [table.member for table in batch]
    n_support = max(member.y.shape[1] for member in members)
    n_query = max(table.queries.shape[1] for table in batch)

    def joined(parts: list[Tensor], n_rows: int) -> Tensor:
        padded = [
            F.pad(part, (0, 0) * (part.ndim - 2) + (0, n_rows - part.shape[1])) for part in parts
        ]
        return torch.cat(padded).to(device)

    def joined_opinions(parts: list[Opinions | None], n_rows: int) -> Opinions | None:
        heard = [part for part in parts if part is not None]
        if not heard:
            return None
        return Opinions(
            joined([part.prediction for part in heard], n_rows),
            joined([part.std for part in heard], n_rows),
            torch.cat([part.error for part in heard]).to(device),
            torch.cat([part.gate for part in heard]).to(device),
        )

    weights = joined(
        [torch.ones_like(m.y) if m.weights is None else m.weights for m in members], n_support
    )
    memory = network.stream_support(
        joined([member.cells for member in members], n_support),
        joined([member.y for member in members], n_support),
        n_loops,
        None if bool((weights == 1).all()) else weights,
        joined_opinions([member.opinions for member in members], n_support),
    )
    *_, last = network.predict_queries(
        joined([table.queries for table in batch], n_query),
        memory,
        joined_opinions([table.opinions for table in batch], n_query),
    )
    outputs = last.output.split([len(member.y) for member in members])
    return [o[:, : t.queries.shape[1]] for o, t in zip(outputs, batch, strict=True)]
