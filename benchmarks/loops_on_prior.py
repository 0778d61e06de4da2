"""Do more loops than trained hurt? R2 by loop on held-out tables of the prior.

``python -m benchmarks loops_on_prior [--weights tabular] [--tables 64]`` prints a table and writes
benchmarks/results/loops_on_prior.json.
"""

import argparse

from benchmarks.common.options import add_weights
from benchmarks.common.report import report
from sklearn_looped.learned.checkpoints import load_checkpoint
from sklearn_looped.learned.priors import SyntheticTables
from sklearn_looped.learned.training.held_out import score_by_loop


def add_options(parser: argparse.ArgumentParser) -> None:
    add_weights(parser, "tabular")
    parser.add_argument("--tables", type=int, default=64, help="of each of five sizes")


def run(args: argparse.Namespace) -> None:
    network = load_checkpoint(args.weights).network
    scores = score_by_loop(
        network, SyntheticTables(), 2 * network.config.n_loops, n_tables=args.tables
    )
    best = max(scores)
    rows = [{"loop": i, "R2": r2, "below best": best - r2} for i, r2 in enumerate(scores, 1)]
    report("loops_on_prior", rows)
