"""Linear regression off the training distribution (Yang et al. 2024, Fig. 6, 15, 16).

``python -m benchmarks paper.out_of_distribution [--weights linear] [--budget laptop|paper]`` scores
the shipped weights, the looped and unlooped networks of `unlooped.py` (which it trains where they
are not in runs/), least squares and ridge regression on the shifts of Garg et al. 2022, prints the
errors by number of examples and what they say of the paper's claims, checks that a change of scale
costs nothing, and writes benchmarks/results/paper_out_of_distribution.json. About 5 minutes of one
core after training.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Generator, Tensor
from tqdm.auto import tqdm

from benchmarks.common.options import add_budget, add_picture, add_prompts, add_weights
from benchmarks.common.pictures import draw_errors
from benchmarks.common.report import print_table, write
from benchmarks.paper.evidence import claim, interval, print_claims
from benchmarks.paper.function_classes import D
from benchmarks.paper.prompts import (
    N_QUERY,
    Method,
    Task,
    checkpoint,
    errors,
    least_squares,
    linear,
    ridge,
    standardised,
)
from benchmarks.paper.unlooped import BUDGETS, trained

SIZES = (5, 10, 15, 20, 25, 30, 40)
SHIPPED = "looped, shipped weights"
Change = Callable[[Generator, Tensor, int], Tensor]  # of X (B, n, d), the first k rows support


def same(generator: Generator, X: Tensor, k: int) -> Tensor:
    return X


def with_eigenvalues(values: Tensor) -> Change:
    """Give inputs the covariance U diag(values) U' of trace d; U is new in each prompt."""
    values = values * len(values) / values.sum()

    def change(generator: Generator, X: Tensor, k: int) -> Tensor:
        U = torch.linalg.qr(torch.randn(len(X), *values.shape * 2, generator=generator)).Q
        return (X * values.sqrt()) @ U.mT

    return change


def orthogonal_queries(generator: Generator, X: Tensor, k: int) -> Tensor:
    """Take from queries their part in the span of the support, and keep their length."""
    support, queries = X[:, :k], X[:, k:]
    rest = queries - queries @ torch.linalg.pinv(support) @ support
    length = torch.linalg.vector_norm(queries, dim=2, keepdim=True)
    return torch.cat([support, rest * length / torch.linalg.vector_norm(rest, dim=2)[..., None]], 1)


def queries_among_examples(generator: Generator, X: Tensor, k: int) -> Tensor:
    chosen = torch.randint(k, (len(X), X.shape[1] - k), generator=generator)
    return torch.cat([X[:, :k], X.gather(1, chosen[..., None].expand(-1, -1, X.shape[2]))], 1)


def support_in_orthant(generator: Generator, X: Tensor, k: int) -> Tensor:
    """Support in one orthant, drawn for each prompt; queries anywhere."""
    signs = torch.randn(len(X), 1, X.shape[2], generator=generator).sign()
    return torch.cat([X[:, :k].abs() * signs, X[:, k:]], 1)


@dataclass(frozen=True)
class Shift:
    """A prior: linear functions of changed inputs, with noise and scales; mean squares stay d."""

    inputs: Change = same
    noise: float = 0.0
    scale_x: float = 1.0
    scale_y: float = 1.0
    most: int = SIZES[-1]  # examples up to which it is defined

    def sample(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw X (B, n, d) and y (B, n)."""
        X = torch.randn(n_tables, n_rows, n_features, generator=generator)
        w = torch.randn(n_tables, n_features, 1, generator=generator)
        X = self.inputs(generator, X, n_rows - N_QUERY) * self.scale_x
        y = (X @ w).squeeze(-1)
        y = y + self.noise * torch.randn(y.shape, generator=generator)
        share = n_features / (n_features + self.noise**2)
        return X, self.scale_y * share**0.5 * y


SHIFTS = {
    "none": Shift(),
    "skewed covariance": Shift(with_eigenvalues(1 / torch.arange(1.0, D + 1) ** 2)),
    "half subspace": Shift(with_eigenvalues((torch.arange(D) < D // 2).float())),
    "noisy targets": Shift(noise=1.0),
    "orthogonal queries": Shift(orthogonal_queries, most=15),
    "queries among the examples": Shift(queries_among_examples),
    "support in one orthant": Shift(support_in_orthant),
}
SCALES = (1 / 3, 1 / 2, 2.0, 3.0)
SCALED = {f"x by {s:.2g}": Shift(scale_x=s) for s in SCALES}
SCALED |= {f"y by {s:.2g}": Shift(scale_y=s) for s in SCALES}
Errors = dict[tuple[str, str, int], np.ndarray]  # shift, method, examples -> errors by prompt


def methods(weights: str, budget: str) -> dict[str, Method]:
    method, n_loops = checkpoint(weights)
    found = {SHIPPED: method(n_loops)}
    for name, (run, _) in trained("linear", budget).items():
        network = run.network
        found[name] = standardised(network, network.config.n_loops)
    return found | {"least squares": linear(least_squares), "ridge": linear(ridge(1.0))}


def measure(found: dict[str, Method], n_prompts: int) -> Errors:
    """Errors as shares of E[y^2]; the scales at the most examples only."""
    errs: Errors = {}
    jobs = [(name, s, k) for name, s in SHIFTS.items() for k in SIZES if k <= s.most]
    jobs += [(name, s, SIZES[-1]) for name, s in SCALED.items()]
    for name, shift, k in tqdm(jobs, desc="shifts"):
        square = D * (shift.scale_x * shift.scale_y) ** 2
        task = Task(shift, D, k, mean_square=square)
        for method, fit in found.items():
            errs[name, method, k] = errors(task, fit, k, n_prompts)[-1].numpy()
    return errs


def check_scales(errs: Errors, networks: list[str]) -> float:
    """Largest relative change of a network's error by a scale: canonical form undoes scales."""
    k = SIZES[-1]
    changes = [
        abs(errs[scale, name, k].mean() / errs["none", name, k].mean() - 1)
        for scale in SCALED
        for name in networks
    ]
    assert max(changes) < 0.01, f"a change of scale changed an error by {max(changes):.1%}"
    return max(changes)


def claims(errs: Errors) -> list[dict[str, Any]]:
    """Rows of what the paper says of looped against unlooped networks."""

    def less(text: str, shift: str, sizes: tuple[int, ...], close: float = 1.0) -> dict[str, Any]:
        pairs = [(errs[shift, "looped", k], errs[shift, "unlooped", k]) for k in sizes]
        where = ", ".join(map(str, sizes))
        numbers = [ours - close * theirs for ours, theirs in pairs]
        return claim(f"{shift}: {text} (at {where} examples)", numbers)

    better, alike = "looped errs less than unlooped", "looped errs at most 10 % more than unlooped"
    return [
        less(alike, "none", (20, 40), 1.1),
        less(better, "skewed covariance", (10, 20, 40)),
        less("the looped network's peak at d examples is lower", "noisy targets", (D,)),
        less(alike, "half subspace", (10, 20, 40), 1.1),
        less(alike, "support in one orthant", (10, 20, 40), 1.1),
        less(alike, "orthogonal queries", (5, 10, 15), 1.1),
        less(alike, "queries among the examples", (10, 20, 40), 1.1),
        claim(
            "x by 3: looped errs more than unscaled, by over 1 % (at 40 examples)",
            [1.01 * errs["none", "looped", 40] - errs["x by 3", "looped", 40]],
        ),
    ]


def show(rows: list[dict[str, Any]], largest: float) -> None:
    scores = pd.DataFrame([row for row in rows if row["kind"] == "score"])
    plain = scores[scores["shift"].isin(SHIFTS)]
    table = plain.pivot(index=["shift", "method"], columns="examples", values="value")
    print("Squared error as a share of E[y^2] by number of examples")
    print_table(table.loc[list(SHIFTS)].reset_index())
    scaled = scores[scores["shift"].isin(["none", *SCALED]) & (scores["examples"] == SIZES[-1])]
    table = scaled.pivot(index="method", columns="shift", values="value")[["none", *SCALED]]
    print(f"The same at {SIZES[-1]} examples where inputs or targets are scaled")
    print_table(table.reset_index())
    print(f"Scales change the networks' errors by {largest:.2%} at most: they cost nothing")
    print_claims(rows)


def add_options(parser: argparse.ArgumentParser) -> None:
    add_weights(parser, "linear")
    add_budget(parser, BUDGETS)
    add_prompts(parser, 320)
    add_picture(parser, "errors by examples")


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    found = methods(args.weights, args.budget)
    errs = measure(found, args.prompts)
    largest = check_scales(errs, [SHIPPED, "looped", "unlooped"])
    rows: list[dict[str, Any]] = [
        {"kind": "score", "shift": shift, "method": method, "examples": k, **interval(e)}
        for (shift, method, k), e in errs.items()
    ]
    rows += claims(errs)
    write(args, "paper_out_of_distribution", rows)
    show(rows, largest)
    if args.picture:
        scores = pd.DataFrame([row for row in rows if row["kind"] == "score"])
        scores = scores.rename(columns={"examples": "x"})
        panels = {s: scores[scores["shift"] == s] for s in SHIFTS if s != "none"}
        draw_errors(panels, SHIPPED, "examples in the prompt", args.picture)
