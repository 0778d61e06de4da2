"""How fast are fit and predict beside in-context peers, kernel machines and boosting?

``python -m benchmarks peers_speed [--threads 1] [--rows 100 1000] [--queries 1 100 1000]`` fits
each model to rows of ten columns and predicts queries. After calls that warm up, models take turns.
It prints seconds, and the ratio of each model's to those of LoopedICLRegressor in the same turn,
and writes benchmarks/results/peers_speed-THREADS.json. With one thread they are seconds of the
processor, which other work on the machine changes less than those of a clock, and else of a clock.

A call that takes longer than ``--limit`` seconds is made in the first turn only; such a model is
asked no larger sets of queries, and fitted to no larger tables if it is `fit` or the first call of
`predict`. So a run has an end: what is missing took too long.

Each model has its own defaults. TabICL (PyPI ``tabicl``, needed from ``--group bench``) has eight
members and random weights of its own default configuration, which cost what trained ones cost:
with its cache of keys and values, so that `fit` reads the support, and without. The architecture
of nanoTabPFN is written anew below, with one member and random weights; it has no cache.
"""

import argparse
import statistics
import tempfile
from collections import defaultdict, deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.datasets import make_friedman1
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from benchmarks.common.report import print_table, spread, write
from benchmarks.common.timing import timed
from benchmarks.common.xrfm_baseline import XRFMRegressor
from sklearn_looped import KernelMachineRegressor, LoopedICLRegressor

OURS = "LoopedICLRegressor"


class NanoBlock(nn.Module):
    """Attention of the cells of a row, of the rows of a column on the support, two layers."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.columns = nn.MultiheadAttention(width, n_heads, batch_first=True)
        self.rows = nn.MultiheadAttention(width, n_heads, batch_first=True)
        self.hidden, self.output = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, cells: Tensor, n_support: int) -> Tensor:
        """Map cells (n, d, width) to the same shape."""
        across = self.columns(cells, cells, cells, need_weights=False)[0]
        cells = self.norms[0](cells + across).transpose(0, 1)
        known = cells[:, :n_support]
        down = self.rows(cells, known, known, need_weights=False)[0]
        cells = self.norms[1](cells + down).transpose(0, 1)
        return self.norms[2](cells + self.output(nn.functional.gelu(self.hidden(cells))))


class NanoTabPFN(RegressorMixin, BaseEstimator):
    """nanoTabPFN's architecture: width 96, four heads, three blocks; random weights."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> "NanoTabPFN":
        """Keep the rows, as it does."""
        torch.manual_seed(0)
        self.cells_, self.target_ = nn.Linear(1, 96), nn.Linear(1, 96)
        self.blocks_ = nn.ModuleList(NanoBlock(96, 4) for _ in range(3))
        self.head_ = nn.Sequential(nn.Linear(96, 192), nn.GELU(), nn.Linear(192, 1))
        self.X_, self.y_ = X, y
        return self

    @torch.inference_mode()
    def predict(self, X: np.ndarray) -> np.ndarray:
        """Run support and queries together."""
        table = torch.tensor(np.concatenate([self.X_, X]), dtype=torch.float32)
        target = torch.full((len(table), 1), float(self.y_.mean()))
        target[: len(self.y_), 0] = torch.tensor(self.y_)
        cells = torch.cat([self.cells_(table[..., None]), self.target_(target)[:, None]], 1)
        for block in self.blocks_:
            cells = block(cells, len(self.y_))
        return self.head_(cells[len(self.y_) :, -1])[:, 0].numpy()


def random_tabicl(folder: str) -> Path:
    """Write a checkpoint of random weights in TabICL's default configuration for regression."""
    from tabicl._model.tabicl import TabICL  # of the dependency group `bench`

    torch.manual_seed(0)
    config = {"max_classes": 0}
    path = Path(folder) / "tabicl.ckpt"
    torch.save({"config": config, "state_dict": TabICL(**config).state_dict()}, path)
    return path


def models(tabicl: Path) -> dict[str, BaseEstimator]:
    """Estimators by name, ours first."""
    from tabicl import TabICLRegressor

    peer = partial(TabICLRegressor, model_path=tabicl, allow_auto_download=False, device="cpu")
    return {
        OURS: LoopedICLRegressor(random_state=0),
        "TabICL, cached": peer(kv_cache=True),
        "TabICL": peer(),
        "nanoTabPFN": NanoTabPFN(),
        "KernelMachineRegressor": KernelMachineRegressor(),
        "xRFM": XRFMRegressor(),
        "HistGradientBoosting": HistGradientBoostingRegressor(random_state=0),
    }


def turn(
    model: BaseEstimator,
    X: np.ndarray,
    y: np.ndarray,
    queries: list[int],
    slow: set[str],
    clock: str = "wall",
) -> Iterator[tuple[str, float]]:
    """Yield the seconds of one fit, and of predictions up to those known to be slow."""
    fitted = timed(lambda: clone(model).fit(X, y))
    yield "fit", getattr(fitted, clock)
    for n_queries in queries:
        if f"{n_queries:,} queries" in slow:
            return
        asked = make_friedman1(n_queries, n_features=10, random_state=1)[0]
        taken = timed(lambda asked=asked: fitted.result.predict(asked))
        yield f"{n_queries:,} queries", getattr(taken, clock)


def measure(
    n_rows: int, queries: list[int], known: dict[str, BaseEstimator], args: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Rows of one support size; models that take too long are taken out of `known`."""
    X, y = make_friedman1(n_rows, n_features=10, noise=1.0, random_state=0)
    seconds: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    slow: dict[str, set[str]] = {name: set() for name in known}
    for number in range(args.repeats):
        for name, model in known.items():
            if "fit" in slow[name]:
                continue
            clock = "cpu" if args.threads == 1 else "wall"
            for call, taken in turn(model, X, y, queries, slow[name], clock):
                seconds[name, call][number] = taken
                if taken > args.limit:
                    slow[name].add(call)
                    if call != "fit":
                        break
    for (name, call), taken in seconds.items():
        ours = seconds.get((OURS, call))
        row = {"rows": n_rows, "call": call, "model": name} | spread(list(taken.values()), "s")
        if ours:
            usual = statistics.median(ours.values())
            ratios = [one / ours.get(number, usual) for number, one in taken.items()]
            row |= spread(ratios, "ratio")
        yield row
    for name in set(known) - {OURS}:
        if slow[name] & {"fit", f"{queries[0]:,} queries"}:
            del known[name]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--queries", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=5.0, help="seconds of a repeated call")


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    rows: list[dict[str, Any]] = []
    with threadpool_limits(args.threads), tempfile.TemporaryDirectory() as folder:
        known = models(random_tabicl(folder))
        for model in known.values():
            deque(turn(model, *make_friedman1(50, n_features=10, random_state=0), [1], set()), 0)
        for n_rows in sorted(args.rows):
            rows += measure(n_rows, sorted(args.queries), known, args)
            table = pd.DataFrame(rows)
            print_table(table[table["rows"] == n_rows])
    write(args, f"peers_speed-{args.threads}", rows)
