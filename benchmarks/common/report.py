"""Rows of a benchmark: printed as a table, written to benchmarks/results/, kept between runs.

A run never changes the rows of a run of another kind. A file NAME.json records the options of its
run: a run with other options is written to runs/NAME.json. A file NAME.jsonl is appended to, and
its rows of former weights are left out when it is read.
"""

import argparse
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

from benchmarks.common.options import as_typed
from benchmarks.common.weights import COLUMN, is_former

RESULTS = Path(__file__).parents[1] / "results"
RUNS = Path(__file__).parents[2] / "runs"  # what is not committed: trainings that go on, tries
Rows = list[dict[str, Any]]


def spread(values: list[float], unit: str) -> dict[str, float]:
    """Median, smallest and largest of repeated measurements, as columns of a unit."""
    found = {"median": float(np.median(values)), "min": min(values), "max": max(values)}
    return {f"{unit} {name}": value for name, value in found.items()}


def report(args: argparse.Namespace, name: str, rows: Rows, *, chooses: str = "") -> None:
    """Print rows as a table and write them; the parameters are those of `write`."""
    print_table(pd.DataFrame(rows))
    write(args, name, rows, chooses=chooses)


def print_table(table: pd.DataFrame) -> None:
    """Print without the index, four digits a number, nothing where there is none."""
    print(table.to_string(index=False, na_rep="", float_format=lambda x: f"{x:.4g}"))


def write(args: argparse.Namespace, name: str, rows: Rows, *, chooses: str = "") -> None:
    """Write rows, the setting and the options to results/NAME.json, or beside it.

    Parameters
    ----------
    args : Namespace
        What `benchmarks.__main__.parse` returned.
    name : str
    rows : list of dict
    chooses : str, default=""
        An option that chooses which files are written, and so does not matter to one of them.
    """
    options = as_typed({key: v for key, v in args.options.items() if key != chooses})
    setting = {
        "cpu": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
    }
    path = place(name, options)
    path.parent.mkdir(exist_ok=True)
    contents = {"setting": setting, "options": options, "rows": rows}
    path.write_text(json.dumps(contents, indent=1) + "\n")


def place(name: str, options: str) -> Path:
    """Return the file for rows of these options; say so if results/ has those of others."""
    path = RESULTS / f"{name}.json"
    kept = json.loads(path.read_text()).get("options", "") if path.exists() else options
    if kept == options:
        return path
    shown = [text or "the default options" for text in (kept, options)]
    print(
        f"results/{path.name} has the rows of {shown[0]} and is left as it is: the rows of "
        f"{shown[1]} are in runs/{path.name}"
    )
    return RUNS / path.name


def on_shared_folds(rows: pd.DataFrame, methods: str, folds: str = "fold") -> pd.DataFrame:
    """Rows of the folds that all methods have been scored on, so that means are of the same ones.

    `methods` and `folds` are the columns that name them; a fold is one of a data set.
    """
    scored = rows.groupby(["dataset", folds])[methods].transform("nunique")
    return rows[scored == rows[methods].nunique()]


class Store:
    """Rows in a file, one JSON object a line; those that are there are not computed again.

    Rows of weights that are no longer shipped stay in the file too, and a line says that they are
    left out. They are computed anew if they are asked for.

    Parameters
    ----------
    path : Path
    **setting : object
        Columns that all rows of this run share. Rows of other settings stay in the file unseen.
    """

    def __init__(self, path: Path, **setting: Any) -> None:
        self.path, self.setting = path, setting
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.rows = self._of_today([json.loads(line) for line in lines])
        self.rows = [row for row in self.rows if setting.items() <= row.items()]

    def _of_today(self, rows: Rows) -> Rows:
        """Leave out rows of former weights, and say so."""
        former = set(filter(is_former, {row[COLUMN] for row in rows if COLUMN in row}))
        today = [row for row in rows if row.get(COLUMN) not in former]
        if former:
            print(
                f"{self.path.name}: rows of former weights ({', '.join(sorted(former))}) are left "
                f"out: {len(rows) - len(today)}"
            )
        return today

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
    asked = {name: value for name, value in key.items() if name != COLUMN}
    return [key | row for row in job(**asked)]
