"""Pretrain the shipped weights: ``python -m sklearn_looped.learned.pretrain tabular``.

Resumable: the same command goes on where a killed one stopped. Several processes train together
under ``torchrun --nproc_per_node 2 -m sklearn_looped.learned.pretrain tabular`` or
``accelerate launch --multi_gpu --num_processes 2 -m ...``. On a CPU, setting
``OMP_WAIT_POLICY=passive MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184
MALLOC_TOP_PAD_=268435456`` beforehand saves about 5 % of the time with one thread a process, and
more on a machine that does other work: threads that wait do not spin, and large buffers are kept
rather than given back to the system at every operation.
"""

import argparse
import hashlib
import json
import platform
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_looped import __version__
from sklearn_looped.core.device import choose_device
from sklearn_looped.core.processes import Processes
from sklearn_looped.learned.checkpoints import (
    WEIGHTS_FOLDER,
    load_checkpoint,
    registry,
    save_checkpoint,
)
from sklearn_looped.learned.held_out import score_by_loop, score_rival
from sklearn_looped.learned.metatrain import MetaTraining, meta_train
from sklearn_looped.learned.network import LoopedNetwork, NetworkConfig
from sklearn_looped.learned.priors import Prior, SyntheticTables, TwoClassTables
from sklearn_looped.learned.recipe import Recipe


@dataclass(frozen=True)
class Pretraining:
    """All that makes a shipped checkpoint: network, prior, recipe, start, and what to warn of.

    `start` names the shipped weights to begin from; `gate` is the recipe of an exit gate, trained
    on the finished network; `rivals` are scored on the same tables.
    """

    network: NetworkConfig
    prior: Prior
    recipe: Recipe
    limits: str
    rivals: dict[str, BaseEstimator]
    start: str | None = None
    gate: Recipe | None = None


GATE_UNITS = 16
TABLE_SIZES = (
    "Tables of up to 32 columns and 512 support rows were seen in training; more rows are "
    "handled, but untrained. Nothing but synthetic tables was seen. "
)
PRETRAININGS = {
    "tabular": Pretraining(
        NetworkConfig(),
        SyntheticTables(),
        Recipe(n_steps=8500),
        TABLE_SIZES + "Sharp steps and tables without noise are learned less precisely than by "
        "tree ensembles or least squares. On five of 25 OpenML regression sets LassoCV predicts "
        "better: Moneyball, chatfield_4, plasma_retinol, quake and solar_flare, all nearly linear "
        "or next to noise. All scores: [docs/benchmarks.md](../../../docs/benchmarks.md).",
        {
            "RidgeCV": make_pipeline(StandardScaler(), RidgeCV([10.0**k for k in range(-3, 4)])),
            "random forest": RandomForestRegressor(random_state=0),
        },
        gate=Recipe(n_steps=1000, n_loops=(8, 8), lr=2e-3, muon_lr=5e-3, loss="gate", seed=2),
    ),
    "tabular-classifier": Pretraining(
        NetworkConfig(n_quantiles=0),
        TwoClassTables(),
        Recipe(n_steps=4000, lr=5e-4, muon_lr=5e-3, decay=0.8, seed=1),
        TABLE_SIZES + "Two classes at a time: more are told apart one against the rest.",
        {
            "LogisticRegression": make_pipeline(StandardScaler(), LogisticRegression()),
            "random forest": RandomForestClassifier(random_state=0),
        },
        start="tabular",
    ),
}


CARD = """# {name}

A looped transformer for `{estimator}(weights="{name}")`.

- Network: {parameters:,} parameters, {network}
- Prior: `{prior}`
- Recipe: {recipe}{start}{gate}
- Tables seen: {tables:,} in {steps:,} steps; final loss {loss:.4f} (mean of the last 100 steps)
- Cost: {hours:.2f} hours on {machine}
- Written by sklearn_looped {version}, torch {torch}; licence BSD-3-Clause

## Scores on the prior's own held-out tables

Mean {score} of 64 tables of each of five sizes (`held_out.py`):

{scores}

## Limits

{limits}

## Reproduce

    {command}
"""


def _card(name: str, job: Pretraining, runs: list[MetaTraining], command: str, device: str) -> str:
    trained, network = job.network.n_loops, runs[-1].network
    losses = runs[-1 if job.gate is None else -2].losses
    by_loop = score_by_loop(network, job.prior, 2 * trained)
    rows = [f"{name}, {loop} loops | {by_loop[loop - 1]:.3f}" for loop in _loops_shown(trained)]
    rows += [
        f"{rival} | {score_rival(model, job.prior):.3f}" for rival, model in job.rivals.items()
    ]
    classifies = job.network.classifies
    score = "accuracy" if classifies else "R2, clipped to [-1, 1],"
    table = "\n".join(
        [f"| model | {score.split(',')[0]} |", "|---|---|", *(f"| {row} |" for row in rows)]
    )
    chosen = choose_device(device)
    count, threads = Processes.joined().count, torch.get_num_threads()
    hardware = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else "CPU"
    return CARD.format(
        name=name,
        estimator="LoopedICLClassifier" if classifies else "LoopedICLRegressor",
        score=score,
        start=f"; started from the weights `{job.start}`" if job.start else "",
        gate=f"\n- Exit gate, trained last: {_spell(job.gate)}" if job.gate else "",
        parameters=sum(p.numel() for p in network.parameters()),
        network=_spell(job.network),
        prior=job.prior,
        recipe=_spell(job.recipe),
        tables=sum(run.n_tables for run in runs),
        steps=sum(len(run.losses) for run in runs),
        loss=sum(losses[-100:]) / len(losses[-100:]),
        hours=sum(run.seconds for run in runs) / 3600,
        machine=f"{hardware} ({platform.machine()}, {count} process(es), {threads} thread(s) each)",
        version=__version__,
        torch=torch.__version__,
        scores=table,
        limits=job.limits,
        command=command,
    )


def _loops_shown(trained: int) -> list[int]:
    return sorted({1, 2, trained // 2, trained, 3 * trained // 2, 2 * trained} - {0})


def _spell(config: Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in asdict(config).items())


def ship(name: str, folder: Path) -> None:
    """Copy a finished checkpoint and its card into the package and register its sha256."""
    for suffix in (".safetensors", ".md"):
        (WEIGHTS_FOLDER / (name + suffix)).write_bytes((folder / (name + suffix)).read_bytes())
    data = (folder / f"{name}.safetensors").read_bytes()
    registered = registry() | {name: hashlib.sha256(data).hexdigest()}
    text = json.dumps(registered, indent=2, sort_keys=True) + "\n"
    (WEIGHTS_FOLDER / "registry.json").write_text(text)


def _train(
    name: str, job: Pretraining, folder: Path, device: str
) -> tuple[list[MetaTraining], LoopedNetwork]:
    """Train the network, then its gate if it is to have one."""
    gated = replace(job.network, n_gate_units=GATE_UNITS)
    stages = [
        (job.network, job.recipe, folder),
        (gated, job.gate, folder / "gate"),
    ]
    start = None if job.start is None else load_checkpoint(job.start)
    runs = []
    for network, recipe, place in stages:
        if recipe is None:
            continue
        run = meta_train(
            network, job.prior, recipe, start=start, folder=place, device=device, verbose=1
        )
        processes = Processes.joined()
        if processes.rank == 0:
            save_checkpoint(run.network, place / f"{name}.safetensors")
        processes.gather(place)  # the others wait for the file
        start = load_checkpoint(place / f"{name}.safetensors")
        runs.append(run)
    return runs, runs[-1].network


def main() -> None:
    """Train one of the shipped checkpoints, score it and write file and card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=sorted(PRETRAININGS))
    parser.add_argument("--folder", type=Path, default=None, help="default: runs/NAME")
    parser.add_argument("--steps", type=int, default=None, help="in place of the recipe's")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--ship", action="store_true", help="install the result in the package")
    args = parser.parse_args()

    job = PRETRAININGS[args.name]
    if args.steps is not None:
        job = replace(job, recipe=replace(job.recipe, n_steps=args.steps))
    folder = args.folder or Path("runs") / args.name
    runs, network = _train(args.name, job, folder, args.device)
    if Processes.joined().rank > 0:
        return
    seconds = sum(run.seconds for run in runs)
    facts = {"prior": str(job.prior), "recipe": asdict(job.recipe), "seconds": seconds}
    save_checkpoint(network, folder / f"{args.name}.safetensors", facts)
    steps = f" --steps {args.steps}" if args.steps is not None else ""
    command = f"python -m sklearn_looped.learned.pretrain {args.name}{steps}"
    card = _card(args.name, job, runs, command, args.device)
    (folder / f"{args.name}.md").write_text(card)
    print(card)
    if args.ship:
        ship(args.name, folder)


if __name__ == "__main__":
    main()
