"""``train``: meta-train a network on a prior or on tables of one's own."""

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sklearn_looped.cli.arguments import (
    add_csv_options,
    add_parser,
    csv_format,
    device,
    file_to_write,
    positive,
)
from sklearn_looped.cli.own_tables import OwnTable, on_fresh_tables, on_held_out_rows, read_tables
from sklearn_looped.learned.checkpoints import (
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.priors import PRIORS, OwnTables, Prior
from sklearn_looped.learned.training.on_demand import MAX_FEATURES, MAX_SUPPORT, configuration
from sklearn_looped.learned.training.recipe import Recipe

FINE_TUNING_STEPS = 200
SHIPPED = {True: "tabular", False: "tabular-classifier"}


def add_train(commands: Any) -> None:
    """Add the parser of ``train``."""
    parser = add_parser(
        commands,
        "train",
        "meta-train a looped transformer and write weights for an estimator's weights=FILE",
        "  python -m sklearn_looped train sines.safetensors --prior relu-network --columns 4\n"
        "  python -m sklearn_looped train houses.safetensors --table a.csv price --table b.csv"
        " price\n"
        "  python -m sklearn_looped train jobs.safetensors --table people.csv job --drop name\n"
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
        help="a CSV file and its column to predict, numbers or labels; may be given several "
        "times. A fifth of its rows is held out to score the result. Begins from the shipped "
        "weights. Leave out the data to be predicted later",
    )
    add_csv_options(parser)
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
        help="keep the state of the run here: the same command goes on after a stop, and with more "
        "--steps after its end",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="overwrite FILE if it exists")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default 0)")
    parser.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda or cuda:N")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    if args.table and (args.columns or args.rows):
        raise ValueError("--columns and --rows go with --prior; tables have their own.")
    if args.prior and any((args.task, *csv_format(args))):
        raise ValueError("--task, --sep, --encoding and --drop go with --table.")
    if (args.columns or 0) > MAX_FEATURES:
        raise ValueError(
            f"Got --columns {args.columns}, but a network reads {MAX_FEATURES} at most."
        )
    if args.output.exists() and not args.force:
        raise ValueError(f"{args.output} exists; give another name, or --force to overwrite it.")
    tables = read_tables(args.table or [], args.task, csv_format(args), args.seed)
    is_regression = not tables or tables[0].is_regression
    name = args.start or (SHIPPED[is_regression] if tables else None)
    start = None if name is None else _start(name, is_regression)
    prior: Prior
    if tables:
        assert start is not None
        prior, network, recipe = _own(tables, start.network.config)
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
    if tables:
        lines = on_held_out_rows(tables, str(name), args.output)
    else:
        lines = on_fresh_tables(PRIORS[args.prior], recipe, args.output)
    estimator = "LoopedICLRegressor" if is_regression else "LoopedICLClassifier"
    sys.stdout.write("\n".join([*lines, f"use it: {estimator}(weights={str(args.output)!r})\n"]))


def _train(
    args: argparse.Namespace,
    prior: Prior,
    network: NetworkConfig,
    recipe: Recipe,
    start: Checkpoint | None,
) -> None:
    from sklearn_looped.learned.training.metatrain import meta_train  # skorch takes seconds

    try:
        run = meta_train(
            network, prior, recipe, start=start, folder=args.folder, device=args.device,
            verbose=int(sys.stderr.isatty()),
        )  # fmt: skip
    except KeyboardInterrupt as stop:
        how = "the same command goes on" if args.folder else "with --folder it could go on"
        sys.stderr.write(f"{stop} {args.output} is not written; {how}.\n")
        sys.exit(130)
    facts = {"prior": str(prior), "recipe": asdict(recipe), "seconds": run.seconds}
    save_checkpoint(run.network, args.output, facts)
    n = max(1, min(100, recipe.n_steps // 2))
    first, last = sum(run.losses[:n]) / n, sum(run.losses[-n:]) / n
    sys.stdout.write(
        f"{args.output}: {recipe.n_steps} steps, {run.n_tables} tables, {run.seconds:.0f} s; loss "
        f"{first:.3f} (mean of the first {n}) to {last:.3f} (of the last {n})\n"
    )


def _start(name: str, is_regression: bool) -> Checkpoint:
    start = load_checkpoint(name)
    if start.network.config.classifies == is_regression:
        ours, theirs = ("regressor", "classifier")[:: 1 if is_regression else -1]
        raise CheckpointError(f"The weights {name!r} are a {theirs}'s; begin from a {ours}'s.")
    return start


def _own(tables: list[OwnTable], network: NetworkConfig) -> tuple[OwnTables, NetworkConfig, Recipe]:
    """Prior, network and recipe for tables of one's own; each is drawn from with all its rows."""
    data_sets = [data_set for table in tables for data_set in table.data_sets(network.n_classes)]
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
