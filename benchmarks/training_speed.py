"""How fast is meta-training, and what did each choice in it bring? Tables a second, before and now.

``python -m benchmarks training_speed`` times the first steps of `tabular`'s recipe, experts
included: with one thread, two threads and two processes of one thread; as torch comes and
with the environment that `sklearn_looped.learned.training.pretrain` recommends; and with what a
step does swapped for what it did before (GELU for ReLU, torch's fused attention for plain
products, float32 for bfloat16, which is no change where the processor has no bfloat16 products;
torch's Muon for ours, which is no change where it has them).
Every case runs in fresh processes; cases take turns, `--repeats` times. Two processes train a
network each: an upper bound for training one on both. On a busy machine trust processor time, not
tables a second. Results: benchmarks/results/training_speed.json.
"""

import argparse
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.synchronize import Barrier
from time import process_time
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from benchmarks.common.report import Rows, report, spread
from sklearn_looped.learned.model import blocks
from sklearn_looped.learned.training import metatrain, trainer
from sklearn_looped.learned.training.pretrainings import PRETRAININGS

ENVIRONMENT = {  # as in the docstring of sklearn_looped.learned.training.pretrain
    "OMP_WAIT_POLICY": "passive",
    "MALLOC_MMAP_THRESHOLD_": str(2**33),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_TOP_PAD_": str(2**28),
}
GELU = SimpleNamespace(**vars(F) | {"relu": partial(F.gelu, approximate="tanh")})
BEFORE = {  # what a module's name was before
    "GELU": (blocks, "F", GELU),
    "fused attention": (blocks, "attend", partial(F.scaled_dot_product_attention, scale=1.0)),
    "float32": (trainer, "training_dtype", lambda device: torch.float32),
    "torch's Muon": (trainer, "Muon", torch.optim.Muon),
}


@dataclass(frozen=True)
class Case:
    """One way to train."""

    threads: int
    processes: int
    environment: bool
    before: tuple[str, ...] = ()

    @property
    def row(self) -> dict[str, Any]:
        """The case as columns of the table."""
        environment = "recommended" if self.environment else "default"
        block = "before: " + ", ".join(self.before) if self.before else "now"
        row = {"processes": self.processes, "threads of each": self.threads}
        return row | {"environment": environment, "block": block}


def cases() -> Iterator[Case]:
    for threads, processes in ((1, 1), (2, 1), (1, 2)):
        yield Case(threads, processes, environment=False, before=tuple(BEFORE))
        yield Case(threads, processes, environment=False)
        yield Case(threads, processes, environment=True)
    for name in BEFORE:
        yield Case(1, 1, environment=False, before=(name,))


def train(n_steps: int) -> tuple[int, float, float]:
    """Train for some steps; return the tables seen, seconds, and seconds of processor time."""
    job = PRETRAININGS["tabular"]
    recipe = replace(job.recipe, n_steps=n_steps)
    start = process_time()
    run = metatrain.meta_train(job.network, job.prior, recipe, device="cpu")
    return run.n_tables, run.seconds, process_time() - start


def prepare(case: Case, together: Barrier) -> None:
    """Make a fresh process ready: swap what the case swaps, warm up, wait for the others."""
    torch.set_num_threads(case.threads)
    for name in case.before:
        setattr(*BEFORE[name])
    train(1)
    together.wait(timeout=300)


def time_case(case: Case, n_steps: int) -> tuple[float, float]:
    """Tables a second, and milliseconds of processor time a table, in processes of its own."""
    environment = {"OMP_NUM_THREADS": str(case.threads)} | (ENVIRONMENT if case.environment else {})
    inherited = {key: value for key, value in os.environ.items() if key not in ENVIRONMENT}
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(case.processes)
    with (
        patch.dict(os.environ, inherited | environment, clear=True),
        ProcessPoolExecutor(case.processes, context, prepare, (case, together)) as pool,
    ):
        runs = list(pool.map(train, [n_steps] * case.processes))
    n_tables, seconds, processor = zip(*runs, strict=True)
    return sum(n_tables) / max(seconds), 1e3 * sum(processor) / sum(n_tables)


def measure(n_steps: int, n_repeats: int) -> Rows:
    """Time all cases in turn; return a row for each."""
    runs: dict[Case, list[tuple[float, float]]] = {case: [] for case in cases()}
    for _ in range(n_repeats):
        for case in tqdm(runs, desc="cases"):
            runs[case].append(time_case(case, n_steps))
    first, _ = zip(*runs[Case(1, 1, environment=False)], strict=True)
    rows = []
    for case, measured in runs.items():
        speeds, processor = zip(*measured, strict=True)
        row = case.row | spread(list(speeds), "tables/s")
        # Compared within a round, since load hits all cases of a round alike.
        row["times one thread now"] = float(np.median(np.divide(speeds, first)))
        rows.append(row | {"processor ms a table": float(np.median(processor))})
    return rows


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, default=12, help="timed steps of a case")
    parser.add_argument("--repeats", type=int, default=3)


def run(args: argparse.Namespace) -> None:
    report(args, "training_speed", measure(args.steps, args.repeats))
