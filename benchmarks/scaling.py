"""Does meta-training scale over processes? Tables a second of one network trained by one or two.

``python -m benchmarks scaling`` times steps of 25 tables of 160 rows x 8 columns, 7 loops, default
network, the same tables in every case: one process with one thread, one with two threads, and two
processes of one thread that ``accelerate launch`` starts (``torchrun`` where accelerate is not
installed), which share out the tables and average gradients over gloo. Every case runs in fresh
processes; cases take turns, forwards and backwards, `--repeats` times, and ratios are taken within
a round. On a busy machine trust "a free core", the tables a second that processor time allows to as
many free cores as there are threads, and "processor ms a table". An exchange is one weighted
average of a gradient as large as the network's. Results: benchmarks/results/scaling.json.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from benchmarks.common.report import Rows, report, spread
from benchmarks.common.timing import timed
from sklearn_looped.core.processes import Processes
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.priors import SyntheticTables
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.prompts import PromptStream
from sklearn_looped.learned.training.recipe import Recipe

RECIPE = Recipe(1, n_features=(8, 8), n_support=(96, 96), n_query=64, n_loops=(7, 7))
CASES = ((1, 1), (1, 2), (2, 1))  # processes, threads of each
N_EXCHANGES = 30
ACCELERATE = (
    "accelerate.commands.launch --multi_gpu --num_machines 1 --mixed_precision no "
    "--dynamo_backend no --main_process_port 0 --num_processes"
)
ROOT = Path(__file__).parents[1]  # where Python finds this package
TORCHRUN = "torch.distributed.run --standalone --nproc_per_node"


def milliseconds(job: Callable[[], Any]) -> float:
    """Median time of a call."""
    return 1e3 * float(np.median([timed(job).wall for _ in range(N_EXCHANGES)]))


def work(n_steps: int, path: Path) -> None:
    """Train in this process, together with those that the launcher started, and time it."""
    processes = Processes.joined()
    prior, network = SyntheticTables(), NetworkConfig()
    meta_train(network, prior, RECIPE, device="cpu")  # warm up
    processes.gather("all are ready")
    start = process_time()
    run = meta_train(network, prior, replace(RECIPE, n_steps=n_steps), device="cpu")
    processor = processes.gather(process_time() - start)
    gradient = [torch.zeros(sum(p.numel() for p in run.network.parameters()))]
    stream = PromptStream(prior, RECIPE, 0)
    result = {
        "tables/s": run.n_tables / run.seconds,
        "a free core": run.n_tables / (max(processor) / torch.get_num_threads()),
        "processor ms a table": 1e3 * sum(processor) / run.n_tables,
        "ms an exchange": milliseconds(lambda: processes.average(gradient, 0.5)),
        "ms drawing a step": milliseconds(lambda: stream.prompt(0)),
    }
    if processes.rank == 0:
        path.write_text(json.dumps(result))


def time_case(n_processes: int, n_threads: int, n_steps: int) -> dict[str, float]:
    """Run a case in processes of its own."""
    launcher = ACCELERATE if importlib.util.find_spec("accelerate") else TORCHRUN
    launch = ["-m", *launcher.split(), str(n_processes)] if n_processes > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "result.json")
        job = ["-m", "benchmarks", "scaling", "--steps", str(n_steps), "--worker", str(path)]
        subprocess.run(
            [sys.executable, *launch, *job],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": str(n_threads), "OMP_WAIT_POLICY": "passive"},
            check=True,
        )
        return json.loads(path.read_text())


def measure(n_steps: int, n_repeats: int) -> Rows:
    """Time all cases in turn; return a row for each."""
    runs: dict[tuple[int, int], list[dict[str, float]]] = {case: [] for case in CASES}
    rounds = [CASES if i % 2 == 0 else CASES[::-1] for i in range(n_repeats)]
    for case in tqdm([case for cases in rounds for case in cases], desc="cases"):
        runs[case].append(time_case(*case, n_steps))
    rows = []
    for (n_processes, n_threads), measured in runs.items():
        columns = {key: [run[key] for run in measured] for key in measured[0]}
        row: dict[str, Any] = {"processes": n_processes, "threads of each": n_threads}
        for key in ("tables/s", "a free core"):
            row |= spread(columns.pop(key), key)
        for key in ("tables/s", "a free core"):
            ratios = [a[key] / b[key] for a, b in zip(measured, runs[CASES[0]], strict=True)]
            row[f"times one, {key}"] = float(np.median(ratios))
        rows.append(row | {key: float(np.median(values)) for key, values in columns.items()})
    return rows


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, default=12, help="timed steps of a case")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--worker", type=Path, help="used by the script itself")


def run(args: argparse.Namespace) -> None:
    if args.worker:
        work(args.steps, args.worker)
    else:
        report(args, "scaling", measure(args.steps, args.repeats))
