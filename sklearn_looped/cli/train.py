"""``train``: meta-train a network on a prior or on tables of one's own."""

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from sklearn_looped.cli.arguments import add_parser, device, file_to_write, positive
from sklearn_looped.cli.tables import read_csv
from sklearn_looped.learned.checkpoints import (
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from sklearn_looped.learned.encoding import TableEncoder
from sklearn_looped.learned.network import NetworkConfig
from sklearn_looped.learned.on_demand import MAX_FEATURES, MAX_SUPPORT, configuration
from sklearn_looped.learned.priors import PRIORS, OwnTables, Prior
from sklearn_looped.learned.recipe import Recipe

Array = np.ndarray
FINE_TUNING_STEPS = 200


def add_train(commands: Any) -> None:
    """Add the parser of ``train``."""
    parser = add_parser(
        commands,
        "train",
        "meta-train a looped transformer and write weights for LoopedICLRegressor(weights=FILE)",
        "  python -m sklearn_looped train sines.safetensors --prior relu-network --columns 4\n"
        "  python -m sklearn_looped train houses.safetensors --table a.csv price --table b.csv"
        " price\n"
        "  python -m sklearn_looped train long.safetensors --prior tables --steps 8000"
        " --folder runs/long",
    )
    parser.add_argument("output", type=file_to_write, metavar="FILE", help="weights to write")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--prior", choices=sorted(PRIORS), help="synthetic tables; begins from random weights"
    )
    source.add_argument(
        "--table",
        nargs=2,
        action="append",
        metavar=("FILE", "TARGET"),
        help="a CSV file and its column to predict; may be given several times. Begins from "
        "the shipped weights 'tabular'. Leave out the data to be predicted later",
    )
    parser.add_argument(
        "--start", metavar="WEIGHTS", help="shipped weights or a file to begin from"
    )
    parser.add_argument(
        "--columns", type=positive, metavar="N", help="columns of a table; with --prior (default 8)"
    )
    parser.add_argument(
        "--rows", type=positive, metavar="N",
        help="support rows of a table, at most: 64, 128, 256 or 512; with --prior (default 128)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=positive, metavar="N",
        help="optimiser steps (default 1600, or 200 from weights; minutes)",
    )  # fmt: skip
    parser.add_argument(
        "--folder", type=Path, metavar="DIR",
        help="keep the state of the run here: the same command goes on after a stop",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default 0)")
    parser.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda or cuda:N")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    if args.table and (args.columns or args.rows):
        raise ValueError("--columns and --rows go with --prior; tables have their own.")
    if (args.columns or 0) > MAX_FEATURES:
        raise ValueError(
            f"Got --columns {args.columns}, but a network reads {MAX_FEATURES} at most."
        )
    name = args.start or ("tabular" if args.table else None)
    start = None if name is None else _regressor(name)
    prior: Prior
    if args.table:
        assert start is not None
        prior, network, recipe = _own(args.table, start.network.config)
    else:
        prior = PRIORS[args.prior]
        network, recipe = configuration(args.prior, args.columns or 8, args.rows or 128)
        if start is not None:
            network = start.network.config
            d = min(recipe.n_features[1], network.n_features)
            recipe = replace(recipe, n_features=(d, d))
    if start is not None:
        # Smaller steps, and no gate: it was fitted to the weights as they were.
        network = replace(network, n_gate_units=0)
        recipe = replace(recipe, n_steps=FINE_TUNING_STEPS, lr=5e-4, muon_lr=5e-3)
    recipe = replace(recipe, n_steps=args.steps or recipe.n_steps, seed=args.seed)
    _train(args, prior, network, recipe, start)


def _train(
    args: argparse.Namespace,
    prior: Prior,
    network: NetworkConfig,
    recipe: Recipe,
    start: Checkpoint | None,
) -> None:
    from sklearn_looped.learned.metatrain import meta_train  # skorch takes seconds

    try:
        run = meta_train(
            network, prior, recipe, start=start, folder=args.folder, device=args.device,
            verbose=int(sys.stderr.isatty()),
        )  # fmt: skip
    except KeyboardInterrupt as stop:
        how = "the same command goes on" if args.folder else "with --folder it could go on"
        sys.stderr.write(f"{stop} Nothing is written; {how}.\n")
        sys.exit(130)
    facts = {"prior": str(prior), "recipe": asdict(recipe), "seconds": run.seconds}
    save_checkpoint(run.network, args.output, facts)
    n = max(1, min(100, recipe.n_steps // 2))
    first, last = np.mean(run.losses[:n]), np.mean(run.losses[-n:])
    sys.stdout.write(
        f"{args.output}: {recipe.n_steps} steps, {run.n_tables} tables, {run.seconds:.0f} s; loss "
        f"{first:.3f} (mean of the first {n}) to {last:.3f} (of the last {n})\n"
        f"use it: LoopedICLRegressor(weights={str(args.output)!r})\n"
    )


def _regressor(name: str) -> Checkpoint:
    start = load_checkpoint(name)
    if start.network.config.classifies:
        raise CheckpointError(f"The weights {name!r} are a classifier's; begin from a regressor's.")
    return start


def _own(
    tables: list[list[str]], network: NetworkConfig
) -> tuple[OwnTables, NetworkConfig, Recipe]:
    """Prior, network and recipe for tables of one's own; each is drawn from with all its rows."""
    data_sets = [_encoded(Path(path), target) for path, target in tables]
    shortest = min(len(y) for _, y in data_sets)
    widest = max(X.shape[1] for X, _ in data_sets)
    n_query = max(2, min(32, shortest // 4))
    most = min(MAX_SUPPORT, shortest - n_query)
    recipe = Recipe(
        FINE_TUNING_STEPS,
        n_features=(1, min(widest, network.n_features)),
        n_support=(min(8, most), most),
        n_query=n_query,
        rows_per_step=2048,
    )
    return OwnTables(data_sets), network, recipe


def _encoded(path: Path, target: str) -> tuple[Array, Array]:
    """Read a CSV file; nominal columns become numbers as in the estimators."""
    X, y = read_csv(path, target)
    return TableEncoder().fit_transform(X, y), y
