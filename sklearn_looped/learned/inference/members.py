"""Members of an ensemble: what a view shows of the support, as the network reads it.

Shapes: T targets, s support rows, q queries, d columns.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import gen_batches
from torch import Tensor
from tqdm.auto import tqdm

from sklearn_looped.core.arrays import Array
from sklearn_looped.core.modes import in_own_modes
from sklearn_looped.core.tables import PAIRS, count_pairs
from sklearn_looped.core.threads import in_threads
from sklearn_looped.learned.inference.batch import QueryBatch, SupportBatch
from sklearn_looped.learned.inference.class_codes import n_passes
from sklearn_looped.learned.inference.class_members import SHARPNESS, ClassMember
from sklearn_looped.learned.inference.experts import LEAST_ERROR
from sklearn_looped.learned.inference.left_out import FEWEST, Weighing, weigh
from sklearn_looped.learned.inference.reached import calibrate, reached_scores
from sklearn_looped.learned.inference.reader import Reader
from sklearn_looped.learned.inference.repeats import Repeats
from sklearn_looped.learned.inference.support import Queries, Support
from sklearn_looped.learned.inference.views import View
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.memory import (
    FITTING,
    KEPT,
    SupportMemory,
    check_support,
    memory_of_reader,
    memory_of_target,
)
from sklearn_looped.learned.model.network import LoopedNetwork

TRANSFORMED = 0.7  # importance of a view by each transformation: tables mostly matter as they are
PART = 2**27  # bytes of keys and values, and of experts, held at a time
AT_A_TIME = 2**30  # bytes that experts may take while those of several views are fitted


Tables: TypeAlias = tuple[Tensor, Tensor, Tensor | None, Tensor | None]


def _tables(shown: Support) -> Tables:
    """Cells, targets, weights and known predictions, a table a target."""
    y = torch.tensor(shown.Y.T)
    weights = None if shown.weights is None else torch.tensor(shown.weights).expand(len(y), -1)
    known = None if shown.known is None else torch.tensor(shown.known.T)
    return torch.tensor(shown.X).expand(len(y), -1, -1), y, weights, known


@dataclass(frozen=True)
class Member:
    """One view's part of the support, a table a target, ready for the network.

    Attributes
    ----------
    view : View
    reader : Reader
        Fitted on what the view shows.
    support : SupportBatch
        The T tables.
    repeats : Repeats or None
        Its rows that others equal; None for a network without experts.
    targets : slice
        Which of the support's targets they are.
    """

    view: View
    reader: Reader
    support: SupportBatch
    repeats: Repeats | None
    targets: slice

    @classmethod
    def fit(
        cls, view: View, support: Support, config: NetworkConfig, targets: slice = slice(None)
    ) -> "Member":
        """Fit canonical form and experts of some targets of the encoded support."""
        return cls.fit_each([(view, support)], config, targets)[0]

    @classmethod
    def fit_each(
        cls,
        pairs: Iterable[tuple[View, Support]],
        config: NetworkConfig,
        targets: slice = slice(None),
    ) -> list["Member"]:
        """Fit to each view of a support, as `fit` does."""
        pairs = [(view, support.of_targets(targets)) for view, support in pairs]
        tables = [_tables(view.support(support)) for view, support in pairs]
        readers = Reader.fit_each(tables, config=config)
        return [
            cls._of(*pair, reader, table, targets)
            for pair, reader, table in zip(pairs, readers, tables, strict=True)
        ]

    @classmethod
    def _of(
        cls, view: View, support: Support, reader: Reader, tables: Tables, targets: slice
    ) -> "Member":
        """Return the member of the tables that a view shows, and of their reader."""
        X, y, weights, _ = tables
        cells, opinions = reader.support(X)
        repeats = None
        if opinions is not None:
            left_out = reader.scale.undo_target(opinions.best().double())
            repeats = Repeats.fit(view.rows_of(support).X, y, left_out, weights)
        weights = None if weights is None else weights.float()
        target = reader.scale.target(y).float()
        batch = SupportBatch(cells, target, weights, opinions)
        return cls(view, reader, batch, repeats, targets)

    def queries(self, rows: Queries) -> QueryBatch:
        """Bring queries to what the network reads: T tables of cells, and opinions."""
        table = torch.tensor(self.view.query(rows.X)).expand(len(self.support.y), -1, -1)
        known = None if rows.known is None else torch.tensor(rows.known[:, self.targets].T)
        cells, opinions = self.reader.queries(table, known)
        met = None if self.repeats is None else self.repeats.of_queries(rows.X)
        return QueryBatch(cells, opinions, met=met)

    def without_experts(self) -> "Member":
        """Return the member that has read all its queries: experts take much memory."""
        return replace(self, reader=replace(self.reader, experts=None))

    def importance(self) -> Tensor:
        """Weight of its predictions in the members' average, (T,): the less error the more.

        Goes with the -4th power of the best expert's leave-one-out error in its view, is .7 times
        as large by each transformation of it, and at most 1; equal for all without experts.
        """
        opinions = self.support.opinions
        if opinions is None:
            return torch.ones(len(self.support.y), dtype=torch.float64)
        share = TRANSFORMED ** len(self.view.transformers)
        return share * (LEAST_ERROR / opinions.unit().double()) ** SHARPNESS

    def left_out(self, loops: Iterable[Tensor | None]) -> Array | None:
        """Bring the network's predictions of the support to what `weigh` takes, (L, T, s, 1 or 2).

        `loops` are outputs (T, s, n_outputs), one a loop. The last axis holds the prediction in
        units of y and, if there are quantiles, the score that the target reaches among them. None
        if the network does not predict its support, or the view shows only some of its rows.
        """
        found = [each for each in loops if each is not None]
        if not found or self.view.rows is not None:
            return None
        scale = self.reader.scale
        known = torch.stack(found).cpu().double()
        means = known[..., 0] * scale.target_scale + scale.target_mean
        if known.shape[-1] == 1:
            return means.numpy()[..., None]
        quantiles, y = known[..., 1:].sort(-1).values.numpy(), self.support.y.double().numpy()
        scores = scale.target_scale.sign().numpy() * reached_scores(quantiles, y)
        return np.stack([means.numpy(), scores], axis=-1)

    def metric(self) -> Tensor:
        """Experts' weights of the columns that the view shows, in its order, (T, d)."""
        assert self.reader.experts is not None
        return self.reader.scale.in_original_order(self.reader.experts.metric)

    def decode(self, output: Tensor, queries: QueryBatch) -> Tensor:
        """Bring output (T, q, n_outputs) to units of y, in float64 on the CPU, quantiles sorted."""
        output, scale = output.cpu().double(), self.reader.scale
        output = output * scale.target_scale[..., None] + scale.target_mean[..., None]
        output = torch.cat([output[..., :1], output[..., 1:].sort(-1).values], -1)
        return output if queries.met is None else queries.met.correct(output)


AnyMember: TypeAlias = Member | ClassMember


def members_of(
    view: View, support: Support, config: NetworkConfig, n_loops: int
) -> Iterator[AnyMember]:
    """Yield one view's members, each for as many targets as memory is meant for.

    Of a classifier it is one for all classes.
    """
    if config.classifies:
        yield ClassMember.fit(view, support, config)
        return
    n_rows, n_columns = view.size(support)
    each = memory_of_target(config, n_rows, n_loops)
    each += FITTING * memory_of_reader(config, n_rows, n_columns)
    n_targets = support.Y.shape[1]
    for part in gen_batches(n_targets, max(1, min(n_targets, PART // each))):
        yield Member.fit(view, support, config, part)


def members_by_view(
    views: Sequence[View], support: Support, config: NetworkConfig, n_loops: int
) -> Iterator[Iterable[AnyMember]]:
    """Yield each view's members; the experts of small views of one shape are fitted together."""
    n_fitted = 1 if config.classifies else support.Y.shape[1]
    sizes = [count_pairs(n_fitted, *view.size(support)) for view in views]
    if 2 * max(sizes) > PAIRS:  # no two views together
        reader = max(memory_of_reader(config, *view.size(support)) for view in views)
        found = [members_of(view, support, config, n_loops) for view in views]
        fits = [partial(list[AnyMember], each) for each in found]
        yield from in_threads(fits, AT_A_TIME // max(PART, FITTING * reader))
        return
    kind = ClassMember if config.classifies else Member
    for member in kind.fit_each([(view, support) for view in views], config):
        yield [member]


def average(outputs: list[Tensor], shares: Array, *, classifies: bool) -> Tensor:
    """Average members' outputs (T, q, n_outputs) with their shares (M, T).

    Probabilities, of a class a target, are averaged by their logarithms: the arithmetic mean of
    calibrated ones would be less sure than it should.
    """
    weights, stacked = torch.tensor(shares), torch.stack(outputs)
    if not classifies:  # what all members agree on is not rounded
        return outputs[0] + torch.einsum("mt,mtqo->tqo", weights, stacked - outputs[0])
    return torch.einsum("mt,mtqo->tqo", weights, stacked.log()).softmax(0)


def combine(
    outputs: list[Tensor], weighing: Weighing, loop: int, support: Support, *, classifies: bool
) -> Array:
    """Average members' outputs as a weighing says, and calibrate quantiles where it can."""
    output = average(outputs, weighing.shares[loop], classifies=classifies).numpy()
    if weighing.reached is None:
        return output
    return calibrate(output, weighing.reached[loop], support.weights)


@dataclass(frozen=True, eq=False)
class Memories:
    """What an ensemble keeps of its support for so many loops, each run when it is asked for.

    Attributes
    ----------
    n_loops : int
    support : Support
    members : list of list of (AnyMember, SupportMemory), or None
        Of each view one for a few targets after another. None: nothing, it is too much.
    weighed : dict of Weighing
        By loop, of those that were asked for: how the members are combined after it.
    """

    n_loops: int
    support: Support
    members: list[list[tuple[AnyMember, SupportMemory]]] | None
    weighed: dict[int, Weighing] = field(default_factory=dict)

    def weighing(self, loop: int) -> Weighing:
        """How the members are combined after a loop, from 1 on."""
        if loop not in self.weighed:
            assert self.members is not None
            runs = [partial(_left_out, view, loop) for view in self.members]
            importance = [
                torch.cat([part.importance() for part, _ in view]).numpy() for view in self.members
            ]
            left_out = list(in_threads(runs))
            self.weighed[loop] = weigh(left_out, importance, self.support, 1)
        return self.weighed[loop]

    def enough(self) -> NDArray[np.intp]:
        """Loops that are enough for each target, (T,); runs one more, as `fewest_loops` needs."""
        known: list[Weighing] = []
        first = min(FEWEST, self.n_loops)
        for loop in range(first, self.n_loops + 1):
            known.append(self.weighing(loop))
            enough = first - 1 + Weighing.of_loops(known).enough(fewest=1)
            if (enough < loop).all():
                break
        return enough

    def first(self, n_loops: int) -> "Memories":
        """Return the memories of the first loops only."""
        if self.members is None:
            return Memories(n_loops, self.support, None)
        first = [[(part, kept.first(n_loops)) for part, kept in view] for view in self.members]
        return Memories(n_loops, self.support, first, self.weighed)


def _left_out(view: list[tuple[AnyMember, SupportMemory]], loop: int) -> Array | None:
    """Predictions of the support by the members of one view, as `Member.left_out`."""
    return joined([part.left_out([kept.loop(loop).left_out]) for part, kept in view])


def joined(parts: Sequence[Array | None]) -> Array | None:
    """Join what the members of one view predict of their targets, (L, T, s, 1 or 2)."""
    known = [part for part in parts if part is not None]
    return np.concatenate(known, axis=1) if known else None


def n_tables(config: NetworkConfig, support: Support) -> int:
    """Tables that a view takes: one a target, or a pass of a classifier."""
    n_targets = support.Y.shape[1]
    return n_passes(n_targets, config.n_classes) if config.classifies else n_targets


@in_own_modes
def remember(
    views: list[View],
    support: Support,
    network: LoopedNetwork,
    n_loops: int,
    known: Memories | None = None,
    verbose: int = 0,
    limit: int | None = None,
) -> Memories:
    """Prepare to run the support through the network, once a view; the loops run when asked for.

    What they take is kept, up to a limit of bytes. The members of `known`, for other loops, are
    taken over. With `verbose` a bar shows progress.

    Raises
    ------
    MemoryError
        If a single pass would need more memory than there is.
    """
    config = network.config
    sizes = [view.size(support) for view in views]
    check_support(config, *map(max, zip(*sizes, strict=True)))
    read = [memory_of_reader(config, *size) for size in sizes]
    run = [memory_of_target(config, rows, n_loops) for rows, _ in sizes]
    if n_tables(config, support) * (sum(read) + sum(run)) > (KEPT if limit is None else limit):
        return Memories(n_loops, support, None)
    if known is None or known.members is None:
        found = members_by_view(views, support, config, n_loops)
        members: Iterable[Iterable[AnyMember]]
        members = tqdm(found, desc="members", total=len(views), disable=not verbose)
    else:
        members = [(part for part, _ in view) for view in known.members]

    def kept(view: Iterable[AnyMember]) -> list[tuple[AnyMember, SupportMemory]]:
        return [(part, part.support.remember(network, n_loops)) for part in view]

    return Memories(n_loops, support, list(in_threads([partial(kept, view) for view in members])))
