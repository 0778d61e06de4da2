"""Experts alone, the loop alone, or both? Mean clipped R2 on the OpenML regression sets.

``python -m benchmarks experts_ablation --folds 1 --jobs 2`` fits `LoopedICLRegressor` on each task
and fold (at most 1,024 training rows) and predicts three times with the same weights: as they are;
the experts' mixture without the network's correction; and the network with all experts silent,
which it met in a quarter of the tables of its training. Rows go to results/experts_ablation.jsonl.
``--cache FOLDER``: an offline OpenML cache, writable.
"""

import argparse
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import r2_score

from benchmarks.common.openml_tasks import fold_rows, folds, load, quiet, store
from benchmarks.common.options import add_openml
from benchmarks.common.report import print_table
from benchmarks.common.weights import checkpoint
from benchmarks.openml_regression import TASKS
from sklearn_looped import LoopedICLRegressor
from sklearn_looped.learned.checkpoints import load_checkpoint
from sklearn_looped.learned.inference.experts import silenced
from sklearn_looped.learned.inference.left_out import weigh
from sklearn_looped.learned.inference.members import Member, average
from sklearn_looped.learned.inference.support import Queries, Support
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.model.opinions import N_EXPERTS, Opinions

WEIGHTS = load_checkpoint("tabular")
FORMS = ("both", "experts alone", "loop alone")


class Answers(NamedTuple):
    """One member's output (1, q, n_outputs), and what it predicts for its support, (1, 1, s)."""

    output: torch.Tensor
    left_out: np.ndarray | None


@torch.inference_mode()
def predictions(network: LoopedNetwork, member: Member, asked: Queries) -> dict[str, Answers]:
    """One member's answers in each form."""
    queries, support = member.queries(asked), member.support
    cells, opinions = queries.cells, queries.opinions
    assert isinstance(opinions, Opinions)
    silent = torch.ones(1, N_EXPERTS, dtype=torch.bool)
    expected = network.readout.alone(opinions).expand(-1, -1, 1 + network.config.n_quantiles)
    outputs = {"experts alone": (expected, network.readout.alone(support.opinions))}
    for form, known, about in (
        ("both", support.opinions, opinions),
        ("loop alone", silenced(support.opinions, silent), silenced(opinions, silent)),
    ):
        n_loops = network.config.n_loops
        memory = network.encode_support(support.cells, support.y, n_loops, support.weights, known)
        *_, last = network.predict_queries(cells, memory, about)
        outputs[form] = last.output, last.left_out
    return {
        form: Answers(member.decode(output, queries), member.left_out([left_out]))
        for form, (output, left_out) in outputs.items()
    }


def answer(members: list[Answers], importance: list[np.ndarray], support: Support) -> np.ndarray:
    """Predictions (q,) of all members in one form, with the shares that it deserves."""
    outputs, left_out = zip(*members, strict=True)
    shares = weigh(left_out, importance, support, 1).shares[0]
    return average(list(outputs), shares, classifies=False)[0, :, 0].numpy()


@quiet
def score(task: int, fold: int, *, n_rows: int, cache: str | None) -> list[dict[str, Any]]:
    """R2 of the three forms on one fold."""
    openml_task, dataset, X, target = load(task, cache)
    y = target.to_numpy("float64")
    train, test = fold_rows(openml_task, fold, n_rows)
    model = LoopedICLRegressor(max_support=n_rows, random_state=0).fit(X.iloc[train], y[train])
    network, predictor = WEIGHTS.network, model.predictor_
    queries = predictor.queries(X.iloc[test])
    members = [Member.fit(v, predictor.support, network.config) for v in predictor.views]
    each = [predictions(network, member, queries) for member in members]
    importance = [member.importance().numpy() for member in members]
    return [
        {
            "dataset": dataset,
            "form": form,
            "r2": r2_score(
                y[test], answer([member[form] for member in each], importance, predictor.support)
            ),
        }
        for form in FORMS
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    add_openml(parser, TASKS)


def run(args: argparse.Namespace) -> None:
    kept = store(args, "experts_ablation", **checkpoint("tabular"))
    job = partial(score, n_rows=args.rows, cache=args.cache)
    rows = pd.DataFrame(kept.complete(folds(args), job, args.jobs))
    r2 = rows.groupby(["dataset", "form"])["r2"].mean().unstack()[list(FORMS)]
    table = pd.DataFrame(
        {
            "mean clipped R2": r2.clip(0, 1).mean(),
            "best of the three": (r2.rank(axis=1, ascending=False) == 1).sum(),
        }
    )
    print_table(table.rename_axis("form").reset_index())
