"""Is a learned exit worth its while? Ouro's two stages against fixed loops at equal mean loops.

``python -m benchmarks ouro_stages`` meta-trains, for the same number of steps on the same tables, a
small network with the readout's loss over the last loops, an exit gate on that network once it is
frozen (stage II), and a network and gate together (stage I, ``loss="ouro"``). On held-out tables of
the prior it prints mean clipped R2 after each fixed number of loops, and, for each exit quantile,
R2 and mean loops of both gates with the difference from the stage-II network at the same mean
number of fixed loops (interpolated between loops; standard error over tables). Runs are kept in
``--folder`` and resumed; the table goes to benchmarks/results/ouro_stages.json.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.common.report import RUNS, report
from sklearn_looped.learned.checkpoints import load_checkpoint, save_checkpoint
from sklearn_looped.learned.inference.standardise import Standardiser
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.priors import SyntheticTables
from sklearn_looped.learned.training.gate_losses import exit_distribution
from sklearn_looped.learned.training.held_out import held_out_tables, r2_clipped
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.recipe import Recipe

N_LOOPS = 8
QUANTILES = (0.3, 0.5, 0.7, 0.9)
PLAIN = NetworkConfig(width=64, n_heads=4, n_loops=N_LOOPS)
GATED = replace(PLAIN, n_gate_units=16)


def train(n_steps: int, folder: Path) -> dict[str, LoopedNetwork]:
    """Meta-train the networks of both stages."""
    recipe = Recipe(n_steps, n_support=(8, 256), rows_per_step=2048, lr=2e-3, muon_lr=0.02)
    prior = SyntheticTables()
    fixed = meta_train(PLAIN, prior, recipe, folder=folder / "fixed", verbose=1).network
    save_checkpoint(fixed, folder / "fixed.safetensors")
    start = load_checkpoint(folder / "fixed.safetensors")
    whole = replace(recipe, n_loops=(N_LOOPS, N_LOOPS))
    gate = replace(whole, loss="gate", n_steps=n_steps // 2, muon_lr=5e-3)
    ouro = replace(whole, loss="ouro")
    return {
        "stage II": meta_train(
            GATED, prior, gate, start=start, folder=folder / "gate", verbose=1
        ).network,
        "stage I": meta_train(GATED, prior, ouro, folder=folder / "ouro", verbose=1).network,
    }


@torch.inference_mode()
def evaluate(network: LoopedNetwork, n_tables: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """R2 and mean loops of every held-out table, by each fixed count and each exit quantile."""
    results: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}
    for X, y, n_support in held_out_tables(SyntheticTables(), n_tables):
        scale = Standardiser.fit(X[:, :n_support], y[:, :n_support])
        target = scale.target(y)
        steps = network.trajectory(scale.features(X), target[:, :n_support], N_LOOPS)
        truth, outputs = target[:, n_support:], steps.output[..., 0]
        left = exit_distribution(steps.exit).cumsum(0)
        taken = {f"{loop} loops": torch.full(truth.shape, loop) for loop in range(1, N_LOOPS + 1)}
        for q in QUANTILES:
            # The first loop, two at least, by which the gate has left with probability q.
            taken[f"q = {q}"] = (left < q).sum(0).add(1).clamp(2, N_LOOPS)
        for rule, loops in taken.items():
            chosen = outputs.gather(0, (loops - 1)[None])[0]
            scores = r2_clipped(truth, chosen), loops.double().mean(1)
            results.setdefault(rule, []).append(scores)
    return {
        rule: (torch.cat([r2 for r2, _ in parts]).numpy(), torch.cat([n for _, n in parts]).numpy())
        for rule, parts in results.items()
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--tables", type=int, default=64, help="of each of five sizes")
    parser.add_argument("--folder", type=Path, default=RUNS / "ouro_stages")


def run(args: argparse.Namespace) -> None:
    networks = train(args.steps, args.folder)
    scores = {stage: evaluate(network, args.tables) for stage, network in networks.items()}
    curve = [scores["stage II"][f"{loop} loops"][0] for loop in range(1, N_LOOPS + 1)]
    rows = []
    for stage, by_rule in scores.items():
        for rule, (r2, loops) in by_rule.items():
            mean = float(loops.mean())
            below = min(int(mean), N_LOOPS - 1)
            fixed = curve[below - 1] + (mean - below) * (curve[below] - curve[below - 1])
            gap = r2 - fixed
            rows.append(
                {
                    "network": stage,
                    "rule": rule,
                    "R2": float(r2.mean()),
                    "mean loops": mean,
                    "less fixed": float(gap.mean()),
                    "standard error": float(gap.std(ddof=1) / np.sqrt(len(gap))),
                }
            )
    report(args, "ouro_stages", rows)
