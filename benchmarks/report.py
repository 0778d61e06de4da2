"""Print a benchmark's table and write its rows, with the setting, to benchmarks/results/."""

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
import torch

RESULTS = Path(__file__).parent / "results"


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest of repeated measurements."""
    return {"median": float(np.median(values)), "min": min(values), "max": max(values)}


def report(name: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a table and write them to results/NAME.json."""
    print_table(pd.DataFrame(rows))
    write(name, rows)


def print_table(table: pd.DataFrame) -> None:
    """Print without the index, four digits a number, nothing where there is none."""
    print(table.to_string(index=False, na_rep="", float_format=lambda x: f"{x:.4g}"))


def write(name: str, rows: list[dict[str, Any]]) -> None:
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
