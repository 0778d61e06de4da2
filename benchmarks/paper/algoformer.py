"""Does AlgoFormer's pre-loop-post structure pay? Against the plain loop and the unlooped network.

``python -m benchmarks paper.algoformer [--budget laptop|paper] [--cpu-seconds 30]
[--seeds 0 1 2]`` meta-trains each architecture on each task of Gao et al. 2024 with equal numbers
of weights and equal processor time, scores them and classical baselines on the same held-out
prompts, appends the rows to benchmarks/results/paper_algoformer.jsonl (tasks and seeds that are
there are not run again), and prints the scores and what they say of the paper's claims. Training
goes on where it was killed (its state lies in runs/). `laptop`, the default, takes about half an
hour of one core; `paper` has the sizes we take the paper to have, 500,000 steps each, and wants an
accelerator.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch

from benchmarks.common.options import add_budget, add_prompts
from benchmarks.common.report import RESULTS, RUNS, Rows, Store, print_table
from benchmarks.paper import seeds
from benchmarks.paper.algoformer_tasks import LAPTOP, PAPER, baselines, chain_errors
from benchmarks.paper.evidence import claim, interval, planned
from benchmarks.paper.presets import PRESETS
from benchmarks.paper.prompts import Stepped, Task, errors, looped
from benchmarks.paper.representation import NetworkLayersPrior
from sklearn_looped.bridge import AlgoFormerConfig
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.training.metatrain import MetaTraining, meta_train
from sklearn_looped.learned.training.recipe import Recipe

Config = NetworkConfig | AlgoFormerConfig
CLOSE = 1.1  # "approaches" and "keeps": within 10 %
SHOWN = (1, 2, 4, 6, 8, 10, 12, 16, 20, 30, 40)  # loops or steps


@dataclass(frozen=True)
class Budget:
    """Sizes of a comparison: AlgoFormer's width, which sets the number of weights, loops, steps."""

    tasks: dict[str, Task]
    width: int
    n_heads: int
    n_loops: int
    window: int
    n_tables: int  # of a step, at full size
    n_steps: int | None  # None: as many as fit into the processor time


BUDGETS = {
    "laptop": Budget(LAPTOP, 64, 4, n_loops=8, window=6, n_tables=16, n_steps=None),
    "paper": Budget(PAPER, 256, 8, n_loops=20, window=15, n_tables=64, n_steps=500_000),
}


def n_weights(config: Config) -> int:
    return sum(p.numel() for p in config.build().parameters() if p.requires_grad)


def architectures(budget: Budget, task: Task) -> dict[str, NetworkConfig]:
    """Give the presets the widths at which all have as many weights as AlgoFormer."""
    heads = budget.n_heads
    size = {"n_features": task.n_features, "n_heads": heads, "n_quantiles": 1}
    configs = {name: replace(preset, **size) for name, preset in PRESETS.items()}
    wanted = n_weights(replace(configs["algoformer"], width=budget.width))

    def sized(config: NetworkConfig) -> NetworkConfig:
        widths = (replace(config, width=width) for width in range(heads, 4 * budget.width, heads))
        # Weights grow with the width: the first that has enough, or the one before it.
        last = None
        for wider in widths:
            if n_weights(wider) >= wanted:
                break
            last = wider
        return min((c for c in (last, wider) if c), key=lambda c: abs(n_weights(c) - wanted))

    loops = {name: 1 if c.n_loops == 1 else budget.n_loops for name, c in configs.items()}
    return {name: replace(sized(c), n_loops=loops[name]) for name, c in configs.items()}


def recipe(budget: Budget, task: Task, config: Config, n_steps: int, seed: int = 0) -> Recipe:
    """Fix the loops and average the loss over the last, as the papers do; vary the support."""
    rows = task.n_examples * task.rows_per_example
    n_loops = config.n_loops if isinstance(config, NetworkConfig) else budget.n_loops
    return Recipe(
        n_steps,
        n_features=(task.n_features, task.n_features),
        n_support=(rows // 4, rows),
        n_query=rows // 2,
        n_loops=(n_loops, n_loops),
        window=min(budget.window, n_loops),
        rows_per_step=budget.n_tables * 3 * rows // 2,
        average=0.99,
        seed=seed,
    )


def step_seconds(
    budget: Budget, task: Task, configs: Mapping[str, Config], device: str
) -> dict[str, float]:
    """Processor seconds of a step of each architecture: the least of rounds taken in turn.

    Building a network, which for a programmed one takes as long as some steps, does not count.
    """
    rounds: dict[str, list[float]] = {name: [] for name in configs}
    for n_steps in (2, 8, 8):  # the first warms up
        for name, config in configs.items():
            start = process_time()
            config.build()
            built = process_time()
            meta_train(config, task.prior, recipe(budget, task, config, n_steps), device=device)
            rounds[name].append((process_time() - built - (built - start)) / n_steps)
    return {name: min(seconds[1:]) for name, seconds in rounds.items()}


def train(
    budget: Budget,
    task: Task,
    configs: Mapping[str, Config],
    seconds: float,
    seed: int,
    folder: Path,
) -> Iterator[tuple[str, MetaTraining, dict[str, Any]]]:
    """Meta-train every architecture; yield its name, run and cost."""
    device = "auto" if budget.n_steps else "cpu"
    steps = planned(folder / "plan.json", lambda: step_seconds(budget, task, configs, device))
    for name, config in configs.items():
        n_steps = budget.n_steps or max(1, round(seconds / steps[name]))
        fresh, start = not (folder / name).exists(), process_time()
        schedule = recipe(budget, task, config, n_steps, seed)
        run = meta_train(config, task.prior, schedule, folder=folder / name, device=device)
        # A run that went on after a kill has its planned time: the time before is not known.
        taken = process_time() - start if fresh else n_steps * steps[name]
        taken = planned(folder / name / "cost.json", lambda t=taken: {"CPU s": t})["CPU s"]
        cost = {"weights": n_weights(config), "CPU s": taken, "steps": n_steps}
        yield name, run, cost | {"tables": run.n_tables, "width": config.width}


@dataclass(frozen=True)
class Errors:
    """Errors of one method by prompt: by number of examples, and after every step."""

    by_examples: dict[int, np.ndarray]
    by_step: np.ndarray

    @property
    def final(self) -> np.ndarray:
        """Errors at the most examples."""
        return self.by_examples[max(self.by_examples)]


def measure(task: Task, method: Stepped, n_loops: int, n_prompts: int) -> Errors:
    """Score a method: its answers after the trained loops, and its way to twice as many."""
    by_step = errors(task, method(2 * n_loops), task.n_examples, n_prompts).numpy()
    by_examples = {}
    for size in task.sizes:
        if isinstance(task.prior, NetworkLayersPrior):
            found = chain_errors(task, method(n_loops), size, n_prompts).numpy()
        elif size < task.n_examples:
            found = errors(task, method(n_loops), size, n_prompts)[-1].numpy()
        else:
            found = by_step[:n_loops][-1]
        by_examples[size] = found
    return Errors(by_examples, by_step)


def claims(name: str, found: dict[str, Errors], n_loops: int) -> dict[str, list[np.ndarray]]:
    """List the paper's claims, each as numbers by prompt with means below zero if it is true."""
    ours, twice = found["algoformer"], 2 * n_loops
    sizes = ", ".join(map(str, ours.by_examples))
    below = {m: [ours.final - found[m].final] for m in found}
    said = {
        "AlgoFormer errs less than the plain loop": below["looped"],
        "AlgoFormer errs less than the unlooped network": below["unlooped"],
        f"AlgoFormer errs less the more examples it has ({sizes})": [
            more - fewer for fewer, more in pairwise(ours.by_examples.values())
        ],
        f"AlgoFormer's error falls from loop 1 to {n_loops} and is at most 10 % more at {twice}": [
            ours.by_step[n_loops - 1] - ours.by_step[0],
            ours.by_step[twice - 1] - CLOSE * ours.by_step[n_loops - 1],
        ],
    }
    if name == "noisy linear":
        said["AlgoFormer errs less than as many steps of gradient descent"] = below[
            "gradient descent"
        ]
        said["AlgoFormer errs less than as many of Newton's iterations"] = below["Newton"]
        said["AlgoFormer's error is within 10 % of ridge's"] = [
            ours.final - CLOSE * found["ridge"].final
        ]
    return said


def run_task(
    name: str, budget: Budget, seconds: float, seed: int, n_prompts: int, folder: Path
) -> list[dict]:
    """Rows of a task: the scores of all methods, then the claims."""
    task = budget.tasks[name]
    configs = architectures(budget, task)
    costs, methods = {}, baselines(task, budget.n_loops)
    for architecture, run, cost in train(budget, task, configs, seconds, seed, folder):
        costs[architecture] = cost
        methods[architecture] = partial(looped, run.network)
    found = {m: measure(task, method, budget.n_loops, n_prompts) for m, method in methods.items()}
    rows: list[dict] = [
        {"kind": "score", "task": name, "method": method, **interval(each.final)}
        | costs.get(method, {})
        | {"by examples": {k: float(e.mean()) for k, e in each.by_examples.items()}}
        | {"by step": each.by_step.mean(1).tolist()}
        for method, each in found.items()
    ]
    said = claims(name, found, budget.n_loops)
    return rows + [claim(text, numbers, task=name) for text, numbers in said.items()]


def show(rows: Rows, budget: Budget) -> None:
    """Print the scores, the errors by examples and by step, and the claims, over the seeds."""
    print("Squared error as a share of E[y^2]: mean, least and most of the seeds")
    print_table(seeds.table(rows, ["task", "method"]).reset_index())
    for task in dict.fromkeys(row["task"] for row in rows):
        print(f"\n{task}: by number of examples in the prompt")
        sizes = budget.tasks[task].sizes
        print_table(seeds.means_by(rows, "by examples", sizes, "method", task=task).reset_index())
        print(f"\n{task}: after each loop or step (trained: {budget.n_loops})")
        shown = [t for t in SHOWN if t <= 2 * budget.n_loops]
        steps = seeds.means_by(rows, "by step", shown, "method", task=task)
        print_table(steps.dropna().reset_index())
    seeds.print_claims(rows, "task")


def add_options(parser: argparse.ArgumentParser) -> None:
    add_budget(parser, BUDGETS)
    parser.add_argument("--cpu-seconds", type=float, default=30, help="of a laptop's training run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add_prompts(parser, 1280)


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    budget, setting = BUDGETS[args.budget], dict[str, Any](budget=args.budget)
    if budget.n_steps is None:
        setting["CPU s each"] = args.cpu_seconds
    store = Store(RESULTS / "paper_algoformer.jsonl", **setting, prompts=args.prompts)

    def job(task: str, seed: int) -> Rows:
        place = "-".join(map(str, [*setting.values(), seed]))
        folder = RUNS / "paper_algoformer" / place / task
        return run_task(task, budget, args.cpu_seconds, seed, args.prompts, folder)

    wanted = [{"task": name, "seed": seed} for name in budget.tasks for seed in args.seeds]
    show(store.complete(wanted, job), budget)
