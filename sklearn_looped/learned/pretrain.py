"""Pretrain the shipped weights: ``python -m sklearn_looped.learned.pretrain tabular``.

Resumable: the same command goes on where a killed one stopped. On a CPU, setting
``OMP_WAIT_POLICY=passive MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184
MALLOC_TOP_PAD_=268435456`` beforehand saves about a quarter of the time: threads that wait do not
spin, and large buffers are kept rather than given back to the system at every operation.
"""

import argparse
import hashlib
import json
import platform
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from sklearn_looped import __version__
from sklearn_looped.core.device import choose_device
from sklearn_looped.learned.checkpoints import WEIGHTS_FOLDER, registry, save_checkpoint
from sklearn_looped.learned.held_out import score_by_loop, score_rival
from sklearn_looped.learned.metatrain import MetaTraining, meta_train
from sklearn_looped.learned.network import NetworkConfig
from sklearn_looped.learned.priors import Prior, SyntheticTables
from sklearn_looped.learned.recipe import Recipe


@dataclass(frozen=True)
class Pretraining:
    """All that makes a shipped checkpoint: network, prior, recipe, and what to warn of."""

    network: NetworkConfig
    prior: Prior
    recipe: Recipe
    limits: str


PRETRAININGS = {
    "tabular": Pretraining(
        NetworkConfig(),
        SyntheticTables(),
        Recipe(n_steps=8500),
        "Tables of up to 32 columns and 512 support rows were seen in training; more rows are "
        "handled, but untrained. Nothing but synthetic tables was seen. Sharp steps and tables "
        "without noise are learned less precisely than by tree ensembles or least squares.",
    ),
}


def _ridge(X: Tensor, y: Tensor, X_query: Tensor) -> Tensor:
    model = make_pipeline(StandardScaler(), RidgeCV([10.0**k for k in range(-3, 4)]))
    return torch.tensor(model.fit(X.nan_to_num(), y).predict(X_query.nan_to_num()))


def _forest(X: Tensor, y: Tensor, X_query: Tensor) -> Tensor:
    model = RandomForestRegressor(random_state=0).fit(X.nan_to_num().numpy(), y.numpy())
    return torch.tensor(model.predict(X_query.nan_to_num().numpy()), dtype=torch.float32)


CARD = """# {name}

A looped transformer for `LoopedICLRegressor(weights="{name}")`.

- Network: {parameters:,} parameters, {network}
- Prior: `{prior}`
- Recipe: {recipe}
- Tables seen: {tables:,} in {steps:,} steps; final loss {loss:.4f} (mean of the last 100 steps)
- Cost: {hours:.2f} hours on {machine}
- Written by sklearn_looped {version}, torch {torch}; licence BSD-3-Clause

## Scores on the prior's own held-out tables

Mean R2, clipped to [-1, 1], of 64 tables of each of five sizes (`held_out.py`):

{scores}

## Limits

{limits}

## Reproduce

    {command}
"""


def _card(name: str, job: Pretraining, run: MetaTraining, command: str, device: str) -> str:
    trained = job.network.n_loops
    by_loop = score_by_loop(run.network, job.prior, 2 * trained)
    rows = [f"{name}, {loop} loops | {by_loop[loop - 1]:.3f}" for loop in _loops_shown(trained)]
    rows += [
        f"{rival} | {score_rival(fit_predict, job.prior):.3f}"
        for rival, fit_predict in (("RidgeCV", _ridge), ("random forest", _forest))
    ]
    table = "\n".join(["| model | R2 |", "|---|---|", *(f"| {row} |" for row in rows)])
    chosen = choose_device(device)
    hardware = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else "CPU"
    return CARD.format(
        name=name,
        parameters=sum(p.numel() for p in run.network.parameters()),
        network=_spell(job.network),
        prior=job.prior,
        recipe=_spell(job.recipe),
        tables=run.n_tables,
        steps=len(run.losses),
        loss=sum(run.losses[-100:]) / len(run.losses[-100:]),
        hours=run.seconds / 3600,
        machine=f"{hardware} ({platform.machine()}, {torch.get_num_threads()} threads)",
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
    run = meta_train(
        job.network, job.prior, job.recipe, folder=folder, device=args.device, verbose=1
    )
    facts = {"prior": str(job.prior), "recipe": asdict(job.recipe), "seconds": run.seconds}
    save_checkpoint(run.network, folder / f"{args.name}.safetensors", facts)
    steps = f" --steps {args.steps}" if args.steps is not None else ""
    command = f"python -m sklearn_looped.learned.pretrain {args.name}{steps}"
    card = _card(args.name, job, run, command, args.device)
    (folder / f"{args.name}.md").write_text(card)
    print(card)
    if args.ship:
        ship(args.name, folder)


if __name__ == "__main__":
    main()
