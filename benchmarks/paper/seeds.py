"""What the rows of several training seeds say together: fillers of the pages on papers."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common.report import Rows

SHORT = {"holds": "holds", "does not hold": "does not hold", "not decided here": "undecided"}
MISSING = "not run"


def matching(rows: Rows, **where: Any) -> Rows:
    """Rows whose fields have these values."""
    return [row for row in rows if where.items() <= row.items()]


def claimed(rows: Rows, pattern: str, **where: Any) -> Rows:
    """Rows of the claims that match, one a seed."""
    found = matching(rows, kind="claim", **where)
    found = [row for row in found if re.search(pattern, row["claim"])]
    if len({row["seed"] for row in found}) < len(found):
        raise ValueError(f"several claims of a seed match {pattern!r} {where or ''}")
    return found


def verdict_of_seeds(rows: Rows, pattern: str, **where: Any) -> str:
    """Give the verdicts of a claim, each with the share of the seeds that have it."""
    found = claimed(rows, pattern, **where)
    if not found:
        return MISSING
    counts = Counter(SHORT[row["verdict"]] for row in found)
    return ", ".join(f"{said} {n}/{len(found)}" for said, n in counts.most_common())


def margins(rows: Rows, pattern: str, **where: Any) -> str:
    """Give the number that is below zero if a claim holds, from the least to the most."""
    found = claimed(rows, pattern, **where)
    return spread(max(span["value"] for span in row["spans"]) for row in found)


def spread(values: Iterable[float]) -> str:
    """Mean of the seeds, with the least and the most."""
    values = list(values)
    if not values:
        return MISSING
    if isinstance(values[0], int) and len(set(values)) == 1:
        return f"{values[0]:,}"
    mean, low, high = (
        f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}"
        for x in (np.mean(values), min(values), max(values))
    )
    return low if low == high else f"{mean} [{low}, {high}]"


def table(rows: Rows, by: list[str]) -> pd.DataFrame:
    """Errors over seeds, with the cost of a seed: a row for each value of the fields `by`."""
    groups = pd.DataFrame(matching(rows, kind="score")).groupby(by, sort=False)
    found = groups["value"].agg(["mean", "min", "max"])
    return found.join(groups[["weights", "CPU s", "steps"]].mean())


def print_claims(rows: Rows, *fields: str) -> None:
    """Print how many seeds say what of each claim, for each value of the fields."""
    print("\nBy seed, with the mean difference, its least and most; below zero if so")
    alike: dict[str, Rows] = {}
    for row in matching(rows, kind="claim"):
        alike.setdefault(": ".join(row[field] for field in (*fields, "claim")), []).append(row)
    for text, found in alike.items():
        print(f"{text}: {verdict_of_seeds(found, '')}: {margins(found, '')}")


def means_by(
    rows: Rows, column: str, at: list[Any], name: str = "network", **where: Any
) -> pd.DataFrame:
    """Mean over seeds of numbers that rows list: a row for each `name`, a column a place.

    `at` holds keys of a mapping, or places in a list counted from 1.
    """
    found: dict[str, list[list[float]]] = {}
    for row in matching(rows, kind="score", **where):
        listed = row[column]
        values = [
            listed.get(str(place), np.nan)
            if isinstance(listed, dict)
            else (listed[place - 1] if place <= len(listed) else np.nan)
            for place in at
        ]
        found.setdefault(row[name], []).append(values)
    return pd.DataFrame({each: np.mean(by, 0) for each, by in found.items()}, index=at).T
