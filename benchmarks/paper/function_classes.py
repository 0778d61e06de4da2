"""Errors of the four function-class checkpoints by number of examples, beside classical methods.

``python -m benchmarks paper.function_classes [--classes linear ...] [--weights PATH]`` scores
the shipped weights of each class (Yang et al. 2024, Fig. 2 right, 10, 11; `--weights`: those of a
file, for one class) on 1,280 held-out prompts, prints the errors and what they say of the paper's
claims, and writes benchmarks/results/paper_NAME.json a class. Baselines that are fitted prompt by
prompt see the first 320 prompts. About 3 minutes of one core a class.
"""

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeRegressor
from torch import Tensor
from tqdm.auto import tqdm

from benchmarks.common.options import add_classes, add_picture, add_prompts
from benchmarks.common.pictures import draw_errors
from benchmarks.common.report import print_table, write
from benchmarks.paper.evidence import claim, interval, print_claims
from benchmarks.paper.prompts import (
    Method,
    Model,
    Task,
    checkpoint,
    errors,
    fitted,
    least_squares,
    linear,
    ridge,
)
from sklearn_looped.core.device import seeded_generator
from sklearn_looped.learned.priors import (
    DecisionTreePrior,
    LinearPrior,
    ReLUNetworkPrior,
    SparseLinearPrior,
)

D = 20
OURS, LASSO, PAPER_LASSO = "looped", "Lasso, best alpha", "Lasso 0.01"
SLOW = 320  # prompts of baselines that are fitted one prompt at a time
N_HIDDEN, N_STEPS, RATE = 100, 1000, 5e-3  # of the network by gradient descent
SPARSITIES = (1, 3, 6, 9, 12)
CLOSE = 1.1  # "stays": within 10 %
Errors = dict[str, dict[int, np.ndarray]]  # method -> examples -> errors by prompt


@torch.inference_mode(False)
def descent(X: Tensor, y: Tensor) -> Model:
    """Fit a two-layer ReLU network to each prompt by Adam on ten examples a step, as the paper."""
    X, y = X.clone(), y.clone()
    generator = seeded_generator(0)
    hidden = torch.randn(len(X), D, N_HIDDEN, generator=generator) / D**0.5
    output = torch.randn(len(X), N_HIDDEN, 1, generator=generator) / N_HIDDEN**0.5
    weights = [w.requires_grad_() for w in (hidden, output)]
    optimizer = torch.optim.Adam(weights, RATE)

    def predict(rows: Tensor) -> Tensor:
        return (torch.relu(rows @ hidden) @ output).squeeze(-1)

    for _ in range(N_STEPS):
        rows = torch.randint(X.shape[1], (10,), generator=generator)
        optimizer.zero_grad()
        # The mean over each prompt's examples, summed over prompts, which do not interact.
        (predict(X[:, rows]) - y[:, rows]).square().mean(1).sum().backward()
        optimizer.step()
    return lambda queries: predict(queries)[None].detach()


def trees() -> dict[str, Method]:
    """Greedy trees and gradient boosting with the paper's settings, on x and on its signs."""
    models = {
        "greedy tree, depth 4": DecisionTreeRegressor(max_depth=4, random_state=0),
        "greedy tree": DecisionTreeRegressor(random_state=0),
        "gradient boosting": GradientBoostingRegressor(
            max_depth=4, n_estimators=50, random_state=0
        ),
    }
    signs = {f"{name}, signs of x": fitted(m, torch.sign) for name, m in models.items()}
    return {name: fitted(model) for name, model in models.items()} | signs


def lassos() -> dict[str, Method]:
    alphas = (1e-4, 1e-3, 0.01, 0.1, 1.0)  # the paper's
    return {f"Lasso {a:g}": fitted(Lasso(a, fit_intercept=False, max_iter=10**5)) for a in alphas}


FAST = {"least squares": linear(least_squares), "ridge": linear(ridge(1.0))}
NEIGHBOURS = {"3-NN": fitted(KNeighborsRegressor(3))}


@dataclass(frozen=True)
class FunctionClass:
    """A class of functions: its prompts, baselines, and what is claimed of it.

    `paper` holds the errors that the authors' notebooks print. `bounds` are claims: the looped
    network errs less than a number or a method at all of these numbers of examples.
    """

    task: Task
    sizes: tuple[int, ...]
    slow: Callable[[], dict[str, Method]]
    bounds: list[tuple[str, dict[int, float | str]]]
    paper: dict[str, dict[int, float]] = field(default_factory=dict)


CLASSES = {
    "linear": FunctionClass(
        Task(LinearPrior(), D, 40, mean_square=20.0),
        (5, 10, 15, 20, 21, 25, 30, 40),
        dict,
        [
            ("7.79e-4, the paper's looped network", {40: 7.79e-4}),
            ("4.82e-4, the paper's 12 layers", {40: 4.82e-4}),
            ("least squares", {40: "least squares"}),
        ],
        {
            "paper: looped": {10: 0.519, 20: 2.42e-2, 21: 1.10e-2, 40: 7.79e-4},
            "paper: 12 layers": {10: 0.519, 20: 2.04e-2, 21: 7.71e-3, 40: 4.82e-4},
        },
    ),
    "sparse-linear": FunctionClass(
        Task(SparseLinearPrior(), D, 40, mean_square=3.0),
        (5, 8, 10, 15, 20, 30, 40),
        lassos,
        [
            ("6.12e-4, the paper's looped network", {40: 6.12e-4}),
            ("1.7e-3, the paper's 12 layers", {40: 1.7e-3}),
            ("Lasso with the paper's alpha", dict.fromkeys((5, 8, 10), PAPER_LASSO)),
            ("Lasso with its best alpha", {5: LASSO, 8: LASSO}),
            ("Lasso with its best alpha", {10: LASSO}),
            ("Lasso with its best alpha", {40: LASSO}),
        ],
        {
            "paper: looped": {5: 0.599, 8: 0.147, 10: 0.0213, 20: 1.3e-3, 40: 6.12e-4},
            "paper: 12 layers": {5: 0.584, 8: 0.221, 10: 0.085, 20: 4.8e-3, 40: 1.7e-3},
            "paper: Lasso 0.01": {5: 0.645, 8: 0.206, 10: 0.050, 20: 2.3e-4, 40: 1.32e-4},
        },
    ),
    "decision-tree": FunctionClass(
        Task(DecisionTreePrior(), D, 100, mean_square=1.0),
        (10, 25, 50, 75, 100),
        trees,
        [(name, {100: name}) for name in trees()],
    ),
    "relu-network": FunctionClass(
        Task(ReLUNetworkPrior(), D, 100, mean_square=20.0),
        (10, 20, 35, 50, 75, 100),
        lambda: {"a network by gradient descent": descent},
        [
            ("0.180, the paper's looped network", {100: 0.1802}),
            ("0.170, the paper's 12 layers", {100: 0.1695}),
            ("least squares", {100: "least squares"}),
            ("a network by gradient descent", {100: "a network by gradient descent"}),
        ],
        {
            "paper: looped": {20: 0.414, 50: 0.2485, 100: 0.1802},
            "paper: 12 layers": {20: 0.411, 50: 0.244, 100: 0.1695},
        },
    ),
}


def measure(
    task: Task, methods: dict[str, Method], sizes: tuple[int, ...], n_prompts: int
) -> Errors:
    """Last errors of each method by number of examples; of Lassos the paper's and the best."""
    found: Errors = {}
    for name, method in tqdm(methods.items(), desc="methods", leave=False):
        found[name] = {k: errors(task, method, k, n_prompts)[-1].numpy() for k in sizes}
    tried = {name: found.pop(name) for name in list(found) if name.startswith("Lasso")}
    if tried:
        found[PAPER_LASSO] = tried[PAPER_LASSO]
        found[LASSO] = {k: min((each[k] for each in tried.values()), key=np.mean) for k in sizes}
    return found


def score_rows(found: Errors, **of: Any) -> list[dict[str, Any]]:
    return [
        {"kind": "score", **of, "method": name, "examples": k, "prompts": len(e), **interval(e)}
        for name, by_size in found.items()
        for k, e in by_size.items()
    ]


def claims(c: FunctionClass, found: Errors, by_loop: np.ndarray, n_loops: int) -> list[dict]:
    """Rows of the claims: the bounds, then whether twice the loops do harm."""
    rows = []
    for text, at in c.bounds:
        numbers = []
        for k, bound in at.items():
            other = found[bound][k] if isinstance(bound, str) else bound
            n = len(other) if isinstance(other, np.ndarray) else None
            numbers.append(found[OURS][k][:n] - other)
        where = ", ".join(map(str, at))
        rows.append(claim(f"at {where} examples the looped network errs less than {text}", numbers))
    last = by_loop[n_loops - 1]
    text = f"its error at {2 * n_loops} loops is at most 10 % more than at {n_loops}, as trained"
    return [*rows, claim(text, [by_loop[2 * n_loops - 1] - CLOSE * last])]


def run_class(name: str, weights: str, n_prompts: int) -> list[dict[str, Any]]:
    """Rows of a class: scores by examples, by loop, for other sparsities, and claims."""
    c = CLASSES[name]
    method, n_loops = checkpoint(weights)
    last = c.task.n_examples
    by_loop = errors(c.task, method(2 * n_loops), last, n_prompts).numpy()
    found = measure(c.task, {OURS: method(n_loops)}, c.sizes[:-1], n_prompts)
    found[OURS][last] = by_loop[n_loops - 1]
    found |= measure(c.task, FAST, c.sizes, n_prompts)
    found |= measure(c.task, NEIGHBOURS | c.slow(), c.sizes, min(SLOW, n_prompts))
    rows = score_rows(found)
    rows += [{"kind": "loop", "loop": t, **interval(e)} for t, e in enumerate(by_loop, 1)]
    if name == "sparse-linear":
        for s in SPARSITIES:
            task = Task(SparseLinearPrior(s), D, last, mean_square=s)
            methods = {OURS: method(n_loops), "least squares": FAST["least squares"], **lassos()}
            other = measure(task, methods, (5, 10, 20, last), min(SLOW, n_prompts))
            rows += score_rows(other, sparsity=s)
    return rows + claims(c, found, by_loop, n_loops)


def show(name: str, rows: list[dict[str, Any]]) -> None:
    """Print the errors by examples, with the paper's, by loop, by sparsity, and the claims."""
    scores = pd.DataFrame([row for row in rows if row["kind"] == "score"])
    scores["sparsity"] = scores.get("sparsity", pd.Series(dtype=float))
    plain = scores[scores["sparsity"].isna()]
    print(f"\n{name}: squared error as a share of E[y^2] by number of examples")
    table = plain.pivot(index="method", columns="examples", values="value")
    table = table.loc[plain["method"].unique()]
    table.insert(0, "prompts", plain.groupby("method")["prompts"].first())
    paper = pd.DataFrame(CLASSES[name].paper).T.reindex(columns=table.columns)
    print_table(pd.concat([table, paper] if len(paper) else [table]).reset_index(names="method"))
    ends = plain[(plain["method"] == OURS)][["examples", "value", "low", "high"]]
    print("The looped network's, with 95 % intervals over prompts")
    print_table(ends)
    loops = pd.DataFrame([row for row in rows if row["kind"] == "loop"])
    shown = [t for t in (1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24) if t <= len(loops)]
    print("Its error at the most examples after each loop")
    print_table(loops[loops["loop"].isin(shown)][["loop", "value"]].set_index("loop").T)
    sparse = scores[scores["sparsity"].notna()]
    if len(sparse):
        print("By number of coefficients s that are not zero (trained: 3)")
        table = sparse.pivot(index=["sparsity", "method"], columns="examples", values="value")
        print_table(table.reset_index())
    print_claims(rows)


def add_options(parser: argparse.ArgumentParser) -> None:
    add_classes(parser, CLASSES)
    parser.add_argument("--weights", help="a file in place of the shipped weights, for one class")
    add_prompts(parser, 1280)
    add_picture(parser, "errors by examples")


def run(args: argparse.Namespace) -> None:
    if args.weights and len(args.classes) > 1:
        raise SystemExit("--weights are those of one class: name it by --classes")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)  # Lasso's where it cannot fit exactly
    panels = {}
    for name in args.classes:
        rows = run_class(name, args.weights or name, args.prompts)
        write(args, f"paper_{name.replace('-', '_')}", rows, chooses="classes")
        show(name, rows)
        panels[name] = pd.DataFrame(
            [row for row in rows if row["kind"] == "score" and "sparsity" not in row]
        ).rename(columns={"examples": "x"})
    if args.picture:
        draw_errors(panels, OURS, "examples in the prompt", args.picture)
