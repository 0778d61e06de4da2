"""How many distinct prompts does training need? Fig. 5 and 14 of Yang et al. 2024.

``python -m benchmarks paper.sample_complexity [--budget laptop|paper] [--seed 0]`` meta-trains a
looped and an unlooped network on linear functions from N prompts that are drawn once and met again
and again, for several N and without limit, all for the same steps, scores them on fresh prompts,
appends the rows to benchmarks/results/paper_sample_complexity.jsonl, and prints them with what they
say of the paper's claim. `laptop`, the default, takes about 7 minutes of one core; `paper` has the
paper's sizes, 500,000 steps a network, and wants an accelerator.
"""

import argparse
from dataclasses import dataclass, replace
from functools import cache, partial

import pandas as pd
import torch
from torch import Generator, Tensor

from benchmarks.common.report import Rows
from benchmarks.paper.evidence import claim
from benchmarks.paper.prompts import Task
from benchmarks.paper.sweep import (
    LAPTOP,
    PAPER,
    Budget,
    Figure,
    Run,
    Scores,
    add_sweep_options,
    recipe,
    run_sweep,
)
from sklearn_looped.core.device import seeded_generator
from sklearn_looped.learned.priors import LinearPrior


@dataclass(frozen=True)
class Grid(Budget):
    """Sizes of the networks and prompts, and the grid; k is twice d."""

    dimensions: tuple[int, ...] = (5, 10)
    limits: tuple[int, ...] = (32, 128, 512)  # N
    loops: tuple[int, int] = (12, 10)  # b, T
    n_layers: int = 6  # of the unlooped network


BUDGETS: dict[str, Budget] = {
    "laptop": Grid(5, 10, n_steps=600, **LAPTOP),
    "paper": Grid(
        20, 40, **PAPER,
        dimensions=(5, 10, 20), limits=tuple(2**power for power in range(9, 18, 2)),
        loops=(30, 15), n_layers=12,
    ),
}  # fmt: skip
POOL = 2**30  # a seed no recipe uses


@cache
def pool(n_prompts: int, n_rows: int, n_features: int) -> tuple[Tensor, Tensor]:
    """Draw the prompts of a data set."""
    return LinearPrior().sample(seeded_generator(POOL), n_prompts, n_rows, n_features)


@dataclass(frozen=True)
class FixedPrompts:
    """A prior over so many prompts of linear functions, drawn once."""

    n_prompts: int

    def sample(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw tables with repetition."""
        X, y = pool(self.n_prompts, n_rows, n_features)
        chosen = torch.randint(self.n_prompts, (n_tables,), generator=generator)
        return X[chosen], y[chosen]


def name(network: str, limit: int | None) -> str:
    return f"{network}, {limit or 'fresh'} prompts"


def claims(limits: tuple[int, ...], found: dict[str, Scores]) -> Rows:
    """List what Fig. 5 and 14 say: from few prompts the looped network learns more."""
    looped, unlooped = (
        {N: found[name(network, N)].final for N in (*limits, None)}
        for network in ("looped", "unlooped")
    )
    rows = []
    for N in limits:
        # As multiples of the error from fresh prompts, whose own interval does not count here.
        rises = [errors[N] / errors[None].mean() for errors in (looped, unlooped)]
        rows += [
            claim(f"{N} prompts: looped errs less than unlooped", [looped[N] - unlooped[N]]),
            claim(
                f"{N} prompts: looped's error, as a multiple of that from fresh prompts, is less",
                [rises[0] - rises[1]],
            ),
        ]
    return [*rows, claim("fresh prompts: looped errs less", [looped[None] - unlooped[None]])]


def by_limit(name: str, rows: Rows) -> dict[str, pd.DataFrame]:
    """Make one panel of a picture: errors by distinct prompts; fresh ones are as many as drawn."""
    points = []
    for row in rows:
        if row["kind"] == "score":
            network, limit = row["network"].removesuffix(" prompts").split(", ")
            span = {key: row[key] for key in ("value", "low", "high")}
            x = row["tables"] if limit == "fresh" else int(limit)
            points.append({"x": x, "method": network, **span})
    return {name: pd.DataFrame(points)}


def figures(budget: Budget, seed: int) -> dict[str, Figure]:
    assert isinstance(budget, Grid)
    made = {}
    for d in budget.dimensions:
        k = 2 * d
        sized = replace(budget, n_features=d, n_examples=k)
        task = Task(LinearPrior(), d, k)
        shapes = {
            "looped": (sized.config(), budget.loops),
            "unlooped": (sized.config(n_pre_blocks=budget.n_layers - 1, n_loops=1), (1, 1)),
        }
        runs = {
            name(network, N): Run(
                config,
                task,
                # Support and queries stay as they were drawn.
                recipe(sized, *loops, seed, n_support=(k, k)),
                loops[0],
                prior=FixedPrompts(N) if N else None,
            )
            for network, (config, loops) in shapes.items()
            for N in (*budget.limits, None)
        }
        made[f"d={d}"] = Figure(runs, partial(claims, budget.limits))
    return made


def add_options(parser: argparse.ArgumentParser) -> None:
    add_sweep_options(parser)


def run(args: argparse.Namespace) -> None:
    budget = BUDGETS[args.budget]
    run_sweep(
        "sample_complexity",
        args,
        figures(budget, args.seed),
        budget.n_prompts,
        by_limit,
        "distinct prompts",
    )
