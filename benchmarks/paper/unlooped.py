"""One looped block or twelve blocks? Both networks of Yang et al. 2024 on the same prompts.

``python -m benchmarks paper.unlooped [--classes linear ...] [--budget laptop|paper]``
meta-trains both on each of the four function classes with the same code, prompts and learning
rates, about as many block passes a step, and prints their errors by number of examples (Fig. 2
right, 10) and, of sparse functions, by sparsity (Fig. 11), with what they say of the paper's
claims; results in benchmarks/results/paper_unlooped.json. Training goes on where it was killed (its
state lies in runs/). `laptop`, the default: 500 steps each, about 30 minutes of one core; `paper`:
500,000 steps of about 64 prompts, which wants an accelerator.
"""

import argparse
from dataclasses import dataclass, replace
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.common.options import add_budget, add_classes, add_picture, add_prompts
from benchmarks.common.pictures import draw_errors
from benchmarks.common.report import RUNS, print_table, write
from benchmarks.paper.evidence import claim, interval, planned, print_claims
from benchmarks.paper.function_classes import CLASSES, FAST, SPARSITIES, D, Errors, FunctionClass
from benchmarks.paper.presets import PRESETS
from benchmarks.paper.prompts import Method, Task, errors, standardised
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.priors import SparseLinearPrior
from sklearn_looped.learned.training.metatrain import MetaTraining, meta_train
from sklearn_looped.learned.training.recipe import Recipe

CLOSE = 1.1  # "matches" and "stays": within 10 %


@dataclass(frozen=True)
class Budget:
    """The looped network, and the recipe of both but for the number of examples."""

    looped: NetworkConfig
    recipe: Recipe

    def networks(self, n_examples: int) -> dict[str, tuple[NetworkConfig, Recipe]]:
        """Give both networks and their recipes, which draw the same prompts."""
        recipe = replace(self.recipe, n_support=(n_examples // 4, n_examples + 4))
        unlooped = replace(self.looped, n_pre_blocks=PRESETS["unlooped"].n_pre_blocks, n_loops=1)
        return {
            "looped": (self.looped, recipe),
            "unlooped": (unlooped, replace(recipe, n_loops=(1, 1), window=1)),
        }


SHAPE = NetworkConfig(n_features=D, centre=False)
BUDGETS = {
    "laptop": Budget(
        replace(SHAPE, width=128, n_heads=4, n_loops=12),
        Recipe(500, (D, D), n_query=24, n_loops=(8, 16), rows_per_step=2048, lr=2e-3, muon_lr=0.02),
    ),
    "paper": Budget(
        replace(SHAPE, n_loops=20),
        Recipe(
            500_000,
            (5, D),
            n_query=20,
            n_loops=(20, 20),
            window=15,
            rows_per_step=64 * 60,
            curriculum=0.15,
        ),
    ),
}


def trained(name: str, budget: str) -> dict[str, tuple[MetaTraining, float | None]]:
    """Meta-train both on a class, or take them from runs/; give them and their CPU seconds.

    None for a run that went on after a kill: what it took before is not known.
    """
    found = {}
    task = CLASSES[name].task
    for kind, (network, recipe) in BUDGETS[budget].networks(task.n_examples).items():
        folder, start = RUNS / "paper_unlooped" / budget / name / kind, process_time()
        fresh = not (folder / "state.safetensors").exists()
        device = "cpu" if budget == "laptop" else "auto"
        run = meta_train(
            network, task.prior, recipe, folder=folder, save_every=60, device=device, verbose=1
        )
        taken = process_time() - start if fresh else None
        cost = planned(folder / "cost.json", lambda t=taken: {"CPU s": t})
        found[kind] = (run, cost["CPU s"])
    return found


def claims(name: str, c: FunctionClass, found: Errors, by_loop: np.ndarray) -> list[dict[str, Any]]:
    """Rows of what the paper says of both networks; numbers by prompt are below zero if so."""
    ours, theirs, last = found["looped"], found["unlooped"], c.task.n_examples
    sizes = [k for k in c.sizes if k >= last // 4]
    trained = len(by_loop) // 2
    return [
        claim(
            f"{name}: at {', '.join(map(str, sizes))} examples looped errs at most 10 % more than "
            "unlooped",
            [ours[k] - CLOSE * theirs[k] for k in sizes],
        ),
        claim(
            f"{name}: at {last} examples looped errs less than unlooped",
            [ours[last] - theirs[last]],
        ),
        claim(
            f"{name}: looped errs at {2 * trained} loops at most 10 % more than at {trained}, as "
            "trained",
            [by_loop[-1] - CLOSE * by_loop[trained - 1]],
        ),
    ]


def by_sparsity(methods: dict[str, Method], n_examples: int, n_prompts: int) -> list[dict]:
    """Rows of errors on functions of more and fewer coefficients than trained on, and a claim."""
    rows, gaps = [], []
    for s in SPARSITIES:
        task = Task(SparseLinearPrior(s), D, n_examples, mean_square=s)
        found = {
            name: errors(task, method, n_examples, n_prompts)[-1].numpy()
            for name, method in methods.items()
        }
        rows += [
            {"kind": "sparsity", "sparsity": s, "method": name, **interval(e)}
            for name, e in found.items()
        ]
        gaps.append(found["looped"] - found["unlooped"])
    where = ", ".join(map(str, SPARSITIES))
    text = f"with {where} coefficients at {n_examples} examples looped errs less than unlooped"
    return [*rows, claim(text, gaps)]


def run_class(name: str, budget: str, n_prompts: int) -> list[dict[str, Any]]:
    """Rows of a class: costs, errors by number of examples, loop and sparsity, and claims."""
    c, n_loops = CLASSES[name], BUDGETS[budget].looped.n_loops
    last = c.task.n_examples
    methods = dict(FAST)
    rows: list[dict[str, Any]] = []
    for kind, (run, seconds) in trained(name, budget).items():
        methods[kind] = standardised(run.network, run.network.config.n_loops)
        weights = sum(p.numel() for p in run.network.parameters())
        cost = {"weights": weights, "steps": len(run.losses), "prompts": run.n_tables}
        rows.append({"kind": "cost", "method": kind} | cost | {"CPU s": seconds})
        if kind == "looped":
            twice = standardised(run.network, 2 * n_loops)
            by_loop = errors(c.task, twice, last, n_prompts).numpy()
    found = {
        kind: {k: errors(c.task, method, k, n_prompts)[-1].numpy() for k in c.sizes}
        for kind, method in methods.items()
    }
    rows += [
        {"kind": "score", "method": kind, "examples": k, **interval(e)}
        for kind, by_size in found.items()
        for k, e in by_size.items()
    ]
    rows += [{"kind": "loop", "loop": t, **interval(e)} for t, e in enumerate(by_loop, 1)]
    rows += claims(name, c, found, by_loop)
    if name == "sparse-linear":
        rows += by_sparsity(methods, last, n_prompts)
    return [{"class": name} | row for row in rows]


def show(name: str, rows: list[dict[str, Any]]) -> None:
    scores = pd.DataFrame([row for row in rows if row["kind"] == "score"])
    print(f"\n{name}: squared error as a share of E[y^2] by number of examples")
    print_table(scores.pivot(index="method", columns="examples", values="value").reset_index())
    print("Cost of the training; prompts: tables of 24 queries each")
    costs = pd.DataFrame([row for row in rows if row["kind"] == "cost"])
    print_table(costs.drop(columns=["kind", "class"]))
    loops = pd.DataFrame([row for row in rows if row["kind"] == "loop"])
    shown = [t for t in (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 30, 40) if t <= len(loops)]
    print("The looped network's error at the most examples by loop")
    print_table(loops[loops["loop"].isin(shown)][["loop", "value"]].set_index("loop").T)
    sparse = pd.DataFrame([row for row in rows if row["kind"] == "sparsity"])
    if len(sparse):
        print("By number of coefficients that are not zero (trained: 3), at the most examples")
        table = sparse.pivot(index="method", columns="sparsity", values="value")
        print_table(table.reset_index())
    print_claims(rows)


def add_options(parser: argparse.ArgumentParser) -> None:
    add_classes(parser, CLASSES)
    add_budget(parser, BUDGETS)
    add_prompts(parser, 1280)
    add_picture(parser, "errors by examples")


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    panels = {}
    for name in args.classes:
        found = run_class(name, args.budget, args.prompts)
        show(name, found)
        rows += found
        scores = pd.DataFrame([row for row in found if row["kind"] == "score"])
        panels[name] = scores.rename(columns={"examples": "x"})
    write(args, "paper_unlooped", rows)
    if args.picture:
        draw_errors(panels, "looped", "examples in the prompt", args.picture)
