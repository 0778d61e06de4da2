"""What the network reads: supports and queries as batches of tables, which may be joined.

Shapes: B tables, n rows, s support rows, q queries, d columns.
"""

from collections.abc import Generator, Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sklearn_looped.learned.inference.repeats import Met
from sklearn_looped.learned.model.memory import KeptLoops, Step, SupportMemory
from sklearn_looped.learned.model.network import AnyOpinions, LoopedNetwork

BY_ROW = ("prediction", "std", "proba")  # parts of opinions that have a row each


class SupportBatch(NamedTuple):
    """Supports of B tables in canonical form, on the CPU.

    Attributes
    ----------
    cells : Tensor of shape (B, s, d)
    y : Tensor of shape (B, s)
    weights : Tensor of shape (B, s) or None
        How often each row counts; None: once.
    opinions : Opinions or None
        The experts' predictions for the rows; None for a network without experts.
    """

    cells: Tensor
    y: Tensor
    weights: Tensor | None
    opinions: AnyOpinions | None

    def remember(self, network: LoopedNetwork, n_loops: int, stream: bool = False) -> SupportMemory:
        """Run the supports through the network, each loop when it is first asked for.

        With `stream` loops pass with one pass of queries, and none is kept.
        """
        device = next(network.parameters()).device
        parts = (
            self.cells.to(device),
            self.y.to(device),
            n_loops,
            None if self.weights is None else self.weights.to(device),
            None if self.opinions is None else self.opinions.to(device),
        )
        memory = network.stream_support(*parts)
        if stream:
            return memory
        loops = KeptLoops(memory.loops, lambda: network.stream_support(*parts).loops)
        return memory._replace(loops=loops)

    @classmethod
    def joined(cls, batches: Sequence["SupportBatch"]) -> "SupportBatch":
        """Join batches of one width. Rows that pad have weight zero: nothing attends to them."""
        weights = _padded(
            torch.ones_like(each.y) if each.weights is None else each.weights for each in batches
        )
        return cls(
            _padded(each.cells for each in batches),
            _padded(each.y for each in batches),
            None if bool((weights == 1).all()) else weights,
            _joined_opinions([each.opinions for each in batches]),
        )


class QueryBatch(NamedTuple):
    """Queries of B tables in canonical form, on the CPU.

    Attributes
    ----------
    cells : Tensor of shape (B, q, d)
    opinions : Opinions or None
        The experts' predictions for the queries; None for a network without experts.
    base : Tensor of shape (q, C) or None
        Of a classifier, the probabilities of all classes that its passes start from.
    met : Met or None
        Of a regressor, what is known of queries that equal support rows, in units of y.
    """

    cells: Tensor
    opinions: AnyOpinions | None
    base: Tensor | None = None
    met: Met | None = None

    def rows(self, index: Tensor) -> "QueryBatch":
        """Keep some of the queries, by a mask (q,)."""
        return QueryBatch(
            self.cells[:, index],
            None if self.opinions is None else self.opinions.rows(index),
            None if self.base is None else self.base[index],
            None if self.met is None else self.met.rows(index),
        )

    def answer(
        self,
        network: LoopedNetwork,
        memory: SupportMemory,
        attention: bool = False,
        shown: Sequence[int] | None = None,
    ) -> Generator[Step, Tensor | None, None]:
        """Run the queries as `LoopedNetwork.predict_queries` does."""
        device = next(network.parameters()).device
        opinions = None if self.opinions is None else self.opinions.to(device)
        return network.predict_queries(self.cells.to(device), memory, opinions, attention, shown)

    @classmethod
    def joined(cls, batches: Sequence["QueryBatch"]) -> "QueryBatch":
        """Join batches of one width, padded to the most queries."""
        cells = _padded(each.cells for each in batches)
        return cls(cells, _joined_opinions([each.opinions for each in batches]))


def _padded(parts: Iterable[Tensor]) -> Tensor:
    """Tables (b, n, ...) one after another, with rows of zeros where others have more rows."""
    parts = list(parts)
    n_rows = max(part.shape[1] for part in parts)
    return torch.cat(
        [F.pad(part, (0, 0) * (part.ndim - 2) + (0, n_rows - part.shape[1])) for part in parts]
    )


def _joined_opinions(parts: Iterable[AnyOpinions | None]) -> AnyOpinions | None:
    known = [part for part in parts if part is not None]
    if not known:
        return None
    kind = type(known[0])
    columns = zip(kind._fields, zip(*known, strict=True), strict=True)
    return kind(*(_padded(each) if name in BY_ROW else torch.cat(each) for name, each in columns))
