"""The AlgoFormer's tasks, their classical methods, and errors by chain of thought."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.paper.prompts import (
    N_QUERY,
    Method,
    Solver,
    Stepped,
    Task,
    chunks,
    least_squares,
    linear,
    ridge,
)
from benchmarks.paper.representation import (
    AutoregressivePrior,
    NetworkLayersPrior,
    RepresentationPrior,
)
from sklearn_looped.core.device import seeded_generator
from sklearn_looped.learned.training.held_out import HELD_OUT

LAPTOP = {
    "representation": Task(RepresentationPrior(), 5, 32),
    "autoregressive": Task(AutoregressivePrior(), 6, 32),
    "layers": Task(NetworkLayersPrior(), 7, 16),
    "noisy linear": Task(RepresentationPrior(n_layers=0, noise=0.5), 8, 32),
}
PAPER = {
    "representation": Task(RepresentationPrior(n_units=20), 20, 40),
    "autoregressive": Task(AutoregressivePrior(n_units=20), 60, 40),
    "layers": Task(NetworkLayersPrior(), 23, 40),
    "noisy linear": Task(RepresentationPrior(n_layers=0, noise=0.5), 20, 40),
}


def gradient_descent(rate: float, n_steps: int) -> Solver:
    """Take steps of gradient descent on the mean squared error, from zero."""

    def solve(X: Tensor, y: Tensor) -> Tensor:
        weights = [torch.zeros_like(X[:, 0])]
        for _ in range(n_steps):
            residual = y - torch.einsum("bkm,bm->bk", X, weights[-1])
            step = torch.einsum("bkm,bk->bm", X, residual) / X.shape[1]
            weights.append(weights[-1] + rate * step)
        return torch.stack(weights[1:])

    return solve


def newton(n_steps: int) -> Solver:
    """Newton's iterations for the inverse of the Gram matrix: M <- M (2 I - G M)."""

    def solve(X: Tensor, y: Tensor) -> Tensor:
        gram, moment = X.mT @ X, (X.mT @ y[..., None]).squeeze(-1)
        inverse = gram / torch.linalg.matrix_norm(gram, 2)[:, None, None].square()
        weights = []
        for _ in range(n_steps):
            inverse = 2 * inverse - inverse @ gram @ inverse
            weights.append(torch.einsum("bij,bj->bi", inverse, moment))
        return torch.stack(weights)

    return solve


def baselines(task: Task, n_loops: int) -> dict[str, Stepped]:
    """Give the classical methods by name; gradient descent is tuned for `n_loops` steps."""
    prior = task.prior
    if isinstance(prior, NetworkLayersPrior):
        return {"least squares a layer": lambda n: linear(least_squares, by_layer(prior))}
    assert isinstance(prior, RepresentationPrior | AutoregressivePrior)
    methods: dict[str, Stepped] = {"least squares": lambda n: linear(least_squares)}
    if prior.n_layers:
        best = linear(ridge(prior.n_units * prior.noise**2), prior.represent)
        return methods | {"ridge on the true representation": lambda n: best}
    rate = tuned_rate(task, n_loops)
    return methods | {
        "gradient descent": lambda n: linear(gradient_descent(rate, n)),
        "Newton": lambda n: linear(newton(n)),
        "ridge": lambda n: linear(ridge(task.n_features * prior.noise**2)),
    }


def by_layer(prior: NetworkLayersPrior) -> Callable[[Tensor], Tensor]:
    """Features with which a linear method has weights of its own for each layer."""
    L = prior.n_layers
    return lambda X: (X[..., -L:, None] * X[..., None, :-L]).flatten(-2)


def tuned_rate(
    task: Task, n_steps: int, represent: Callable[[Tensor], Tensor] = lambda X: X
) -> float:
    """Rate at which gradient descent errs least after `n_steps`, on prompts of its own."""
    rates = [1.2**power for power in range(-15, 5)]
    X, y = task.prior.sample(
        seeded_generator(HELD_OUT, 2**20), 1280, task.n_examples + N_QUERY, task.n_features
    )
    k = task.n_examples

    def error(rate: float) -> float:
        method = linear(gradient_descent(rate, n_steps), represent)
        last = method(X[:, :k], y[:, :k])(X[:, k:])[-1]
        return float((last - y[:, k:]).square().mean())

    return min(rates, key=error)


@torch.inference_mode()
def chain_errors(task: Task, method: Method, n_examples: int, n_prompts: int) -> Tensor:
    """Squared errors (prompts,) of the last layer, reached through the method's own predictions.

    All units are predicted at a time, as tables of their own.
    """
    prior = task.prior
    assert isinstance(prior, NetworkLayersPrior)
    n_units = task.n_features - prior.n_layers
    found, squares = [], []
    for generator, n in chunks(n_prompts):
        states = prior.states(generator, n, task.n_examples + N_QUERY, n_units)
        support, queries = states[:, :n_examples], states[:, task.n_examples :]
        X = prior.rows(support[:, :, :-1]).repeat_interleave(n_units, 0)
        y = support[:, :, 1:].flatten(1, 2).mT.flatten(0, 1)  # (B * units, rows)
        model, current = method(X, y), queries[:, :, 0]
        for layer in range(prior.n_layers):
            code = torch.eye(prior.n_layers)[layer].expand(*current.shape[:2], -1)
            rows = torch.cat([current, code], -1).repeat_interleave(n_units, 0)
            current = model(rows)[-1].unflatten(0, (n, n_units)).mT
        found.append((current - queries[:, :, -1]).square().mean((1, 2)))
        squares.append(queries[:, :, -1].square().mean((1, 2)))
    return torch.cat(found) / torch.cat(squares).mean()
