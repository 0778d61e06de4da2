"""Do the states of the paper's own decoders know X'y and the least-squares weights (Fig. 8)?

``python -m benchmarks paper.decoder_probing [--budget laptop|...] [--seeds 0 1 2]`` fits the probe
of Yang et al. 2024 to the decoders that `paper.decoder` trains on linear functions: a softmax
weight for each token of a prompt, and a network of one hidden layer of 64 units on the weighted
mean of the tokens' normalised states, after every loop of the looped decoder and every layer of the
unlooped one. The control is the paper's: a probe that has seen w = 1 only. Errors are squared
errors on held-out prompts of as many examples as the decoder was trained with, as shares of the
targets' variance. Rows go to benchmarks/results/paper_decoder_probing.jsonl, a seed at a time;
networks are taken from runs/ or trained, a minute each at `laptop`. `paper.probing` asks the same
of this library's network.
"""

import argparse
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.common.options import add_budget
from benchmarks.common.report import RESULTS, Rows, Store, print_table
from benchmarks.paper import seeds
from benchmarks.paper.decoder import LAYERS, LOOPED, run_of, trained
from benchmarks.paper.decoder_sizes import BUDGETS
from benchmarks.paper.evidence import interval
from benchmarks.paper.probing import CONTROL, TARGETS, TEST, TRAIN, claims
from sklearn_looped.core.device import seeded_generator
from sklearn_looped.learned.model.causal import CausalNetwork
from sklearn_looped.learned.training.held_out import HELD_OUT

N_UNITS = 64
N_STEPS, BATCH, RATE = 500, 320, 1e-2  # of a probe, by Adam


class Probes(nn.Module):
    """A probe for each target and pass, side by side, of states (L, B, n, D)."""

    def __init__(self, n_passes: int, n_tokens: int, width: int, n_outputs: int) -> None:
        super().__init__()
        side = (len(TARGETS), n_passes)
        self.positions = nn.Parameter(torch.zeros(*side, n_tokens))
        self.hidden = nn.Parameter(torch.randn(*side, width, N_UNITS) / width**0.5)
        self.hidden_bias = nn.Parameter(torch.zeros(*side, 1, N_UNITS))
        self.output = nn.Parameter(torch.randn(*side, N_UNITS, n_outputs) / N_UNITS**0.5)
        self.output_bias = nn.Parameter(torch.zeros(*side, 1, n_outputs))

    def forward(self, states: Tensor) -> Tensor:
        """Predict (targets, L, B, d)."""
        pooled = torch.einsum("lbnd,tln->tlbd", states, self.positions.softmax(-1))
        return F.relu(pooled @ self.hidden + self.hidden_bias) @ self.output + self.output_bias


@torch.inference_mode()
def states(network: CausalNetwork, X: Tensor, y: Tensor) -> Tensor:
    """Normalised states of all tokens after every pass of a block, (L, B, 2 k + 1, D)."""
    found: list[Tensor] = []

    def keep(block: Any, inputs: Any, output: tuple[Tensor, Any]) -> None:
        found.append(F.layer_norm(output[0], output[0].shape[-1:]))

    hooks = [block.register_forward_hook(keep) for block in network.loop]
    network(X, y[:, :-1], network.config.n_loops)
    for hook in hooks:
        hook.remove()
    return torch.stack(found)


def probed(network: CausalNetwork, k: int, stream: int, n_prompts: int) -> tuple[Tensor, Tensor]:
    """States (L, B, 2 k + 1, D) and targets (targets, B, d) of prompts; of the control w is 1."""
    generator, d = seeded_generator(HELD_OUT, stream), network.config.n_features
    X = torch.randn(n_prompts, k + 1, d, generator=generator)
    w = torch.randn(n_prompts, d, 1, generator=generator)
    y = X @ (torch.ones_like(w) if stream == CONTROL else w)
    known = X[:, :k], y[:, :k]
    weights = torch.linalg.lstsq(*(part.double() for part in known)).solution.float()
    targets = torch.stack([known[0].mT @ known[1] / k, weights]).squeeze(-1)
    return states(network, X, y.squeeze(-1)), targets


def fitted(states: Tensor, targets: Tensor, seed: int) -> Probes:
    """Fit the probes of all targets and passes to prompts that are drawn again and again."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probes = Probes(len(states), *states.shape[2:], targets.shape[-1])
    optimizer = torch.optim.Adam(probes.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, N_STEPS)
    for step in range(N_STEPS):
        drawn = torch.randint(states.shape[1], (BATCH,), generator=seeded_generator(seed, step))
        error = probes(states[:, drawn]) - targets[:, None, drawn]
        optimizer.zero_grad()
        error.square().mean((2, 3)).sum().backward()  # each probe by itself
        optimizer.step()
        schedule.step()
    return probes


def probe_errors(network: CausalNetwork, k: int, seed: int, n_train: int) -> dict[Any, np.ndarray]:
    """Errors by prompt of each probe and its control: (target, control, pass) -> (prompts,)."""
    inputs, targets = probed(network, k, TEST, n_train // 5)
    variance = targets.var((1, 2), correction=0)
    found = {}
    for control in (False, True):
        probes = fitted(*probed(network, k, CONTROL if control else TRAIN, n_train), seed)
        with torch.inference_mode():
            wrong = (probes(inputs) - targets[:, None]).square().mean(-1) / variance[:, None, None]
        for target, by_pass in zip(TARGETS, wrong.numpy(), strict=True):
            found |= {(target, control, t): errs for t, errs in enumerate(by_pass, 1)}
    return found


def show(rows: Rows) -> None:
    """Print the errors of probes, means over the seeds, and what the seeds say of the claims."""
    print("Errors of probes after each loop or layer, as shares of the targets' variance")
    scores = pd.DataFrame(seeds.matching(rows, kind="score"))
    index = ["target", "network", "control"]
    print_table(scores.pivot_table("value", index, "pass").reset_index())
    seeds.print_claims(rows)


def add_options(parser: argparse.ArgumentParser) -> None:
    add_budget(parser, BUDGETS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--prompts", type=int, default=3200, help="that probes are trained on")


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    budget = BUDGETS[args.budget]
    setting = {"budget": args.budget, "prompts": args.prompts}
    store = Store(RESULTS / "paper_decoder_probing.jsonl", **setting)

    def job(seed: int) -> Rows:
        runs = {kind: run_of(budget, "linear", seed, kind) for kind in (LOOPED, LAYERS)}
        networks = {kind: trained(run, args.budget, seed)[0].network for kind, run in runs.items()}
        k = budget.few[1]
        found = {kind: probe_errors(net, k, seed, args.prompts) for kind, net in networks.items()}
        scores: Rows = [
            {"kind": "score", "target": g, "network": kind, "control": c, "pass": t, **interval(e)}
            for kind, errs in found.items()
            for (g, c, t), e in errs.items()
        ]
        return scores + claims(found)

    show(store.complete([{"seed": seed} for seed in args.seeds], job))
