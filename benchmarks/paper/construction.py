"""Does meta-training pay more from AlgoFormer's construction than from random weights?

``python -m benchmarks paper.construction [--cpu-seconds 10] [--seeds 3]`` meta-trains the network
that is AlgoFormer by construction from its construction, from a random representation and from
random weights alone, and the transformers of `paper.algoformer` from random weights; each takes the
same processor time and recipe, and all are scored on the same held-out prompts. The construction
knows the representation that all prompts of a task share, the others have to find it. Rows go to
benchmarks/results/paper_construction.jsonl; tasks and seeds that are there are not run again, and
training goes on where it was killed (its state lies in runs/).
"""

import argparse
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from benchmarks.common.options import add_prompts
from benchmarks.common.report import RESULTS, RUNS, Rows, Store, print_table
from benchmarks.paper import seeds
from benchmarks.paper.algoformer import BUDGETS, Config, architectures, train
from benchmarks.paper.algoformer_tasks import (
    LAPTOP,
    baselines,
    gradient_descent,
    tuned_rate,
)
from benchmarks.paper.evidence import claim, interval
from benchmarks.paper.prompts import Method, Model, Task, errors, linear, looped
from benchmarks.paper.representation import GAIN, SLOPE, RepresentationPrior
from sklearn_looped.bridge import AlgoFormerConfig
from sklearn_looped.bridge.algoformer import AlgoFormerNetwork

BUDGET = BUDGETS["laptop"]
TASKS = ("representation", "noisy linear")
BUILT, PART, DRAWN = "from the construction", "from a random representation", "from random weights"
UNTRAINED, BEST = "construction, untrained", "ridge on the true representation"
LEARNED = ("looped", "algoformer")


def starts(task: Task, rate: float) -> dict[str, Config]:
    """Give what is trained, by where it starts."""
    prior = task.prior
    assert isinstance(prior, RepresentationPrior)
    matrices = [(GAIN * W).tolist() for W in prior.weights(task.n_features)]
    weights = tuple(tuple(map(tuple, W)) for W in matrices)
    built = AlgoFormerConfig(task.n_features, weights=weights, slope=SLOPE, step_size=rate)
    drawn = {PART: ("representation",)} if weights else {}
    drawn[DRAWN] = built.trained
    learned = architectures(BUDGET, task)
    return (
        {BUILT: built}
        | {name: replace(built, random=names) for name, names in drawn.items()}
        | {name: learned[name] for name in LEARNED}
    )


def stepped(network: AlgoFormerNetwork, n_loops: int) -> Method:
    """Prediction of a constructed network after every loop."""

    def fit(X: Tensor, y: Tensor) -> Model:
        return lambda queries: network(
            torch.cat([X, queries], 1), y, n_loops, window=n_loops
        ).float()[..., 0]

    return fit


def run_task(name: str, seed: int, seconds: float, n_prompts: int) -> Rows:
    """Rows of a task and a seed: the scores of all starts and baselines, then the claims."""
    task, n_loops = LAPTOP[name], BUDGET.n_loops
    rate = tuned_rate(task, n_loops, task.prior.represent)
    classical = baselines(task, n_loops)
    best = BEST if BEST in classical else "ridge"
    methods = {
        UNTRAINED: linear(gradient_descent(rate, n_loops), task.prior.represent),
        BEST: classical[best](n_loops),
    }
    folder, costs = RUNS / "paper_construction" / f"{seconds:g}-{seed}" / name, {}
    for start, run, cost in train(BUDGET, task, starts(task, rate), seconds, seed, folder):
        of = looped if start in LEARNED else stepped
        methods[start], costs[start] = of(run.network, n_loops), cost
    found = {
        method: errors(task, each, task.n_examples, n_prompts)[-1].numpy()
        for method, each in methods.items()
    }
    rows: Rows = [
        {"kind": "score", "start": method, **interval(each), **costs.get(method, {})}
        for method, each in found.items()
    ]
    pairs = [(BUILT, UNTRAINED), *((BUILT, other) for other in costs if other != BUILT)]
    pairs += [(mine, other) for mine in (PART, DRAWN) if mine in found for other in LEARNED]
    for less, more in pairs:
        rows.append(claim(f"{less} errs less than {more}", [found[less] - found[more]]))
    return rows


def show(rows: Rows) -> None:
    """Print the errors over seeds, and how many seeds say what of each claim."""
    print("Squared error as a share of E[y^2]: mean, least and most of the seeds")
    print_table(seeds.table(rows, ["task", "start"]).reset_index())
    seeds.print_claims(rows, "task")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cpu-seconds", type=float, default=10, help="of a training run")
    parser.add_argument("--seeds", type=int, default=3)
    add_prompts(parser, 640)


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    setting = {"CPU s each": args.cpu_seconds, "prompts": args.prompts}
    store = Store(RESULTS / "paper_construction.jsonl", **setting)
    job = partial(run_task, seconds=args.cpu_seconds, n_prompts=args.prompts)
    keys = [{"task": task, "seed": seed} for task in TASKS for seed in range(args.seeds)]
    show(store.complete(keys, lambda task, seed: job(task, seed)))
