"""Table 2 of Yang et al. 2024: as in the paper, and with two repairs switched on and off.

``python -m benchmarks paper.openml_table [--budget laptop|paper] [--seed 0] [--cache FOLDER]``
leaves out each of the ten binary OpenML sets in turn, meta-trains the looped and the unlooped
network on prompts from the training rows of the other nine, and scores it by the paper's protocol
on the set left out. Rows go to benchmarks/results/paper_openml.jsonl; those that are there are not
run again, and training goes on where it was killed (its state lies in runs/). Then it prints
accuracies, beside the paper's and those that ``openml_binary --protocol prompts`` found, and
what they say of the claims. `--arms`, `--networks` and `--tasks` run a part. `paper` has the
paper's sizes and wants an accelerator.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.common.options import add_budget, add_cache, add_seed
from benchmarks.common.report import RESULTS, RUNS, Rows, Store
from benchmarks.openml_binary import N_SHOTS, NO_SIGNAL, OURS, PAPER, SEEDS
from benchmarks.paper.evidence import interval, verdict
from benchmarks.paper.openml_prompts import (
    ARMS,
    N_FEATURES,
    Prompts,
    Table,
    correct,
    pool,
    read_sets,
)
from benchmarks.paper.presets import PRESETS
from sklearn_looped.learned.priors import OwnTables, Prior
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.recipe import Recipe

SHIPPED = "shipped tabular-classifier"
BASELINES = {"LogisticRegression": "LogisticRegression", SHIPPED: OURS}
N_QUERY = 24  # of a training prompt
PAIRED = ("as in the paper", "both repairs")  # arms in which the unlooped network is trained too
NETWORKS = ("looped", "unlooped")
JOBS = [(arm, network) for network in NETWORKS for arm in PAIRED]
JOBS += [(arm, "looped") for arm in ARMS if arm not in PAIRED]
SETS = [name for name, *_ in PAPER.values()]
SIGNAL = [name for name in SETS if name != NO_SIGNAL]
FEWEST = 6  # sets that an interval over sets takes: by chance fewer agree too often
# What beats what, by the mean accuracy of the sets with signal.
BETTER = [
    ("as in the paper, looped", "as in the paper, unlooped"),
    ("both repairs, looped", "both repairs, unlooped"),
    ("flips, looped", "as in the paper, looped"),
    ("support scaling, looped", "as in the paper, looped"),
    ("both repairs, looped", "as in the paper, looped"),
    ("both repairs, unlooped", "as in the paper, unlooped"),
    ("both repairs, looped", "flips, looped"),
    ("canonical form, looped", "both repairs, looped"),
    ("both repairs, looped", "Table 2, looped"),
    ("both repairs, looped", "LogisticRegression"),
    ("canonical form, looped", "LogisticRegression"),
    ("canonical form, looped", SHIPPED),
]
Scores = dict[str, dict[str, np.ndarray]]  # method -> set -> correct or not, (seeds, test rows)
Claim = tuple[str, list[dict[str, float]], str]  # intervals below zero if it is true, a note


@dataclass(frozen=True)
class Budget:
    """Sizes of the networks and of their training."""

    width: int
    n_heads: int
    n_loops: int
    window: int
    n_tables: int  # of a step, all from one set
    n_steps: int


BUDGETS = {
    "laptop": Budget(64, 4, n_loops=8, window=6, n_tables=8, n_steps=200),
    "paper": Budget(256, 8, n_loops=30, window=15, n_tables=40, n_steps=100_000),
}


def recipe(budget: Budget, n_loops: int, seed: int) -> Recipe:
    return Recipe(
        budget.n_steps,
        n_features=(N_FEATURES, N_FEATURES),
        n_support=(N_SHOTS, N_SHOTS),
        n_query=N_QUERY,
        n_loops=(n_loops, n_loops),
        window=min(budget.window, n_loops),
        rows_per_step=budget.n_tables * (N_SHOTS + N_QUERY),
        average=0.99,
        seed=seed,
    )


def train_and_score(
    budget: Budget,
    arm: str,
    network: str,
    left_out: int,
    tables: dict[int, Table],
    seed: int,
    folder: Path,
) -> dict[str, Any]:
    """Meta-train on nine sets and score on the tenth."""
    n_loops = 1 if PRESETS[network].n_loops == 1 else budget.n_loops
    config = replace(
        PRESETS[network],
        n_features=N_FEATURES,
        width=budget.width,
        n_heads=budget.n_heads,
        n_loops=n_loops,
        n_classes=2,
    )
    nine = pool(tables, left_out)
    canonical = ARMS[arm].scaled_by == "canonical"
    prior: Prior = OwnTables(nine) if canonical else Prompts(nine, ARMS[arm])
    device = "cpu" if budget is BUDGETS["laptop"] else "auto"
    fresh, start = not folder.exists(), process_time()
    trained = meta_train(config, prior, recipe(budget, n_loops, seed), folder=folder, device=device)
    seconds = process_time() - start if fresh else None  # the time before a kill is not known
    answers = {s: correct(trained.network, ARMS[arm], tables[left_out], s) for s in SEEDS}
    return {
        "dataset": PAPER[left_out][0],
        "weights": sum(p.numel() for p in trained.network.parameters()), "CPU s": seconds,
        "loss": float(np.mean(trained.losses[-50:])),
        "correct": {s: "".join(map(str, each.astype(int))) for s, each in answers.items()},
    }  # fmt: skip


def read_scores(rows: list[dict[str, Any]]) -> Scores:
    """Say of each method, set, seed and test row whether the label was predicted."""
    scores: Scores = {}
    for row in rows:
        each = np.array([[int(c) for c in found] for found in row["correct"].values()])
        scores.setdefault(f"{row['arm']}, {row['network']}", {})[row["dataset"]] = each
    return scores


def accuracies(scores: Scores) -> dict[str, pd.DataFrame]:
    """Accuracy by set and seed of each method, and of those that `openml_binary` scored."""
    found = {
        method: pd.DataFrame({name: each.mean(1) for name, each in by_set.items()}).T
        for method, by_set in scores.items()
    }
    rows = pd.DataFrame(Store(RESULTS / "openml_binary_prompts.jsonl").rows)
    for baseline, classifier in BASELINES.items():
        own = rows[rows["classifier"] == classifier]
        found[baseline] = own.pivot(index="dataset", columns="repeat", values="accuracy")
    return found


def show_accuracies(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Print accuracies by set and method; return their means over seeds, a column a method."""
    figures = [row[1:] for row in PAPER.values()]
    means = pd.DataFrame(figures, SETS, ["Table 2, unlooped", "Table 2, looped"])
    means = means.join(pd.DataFrame({method: each.mean(axis=1) for method, each in found.items()}))
    text = means.map("{:.3f}".format)
    for method, each in found.items():
        text[method] += each.std(axis=1).map(" ±{:.3f}".format)
    text.loc["mean with signal"] = means.loc[SIGNAL].mean(skipna=False).map("{:.3f}".format)
    print("Accuracy at 40 examples, mean and standard deviation over five seeds of test prompts")
    for columns in (text.index[:5], text.index[5:]):
        print(text.T[columns].replace("nan", np.nan).to_string(na_rep="") + "\n")
    return means


def claims(scores: Scores, means: pd.DataFrame) -> Iterator[Claim]:
    for ours, other in BETTER:
        if not {ours, other} <= set(means):
            continue
        gaps = (means[other] - means[ours])[SIGNAL].dropna()
        if len(gaps) >= FEWEST:
            note = f"mean of {len(gaps)} sets, ahead on {(gaps < 0).sum()}"
            yield f"{ours}, beats {other}", [interval(gaps.to_numpy())], note
        elif other in scores and len(gaps):
            spans = [interval((scores[other][s] - scores[ours][s]).mean(0)) for s in gaps.index]
            yield f"{ours}, beats {other} on each", spans, ", ".join(gaps.index) + "; by test rows"
    for method, by_set in scores.items():
        if len(by_set) < len(SETS):
            continue
        arm, network = method.split(", ")
        if arm == PAIRED[0]:
            spans = [interval(each.mean(0) - 0.5) for each in by_set.values()]
            n_below = int((means[f"Table 2, {network}"] < 0.5).sum())
            lowest = sorted(spans, key=lambda span: span["value"])[:n_below]
            note = f"below on {sum(s['value'] < 0 for s in spans)}, surely on "
            note += f"{sum(s['high'] < 0 for s in spans)}; the lowest here"
            yield f"{method}, is below .5 on {n_below} sets or more, as in Table 2", lowest, note
        else:
            spans = [interval(0.5 - by_set[name].mean(0)) for name in SIGNAL]
            yield f"{method}, is above .5 on every set with signal", spans, ", ".join(SIGNAL)


def show(rows: list[dict[str, Any]]) -> None:
    """Print accuracies, cost of training, the looped network's lead by set, and the claims."""
    scores = read_scores(rows)
    means = show_accuracies(accuracies(scores))
    print("Training: mean cost, and training loss over the last 50 steps")
    costs = pd.DataFrame(rows).groupby(["arm", "network"], sort=False)
    columns = costs[["weights", "CPU s", "loss"]].mean().assign(trainings=costs.size())
    print(columns.to_string(float_format="{:.4g}".format) + "\n")
    print("Looped minus unlooped by set, with the 95 % interval over test rows")
    for arm in PAIRED:
        looped, unlooped = (scores.get(f"{arm}, {each}", {}) for each in ("looped", "unlooped"))
        for name in (name for name in SETS if name in looped and name in unlooped):
            span = interval((looped[name] - unlooped[name]).mean(0))
            print(f"{arm:16s} {name:17s} {span_text(span)}")
    print("\nClaims, with the mean that is below zero if so and its 95 % interval")
    for text, spans, note in claims(scores, means):
        print(f"{verdict(spans)}: {text}: {', '.join(map(span_text, spans))} ({note})")


def span_text(span: dict[str, float]) -> str:
    return f"{span['value']:+.3f} ({span['low']:+.3f} to {span['high']:+.3f})"


def add_options(parser: argparse.ArgumentParser) -> None:
    add_budget(parser, BUDGETS)
    add_seed(parser)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--tasks", type=int, nargs="+", choices=PAPER, default=list(PAPER))
    add_cache(parser)


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    store = Store(RESULTS / "paper_openml.jsonl", budget=args.budget, seed=args.seed)
    keys = [
        {"arm": arm, "network": network, "task": task}
        for arm, network in JOBS
        if arm in args.arms and network in args.networks
        for task in args.tasks
    ]
    tables = read_sets(args.cache) if store.missing(keys) else {}

    def job(arm: str, network: str, task: int) -> Rows:
        name = f"{arm}, {network}, {PAPER[task][0]}"
        folder = RUNS / "paper_openml" / f"{args.budget}-{args.seed}" / name
        budget = BUDGETS[args.budget]
        return [train_and_score(budget, arm, network, task, tables, args.seed, folder)]

    show(store.complete(keys, job))
