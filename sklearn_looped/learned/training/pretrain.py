"""Pretrain the shipped weights: ``python -m sklearn_looped.learned.training.pretrain tabular``.

Resumable: the same command goes on where a killed one stopped. Several processes train together
under ``torchrun --nproc_per_node 2 -m sklearn_looped.learned.training.pretrain tabular`` or
``accelerate launch --multi_gpu --num_processes 2 -m ...``. On a CPU, setting
``OMP_WAIT_POLICY=passive MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184
MALLOC_TOP_PAD_=268435456`` beforehand saves about 5 % of the time with one thread a process, and
more on a machine that does other work: threads that wait do not spin, and large buffers are kept
rather than given back to the system at every operation. A GPU waits for tables, which are drawn and
read by the experts on the CPU: ``--workers N`` draws them ahead in N processes.
"""

import argparse
import hashlib
import json
import platform
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from sklearn_looped import __version__
from sklearn_looped.core.device import choose_device
from sklearn_looped.core.processes import Processes
from sklearn_looped.learned.checkpoints import (
    WEIGHTS_FOLDER,
    load_checkpoint,
    registry,
    save_checkpoint,
)
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.training.curve import HeldOutCurve, read_curve
from sklearn_looped.learned.training.held_out import SCORES, score_baseline, score_by_loop
from sklearn_looped.learned.training.metatrain import MetaTraining, meta_train
from sklearn_looped.learned.training.pretrainings import PRETRAININGS, Pretraining

GATE_UNITS = 16
CURVE = "curve.jsonl"
POINTS = 2000  # steps between points of the curve at most
RUNS = Path("runs")
CARD = """# {name}

A looped transformer for `{estimator}(weights="{name}")`.

- Network: {parameters:,} parameters, {network}
- Prior: `{prior}`
- Recipe: {recipe}{gate}
- Tables seen: {tables:,} in {steps:,} steps; final loss {loss:.4f} (mean of the last 100 steps)
- Cost: {hours:.2f} hours on {machine}{curve}
- Written by sklearn_looped {version}, torch {torch}; licence BSD-3-Clause

## Scores on the prior's own held-out tables

Mean {score}, of 64 tables of each size, {sizes} support rows x columns (`held_out.py`):

{scores}

## Limits

{limits}

## Reproduce

    {command}
"""


def _score_table(name: str, job: Pretraining, network: LoopedNetwork) -> str:
    """Scores of the network by loop and of its baselines, as a table of the card."""
    trained = job.network.n_loops
    score = SCORES[job.score]
    by_loop = score_by_loop(network, job.prior, 2 * trained, sizes=job.sizes, score=score)
    found = {f"{name}, {loop} loops": by_loop[loop - 1] for loop in _loops_shown(trained)}
    for baseline, model in job.baselines.items():
        found[baseline] = score_baseline(model, job.prior, sizes=job.sizes, score=score)
    number = "{:.2e}" if job.score.startswith("squared error") else "{:.3f}"
    rows = [f"| {model} | {number.format(value)} |" for model, value in found.items()]
    return "\n".join([f"| model | {job.score.split(',')[0]} |", "|---|---|", *rows])


def _places(job: Pretraining, folder: Path) -> list[Path]:
    """Folders of the network's recipes: the first in `folder`, the others inside it."""
    return [folder, *(folder / str(number + 2) for number in range(len(job.then)))]


def _joined_curve(places: list[Path]) -> list[dict[str, float]]:
    """Rows of the curves of several recipes, of which each goes on where the one before ended."""
    rows: list[dict[str, float]] = []
    for place in places:
        step, seconds = (rows[-1]["step"], rows[-1]["cpu_seconds"]) if rows else (0, 0.0)
        rows += [
            row | {"step": row["step"] + step, "cpu_seconds": row["cpu_seconds"] + seconds}
            for row in read_curve(place / CURVE)
        ]
    return rows


def _spell_curve(rows: list[dict[str, float]]) -> str:
    """Give some points of the curve of the held-out score, as a line of the card."""
    shown = [rows[round(i * (len(rows) - 1) / 5)] for i in range(6)] if len(rows) > 5 else rows
    points = ", ".join(f"{row['score']:.3g} at {row['cpu_seconds']:.0f}" for row in shown)
    return f"\n- Score by processor seconds: {points}" if points else ""


def _card(
    name: str, job: Pretraining, runs: list[MetaTraining], command: str, folder: Path, device: str
) -> str:
    network, losses = runs[-1].network, runs[-1 if job.gate is None else -2].losses
    chosen = choose_device(device)
    count, threads = Processes.joined().count, torch.get_num_threads()
    hardware = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else "CPU"
    return CARD.format(
        name=name,
        estimator="LoopedICLClassifier" if job.network.classifies else "LoopedICLRegressor",
        score=job.score,
        sizes=", ".join(f"{rows} x {columns}" for rows, columns in job.sizes),
        curve=_spell_curve(_joined_curve(_places(job, folder))),
        gate=f"\n- Exit gate, trained last: {_spell(job.gate)}" if job.gate else "",
        parameters=sum(p.numel() for p in network.parameters()),
        network=_spell(network.config),
        prior=job.prior,
        recipe="\n- Then: ".join(map(_spell, job.recipes)),
        tables=sum(run.n_tables for run in runs),
        steps=sum(len(run.losses) for run in runs),
        loss=sum(losses[-100:]) / len(losses[-100:]),
        hours=sum(run.seconds for run in runs) / 3600,
        machine=f"{hardware} ({platform.machine()}, {count} process(es), {threads} thread(s) each)",
        version=__version__,
        torch=torch.__version__,
        scores=_score_table(name, job, network),
        limits=job.limits,
        command=command,
    )


def _loops_shown(trained: int) -> list[int]:
    return sorted({1, 2, trained // 2, trained, 3 * trained // 2, 2 * trained} - {0})


def _spell(config: Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in asdict(config).items())


def ship(name: str, job: Pretraining, folder: Path) -> None:
    """Copy a finished checkpoint, card and curve into the package; register the sha256."""
    for suffix in (".safetensors", ".md"):
        (WEIGHTS_FOLDER / (name + suffix)).write_bytes((folder / (name + suffix)).read_bytes())
    curve = "".join(json.dumps(row) + "\n" for row in _joined_curve(_places(job, folder)))
    (WEIGHTS_FOLDER / f"{name}.{CURVE}").write_text(curve)
    data = (folder / f"{name}.safetensors").read_bytes()
    registered = registry() | {name: hashlib.sha256(data).hexdigest()}
    text = json.dumps(registered, indent=2, sort_keys=True) + "\n"
    (WEIGHTS_FOLDER / "registry.json").write_text(text)


def _train(
    name: str, job: Pretraining, folder: Path, device: str, n_workers: int
) -> tuple[list[MetaTraining], LoopedNetwork]:
    """Train the network by one recipe after another, then its gate if it is to have one."""
    places = zip(job.recipes, _places(job, folder), strict=True)
    stages = [(job.network, recipe, place) for recipe, place in places]
    if job.gate is not None:
        gated = replace(job.network, n_gate_units=GATE_UNITS)
        stages.append((gated, job.gate, folder / "gate"))
    start = None

    def score(network: LoopedNetwork) -> float:
        n_loops, measure = job.network.n_loops, SCORES[job.score]
        return score_by_loop(network, job.prior, n_loops, 32, job.sizes, measure)[-1]

    runs = []
    for network, recipe, place in stages:
        every = max(100, min(recipe.n_steps // 6, POINTS))
        curve = [] if recipe is job.gate else [HeldOutCurve(place / CURVE, score, every)]
        run = meta_train(
            network,
            job.prior,
            recipe,
            start=start,
            folder=place,
            device=device,
            n_workers=n_workers,
            verbose=1,
            callbacks=curve,
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
    parser.add_argument("--steps", type=int, default=None, help="of the first recipe, alone")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw tables ahead")
    parser.add_argument("--ship", action="store_true", help="install the result in the package")
    args = parser.parse_args()

    job = PRETRAININGS[args.name]
    if args.steps is not None:
        job = replace(job, recipe=replace(job.recipe, n_steps=args.steps), then=())
    folder = args.folder or RUNS / args.name
    runs, network = _train(args.name, job, folder, args.device, args.workers)
    if Processes.joined().rank > 0:
        return
    seconds = sum(run.seconds for run in runs)
    facts = {
        "prior": str(job.prior),
        "recipe": asdict(job.recipe),
        "then": [asdict(recipe) for recipe in job.then],
        "seconds": seconds,
    }
    half = job.network.experts  # the larger networks; what others learned needs the precision
    save_checkpoint(network, folder / f"{args.name}.safetensors", facts, half=half)
    command = f"python -m sklearn_looped.learned.training.pretrain {args.name}"
    if args.steps is not None:
        command += f" --steps {args.steps}"
    card = _card(args.name, job, runs, command, folder, args.device)
    (folder / f"{args.name}.md").write_text(card)
    print(card)
    if args.ship:
        ship(args.name, job, folder)


if __name__ == "__main__":
    main()
