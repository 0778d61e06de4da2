"""How fast is meta-training, and what did each choice in it bring? Tables a second, before and now.

``python benchmarks/training_speed.py`` times steps of 25 tables of 160 rows x 8 columns, 7 loops,
default network: with one thread, two threads and two processes of one thread; as torch comes and
with the environment that `sklearn_looped.learned.training.pretrain` recommends; and with what the
block does swapped for what it did before (GELU for ReLU, torch's fused attention for plain
products, float32 for bfloat16, which is no change where the processor has no bfloat16 products).
Every case runs in fresh processes; cases take turns, `--repeats` times. Two processes train a
network each: an upper bound for training one on both. On a busy machine trust processor time, not
tables a second. ``--profile`` prints instead where the time of a step goes, by kind of operator.
Results: benchmarks/results/training_speed.json and training_profile.json.
"""

import argparse
import multiprocessing
import os
from collections import defaultdict
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
from report import report, spread
from torch.profiler import ProfilerActivity, profile, record_function
from tqdm.auto import tqdm

from sklearn_looped.learned.model import blocks
from sklearn_looped.learned.model.network import NetworkConfig
from sklearn_looped.learned.priors import SyntheticTables
from sklearn_looped.learned.training import metatrain, trainer
from sklearn_looped.learned.training.recipe import Recipe

RECIPE = Recipe(1, n_features=(8, 8), n_support=(96, 96), n_query=64, n_loops=(7, 7))
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
}
PARTS = {  # ranges that torch itself names in a profile
    "Optimizer.step": "optimiser",
    "enumerate(DataLoader)": "drawing tables",
}
KINDS = {  # what operators' names contain
    "matrix products": ("::mm", "::addmm", "::bmm"),
    "norms": ("::native_layer_norm",),
    "softmax": ("::_softmax",),
    "activation": ("::clamp_min", "::threshold_backward"),
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
    recipe = replace(RECIPE, n_steps=n_steps)
    start = process_time()
    run = metatrain.meta_train(NetworkConfig(), SyntheticTables(), recipe, device="cpu")
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


def measure(n_steps: int, n_repeats: int) -> None:
    """Time all cases in turn and report them."""
    runs: dict[Case, list[tuple[float, float]]] = {case: [] for case in cases()}
    for _ in range(n_repeats):
        for case in tqdm(runs, desc="cases"):
            runs[case].append(time_case(case, n_steps))
    first, _ = zip(*runs[Case(1, 1, environment=False)], strict=True)
    rows = []
    for case, measured in runs.items():
        speeds, processor = zip(*measured, strict=True)
        row = case.row | {f"tables/s {key}": value for key, value in spread(list(speeds)).items()}
        # Compared within a round, since load hits all cases of a round alike.
        row["times one thread now"] = float(np.median(np.divide(speeds, first)))
        rows.append(row | {"processor ms a table": float(np.median(processor))})
    report("training_speed", rows)


def _kind(event: Any) -> str:
    """Kind of a profiled operator: by the part of the step it lies in, else by its name."""
    ancestor = event
    while ancestor is not None:
        for part, kind in PARTS.items():
            if ancestor.name.startswith(part):
                return kind
        ancestor = ancestor.cpu_parent
    kinds = (kind for kind, names in KINDS.items() if any(name in event.name for name in names))
    other = "elementwise and copies" if event.name.startswith("aten::") else "Python and autograd"
    return next(kinds, other)


def profile_steps(n_steps: int) -> None:
    """Print the shares of the time of training by kind of operator, on one thread."""
    torch.set_num_threads(1)
    train(1)
    with profile(activities=[ProfilerActivity.CPU]) as profiler, record_function("training"):
        train(n_steps)
    seconds: dict[str, float] = defaultdict(float)
    for event in profiler.events():
        seconds[_kind(event)] += event.self_cpu_time_total / 1e6
    total = sum(seconds.values())
    rows = [
        {"kind": kind, "share": value / total, "ms a step": 1e3 * value / n_steps}
        for kind, value in sorted(seconds.items(), key=lambda item: -item[1])
    ]
    report("training_profile", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3, help="timed steps of a case")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="shares of a step's time instead")
    args = parser.parse_args()
    if args.profile:
        profile_steps(args.steps)
    else:
        measure(args.steps, args.repeats)


if __name__ == "__main__":
    main()
