"""Rows of a benchmark: printed as a table, written to benchmarks/results/, kept between runs."""

import json
import platform
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import sklearn
import torch
from tqdm.auto import tqdm

RESULTS = Path(__file__).parents[1] / "results"
RUNS = Path(__file__).parents[2] / "runs"  # states of trainings: one that was killed goes on
Rows = list[dict[str, Any]]


def spread(values: list[float], unit: str) -> dict[str, float]:
    """Median, smallest and largest of repeated measurements, as columns of a unit."""
    found = {"median": float(np.median(values)), "min": min(values), "max": max(values)}
    return {f"{unit} {name}": value for name, value in found.items()}


def report(name: str, rows: Rows) -> None:
    """Print rows as a table and write them to results/NAME.json."""
    print_table(pd.DataFrame(rows))
    write(name, rows)


def print_table(table: pd.DataFrame) -> None:
    """Print without the index, four digits a number, nothing where there is none."""
    print(table.to_string(index=False, na_rep="", float_format=lambda x: f"{x:.4g}"))


def write(name: str, rows: Rows) -> None:
    """Write rows and the setting to results/NAME.json."""
    setting = {
        "cpu": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"setting": setting, "rows": rows}, indent=1) + "\n")


class Store:
    """Rows in a file, one JSON object a line; those that are there are not computed again.

    Parameters
    ----------
    path : Path
    **setting : object
        Columns that all rows of this run share. Rows of other settings stay in the file unseen.
    """

    def __init__(self, path: Path, **setting: Any) -> None:
        self.path, self.setting = path, setting
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        rows = map(json.loads, lines)
        self.rows: Rows = [row for row in rows if setting.items() <= row.items()]

    def select(self, key: dict[str, Any]) -> Rows:
        """Return the rows that have these values."""
        return [row for row in self.rows if key.items() <= row.items()]

    def missing(self, keys: Iterable[dict[str, Any]]) -> Rows:
        """Return the keys of which there is no row."""
        return [key for key in keys if not self.select(key)]

    def add(self, rows: Rows) -> None:
        """Append rows."""
        new = [self.setting | row for row in rows]
        with self.path.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in new)
        self.rows += new

    def complete(
        self, keys: Iterable[dict[str, Any]], job: Callable[..., Rows], n_jobs: int = 1
    ) -> Rows:
        """Run ``job(**key)`` for the keys of which there is no row; return all rows.

        Rows are appended, each with its key, as soon as a job has returned them.
        """
        todo = self.missing(keys)
        results = joblib.Parallel(n_jobs, return_as="generator_unordered")(
            joblib.delayed(_rows_of)(job, key) for key in todo
        )
        for rows in tqdm(results, total=len(todo), desc=self.path.stem):
            self.add(rows)
        return self.rows


def _rows_of(job: Callable[..., Rows], key: dict[str, Any]) -> Rows:
    return [key | row for row in job(**key)]
