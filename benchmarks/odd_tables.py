"""Does a prediction ever change, or go wrong without a word? Mixed tables and odd ones, by kind.

``python -m benchmarks odd_tables`` compares predictions for mixed tables (levels, missing cells,
ties, weights, dates, designs) with those for the same tables, changed in a way that changes nothing
of what they say, and judges odd tables: right are good predictions, a warning, or an error of one
line. It prints kind, cases and failures; ``--seed N`` repeats one table of either.

A factorial design whose target only changes sign when all its columns do is its own mirror image;
there the sign of the target is not settled, and what follows is counted by itself.
"""

import argparse
import sys
import time
from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from benchmarks.common.report import report
from benchmarks.table_checks.comparisons import TOLERANCE, Comparison, compare
from benchmarks.table_checks.odd import Verdict, judge


def rows_of_comparisons(found: list[Comparison]) -> list[dict[str, Any]]:
    """Rows of the table: one a change."""
    rows = []
    for change in dict.fromkeys(comparison.change for comparison in found):
        these = [each for each in found if each.change == change]
        failed = [each.seed for each in these if not each.distance <= TOLERANCE]
        rows.append({
            "kind": change, "cases": len(these), "failures": len(failed),
            "median distance": float(np.median([each.distance for each in these])),
            "largest distance": max(each.distance for each in these), "seeds": failed[:5] or "",
        })  # fmt: skip
    return rows


def rows_of_verdicts(verdicts: list[Verdict]) -> list[dict[str, Any]]:
    """Rows of the table: one a sort of oddity; those that do not go together are no table."""
    rows = []
    sorts = [verdict.oddity.partition(":")[0] for verdict in verdicts]
    for sort in dict.fromkeys(sorts):
        these = [
            (seed, verdict) for seed, verdict in enumerate(verdicts)
            if sorts[seed] == sort and verdict.answer != "no table"
        ]  # fmt: skip
        answers = Counter(verdict.answer for _, verdict in these)
        failed = [seed for seed, verdict in these if verdict.fault]
        rows.append({
            "kind": f"odd {sort}", "cases": len(these), "predicted": answers["predicted"],
            "with a warning": answers["said"], "refused": answers["refused"],
            "failures": len(failed), "seeds": failed[:5] or "",
        })  # fmt: skip
    return rows


def _total(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"kind": "all", **{
        name: sum(row[name] for row in rows)
        for name, value in rows[0].items() if isinstance(value, int)
    }}  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tables", type=int, default=130, help="mixed tables, of ~25 comparisons")
    parser.add_argument("--odd", type=int, default=440, help="odd tables")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, help="one table of either sort")


def run(args: argparse.Namespace) -> None:
    if args.seed is not None:
        print(*compare(args.seed), judge(args.seed), sep="\n")
        return
    start = time.perf_counter()
    parallel = Parallel(args.jobs)
    found = chain(*parallel(delayed(compare)(seed) for seed in range(args.tables)))
    comparisons = rows_of_comparisons(list(found))
    report(args, "odd_tables_changes", [*comparisons, _total(comparisons)])
    verdicts = parallel(delayed(judge)(seed) for seed in range(args.odd))
    odd = rows_of_verdicts(verdicts)
    report(args, "odd_tables", [*odd, _total(odd)])
    print(f"{time.perf_counter() - start:.0f} s")
    sys.exit(any(row["failures"] for row in [*comparisons, *odd]))
