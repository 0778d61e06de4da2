"""Does a certified result ever differ? Random programs and inputs at the limits, by kind.

``python -m benchmarks programmed_certificates`` makes 200 certified runs a kind and prints kind,
cases tried, what was refused and failures. A failure is a certified result outside of its bound, or
an error where there was a result; its seeds are printed, and ``--kind NAME --seed N`` repeats one.
``--kind NAME`` alone prints the row of a kind, and leaves the rows in results/ as they are.
Machines run dense against fast against the interpreters, at every step; linear algebra against
exact fractions, training against numpy and scikit-learn, graphs against scipy. ``--programs`` takes
the machines alone, 800 certified programs each: more than 10,000 tried.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning

from benchmarks.certificate_attacks import fleq, graphs, linalg, subleq, training
from benchmarks.certificate_attacks.outcome import Outcome
from benchmarks.common.report import print_table, report

KINDS: dict[str, Callable[[np.random.Generator], Outcome]] = {
    "SUBLEQ, bits": partial(subleq.subleq, layout="bits"),
    "SUBLEQ, integer cells": partial(subleq.subleq, layout="integer"),
    "SUBLEQ, paper layout": partial(subleq.subleq, layout="paper"),
    "SUBLEQ, constant width": partial(subleq.subleq, layout="constant width"),
    "FLEQ": fleq.fleq,
    "universal": partial(fleq.universal, form="gated"),
    "universal, paper form": partial(fleq.universal, form="paper"),
    "matmul and transpose": linalg.product,
    "inv and solve": linalg.system,
    "eigh": linalg.eigenvalues,
    "SGD step": training.sgd,
    "MLP": training.mlp,
    "Dijkstra": training.paths,
    "graph machine": graphs.program,
}
MACHINES = list(KINDS)[:7]
BATCH = 10


def attack(kind: str, seed: int) -> Outcome:
    """Outcome of one case; a seed names it."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # tells what was not reached
        return KINDS[kind](np.random.default_rng([seed, list(KINDS).index(kind)]))


def attack_kind(kind: str, n_certified: int, parallel: Parallel) -> dict[str, Any]:
    """Row of the table: attack until so many cases were certified or wrong."""
    start, tried, refused = time.perf_counter(), 0, 0
    failures: list[int] = []
    for first in count(step=BATCH):
        seeds = range(first, first + BATCH)
        outcomes = parallel(delayed(attack)(kind, seed) for seed in seeds)
        tried += len(seeds)
        refused += outcomes.count(Outcome.REFUSED)
        pairs = zip(seeds, outcomes, strict=True)
        failures += [seed for seed, outcome in pairs if outcome is Outcome.WRONG]
        if tried - refused >= n_certified:
            break
    seconds = time.perf_counter() - start
    return {
        "kind": kind, "tried": tried, "refused": refused, "certified": tried - refused,
        "failures": len(failures), "seconds": seconds, "seeds": failures[:5] or "",
    }  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cases", type=int, help="certified runs a kind (200, 800 of programs)")
    parser.add_argument("--programs", action="store_true", help="machines alone")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--kind", choices=KINDS, help="one kind only")
    parser.add_argument("--seed", type=int, help="one case of the kind")


def run(args: argparse.Namespace) -> None:
    if args.seed is not None:
        if args.kind is None:
            raise SystemExit("--seed is of one kind: name it by --kind")
        print(attack(args.kind, args.seed))
        return
    with Parallel(args.jobs) as parallel:
        kinds = [args.kind] if args.kind else MACHINES if args.programs else list(KINDS)
        cases = args.cases or (800 if args.programs else 200)
        rows = [attack_kind(kind, cases, parallel) for kind in kinds]
    if args.kind:
        print_table(pd.DataFrame(rows))
    else:
        report(args, "programmed_programs" if args.programs else "programmed_certificates", rows)
    sys.exit(any(row["failures"] for row in rows))
