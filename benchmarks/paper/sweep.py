"""Sweeps over how a network is shaped and trained: every network once, errors by prompt kept.

A figure is a set of networks and what the paper says of them. `run_sweep` meta-trains the networks
of each figure, scores them on the same held-out prompts, appends the rows of a figure to a JSONL
file when it is complete (figures that are there are not run again), and prints them. Training goes
on where it was killed: its state lies in runs/, and networks that two figures share are trained
once.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from benchmarks.common.options import add_budget, add_figures, add_picture, add_seed, figures_of
from benchmarks.common.pictures import draw_errors
from benchmarks.common.report import RESULTS, RUNS, Rows, Store, print_table
from benchmarks.paper.evidence import interval, planned, print_claims
from benchmarks.paper.prompts import Task, errors, standardised
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.recipe import Recipe

SHOWN = (1, 2, 4, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60, 80, 100)  # loops in tables
CLOSE = 1.1  # "stays", "matches": within 10 %


@dataclass(frozen=True)
class Budget:
    """Sizes of a sweep's networks, prompts and steps."""

    n_features: int
    n_examples: int
    n_query: int  # of a training prompt
    width: int
    n_heads: int
    n_tables: int  # of a step
    n_steps: int
    n_prompts: int  # held out
    lr: float = 1e-3
    muon_lr: float = 0.01

    def config(self, **changes: Any) -> NetworkConfig:
        """Shape of a network: one looped block unless changed."""
        shape = {
            "n_features": self.n_features,
            "width": self.width,
            "n_heads": self.n_heads,
            "n_quantiles": 1,
        }
        return NetworkConfig(**(shape | changes))


# Learning rates above the recipe's own: these networks are small and take few steps.
LAPTOP: dict[str, Any] = {
    "n_query": 12, "width": 32, "n_heads": 4, "n_tables": 8, "n_prompts": 320, "lr": 5e-3,
    "muon_lr": 0.03,
}  # fmt: skip
PAPER: dict[str, Any] = {
    "n_query": 40, "width": 256, "n_heads": 8, "n_tables": 64, "n_steps": 500_000,
    "n_prompts": 1280,
}  # fmt: skip


@dataclass(frozen=True)
class ScheduledRecipe(Recipe):
    """A recipe whose loops grow from `window` to the trained ones over a share of the run.

    As Yang et al. 2024 train: the window of the loss moves from [1, T] to [b - T, b]. Unlike with
    `curriculum` the loops of a step are not random and d and k do not grow.
    """

    schedule: float = 0.0

    def draw_sizes(self, step: int, generator: torch.Generator) -> tuple[int, int, int]:
        """Draw the columns and support rows of a step; its loops follow from the schedule."""
        d, k, b = super().draw_sizes(step, generator)
        if not self.schedule:
            return d, k, b
        grown = min(1.0, step / (self.schedule * self.n_steps))
        return d, k, min(b, int(self.window + grown * (b - self.window)))


def recipe(
    budget: Budget, b: int, T: int, seed: int, *, schedule: float = 0.0, **changes: Any
) -> ScheduledRecipe:
    """Recipe with b loops and the loss and the gradients through the last T of them."""
    d, k = budget.n_features, budget.n_examples
    given = {
        "n_features": (d, d),
        "n_support": (k // 2, k),
        "n_query": budget.n_query,
        "n_loops": (b, b),
        "window": min(T, b),
        "n_grad_loops": min(T, b),
        "rows_per_step": budget.n_tables * (k + budget.n_query),
        "lr": budget.lr,
        "muon_lr": budget.muon_lr,
        "average": 0.98,
        "seed": seed,
        "schedule": schedule,
    }
    return ScheduledRecipe(budget.n_steps, **(given | changes))


@dataclass(frozen=True)
class Run:
    """A network, what it is trained and tested on, and the loops that it is scored at."""

    config: NetworkConfig
    task: Task
    recipe: Recipe
    n_loops: int
    sizes: tuple[int, ...] = ()  # numbers of examples to score at as well
    prior: Any = None  # trained on; None: the task's

    @property
    def trained(self) -> int:
        """Loops of a training step: b."""
        return self.recipe.n_loops[1]


@dataclass(frozen=True)
class Scores:
    """Errors of a network by prompt: (loops, prompts), and at b loops by number of examples."""

    trained: int
    by_loop: np.ndarray
    by_examples: dict[int, np.ndarray] = field(default_factory=dict)

    def at(self, loop: int) -> np.ndarray:
        """Errors by prompt after so many loops."""
        return self.by_loop[loop - 1]

    @property
    def final(self) -> np.ndarray:
        """Errors by prompt after the trained loops."""
        return self.at(self.trained)


@dataclass(frozen=True)
class Figure:
    """Networks by name, and the rows of claims that their scores decide."""

    runs: dict[str, Run]
    claims: Callable[[dict[str, Scores]], Rows]


def scored(run: Run, folder: Path, n_prompts: int) -> tuple[Scores, dict[str, Any]]:
    """Meta-train and score a network, or read what was kept of it."""
    trained = run.prior or run.task.prior
    fresh, start = not folder.exists(), process_time()
    result = meta_train(run.config, trained, run.recipe, folder=folder, device="auto")
    # Of a run that went on after a kill the processor time before it is not known.
    taken = process_time() - start if fresh else None
    cost = planned(folder / "cost.json", lambda: {"CPU s": taken})
    kept = folder / f"errors-{n_prompts}-{run.n_loops}.npz"
    if not kept.exists():

        def found(n_loops: int, size: int) -> np.ndarray:
            method = standardised(result.network, n_loops)
            return errors(run.task, method, size, n_prompts).numpy()

        arrays = {"by_loop": found(run.n_loops, run.task.n_examples)}
        arrays |= {str(size): found(run.trained, size)[-1] for size in run.sizes}
        np.savez_compressed(kept, **arrays)
    with np.load(kept) as arrays:
        by_examples = {size: arrays[str(size)] for size in run.sizes}
        scores = Scores(run.trained, arrays["by_loop"], by_examples)
    weights = sum(p.numel() for p in LoopedNetwork(run.config).parameters())
    losses = float(np.mean(result.losses[-20:]))
    details = {"weights": weights, "steps": run.recipe.n_steps, "tables": result.n_tables}
    return scores, details | {"last losses": losses} | cost


def score_row(name: str, scores: Scores, details: dict[str, Any]) -> dict[str, Any]:
    """Row of a network: the error after the trained loops with its interval, and by loop."""
    by_loop = [interval(each) for each in scores.by_loop[[t - 1 for t in shown(scores)]]]
    return (
        {"kind": "score", "network": name, "b": scores.trained, **interval(scores.final)}
        | details
        | {"by loop": dict(zip(map(str, shown(scores)), by_loop, strict=True))}
        | {"by examples": {str(k): float(e.mean()) for k, e in scores.by_examples.items()}}
    )


def shown(scores: Scores) -> list[int]:
    """Loops of which a table and a picture tell."""
    n_loops = len(scores.by_loop)
    return sorted({t for t in SHOWN if t < n_loops} | {min(scores.trained, n_loops), n_loops})


def show(name: str, rows: Rows) -> None:
    """Print the scores of a figure, by loop and by number of examples, and its claims."""
    scores = pd.DataFrame([row for row in rows if row["kind"] == "score"])
    print(f"\n{name}: squared error at b loops as a share of E[y^2], 95 % interval over prompts")
    last = [column for column in ("weights", "steps", "tables", "CPU s") if column in scores]
    print_table(scores[["network", "b", "value", "low", "high", *last]])
    for kind in ("by loop", "by examples"):
        found = [
            {k: v["value"] if kind == "by loop" else v for k, v in row.items()}
            for row in scores[kind]
        ]
        table = pd.DataFrame(found, index=scores["network"])
        if len(table.columns) > 1:
            table = table[sorted(table, key=int)]
            print(f"\n{name}: error {kind}")
            print_table(table.reset_index())
    print_claims(rows)


def by_loop(name: str, rows: Rows) -> dict[str, pd.DataFrame]:
    """Make one panel of a picture: a figure's errors by loop, flat where there is no looping."""
    scores = [row for row in rows if row["kind"] == "score"]
    last = max(int(loop) for row in scores for loop in row["by loop"])
    points = [
        {"x": x, "method": row["network"], **span}
        for row in scores
        for loop, span in row["by loop"].items()
        for x in ([int(loop), last] if len(row["by loop"]) == 1 else [int(loop)])
    ]
    return {name: pd.DataFrame(points)}


def add_sweep_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a sweep."""
    add_budget(parser, ("laptop", "paper"))
    add_seed(parser)
    add_figures(parser)
    add_picture(parser, "the errors")


def run_sweep(
    title: str,
    args: argparse.Namespace,
    figures: dict[str, Figure],
    n_prompts: int,
    panels: Callable[[str, Rows], dict[str, pd.DataFrame]] = by_loop,
    xlabel: str = "loops",
) -> None:
    """Train, score, print and draw a sweep's figures, or those of them that are asked for."""
    torch.set_num_threads(1)
    names = figures_of(args, figures)
    store = Store(RESULTS / f"paper_{title}.jsonl", budget=args.budget, seed=args.seed)
    folder = RUNS / f"paper_{title}" / f"{args.budget}-{args.seed}"

    def job(figure: str) -> Rows:
        found = {
            network: scored(run, folder / f"d={run.config.n_features}" / network, n_prompts)
            for network, run in tqdm(figures[figure].runs.items(), desc=figure)
        }
        rows = [score_row(network, *each) for network, each in found.items()]
        scores = {network: each for network, (each, _) in found.items()}
        return rows + figures[figure].claims(scores)

    drawn: dict[str, pd.DataFrame] = {}
    for name in names:
        store.complete([{"figure": name}], job)
        rows = store.select({"figure": name})
        show(name, rows)
        drawn |= panels(name, rows)
    if args.picture:
        draw_errors(drawn, "", xlabel, args.picture)
