"""Many small tables in few passes: tables of like width share a batch."""

from collections import defaultdict
from typing import Any, NamedTuple

from sklearn_looped.core.arrays import Array
from sklearn_looped.core.modes import in_own_modes
from sklearn_looped.core.tables import alike, count_pairs
from sklearn_looped.learned.inference.batch import QueryBatch, SupportBatch
from sklearn_looped.learned.inference.by_loop import Answers, combined, replayed
from sklearn_looped.learned.inference.class_members import read_together
from sklearn_looped.learned.inference.constant import repeated
from sklearn_looped.learned.inference.halting import Exit
from sklearn_looped.learned.inference.members import AnyMember, Member
from sklearn_looped.learned.inference.predictor import SupportPredictor
from sklearn_looped.learned.inference.support import Queries, Support
from sklearn_looped.learned.inference.views import View
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.memory import Step

ROWS = 16_384  # rows of a batch, support and queries, that bound its memory


class _Pass(NamedTuple):
    """What one member of one predictor adds to a batch, a table a target."""

    predictor: int
    member: AnyMember
    queries: QueryBatch

    def n_rows(self) -> int:
        n_tables, n_support = self.member.support.y.shape
        return n_tables * (n_support + self.queries.cells.shape[1])

    def size(self) -> tuple[int, int, int]:
        """Columns, support rows and queries."""
        cells = self.queries.cells
        return cells.shape[2], self.member.support.y.shape[1], cells.shape[1]


@in_own_modes
def predict_tables(
    predictors: list[SupportPredictor], tables: list[Any], exits: list[Exit]
) -> list[Array]:
    """Predict the queries of each table, as its predictor would by itself.

    The exits have no rule. Predictors of the same weights, which have the same number of loops,
    share passes.

    Returns
    -------
    list of ndarray of shape (T, q, n_outputs)
    """
    by_weights: dict[str, list[int]] = defaultdict(list)
    for number, predictor in enumerate(predictors):  # trained on demand, they depend on the size
        by_weights[predictor.checkpoint.digest].append(number)
    found: dict[int, Array] = {}
    for numbers in by_weights.values():
        outputs = _predict_together(
            [predictors[number] for number in numbers],
            [tables[number] for number in numbers],
            [exits[number] for number in numbers],
        )
        found |= zip(numbers, outputs, strict=True)
    return [found[number] for number in range(len(predictors))]


def _predict_together(
    predictors: list[SupportPredictor], tables: list[Any], exits: list[Exit]
) -> list[Array]:
    """Predict the tables of predictors of the same weights.

    Supports and queries are padded to the longest of a batch.
    """
    results: list[Array | None] = []
    shown: list[tuple[int, View, Support, Queries]] = []
    for index, (predictor, table, exit) in enumerate(zip(predictors, tables, exits, strict=True)):
        X = predictor.queries(table)
        if predictor.constant is not None:
            results.append(repeated(predictor.constant, len(X)))
            continue
        if not predictor.views:  # a divided table has enough rows for passes of its own
            results.append(predictor.predict_encoded(X, exit)[0])
            continue
        results.append(None)
        shown += [(index, view, predictor.support, X) for view in predictor.views]
    passes = _read(shown, predictors[0].config) if shown else []
    last_only = not any(exit.by_support for exit in exits)
    answers: list[list[Answers]] = [[] for _ in predictors]
    for batch in _batches(sorted(passes, key=_Pass.size)):
        for each, found in zip(batch, _run(predictors[0], batch, last_only), strict=True):
            answers[each.predictor].append(found)
    for index, members in enumerate(answers):
        if members:
            predictor, exit = predictors[index], exits[index]
            classifies = predictor.config.classifies
            output, enough = combined(members, predictor.support, classifies=classifies)
            results[index], _ = exit.take(replayed(output, None, enough), output.shape[2])
    return [result for result in results if result is not None]


def _read(shown: list[tuple[int, View, Support, Queries]], config: NetworkConfig) -> list[_Pass]:
    """Read supports and queries of predictors by number, one of their views each."""
    if config.classifies:
        read = read_together((table[1:] for table in shown), config)
        return [_Pass(index, *each) for (index, *_), each in zip(shown, read, strict=True)]
    sizes = [
        (support.Y.shape[1], len(support.X), len(view.columns)) for _, view, support, _ in shown
    ]
    passes: dict[int, _Pass] = {}
    for numbers in alike(sizes, [count_pairs(*size) for size in sizes]):
        members = Member.fit_each((shown[number][1:3] for number in numbers), config)
        for number, member in zip(numbers, members, strict=True):  # one batch's experts at a time
            index, *_, X = shown[number]
            passes[number] = _Pass(index, member.without_experts(), member.queries(X))
    return [passes[number] for number in range(len(shown))]


def _batches(passes: list[_Pass]) -> list[list[_Pass]]:
    """Cut the sorted passes where the width changes or a batch is full."""
    batches: list[list[_Pass]] = []
    n_rows = 0
    for each in passes:
        new = not batches or batches[-1][-1].size()[0] != each.size()[0]
        if new or n_rows + each.n_rows() > ROWS:
            batches.append([])
            n_rows = 0
        batches[-1].append(each)
        n_rows += each.n_rows()
    return batches


def _run(predictor: SupportPredictor, batch: list[_Pass], last_only: bool) -> list[Answers]:
    """Return the answers of each member, after every loop or after the last one."""
    supports = SupportBatch.joined([each.member.support for each in batch])
    queries = QueryBatch.joined([each.queries for each in batch])
    memory = supports.remember(predictor.network, predictor.n_loops, stream=True)
    shown = [predictor.n_loops] if last_only else None
    steps = list(queries.answer(predictor.network, memory, shown=shown))
    found, start = [], 0
    for each in batch:
        tables = slice(start, start := start + len(each.member.support.y))
        own = [_own(step, each, tables) for step in steps]
        found.append(Answers.of(each.member, own, each.queries))
    return found


def _own(step: Step, each: _Pass, tables: slice) -> Step:
    """Return one member's part of a step, without rows that pad."""
    _, n_rows, n_queries = each.size()
    left_out = None if step.left_out is None else step.left_out[tables, :n_rows]
    return Step(step.output[tables, :n_queries], None, left_out=left_out)
