"""How many loops to an error of 1e-6 on noiseless linear regression, learned or hand-set?

Errors are squared and normalised. Programmed gradient descent starts by construction and is
meta-trained on condition numbers from 1 to 1e4; one set of weights then serves all of them. Its
baselines are the same loops as constructed, gradient descent, heavy ball and Chebyshev's iteration
that are *told* the extreme eigenvalues of each prompt, Newton-Schulz, and conjugate gradients.
``python -m benchmarks bridge`` trains, prints the table and writes benchmarks/results/bridge.json.

A loop of several gradient steps is no saving by itself: the table counts gradient steps, and
products with the table of s x d (2 a gradient step; 2 d more where the step whitens the inputs;
d once for the Gram matrix and 2 d^2 / s a loop in Newton-Schulz).
"""

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.common.report import report
from sklearn_looped.bridge.descent import DescentConfig, DescentNetwork
from sklearn_looped.learned.priors import IllConditionedLinearPrior
from sklearn_looped.learned.training.held_out import HELD_OUT
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.prompts import PromptStream
from sklearn_looped.learned.training.recipe import Recipe

D, S, Q = 8, 128, 16
TOLERANCE = 1e-6
CONDITIONS = (1.0, 10.0, 100.0, 1e3, 1e4)
N_PROMPTS = 64
MAX_STEPS = 1000
Array = np.ndarray


def recipe(n_tables: int, **changes: Any) -> Recipe:
    sizes = {"n_features": (D, D), "n_support": (S, S), "n_query": Q}
    options = {"n_steps": 1, "window": 1, "weight_decay": 0.0, "average": 0.98, "muon_lr": 3e-3}
    return Recipe(**{**sizes, **options, "rows_per_step": n_tables * (S + Q), **changes})


# What is learned, from which construction, and how.
DESCENT = DescentConfig(D, n_steps=8, condition=100.0)
CONSTRUCTIONS: dict[str, tuple[DescentConfig, dict[str, Any]]] = {
    "8 steps": (DESCENT, {"n_steps": 300, "n_loops": (2, 30), "n_grad_loops": 4, "lr": 0.03}),
    "8 steps, preconditioner": (
        DescentConfig(D, n_steps=8, condition=100.0, trained=("step_size", "preconditioner")),
        {"n_steps": 300, "n_loops": (2, 30), "n_grad_loops": 4, "lr": 0.03},
    ),
    "heavy ball": (
        DescentConfig(D, condition=10.0, momentum=0.8, trained=("step_size", "momentum")),
        {"n_steps": 200, "n_loops": (40, 240), "n_grad_loops": 20, "lr": 0.01},
    ),
    "Newton": (
        DescentConfig(D, newton=True, trained=("step_size", "whitening")),
        {"n_steps": 400, "n_loops": (2, 10), "lr": 0.02},
    ),
}


class Problems(NamedTuple):
    """Held-out prompts in canonical form: Gram matrices, moments, queries and their targets."""

    C: Array  # (B, d, d)
    b: Array  # (B, d)
    X_query: Array  # (B, q, d)
    target: Array  # (B, q)

    def errors(self, predictions: Array) -> Array:
        """Normalised squared error, (..., B, q) -> (..., B)."""
        with np.errstate(over="ignore", invalid="ignore"):  # steps too long for a prompt diverge
            return ((predictions - self.target) ** 2).sum(-1) / (self.target**2).sum(-1)


def gradient_descent(p: Problems, step: Array, momentum: Array | float = 0.0) -> Iterator[Array]:
    w = velocity = np.zeros_like(p.b)
    while True:
        gradient = p.b - np.einsum("bij,bj->bi", p.C, w)
        velocity = np.reshape(momentum, (-1, 1)) * velocity + step[:, None] * gradient
        w = w + velocity
        yield w


def chebyshev(p: Problems, L: Array, mu: Array) -> Iterator[Array]:
    """Chebyshev's semi-iteration (Saad 2003, Algorithm 12.1): optimal at every step."""
    theta, delta = ((L + mu) / 2)[:, None], ((L - mu) / 2)[:, None]
    sigma = theta / delta
    rho, w = 1 / sigma, np.zeros_like(p.b)
    residual = p.b
    move = residual / theta
    while True:
        w = w + move
        yield w
        residual = residual - np.einsum("bij,bj->bi", p.C, move)
        new = 1 / (2 * sigma - rho)
        move = new * rho * move + 2 * new / delta * residual
        rho = new


def conjugate_gradients(p: Problems) -> Iterator[Array]:
    w, residual = np.zeros_like(p.b), p.b
    direction = residual
    size = (residual**2).sum(1)
    while True:
        image = np.einsum("bij,bj->bi", p.C, direction)
        step = size / np.maximum((direction * image).sum(1), 1e-300)
        w, residual = w + step[:, None] * direction, residual - step[:, None] * image
        yield w
        new = (residual**2).sum(1)
        direction = residual + (new / np.maximum(size, 1e-300))[:, None] * direction
        size = new


def newton_schulz(p: Problems) -> Iterator[Array]:
    """Iterate from the start of `sklearn_looped.programmed.algorithms.linalg.inv`."""
    bound = np.linalg.norm(p.C, 1, (1, 2)) * np.linalg.norm(p.C, np.inf, (1, 2))
    inverse = p.C / bound[:, None, None]
    while True:
        inverse = 2 * inverse - inverse @ p.C @ inverse
        yield np.einsum("bij,bj->bi", inverse, p.b)


def first_loop(errors: Array, cap: int) -> Array:
    """First loop, from 1, with an error below the tolerance; infinity where there is none."""
    below = errors < TOLERANCE  # (loops, B)
    return np.where(below[:cap].any(0), below[:cap].argmax(0) + 1.0, np.inf)


def loops_of_baseline(p: Problems, iterates: Iterator[Array]) -> Array:
    errors = [p.errors(np.einsum("bqd,bd->bq", p.X_query, w)) for w in islice(iterates, MAX_STEPS)]
    return first_loop(np.array(errors), MAX_STEPS)


@torch.inference_mode()
def loops_of_network(p: Problems, network: DescentNetwork, prompt: dict[str, Any]) -> Array:
    cap, n_loops = MAX_STEPS // network.config.n_steps, 16
    while True:  # most prompts need few loops
        n_loops = min(n_loops, cap)
        outputs = network(prompt["X"], prompt["y"], n_loops, window=n_loops)[..., 0]
        loops = first_loop(p.errors(outputs.numpy()), cap)
        if n_loops == cap or np.isfinite(loops).all():
            return loops
        n_loops *= 4


def baselines(p: Problems) -> dict[str, tuple[Iterator[Array], float, float]]:
    """Name -> iterates, products a loop, and products once."""
    eigenvalues = np.linalg.eigvalsh(p.C)
    L, mu = eigenvalues[:, -1], eigenvalues[:, 0]
    roots = np.sqrt(L) + np.sqrt(mu)
    momentum = ((np.sqrt(L) - np.sqrt(mu)) / roots) ** 2
    return {
        "told L: descent 1/L": (gradient_descent(p, 1 / L), 2, 0),
        "told L, mu: descent 2/(L+mu)": (gradient_descent(p, 2 / (L + mu)), 2, 0),
        "told L, mu: heavy ball": (gradient_descent(p, 4 / roots**2, momentum), 2, 0),
        "told L, mu: Chebyshev": (chebyshev(p, L, mu), 2, 0),
        "Newton-Schulz inverse": (newton_schulz(p), 2 * D * D / S, D),
        "conjugate gradients": (conjugate_gradients(p), 2, 0),
    }


def row(
    condition: float, measured: float, name: str, loops: Array, steps: int, each: float, once: float
) -> dict[str, Any]:
    """One line of the table; what half or a quarter of the prompts never reach is said so."""
    cap = MAX_STEPS // steps
    quartiles = np.quantile(loops, [0.25, 0.5, 0.75], method="nearest")

    def show(value: float, count: Callable[[float], float]) -> float | str:
        return count(value) if np.isfinite(value) else f">{count(cap):g}"

    shown = dict(zip(("q1", "median", "q3"), quartiles, strict=True))
    return {
        "condition": condition,
        "measured": measured,
        "method": name,
        **{f"loops {k}": show(v, float) for k, v in shown.items()},
        "steps a loop": steps,
        "gradient steps": show(quartiles[1], lambda n: n * steps),
        "table products": show(quartiles[1], lambda n: n * each + once),
        "reached": float(np.isfinite(loops).mean()),
    }


def measure(networks: dict[str, DescentNetwork]) -> list[dict[str, Any]]:
    rows = []
    for condition in CONDITIONS:
        prior = IllConditionedLinearPrior((condition, condition))
        prompt, target = PromptStream(prior, recipe(N_PROMPTS, seed=HELD_OUT), 0).prompt(0)
        X, y = prompt["X"].double().numpy(), prompt["y"].double().numpy()
        support = X[:, :S].transpose(0, 2, 1) / S
        C, b = support @ X[:, :S], np.einsum("bds,bs->bd", support, y)
        p = Problems(C, b, X[:, S:], target.y.double().numpy())
        measured = float(np.median(np.linalg.cond(C)))
        for name, network in networks.items():
            loops, steps = loops_of_network(p, network, prompt), network.config.n_steps
            each = steps * (2 + 2 * D * network.config.newton)
            rows.append(row(condition, measured, name, loops, steps, each, 0))
        for name, (iterates, each, once) in baselines(p).items():
            rows.append(
                row(condition, measured, name, loops_of_baseline(p, iterates), 1, each, once)
            )
    return rows


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    networks: dict[str, DescentNetwork] = {}
    for name, (config, changes) in CONSTRUCTIONS.items():
        start = time.process_time()
        training = meta_train(
            config, IllConditionedLinearPrior(), recipe(8, **changes), device="cpu"
        )
        print(f"{name}: {time.process_time() - start:.0f} CPU seconds of training")
        for i, step in enumerate(training.network.steps()):
            print(f"  step {i}:", ", ".join(f"{k} {v:.4g}" for k, v in step._asdict().items()))
        if "preconditioner" in config.trained:
            print("  preconditioner, diagonal:", training.network.preconditioner.diag().tolist())
        else:
            networks[f"constructed: {name}"] = config.build()
        networks[f"learned: {name}"] = training.network
    report(args, "bridge", measure(networks))
