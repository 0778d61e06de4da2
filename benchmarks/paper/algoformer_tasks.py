"""The AlgoFormer's tasks, the methods that solve them, and their errors on held-out prompts.

Shapes: B prompts, k support rows, q queries, d columns, m features. A method fits the support,
X (B, k, d) and y (B, k), and returns a model: queries (B, q, d) -> predictions (steps, B, q), one
for each of its loops or iterations.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_looped.core.device import seeded_generator
from sklearn_looped.learned.held_out import HELD_OUT
from sklearn_looped.learned.network import LoopedNetwork
from sklearn_looped.learned.priors import (
    AutoregressivePrior,
    NetworkLayersPrior,
    Prior,
    RepresentationPrior,
)

Model = Callable[[Tensor], Tensor]
Method = Callable[[Tensor, Tensor], Model]
Stepped = Callable[[int], Method]  # a method of so many loops or iterations
Solver = Callable[[Tensor, Tensor], Tensor]  # X (B, k, m), y (B, k) -> weights (steps, B, m)
N_QUERY = 8  # held-out queries of a prompt
CHUNK = 160  # prompts at a time


@dataclass(frozen=True)
class Task:
    """A prior and the sizes it is drawn at."""

    prior: Prior
    n_features: int
    n_examples: int

    @property
    def rows_per_example(self) -> int:
        """A chain of thought takes a row for each layer."""
        return self.prior.n_layers if isinstance(self.prior, NetworkLayersPrior) else 1

    @property
    def sizes(self) -> list[int]:
        """Numbers of examples at which errors are reported: quarters of the most."""
        return [self.n_examples * quarter // 4 for quarter in (1, 2, 3, 4)]


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


def looped(network: LoopedNetwork, n_loops: int) -> Method:
    """Prediction of a network after every loop; one that was trained without looping has one."""
    if network.config.n_loops == 1:
        n_loops = 1

    def fit(X: Tensor, y: Tensor) -> Model:
        memory = network.encode_support(X, y, n_loops)
        return lambda queries: torch.stack(
            [step.output[..., 0] for step in network.predict_queries(queries, memory)]
        )

    return fit


def linear(solve: Solver, represent: Callable[[Tensor], Tensor] = lambda X: X) -> Method:
    """Linear prediction from features, in float64."""

    def fit(X: Tensor, y: Tensor) -> Model:
        weights = solve(represent(X).double(), y.double())
        return lambda queries: torch.einsum(
            "bqm,lbm->lbq", represent(queries).double(), weights
        ).float()

    return fit


def least_squares(X: Tensor, y: Tensor) -> Tensor:
    """Of smallest norm where the examples are fewer than the columns."""
    return (torch.linalg.pinv(X) @ y[..., None]).squeeze(-1)[None]


def ridge(penalty: float) -> Solver:
    def solve(X: Tensor, y: Tensor) -> Tensor:
        gram = X.mT @ X + penalty * torch.eye(X.shape[-1]).double()
        return torch.linalg.solve(gram, (X.mT @ y[..., None]).squeeze(-1))[None]

    return solve


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


def rivals(task: Task, n_loops: int) -> dict[str, Stepped]:
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


def tuned_rate(task: Task, n_steps: int) -> float:
    """Rate at which gradient descent errs least after `n_steps`, on prompts of its own."""
    rates = [1.2**power for power in range(-15, 5)]
    X, y = task.prior.sample(
        seeded_generator(HELD_OUT, 2**20), 1280, task.n_examples + N_QUERY, task.n_features
    )
    k = task.n_examples

    def error(rate: float) -> float:
        last = linear(gradient_descent(rate, n_steps))(X[:, :k], y[:, :k])(X[:, k:])[-1]
        return float((last - y[:, k:]).square().mean())

    return min(rates, key=error)


def _chunks(n_prompts: int) -> Iterator[tuple[torch.Generator, int]]:
    for chunk, start in enumerate(range(0, n_prompts, CHUNK)):
        yield seeded_generator(HELD_OUT, chunk), min(CHUNK, n_prompts - start)


@torch.inference_mode()
def errors(task: Task, method: Method, n_examples: int, n_prompts: int) -> Tensor:
    """Squared errors (steps, prompts), each the mean over a prompt's queries, as shares of E[y^2].

    The layers' inputs of a chain of thought are the true ones here.
    """
    last, size = (n * task.rows_per_example for n in (task.n_examples, n_examples))
    found, squares = [], []
    for generator, n in _chunks(n_prompts):
        X, y = task.prior.sample(generator, n, last + N_QUERY, task.n_features)
        model = method(X[:, last - size : last], y[:, last - size : last])
        found.append((model(X[:, last:]) - y[:, last:]).square().mean(2))
        squares.append(y[:, last:].square().mean(1))
    return torch.cat(found, 1) / torch.cat(squares).mean()


@torch.inference_mode()
def chain_errors(task: Task, method: Method, n_examples: int, n_prompts: int) -> Tensor:
    """Squared errors (prompts,) of the last layer, reached through the method's own predictions.

    All units are predicted at a time, as tables of their own.
    """
    prior = task.prior
    assert isinstance(prior, NetworkLayersPrior)
    n_units = task.n_features - prior.n_layers
    found, squares = [], []
    for generator, n in _chunks(n_prompts):
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
