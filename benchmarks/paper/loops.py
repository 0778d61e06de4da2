"""How many loops to train with? Fig. 2 left, 3, 4, 9, 12, 13 and 17 of Yang et al. 2024.

``python -m benchmarks paper.loops [--budget laptop|paper] [--seed 0] [--picture FILE]`` meta-trains
looped networks on each function class for b loops with the loss on the last T of them, with and
without the schedule that grows b, and on linear functions with and without input injection, scores
each at up to 100 loops on the same held-out prompts, appends the rows to
benchmarks/results/paper_loops.jsonl, and prints them with what they say of the paper's claims.
`laptop`, the default, takes about 10 minutes of one core; `paper` has the paper's sizes, 500,000
steps a network, and wants an accelerator.
"""

import argparse
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd

from benchmarks.common.report import Rows
from benchmarks.paper.evidence import claim
from benchmarks.paper.prompts import Task
from benchmarks.paper.sweep import (
    CLOSE,
    LAPTOP,
    PAPER,
    Budget,
    Figure,
    Run,
    Scores,
    add_sweep_options,
    by_loop,
    recipe,
    run_sweep,
)
from sklearn_looped.learned.priors import (
    DecisionTreePrior,
    LinearPrior,
    ReLUNetworkPrior,
    SparseLinearPrior,
)


@dataclass(frozen=True)
class Sizes(Budget):
    """Sizes of a sweep, and of the functions that are not linear."""

    sparsity: int = 3
    depth: int = 4
    n_hidden: int = 100
    n_many: int = 100  # examples of trees and ReLU networks

    def tasks(self) -> dict[str, Task]:
        """Give the function classes by what their names add to a figure's."""
        d, k = self.n_features, self.n_examples
        return {
            "": Task(LinearPrior(), d, k),
            " sparse": Task(SparseLinearPrior(self.sparsity), d, k),
            " tree": Task(DecisionTreePrior(self.depth), d, self.n_many),
            " ReLU": Task(ReLUNetworkPrior(self.n_hidden), d, self.n_many),
        }


BUDGETS: dict[str, Budget] = {
    "laptop": Sizes(5, 20, n_steps=200, **LAPTOP, sparsity=2, depth=2, n_hidden=10, n_many=20),
    "paper": Sizes(20, 40, **PAPER),
}
LOOPS, WINDOWS = (12, 20, 30), (5, 10, 15)  # b, T
N_LOOPS = 100  # scored
EARLY = 8  # the loop at which speeds are compared
SCHEDULE = 0.25  # share of the steps over which b grows


def name(b: int, T: int, more: str = "") -> str:
    return f"b={b} T={T}{more}"


def stays(scores: Scores, last: int) -> Any:
    """Below zero by prompt if the error after `last` loops is within 10 % of that after b."""
    return scores.at(last) - CLOSE * scores.final


def grid_claims(of: str, found: dict[str, Scores]) -> Rows:
    """List what Fig. 2 left, 4, 9, 12 and 13 say of the error by b and T."""
    rows = []
    for T in WINDOWS:
        few, *_, many = (found[name(b, T, of)] for b in LOOPS)
        rows += [
            claim(
                f"T={T}: trained with b={many.trained}, the error stays to {N_LOOPS} loops",
                [stays(many, N_LOOPS)],
            ),
            claim(
                f"T={T}: trained with b={few.trained}, it grows by more than 10 %",
                [-stays(few, N_LOOPS)],
            ),
            claim(
                f"T={T}: b={many.trained} errs less at its last loop than b={few.trained}",
                [many.final - few.final],
            ),
            claim(
                f"T={T}: b={many.trained} converges later: errs more at loop {EARLY} than "
                f"b={few.trained}",
                [few.at(EARLY) - many.at(EARLY)],
            ),
        ]
    for b in LOOPS:
        windows = [found[name(b, T, of)] for T in WINDOWS]
        short, *_, long = windows
        rows += [
            claim(
                f"b={b}: T={WINDOWS[-1]} errs less than T={WINDOWS[0]}", [long.final - short.final]
            ),
            claim(
                f"b={b}: the error has settled, to 10 %, by three quarters of b (every T)",
                [each.at(3 * b // 4) - CLOSE * each.final for each in windows],
            ),
        ]
    return rows


def injection_claims(found: dict[str, Scores]) -> Rows:
    """List what Fig. 3 says."""
    rows = []
    for b in LOOPS:
        tied = found[name(b, 10, " tied")]
        rows.append(
            claim(
                f"b={b}: without injection the error grows by more than 10 % to {3 * b} loops",
                [-stays(tied, 3 * b)],
            )
        )
        rows.append(
            claim(
                f"b={b}: with injection it stays to {3 * b} loops",
                [stays(found[name(b, 10)], 3 * b)],
            )
        )
    return rows


def schedule_claims(of: str, found: dict[str, Scores]) -> Rows:
    """List what Fig. 17 says: no difference, but for trees, where the schedule helps."""
    rows = []
    for b in LOOPS[1:]:
        fixed, grown = found[name(b, 15, of)].final, found[name(b, 15, of + " scheduled")].final
        if of == " tree":
            rows.append(claim(f"b={b}: with the schedule the error is less", [grown - fixed]))
        text = f"b={b}: with and without the schedule the errors are within 10 % of each other"
        rows.append(claim(text, [grown - CLOSE * fixed, fixed - CLOSE * grown]))
    return rows


def class_figures(budget: Sizes, of: str, task: Task, seed: int) -> dict[str, Figure]:
    sized = replace(budget, n_examples=task.n_examples)

    def run(b: int, T: int, schedule: float = 0.0, injection: bool = True) -> Run:
        trained = recipe(sized, b, T, seed, schedule=schedule)
        sizes = tuple(task.sizes[1:])
        return Run(sized.config(injection=injection), task, trained, N_LOOPS, sizes)

    grid = {name(b, T, of): run(b, T) for T in WINDOWS for b in LOOPS}
    made = {"b and T" + of: Figure(grid, partial(grid_claims, of))}
    if of == "":
        injected = {name(b, 10): grid[name(b, 10)] for b in LOOPS}
        tied = {name(b, 10, " tied"): run(b, 10, injection=False) for b in LOOPS}
        made["injection"] = Figure(injected | tied, injection_claims)
    fixed = {name(b, 15, of): grid[name(b, 15, of)] for b in LOOPS[1:]}
    grown = {name(b, 15, of + " scheduled"): run(b, 15, SCHEDULE) for b in LOOPS[1:]}
    made["schedule" + of] = Figure(fixed | grown, partial(schedule_claims, of))
    return made


def figures(budget: Budget, seed: int) -> dict[str, Figure]:
    assert isinstance(budget, Sizes)
    made: dict[str, Figure] = {}
    for of, task in budget.tasks().items():
        made |= class_figures(budget, of, task, seed)
    return made


def by_window(name: str, rows: Rows) -> dict[str, pd.DataFrame]:
    """Make the panels of a picture: a figure's errors by loop, those of a T in one."""
    points = by_loop(name, rows)[name]
    # The class is in the title: a b has the same colour in all panels.
    parts = points["method"].str.extract(
        r"(?P<b>b=\d+) (?P<T>T=\d+)(?: sparse| tree| ReLU)?(?P<more>.*)"
    )
    points["method"] = parts["b"] + parts["more"]
    return {f"{name}, {T}": part for T, part in points.groupby(parts["T"], sort=False)}


def add_options(parser: argparse.ArgumentParser) -> None:
    add_sweep_options(parser)


def run(args: argparse.Namespace) -> None:
    budget = BUDGETS[args.budget]
    run_sweep("loops", args, figures(budget, args.seed), budget.n_prompts, by_window)
