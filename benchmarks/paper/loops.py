"""How many loops to train with? Fig. 2 left, 3, 4, 12 and 17 of Yang et al. 2024, linear functions.

``python benchmarks/paper/loops.py [--budget laptop|paper] [--seed 0] [--picture FILE]`` meta-trains
looped networks for b loops with the loss on the last T of them, with and without input injection,
with and without the schedule that grows b, scores each at up to 100 loops on the same held-out
prompts, appends the rows to benchmarks/results/paper_loops.jsonl, and prints them with what they
say of the paper's claims. `laptop`, the default, takes about 3 minutes of one core; `paper` has the
paper's sizes, 500,000 steps a network, and wants an accelerator.
"""

from typing import Any

import pandas as pd
from evidence import claim
from prompts import Task
from sweep import (
    CLOSE,
    LAPTOP,
    PAPER,
    Budget,
    Figure,
    Rows,
    Run,
    Scores,
    by_loop,
    recipe,
    run_sweep,
)

from sklearn_looped.learned.priors import LinearPrior

BUDGETS = {"laptop": Budget(5, 20, n_steps=200, **LAPTOP), "paper": Budget(20, 40, **PAPER)}
LOOPS, WINDOWS = (12, 20, 30), (5, 10, 15)  # b, T
N_LOOPS = 100  # scored
EARLY = 8  # the loop at which speeds are compared
SCHEDULE = 0.25  # share of the steps over which b grows


def name(b: int, T: int, more: str = "") -> str:
    return f"b={b} T={T}{more}"


def stays(scores: Scores, last: int) -> Any:
    """Below zero by prompt if the error after `last` loops is within 10 % of that after b."""
    return scores.at(last) - CLOSE * scores.final


def grid_claims(found: dict[str, Scores]) -> Rows:
    """List what Fig. 2 left, 4 and 12 say of the error by b and T."""
    rows = []
    for T in WINDOWS:
        few, *_, many = (found[name(b, T)] for b in LOOPS)
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
        short, *_, long = (found[name(b, T)] for T in WINDOWS)
        rows += [
            claim(
                f"b={b}: T={WINDOWS[-1]} errs less than T={WINDOWS[0]}", [long.final - short.final]
            ),
            claim(
                f"b={b}: the error has settled, to 10 %, by three quarters of b (every T)",
                [
                    found[name(b, T)].at(3 * b // 4) - CLOSE * found[name(b, T)].final
                    for T in WINDOWS
                ],
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


def schedule_claims(found: dict[str, Scores]) -> Rows:
    """List what Fig. 17 says of linear functions."""
    rows = []
    for b in LOOPS[1:]:
        fixed, grown = found[name(b, 15)].final, found[name(b, 15, " scheduled")].final
        text = f"b={b}: with and without the schedule the errors are within 10 % of each other"
        rows.append(claim(text, [grown - CLOSE * fixed, fixed - CLOSE * grown]))
    return rows


def figures(budget: Budget, seed: int) -> dict[str, Figure]:
    task = Task(LinearPrior(), budget.n_features, budget.n_examples)

    def run(b: int, T: int, schedule: float = 0.0, **changes: Any) -> Run:
        config = budget.config(**changes)
        trained = recipe(budget, b, T, seed, schedule=schedule)
        return Run(config, task, trained, N_LOOPS, tuple(task.sizes[1:]))

    grid = {name(b, T): run(b, T) for T in WINDOWS for b in LOOPS}
    tied = {name(b, 10, " tied"): run(b, 10, injection=False) for b in LOOPS}
    scheduled = {name(b, 15, " scheduled"): run(b, 15, SCHEDULE) for b in LOOPS[1:]}
    injected = {name(b, 10): grid[name(b, 10)] for b in LOOPS}
    fixed = {name(b, 15): grid[name(b, 15)] for b in LOOPS[1:]}
    return {
        "b and T": Figure(grid, grid_claims),
        "injection": Figure(injected | tied, injection_claims),
        "schedule": Figure(fixed | scheduled, schedule_claims),
    }


def by_window(name: str, rows: Rows) -> dict[str, pd.DataFrame]:
    """Make the panels of a picture: a figure's errors by loop, those of a T in one."""
    points = by_loop(name, rows)[name]
    parts = points["method"].str.extract(r"(?P<b>b=\d+) (?P<T>T=\d+)(?P<more>.*)")
    points["method"] = parts["b"] + parts["more"]
    return {f"{name}, {T}": part for T, part in points.groupby(parts["T"], sort=False)}


if __name__ == "__main__":
    run_sweep("loops", BUDGETS, figures, by_window)
