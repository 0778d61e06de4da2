"""Layers, width and heads of the looped block: Fig. 7 of Yang et al. 2024, linear functions.

``python -m benchmarks paper.architecture [--budget laptop|paper] [--seed 0] [--picture FILE]``
meta-trains looped networks that differ in the blocks of a loop, the width or the heads, and
unlooped ones of several depths, scores them by loop on the same held-out prompts, appends the rows
to benchmarks/results/paper_architecture.jsonl, and prints them with what they say of the paper's
claims. `laptop`, the default, takes about 2 minutes of one core; `paper` has the paper's sizes,
500,000 steps a network, and wants an accelerator.
"""

import argparse
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from benchmarks.common.report import Rows
from benchmarks.paper.evidence import claim
from benchmarks.paper.prompts import Task
from benchmarks.paper.sweep import (
    CLOSE,
    LAPTOP,
    PAPER,
    Budget,
    Figure,
    Run,
    Scores,
    add_sweep_options,
    recipe,
    run_sweep,
)
from sklearn_looped.learned.priors import LinearPrior

Found = dict[str, Scores]


@dataclass(frozen=True)
class Grid(Budget):
    """Sizes of the base network and what is varied about it, one thing at a time."""

    loops: tuple[int, int] = (12, 10)  # b, T
    layers: tuple[int, ...] = (1, 2)  # of a loop
    depths: tuple[int, ...] = (4, 8)  # of unlooped networks
    widths: tuple[int, ...] = (16, 32, 64)
    heads: tuple[int, ...] = (2, 4, 8)

    def name(self, L: int = 1, D: int = 0, h: int = 0) -> str:
        """Name a looped network as the paper does; the base's width and heads if not given."""
        return f"L={L} D={D or self.width} h={h or self.n_heads}"


BUDGETS: dict[str, Budget] = {
    "laptop": Grid(5, 20, n_steps=150, **LAPTOP),
    "paper": Grid(
        20, 40, **PAPER,
        loops=(30, 15), layers=(1, 2, 4), depths=(1, 2, 4, 8, 12, 20),
        widths=(64, 128, 256, 512), heads=(2, 4, 8, 16, 32),
    ),
}  # fmt: skip


def layer_claims(budget: Grid, found: Found) -> Rows:
    """List what Fig. 7 says of layers."""
    b, base = budget.loops[0], found[budget.name()]
    by_layers = {L: found[budget.name(L)].at(b // 3) for L in budget.layers}
    rows = [
        claim(
            f"{more} blocks a loop err less than {fewer} after {b // 3} loops",
            [by_layers[more] - by_layers[fewer]],
        )
        for fewer, more in pairwise(by_layers)
    ]
    for depth in budget.depths:
        unlooped = found[f"unlooped L={depth}"].final
        rows += [
            claim(
                f"{depth} loops of one block err more than {depth} blocks without looping",
                [unlooped - base.at(depth)],
            ),
            claim(
                f"{b} loops of one block err at most 10 % more than {depth} blocks",
                [base.final - CLOSE * unlooped],
            ),
        ]
    return rows


def width_claims(budget: Grid, found: Found) -> Rows:
    """List what Fig. 7 says of the embedding dimension."""
    finals = {D: found[budget.name(D=D)].final for D in budget.widths}
    return [
        claim(f"a width of {wider} errs less than {narrower}", [finals[wider] - finals[narrower]])
        for narrower, wider in pairwise(finals)
    ]


def head_claims(budget: Grid, found: Found) -> Rows:
    """List what Fig. 7 says of heads: more are better up to a number, beyond it worse."""
    finals = {h: found[budget.name(h=h)].final for h in budget.heads}
    *_, turn, most = finals
    rows = [
        claim(f"{more} heads err less than {fewer}", [finals[more] - finals[fewer]])
        for fewer, more in pairwise(finals)
        if more != most
    ]
    return [*rows, claim(f"{most} heads err more than {turn}", [finals[turn] - finals[most]])]


def figures(budget: Budget, seed: int) -> dict[str, Figure]:
    assert isinstance(budget, Grid)
    task = Task(LinearPrior(), budget.n_features, budget.n_examples)

    def looped(**shape: Any) -> Run:
        config = budget.config(**shape)
        return Run(config, task, recipe(budget, *budget.loops, seed), 2 * budget.loops[0])

    def unlooped(depth: int) -> Run:
        config = budget.config(n_pre_blocks=depth - 1, n_loops=1)
        return Run(config, task, recipe(budget, 1, 1, seed), 1)

    layers = {budget.name(L): looped(n_loop_blocks=L) for L in budget.layers}
    depths = {f"unlooped L={depth}": unlooped(depth) for depth in budget.depths}
    widths = {budget.name(D=D): looped(width=D) for D in budget.widths}
    heads = {budget.name(h=h): looped(n_heads=h) for h in budget.heads}
    return {
        "layers": Figure(layers | depths, partial(layer_claims, budget)),
        "width": Figure(widths, partial(width_claims, budget)),
        "heads": Figure(heads, partial(head_claims, budget)),
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    add_sweep_options(parser)


def run(args: argparse.Namespace) -> None:
    budget = BUDGETS[args.budget]
    run_sweep("architecture", args, figures(budget, args.seed), budget.n_prompts)
