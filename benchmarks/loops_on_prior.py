"""Do more loops than trained hurt? R2 by loop on held-out tables of the prior.

``python -m benchmarks loops_on_prior [--tables 64]`` prints a table and writes
benchmarks/results/loops_on_prior.json. The tables are those of the card of `tabular`, which has
some of these scores; ``--weights FILE`` scores other weights for tables.
"""

import argparse

from benchmarks.common.options import add_weights
from benchmarks.common.report import report
from sklearn_looped.learned.checkpoints import load_checkpoint
from sklearn_looped.learned.training.held_out import score_by_loop
from sklearn_looped.learned.training.pretrainings import PRETRAININGS

JOB = PRETRAININGS["tabular"]


def add_options(parser: argparse.ArgumentParser) -> None:
    add_weights(parser, "tabular")
    parser.add_argument("--tables", type=int, default=64, help="of each of five sizes")


def run(args: argparse.Namespace) -> None:
    network = load_checkpoint(args.weights).network
    scores = score_by_loop(
        network, JOB.prior, 2 * network.config.n_loops, args.tables, sizes=JOB.sizes
    )
    best = max(scores)
    rows = [{"loop": i, "R2": r2, "below best": best - r2} for i, r2 in enumerate(scores, 1)]
    report(args, "loops_on_prior", rows)
