"""How fast are tables drawn? Milliseconds a table of each prior, one core.

``python -m benchmarks prior_speed`` prints a table and writes benchmarks/results/prior_speed.json.
"""

import argparse
from functools import partial

import torch

from benchmarks.common.report import report, spread
from benchmarks.common.timing import timed
from sklearn_looped.learned.priors import PRIORS

N_TABLES, N_REPEATS = 64, 9


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    rows = []
    for name, prior in PRIORS.items():
        for n_rows, n_features in ((256, 10), (1024, 32)):
            generator = torch.Generator().manual_seed(0)
            draw = partial(prior.sample, generator, N_TABLES, n_rows, n_features)
            draw()  # warms up
            milliseconds = [timed(draw).wall * 1e3 / N_TABLES for _ in range(N_REPEATS)]
            row = {"prior": name, "rows": n_rows, "columns": n_features}
            rows.append(row | spread(milliseconds, "ms"))
    report(args, "prior_speed", rows)
