"""``train``: meta-train a network on a prior or on the user's own tables."""

import argparse
import sys
from dataclasses import asdict, replace

from sklearn_looped.cli.arguments import csv_format
from sklearn_looped.cli.own_tables import OwnTable, on_fresh_tables, on_held_out_rows, read_tables
from sklearn_looped.cli.text import printable
from sklearn_looped.estimators.in_context.base import load_weights
from sklearn_looped.learned.checkpoints import Checkpoint, save_checkpoint
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.priors import PRIORS, OwnTables, Prior
from sklearn_looped.learned.training.on_demand import MAX_FEATURES, MAX_SUPPORT, configuration
from sklearn_looped.learned.training.recipe import Recipe

FINE_TUNING_STEPS = 200
SHIPPED = {True: "tabular", False: "tabular-classifier"}


def run(args: argparse.Namespace) -> None:
    """Run the command ``train``."""
    if (args.columns or 0) > MAX_FEATURES:
        raise ValueError(
            f"Got --columns {args.columns}, but a network reads at most {MAX_FEATURES}."
        )
    tables = read_tables(args.table or [], args.task, csv_format(args), args.seed)
    is_regression = not tables or tables[0].is_regression
    name = args.start or (SHIPPED[is_regression] if tables else None)
    start = None if name is None else load_weights(name, classifies=not is_regression)
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
        # Smaller steps, and no exit gate, because it was fitted to the former weights.
        network = replace(network, n_gate_units=0)
        recipe = replace(recipe, n_steps=FINE_TUNING_STEPS, lr=5e-4, muon_lr=5e-3)
    recipe = replace(recipe, n_steps=args.steps or recipe.n_steps, seed=args.seed)
    _train(args, prior, network, recipe, start)
    if tables:
        lines = on_held_out_rows(tables, str(name), args.output)
    else:
        lines = on_fresh_tables(PRIORS[args.prior], recipe, args.output)
    estimator = "LoopedICLRegressor" if is_regression else "LoopedICLClassifier"
    use = f"use it: {estimator}(weights={str(args.output)!r})"
    sys.stdout.writelines(f"{printable(line)}\n" for line in (*lines, use))


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
        how = "Run the same command again" if args.folder else "A run with --folder can be resumed"
        sys.stderr.write(printable(f"{stop} {args.output} is not written. {how}.") + "\n")
        sys.exit(130)
    facts = {"prior": str(prior), "recipe": asdict(recipe), "seconds": run.seconds}
    save_checkpoint(run.network, args.output, facts)
    n = max(1, min(100, recipe.n_steps // 2))
    first, last = sum(run.losses[:n]) / n, sum(run.losses[-n:]) / n
    sys.stdout.write(
        f"{printable(str(args.output))}: {recipe.n_steps} steps, {run.n_tables} tables, "
        f"{run.seconds:.0f} s; loss {first:.3f} (mean of the first {n}) to {last:.3f} (of the last "
        f"{n})\n"
    )


def _own(tables: list[OwnTable], network: NetworkConfig) -> tuple[OwnTables, NetworkConfig, Recipe]:
    """Return prior, network and recipe for the user's own tables; all rows of each are used."""
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
