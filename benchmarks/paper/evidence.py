"""What the numbers say of a claim: intervals over prompts, verdicts, plans that survive a kill."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import bootstrap


def interval(values: np.ndarray) -> dict[str, float]:
    """Mean over prompts with its 95 % bootstrap interval."""
    low, high = bootstrap(
        (values,), np.mean, n_resamples=1000, method="percentile", rng=0
    ).confidence_interval
    return {"value": float(values.mean()), "low": float(low), "high": float(high)}


def verdict(spans: list[dict[str, float]]) -> str:
    """Say what intervals tell of a claim that all of the numbers are below zero."""
    if all(span["high"] < 0 for span in spans):
        return "holds"
    return "does not hold" if any(span["low"] > 0 for span in spans) else "not decided here"


def claim(text: str, numbers: list[np.ndarray], **of: Any) -> dict[str, Any]:
    """Row of a claim that holds if all numbers, each by prompt, have means below zero."""
    spans = [interval(values) for values in numbers]
    return {"kind": "claim", **of, "claim": text, "verdict": verdict(spans), "spans": spans}


def cross_fitted_best(errors: np.ndarray) -> np.ndarray:
    """Errors (prompts,) of the best of several methods, from `errors` (methods, prompts).

    The best method is chosen for each half of the prompts on the other half (cross-fitting): on
    the prompts that it was chosen on its error would be too small.
    """
    is_odd = np.arange(errors.shape[1]) % 2 == 1
    for_odd, for_even = (errors[:, part].mean(1).argmin() for part in (~is_odd, is_odd))
    return np.where(is_odd, errors[for_odd], errors[for_even])


def print_claims(rows: list[dict[str, Any]]) -> None:
    """Print the rows of claims, with the means that are below zero if they hold."""
    print("\nClaims, with the mean that is below zero if so and its 95 % interval")
    for row in rows:
        if row["kind"] == "claim":
            spans = [
                f"{s['value']:+.3g} ({s['low']:+.3g} to {s['high']:+.3g})" for s in row["spans"]
            ]
            print(f"{row['verdict']}: {row['claim']}: {', '.join(spans)}")


def planned(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Read a plan, or make and keep it: a run that goes on needs the same number of steps."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(make()))
    return json.loads(path.read_text())
