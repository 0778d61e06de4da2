"""One looped block or twelve blocks? Both networks of Yang et al. 2024 on the same prompts.

``python benchmarks/paper/unlooped.py [--budget laptop|paper]`` meta-trains both on linear functions
of 20 columns with the same code, prompts and learning rates, about as many block passes a step, and
prints their errors by number of examples (Fig. 2, right) beside least squares; results in
benchmarks/results/paper_unlooped.json. Training goes on where it was killed (its state lies in
runs/). `laptop`, the default: 400 steps each, about 10 minutes of one core; `paper`: 500,000 steps
of 64 prompts, which wants an accelerator.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import torch
from evidence import (
    claim,
    draw_errors,
    interval,
    picture_file,
    planned,
    print_claims,
    print_table,
    write,
)
from prompts import Task, errors, least_squares, linear, looped, standardised

from sklearn_looped.learned.metatrain import MetaTraining, meta_train
from sklearn_looped.learned.network import PRESETS, NetworkConfig
from sklearn_looped.learned.priors import LinearPrior
from sklearn_looped.learned.recipe import Recipe

RUNS = Path(__file__).parents[2] / "runs" / "paper_unlooped"
N_FEATURES = 20
SIZES = (5, 10, 15, 20, 25, 30, 40)
CLOSE = 1.1  # "matches" and "stays": within 10 %
Errors = dict[str, dict[int, np.ndarray]]  # method -> examples -> errors by prompt


@dataclass(frozen=True)
class Budget:
    """Loops of the looped network, which the recipe draws, and the recipe of both."""

    n_loops: int
    recipe: Recipe


BUDGETS = {
    "laptop": Budget(
        12,
        Recipe(
            400,
            n_features=(5, N_FEATURES),
            n_support=(10, 44),
            n_query=24,
            n_loops=(8, 16),
            curriculum=0.4,
            lr=2e-3,
            muon_lr=0.02,
            rows_per_step=2048,
        ),
    ),
    "paper": Budget(
        20,
        Recipe(
            500_000,
            n_features=(5, N_FEATURES),
            n_support=(10, 40),
            n_query=20,
            n_loops=(20, 20),
            window=15,
            rows_per_step=64 * 60,
            curriculum=0.15,
        ),
    ),
}


def networks(budget: Budget) -> dict[str, tuple[NetworkConfig, Recipe]]:
    """Give both networks and their recipes, which draw the same prompts."""
    size: dict[str, Any] = {"n_features": N_FEATURES}
    looped = replace(PRESETS["looped"], n_loops=budget.n_loops, **size)
    once = replace(budget.recipe, n_loops=(1, 1), window=1)
    return {
        "looped": (looped, budget.recipe),
        "unlooped": (replace(PRESETS["unlooped"], **size), once),
    }


def trained(name: str) -> dict[str, tuple[MetaTraining, float | None]]:
    """Meta-train both at a budget, or take them from runs/; give them and their CPU seconds.

    None for a run that went on after a kill: what it took before is not known.
    """
    found = {}
    for kind, (network, recipe) in networks(BUDGETS[name]).items():
        folder, start = RUNS / name / kind, process_time()
        fresh = not (folder / "state.safetensors").exists()
        device = "cpu" if name == "laptop" else "auto"
        run = meta_train(
            network, LinearPrior(), recipe, folder=folder, save_every=60, device=device, verbose=1
        )
        taken = process_time() - start if fresh else None
        cost = planned(folder / "cost.json", lambda t=taken: {"CPU s": t})
        found[kind] = (run, cost["CPU s"])
    return found


def claims(found: Errors, by_loop: np.ndarray, n_loops: int) -> list[dict[str, Any]]:
    """Rows of what the paper says of both networks; numbers by prompt are below zero if so."""
    ours, theirs, last = found["looped"], found["unlooped"], max(SIZES)
    return [
        claim(
            "at 20, 30 and 40 examples looped errs at most 10 % more than unlooped",
            [ours[k] - CLOSE * theirs[k] for k in (20, 30, 40)],
        ),
        claim("at 40 examples looped errs less than unlooped", [ours[last] - theirs[last]]),
        claim(
            f"looped errs at {2 * n_loops} loops at most 10 % more than at {n_loops}, as trained",
            [by_loop[2 * n_loops - 1] - CLOSE * by_loop[n_loops - 1]],
        ),
    ]


def show(rows: list[dict[str, Any]], n_loops: int) -> None:
    scores = pd.DataFrame([row for row in rows if row["kind"] == "score"])
    print("Squared error as a share of E[y^2] by number of examples")
    print_table(scores.pivot(index="method", columns="examples", values="value").reset_index())
    print("Cost of the training; prompts: tables of 24 queries each")
    print_table(pd.DataFrame([row for row in rows if row["kind"] == "cost"]).drop(columns="kind"))
    loops = pd.DataFrame([row for row in rows if row["kind"] == "loop"])
    shown = [t for t in (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 30, 40) if t <= len(loops)]
    print(f"The looped network's error at {max(SIZES)} examples by loop; trained: {n_loops}")
    print_table(loops[loops["loop"].isin(shown)][["loop", "value"]].set_index("loop").T)
    print_claims(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", choices=BUDGETS, default="laptop")
    parser.add_argument("--prompts", type=int, default=1280, help="held-out prompts")
    parser.add_argument("--picture", type=picture_file, help=".png or .svg")
    args = parser.parse_args()
    torch.set_num_threads(1)
    last, n_loops = max(SIZES), BUDGETS[args.budget].n_loops
    task = Task(LinearPrior(), N_FEATURES, last, mean_square=float(N_FEATURES))
    found: Errors = {}
    rows: list[dict[str, Any]] = []
    for name, (run, seconds) in trained(args.budget).items():
        method = standardised(looped(run.network, n_loops))
        found[name] = {k: errors(task, method, k, args.prompts)[-1].numpy() for k in SIZES}
        weights = sum(p.numel() for p in run.network.parameters())
        cost = {"weights": weights, "steps": len(run.losses), "prompts": run.n_tables}
        rows.append({"kind": "cost", "method": name} | cost | {"CPU s": seconds})
        if name == "looped":
            twice = standardised(looped(run.network, 2 * n_loops))
            by_loop = errors(task, twice, last, args.prompts).numpy()
    exact = linear(least_squares)
    found["least squares"] = {k: errors(task, exact, k, args.prompts)[-1].numpy() for k in SIZES}
    rows += [
        {"kind": "score", "method": name, "examples": k, **interval(e)}
        for name, by_size in found.items()
        for k, e in by_size.items()
    ]
    rows += [{"kind": "loop", "loop": t, **interval(e)} for t, e in enumerate(by_loop, 1)]
    rows += claims(found, by_loop, n_loops)
    write("paper_unlooped", rows)
    show(rows, n_loops)
    if args.picture:
        scores = pd.DataFrame([row for row in rows if row["kind"] == "score"])
        panel = scores.rename(columns={"examples": "x"})
        draw_errors({"linear": panel}, "looped", "examples in the prompt", args.picture)


if __name__ == "__main__":
    main()
