"""Does Yang et al. 2024 hold on its own architecture? Looped and unlooped GPT-2 decoders.

``python -m benchmarks paper.decoder [--budget laptop|night|paper] [--seeds 0 1 2]``
meta-trains the causal decoders of the paper with its recipe (loss over all prefixes and the last T
of b loops, curriculum on d, k and b; Adam, or Muon in short runs), scores them on the same held-out
prompts by number of examples, by loop and off the training distribution, appends the rows of a
figure to benchmarks/results/paper_decoder.jsonl as soon as its networks are trained, and prints
them with what they say of the paper's claims. A run that was killed goes on where it stopped (its
state lies in runs/). A network takes a minute at `laptop` (5 columns) and hours at `night`;
`paper` has the paper's sizes and 500,000 steps and wants a GPU, on which prompts are drawn,
blocks compiled and products in bfloat16. `--network NAME` scores one network of a figure before the
others are trained; the claims follow with the run without it.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.common.options import add_budget, add_figures, figures_of
from benchmarks.common.report import RESULTS, RUNS, Rows, Store, print_table
from benchmarks.paper.decoder_sizes import BUDGETS, Budget
from benchmarks.paper.evidence import claim, interval, planned, print_claims
from benchmarks.paper.out_of_distribution import Shift, with_eigenvalues
from benchmarks.paper.prompts import Task, chunks
from benchmarks.paper.sweep import CLOSE, SHOWN
from sklearn_looped.core.device import choose_device
from sklearn_looped.learned.model.causal import CausalConfig, CausalNetwork
from sklearn_looped.learned.training.metatrain import MetaTraining, meta_train
from sklearn_looped.learned.training.recipe import Curriculum

LOOPED, LAYERS, ONE = "looped", "unlooped", "one layer"


@dataclass(frozen=True)
class Run:
    """A network, what it is trained and tested on, and the loops that it is scored at."""

    config: CausalConfig
    task: Task
    recipe: Curriculum
    n_loops: int

    @property
    def trained(self) -> int:
        """Loops of a training step at the end: b."""
        return self.recipe.n_loops[1]


@dataclass(frozen=True)
class Figure:
    """Networks by name, and the claims that their errors decide."""

    runs: dict[str, Run]
    claims: Callable[[dict[str, "Scores"]], Rows]
    shifts: bool = False  # whether to score off the training distribution too


@dataclass(frozen=True)
class Scores:
    """Squared errors by prompt as shares of E[y^2].

    `by_loop` (loops, prompts) is that of the last row; `by_examples` (prompts, k + 1) that after
    the trained loops; `shifted` that of the last row on other inputs, as a share of E[y^2] of the
    inputs of training.
    """

    trained: int
    by_loop: np.ndarray
    by_examples: np.ndarray
    shifted: dict[str, np.ndarray]

    def at(self, loop: int) -> np.ndarray:
        """Errors by prompt of the last row after so many loops."""
        return self.by_loop[loop - 1]

    @property
    def final(self) -> np.ndarray:
        """Errors by prompt of the last row after the trained loops."""
        return self.at(self.trained)


def run_of(budget: Budget, name: str, seed: int, kind: str = LOOPED, **changes: Any) -> Run:
    """Give a network of a class; `changes` has b, T, whether injected, whether scheduled."""
    task, (b, T) = budget.task(name), budget.loops[name]
    b, T = changes.get("b", b), min(changes.get("T", T), changes.get("b", b))
    if kind != LOOPED:
        b = T = 1
    config = CausalConfig(
        n_features=task.n_features, width=budget.width, n_heads=budget.n_heads,
        n_loop_blocks=budget.n_layers if kind == LAYERS else 1, n_loops=b,
        injection=changes.get("injection", True), target_scale=float(task.mean_square or 1) ** 0.5,
    )  # fmt: skip
    rows = budget.few if name in ("linear", "sparse") else budget.many
    recipe = Curriculum(
        budget.n_steps, n_features=budget.n_features, n_support=rows,
        n_loops=(T if changes.get("schedule", True) else b, b), window=T, n_grad_loops=T,
        n_prompts=budget.n_prompts, every=budget.every, seed=seed, **budget.moved,
    )  # fmt: skip
    return Run(config, task, recipe, changes.get("n_loops", 2 * b) if kind == LOOPED else 1)


@torch.inference_mode()
def prefix_errors(network: CausalNetwork, task: Task, n_loops: int, n_prompts: int) -> Tensor:
    """Squared errors (loops, prompts, k + 1) of every row of held-out prompts, over E[y^2]."""
    found, device = [], next(network.parameters()).device
    for generator, n in chunks(n_prompts):
        size = (n, task.n_examples + 1, task.n_features)
        X, y = (part.to(device) for part in task.prior.sample(generator, *size))
        output = network(X, y[:, :-1], n_loops, n_loops)[..., 0]
        found.append((output - y).square().cpu())
    return torch.cat(found, 1) / (task.mean_square or 1.0)


def shifts(d: int) -> dict[str, Shift]:
    """Give linear functions of other inputs than those of training."""
    return {
        "skewed covariance": Shift(with_eigenvalues(1 / torch.arange(1.0, d + 1) ** 2)),
        "half subspace": Shift(with_eigenvalues((torch.arange(d) < d // 2).float())),
        "noisy targets": Shift(noise=1.0),
        "inputs three times as large": Shift(scale_x=3.0),
    }


def trained(run: Run, budget: str, seed: int) -> tuple[MetaTraining[CausalNetwork], dict[str, Any]]:
    """Meta-train a network, or take it from runs/, where figures share it; give its cost too."""
    folder = RUNS / "paper_decoder" / f"{budget}-{seed}" / _place(run)
    start, fresh = process_time(), not folder.exists()
    device = choose_device("auto")
    result = meta_train(
        run.config, run.task.prior, run.recipe, folder=folder, compile=device.type == "cuda"
    )
    # Of a run that went on after a kill the processor time before it is not known.
    taken = process_time() - start if fresh else None
    cost = planned(folder / "cost.json", lambda: {"CPU s": taken, "device": str(device)})
    return result, cost


def scored(
    run: Run, budget: str, seed: int, n_prompts: int, shifted: bool
) -> tuple[Scores, dict[str, Any]]:
    """Meta-train and score a network."""
    result, cost = trained(run, budget, seed)
    network = result.network.to(choose_device("auto"))
    errors = prefix_errors(network, run.task, run.n_loops, n_prompts).numpy()
    others = shifts(run.task.n_features) if shifted else {}
    off = {
        name: prefix_errors(network, replace(run.task, prior=shift), run.trained, n_prompts)
        for name, shift in others.items()
    }
    last = {name: found[-1, :, -1].numpy() for name, found in off.items()}
    scores = Scores(run.trained, errors[..., -1], errors[run.trained - 1], last)
    weights = sum(p.numel() for p in network.loop.parameters())
    details = {"weights": weights, "steps": len(result.losses), "prompts": result.n_tables}
    return scores, details | {"last losses": float(np.mean(result.losses[-50:]))} | cost


def class_claims(name: str, found: dict[str, Scores]) -> Rows:
    """List what the paper says of a function class (Fig. 10, Section 5)."""
    looped, layers, one = (found[kind] for kind in (LOOPED, LAYERS, ONE))
    b, k = looped.trained, looped.by_examples.shape[1] - 1
    return [
        claim(
            f"looped errs at most 10 % more than {LAYERS}, at {k} examples",
            [looped.final - CLOSE * layers.final],
        ),
        claim(f"looped errs less than {LAYERS}, at {k} examples", [looped.final - layers.final]),
        claim(f"looped errs less than its one block alone ({ONE})", [looped.final - one.final]),
        claim(
            f"its error at {2 * b} loops is at most 10 % more than at {b}, as trained",
            [looped.at(2 * b) - CLOSE * looped.final],
        ),
        *[
            claim(f"{shift}: looped errs less than {LAYERS}", [errors - layers.shifted[shift]])
            for shift, errors in looped.shifted.items()
        ],
    ]


def grid_claims(budget: Budget, last: int, found: dict[str, Scores]) -> Rows:
    """List what Fig. 2 and 4 say of b and T."""
    rows = []
    for T in budget.grid[1]:
        few, *_, many = (found[f"b={b} T={T}"] for b in budget.grid[0])
        said = f"to {last} loops"
        rows += [
            claim(
                f"T={T}: trained with b={few.trained}, the error grows by more than 10 % {said}",
                [CLOSE * few.final - few.at(last)],
            ),
            claim(
                f"T={T}: trained with b={many.trained}, the error stays {said}",
                [many.at(last) - CLOSE * many.final],
            ),
            claim(
                f"T={T}: b={many.trained} errs less at its last loop than b={few.trained}",
                [many.final - few.final],
            ),
        ]
    return rows


def pair_claims(other: str, said: str, last: int, found: dict[str, Scores]) -> Rows:
    """List what Fig. 3 says of injection, or Fig. 17 of the schedule."""
    ours, without = found[LOOPED], found[other]
    return [
        claim(said, [ours.final - without.final]),
        claim(
            f"{other}: the error grows by more than 10 % to {last} loops",
            [CLOSE * without.final - without.at(last)],
        ),
        claim(f"{LOOPED}: the error stays to {last} loops", [ours.at(last) - CLOSE * ours.final]),
    ]


def figures(budget: Budget, seed: int) -> dict[str, Figure]:
    """List the figures, the ones that decide most first."""
    made = {}
    for name in budget.loops:
        runs = {kind: run_of(budget, name, seed, kind) for kind in (LOOPED, LAYERS, ONE)}
        made[name] = Figure(runs, partial(class_claims, name), shifts=name == "linear")
    run = partial(run_of, budget, "linear", seed)
    b, _ = budget.loops["linear"]
    last = max(3 * max(budget.grid[0]), 4 * b) if budget.n_steps < 10**5 else 200
    for other, changes, said in (
        ("without injection", {"injection": False}, "with injection it errs less"),
        ("without schedule", {"schedule": False}, "with the schedule it errs less"),
    ):
        pair = {LOOPED: run(n_loops=last), other: run(n_loops=last, **changes)}
        made[other] = Figure(pair, partial(pair_claims, other, said, last))
    grid = {
        f"b={b} T={T}": run(b=b, T=T, n_loops=last) for T in budget.grid[1] for b in budget.grid[0]
    }
    made["b and T"] = Figure(grid, partial(grid_claims, budget, last))
    return made


def score_row(name: str, scores: Scores, details: dict[str, Any]) -> dict[str, Any]:
    """Row of a network: its error after the trained loops, by loop and by examples."""
    n_loops = len(scores.by_loop)
    loops = sorted({t for t in SHOWN if t < n_loops} | {min(scores.trained, n_loops), n_loops})
    return (
        {"kind": "score", "network": name, "b": scores.trained, **interval(scores.final)}
        | details
        | {"by loop": {str(t): float(scores.at(t).mean()) for t in loops}}
        | {"by examples": [float(e) for e in scores.by_examples.mean(0)]}
        | {"shifted": {shift: float(e.mean()) for shift, e in scores.shifted.items()}}
    )


def show(name: str, rows: Rows) -> None:
    """Print the scores of a figure and its claims."""
    scores = pd.DataFrame([row for row in rows if row["kind"] == "score"])
    print(f"\n{name}: squared error of the last row as a share of E[y^2], 95 % interval")
    shown = ["seed", "network", "b", "value", "low", "high", "weights", "steps", "CPU s"]
    print_table(scores[shown])
    for column in ("by loop", "shifted"):
        table = pd.DataFrame(scores[column].tolist(), index=scores["network"])
        if len(table.columns) > 1:
            print(f"\n{name}: {column}")
            print_table(table.reset_index())
    print_claims(rows)


def add_options(parser: argparse.ArgumentParser) -> None:
    add_budget(parser, BUDGETS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add_figures(parser)
    parser.add_argument("--network", help="name of one network: its scores, without the claims")


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    budget = BUDGETS[args.budget]
    store = Store(RESULTS / "paper_decoder.jsonl", budget=args.budget)
    made = figures(budget, 0)
    names = [n for n in figures_of(args, made) if args.network in (None, *made[n].runs)]
    if not names:
        raise SystemExit(f"no figure has a network {args.network!r}")
    part = {"network": args.network} if args.network else {"kind": "claim"}

    def job(figure: str, seed: int, **part: str) -> Rows:
        made = figures(budget, seed)[figure]
        found = {
            network: scored(run, args.budget, seed, budget.held_out, made.shifts)
            for network, run in made.runs.items()
            if network == part.get("network", network)
        }
        rows = [
            score_row(network, *each)
            for network, each in found.items()
            if not store.select({"figure": figure, "seed": seed, "network": network})
        ]
        whole = len(found) == len(made.runs)
        return rows + (made.claims({n: each for n, (each, _) in found.items()}) if whole else [])

    keys = [{"figure": name, "seed": seed, **part} for seed in args.seeds for name in names]
    store.complete(keys, job)
    for name in names:
        show(name, store.select({"figure": name}))


def _place(run: Run) -> str:
    """Folder of a network, which figures share."""
    prior = type(run.task.prior).__name__.removesuffix("Prior")
    (start, b), T = run.recipe.n_loops, run.recipe.window
    blocks = run.config.n_loop_blocks
    return f"{prior} L={blocks} b={start}-{b} T={T}" + ("" if run.config.injection else " tied")
