"""Does the loop go on improving past its own count? Error by condition number and loop.

``python -m benchmarks paper.condition_number [--weights linear]`` scores the weights on linear
functions whose inputs have a covariance of condition number 1 to 10,000 (Gatmiry et al. 2024; the
paper has inputs of condition number 1 only), after each loop up to four times their own count b,
prints the errors, whether the error at 4 b is no more than at b, and whether it is less at the best
loop past b (chosen on the other half of the prompts), and writes
benchmarks/results/paper_condition_number_WEIGHTS.json. About 2 minutes of one core.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from benchmarks.common.options import add_picture, add_prompts, add_weights
from benchmarks.common.pictures import draw_errors
from benchmarks.common.report import print_table, write
from benchmarks.paper.evidence import claim, cross_fitted_best, interval, print_claims
from benchmarks.paper.prompts import Task, checkpoint, errors, least_squares, linear, ridge
from sklearn_looped.learned.priors import IllConditionedLinearPrior

D, N_EXAMPLES = 20, 40
CONDITIONS = (1.0, 10.0, 100.0, 1e3, 1e4)


def claims(condition: float, by_loop: np.ndarray, n_loops: int) -> list[dict[str, Any]]:
    """Rows of a condition number; `by_loop` (4 b, prompts)."""
    trained, last = by_loop[n_loops - 1], by_loop[-1]
    best = cross_fitted_best(by_loop[n_loops:])
    name = f"condition {condition:g}"
    at = f"the error at {len(by_loop)} loops is"
    rows = [
        claim(f"{name}: {at} no more than at {n_loops}", [last - trained]),
        claim(f"{name}: at the best loop past {n_loops} the error is less", [best - trained]),
    ]
    ratio = float(last.mean() / trained.mean())
    return [row | {"condition": condition, "ratio of means": ratio} for row in rows]


def show(rows: list[dict[str, Any]], n_loops: int) -> None:
    scores = pd.DataFrame([row for row in rows if row["kind"] == "score"])
    loops = scores[scores["method"] == "looped"]
    shown = sorted({1, 2, 4, 6, 8, 10, n_loops, *(n_loops * m // 4 for m in range(5, 17))})
    print(f"Squared error as a share of E[y^2] at {N_EXAMPLES} examples, by loop")
    table = loops[loops["loop"].isin(shown)]
    table = table.pivot(index="condition", columns="loop", values="value").reset_index()
    others = scores[scores["method"] != "looped"]
    others = others.pivot(index="condition", columns="method", values="value").reset_index()
    print_table(table.merge(others))
    print_claims(rows)
    for row in rows:
        if "no more" in row.get("claim", ""):
            print(
                f"condition {row['condition']:g}: at 4 b {row['ratio of means']:.3g} of that at b"
            )


def add_options(parser: argparse.ArgumentParser) -> None:
    add_weights(parser, "linear")
    add_prompts(parser, 320)
    add_picture(parser, "errors by loop")


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    method, n_loops = checkpoint(args.weights)
    rows: list[dict[str, Any]] = []
    baselines = {"least squares": linear(least_squares), "ridge": linear(ridge(1.0))}
    for condition in tqdm(CONDITIONS, desc="conditions"):
        prior = IllConditionedLinearPrior((condition, condition))
        task = Task(prior, D, N_EXAMPLES, mean_square=float(D))
        by_loop = errors(task, method(4 * n_loops), N_EXAMPLES, args.prompts).numpy()
        of = {"kind": "score", "condition": condition}
        rows += [
            {**of, "method": "looped", "loop": t, **interval(e)} for t, e in enumerate(by_loop, 1)
        ]
        for name, baseline in baselines.items():
            errs = errors(task, baseline, N_EXAMPLES, args.prompts)[-1].numpy()
            rows.append({**of, "method": name, **interval(errs)})
        rows += claims(condition, by_loop, n_loops)
    write(args, f"paper_condition_number_{Path(args.weights).stem}", rows)
    show(rows, n_loops)
    if args.picture:
        scores = pd.DataFrame([r for r in rows if r["kind"] == "score" and r["method"] == "looped"])
        scores["method"] = scores["condition"].map("condition {:g}".format)
        draw_errors(
            {f"{args.weights}, {n_loops} loops by default": scores.rename(columns={"loop": "x"})},
            "condition 1",
            "loop",
            args.picture,
        )
