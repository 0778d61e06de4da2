"""Probes of X'y and of the least-squares weights after every loop or layer.

``python -m benchmarks paper.probing [--weights linear] [--budget laptop|paper]`` (Yang et al. 2024,
Fig. 8) fits a probe to the states of the support rows after each loop of the shipped weights and of
the looped network of `unlooped.py`, and after each layer of its unlooped one, and prints the
probes' errors and what they say of the paper's claims; results in
benchmarks/results/paper_probing.json. About 2 minutes of one core after training.

It differs from the paper in five ways. Rows have no positions here, so states are averaged over the
rows, normalised, where the paper learns a weight for each position. The probe is ridge regression,
where the paper has an MLP of 64 units. The targets are in canonical form, as the network sees them:
columns scaled, signed and sorted by their correlation with y. Errors are shares of the
targets' variance, so that 1 is a probe that knows nothing: sorted correlations alone are nearly
known. Prompts have 40 examples rather than all numbers of them. The control is the paper's: a probe
that has seen w = 1 only, on prompts of random w.
"""

import argparse
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.base import clone
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from tqdm.auto import tqdm

from benchmarks.common.options import add_budget, add_picture, add_weights
from benchmarks.common.pictures import draw_errors
from benchmarks.common.report import print_table, write
from benchmarks.paper.evidence import claim, cross_fitted_best, interval, print_claims
from benchmarks.paper.function_classes import D
from benchmarks.paper.prompts import CHUNK
from benchmarks.paper.unlooped import BUDGETS, trained
from sklearn_looped.core.device import seeded_generator
from sklearn_looped.learned.checkpoints import load_checkpoint
from sklearn_looped.learned.inference.standardise import Standardiser
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.training.held_out import HELD_OUT

N_EXAMPLES = 40
TARGETS = ("X'y", "least squares")
TRAIN, CONTROL, TEST = range(3)  # streams of prompts
SHIPPED = "looped, shipped weights"
PROBE = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))


def prompts(stream: int, n_prompts: int, centre: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield X (B, k, d) and y (B, k) in canonical form; w is 1 in the control's prompts."""
    for chunk, start in enumerate(range(0, n_prompts, CHUNK)):
        generator, n = seeded_generator(HELD_OUT, stream, chunk), min(CHUNK, n_prompts - start)
        X = torch.randn(n, N_EXAMPLES, D, generator=generator)
        w = torch.randn(n, D, 1, generator=generator)
        y = (X @ (torch.ones_like(w) if stream == CONTROL else w)).squeeze(-1)
        scale = Standardiser.fit(X, y, centre=centre)
        yield scale.features(X), scale.target(y)


def states(network: LoopedNetwork, X: Tensor, y: Tensor) -> Tensor:
    """Mean of the rows' normalised states after every pass of a block, (passes, B, D)."""
    found: list[Tensor] = []

    def keep(block: Any, inputs: Any, rows: Tensor) -> None:
        found.append(F.layer_norm(rows, rows.shape[-1:]).mean(1))

    blocks = [*network.pre, *network.loop, *network.post]
    hooks = [block.register_forward_hook(keep) for block in blocks]
    network.encode_support(X, y, network.config.n_loops)
    for hook in hooks:
        hook.remove()
    return torch.stack(found)


@torch.inference_mode()
def probed(network: LoopedNetwork, stream: int, n_prompts: int) -> tuple[np.ndarray, np.ndarray]:
    """States (passes, prompts, D) and the targets (2, prompts, d)."""
    inputs, targets = [], []
    drawn = prompts(stream, n_prompts, network.config.centre)
    for X, y in tqdm(drawn, total=-(-n_prompts // CHUNK), leave=False):
        inputs.append(states(network, X, y))
        gradient = torch.einsum("bkd,bk->bd", X, y) / N_EXAMPLES
        weights = torch.linalg.lstsq(X.double(), y.double()[..., None]).solution.squeeze(-1)
        targets.append(torch.stack([gradient, weights.float()]))
    return torch.cat(inputs, 1).numpy(), torch.cat(targets, 1).numpy()


def probe_errors(network: LoopedNetwork, n_train: int, n_test: int) -> dict[Any, np.ndarray]:
    """Errors by prompt of each probe and its control: (target, control, pass) -> (prompts,)."""
    inputs, targets = probed(network, TEST, n_test)
    variance = ((targets - targets.mean(1, keepdims=True)) ** 2).mean((1, 2))
    found = {}
    for control in (False, True):
        known, wanted = probed(network, CONTROL if control else TRAIN, n_train)
        for t, rows in enumerate(tqdm(known, desc="probes", leave=False), 1):
            for index, target in enumerate(TARGETS):
                probe = clone(PROBE).fit(rows, wanted[index])
                wrong = ((probe.predict(inputs[t - 1]) - targets[index]) ** 2).mean(1)
                found[target, control, t] = wrong / variance[index]
    return found


def claims(found: dict[str, dict[Any, np.ndarray]]) -> list[dict[str, Any]]:
    """Rows of what the paper says of probes' errors."""
    rows = []

    def best(
        name: str, target: str, control: bool = False, n_passes: int | None = None
    ) -> np.ndarray:
        errs = [e for (g, c, _), e in found[name].items() if g == target and c is control]
        return cross_fitted_best(np.stack(errs[:n_passes]))

    for target in TARGETS:
        for name, errs in found.items():
            last = max(t for _, _, t in errs)
            path = [errs[target, False, t] for t in (1, 2, 4, last) if t <= last]
            if name == "unlooped":
                text = f"one of the first {last - 1} layers has a smaller error than the last"
                numbers = [best(name, target, n_passes=last - 1) - path[-1]]
            else:
                text = f"the error falls from loop 1 to 2, 4 and {last}"
                numbers = [after - before for before, after in pairwise(path)]
            rows.append(claim(f"{target}, {name}: {text}", numbers))
            text = f"{target}, {name}: the best probe errs less than the best control"
            rows.append(claim(text, [best(name, target) - best(name, target, control=True)]))
        text = f"{target}: looped has a smaller error than unlooped"
        rows.append(claim(text, [best("looped", target) - best("unlooped", target)]))
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    scores = pd.DataFrame([row for row in rows if row["kind"] == "score"])
    print("Errors of probes after each loop or layer, as shares of the targets' variance")
    table = scores.pivot(index=["target", "network", "control"], columns="pass", values="value")
    print_table(table.reset_index())
    print_claims(rows)


def add_options(parser: argparse.ArgumentParser) -> None:
    add_weights(parser, "linear")
    add_budget(parser, BUDGETS)
    parser.add_argument("--prompts", type=int, default=3200, help="that probes are trained on")
    add_picture(parser, "errors by loop or layer")


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    networks = {SHIPPED: load_checkpoint(args.weights).network}
    networks |= {name: run.network for name, (run, _) in trained("linear", args.budget).items()}
    n_test = max(2, args.prompts // 5)
    found = {name: probe_errors(net, args.prompts, n_test) for name, net in networks.items()}
    rows: list[dict[str, Any]] = [
        {"kind": "score", "target": g, "network": name, "control": c, "pass": t, **interval(e)}
        for name, errs in found.items()
        for (g, c, t), e in errs.items()
    ]
    rows += claims(found)
    write(args, "paper_probing", rows)
    show(rows)
    if args.picture:
        scores = pd.DataFrame([row for row in rows if row["kind"] == "score"])
        scores["method"] = scores["network"] + np.where(scores["control"], ", control", "")
        scores = scores.rename(columns={"pass": "x"})
        panels = {target: scores[scores["target"] == target] for target in TARGETS}
        ylabel = "squared error, share of the targets' variance"
        draw_errors(panels, SHIPPED, "loop or layer", args.picture, ylabel=ylabel)
