"""One looped block or twelve blocks? Both networks of Yang et al. 2024 on the same prompts.

``python benchmarks/paper/unlooped.py [--budget laptop|paper]`` meta-trains both on linear functions
of 20 columns with the same code, prompts and learning rates, about as many block passes a step, and
prints their errors by number of examples (Fig. 2, right) beside least squares; results in
benchmarks/results/paper_unlooped.json. Training goes on where it was killed (its state lies in
runs/). `laptop`, the default: 400 steps each, about 6 minutes of one core; `paper`: 500,000 steps
of 64 prompts, which wants an accelerator.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import torch
from evidence import planned

from sklearn_looped.learned.metatrain import MetaTraining, meta_train
from sklearn_looped.learned.network import PRESETS, NetworkConfig
from sklearn_looped.learned.priors import LinearPrior
from sklearn_looped.learned.recipe import Recipe

RUNS = Path(__file__).parents[2] / "runs" / "paper_unlooped"
N_FEATURES = 20


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


def trained(name: str) -> dict[str, tuple[MetaTraining, float]]:
    """Meta-train both at a budget, or take them from runs/; give them and their CPU seconds."""
    found = {}
    for kind, (network, recipe) in networks(BUDGETS[name]).items():
        folder, start = RUNS / name / kind, process_time()
        device = "cpu" if name == "laptop" else "auto"
        run = meta_train(
            network, LinearPrior(), recipe, folder=folder, save_every=60, device=device, verbose=1
        )
        taken = planned(folder / "cost.json", lambda s=start: {"CPU s": process_time() - s})
        found[kind] = (run, taken["CPU s"])
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    trained("laptop")
