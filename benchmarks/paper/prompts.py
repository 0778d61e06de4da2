"""Prompts of a task, methods that answer them, and their errors on held-out prompts.

Shapes: B prompts, k support rows, q queries, d columns, m features. A method fits the support,
X (B, k, d) and y (B, k), and returns a model: queries (B, q, d) -> predictions (steps, B, q), one
for each of its loops or iterations.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from torch import Tensor

from benchmarks.paper.representation import NetworkLayersPrior
from sklearn_looped.core.device import seeded_generator
from sklearn_looped.learned.checkpoints import load_checkpoint
from sklearn_looped.learned.inference.standardise import Standardiser
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.priors import Prior
from sklearn_looped.learned.training.held_out import HELD_OUT

Model = Callable[[Tensor], Tensor]
Method = Callable[[Tensor, Tensor], Model]
Stepped = Callable[[int], Method]  # a method of so many loops or iterations
Solver = Callable[[Tensor, Tensor], Tensor]  # X (B, k, m), y (B, k) -> weights (steps, B, m)
N_QUERY = 8  # held-out queries of a prompt
CHUNK = 160  # prompts at a time


@dataclass(frozen=True)
class Task:
    """A prior, the sizes it is drawn at, and E[y^2]; None: the mean over the prompts."""

    prior: Prior
    n_features: int
    n_examples: int
    mean_square: float | None = None

    @property
    def rows_per_example(self) -> int:
        """A chain of thought takes a row for each layer."""
        return self.prior.n_layers if isinstance(self.prior, NetworkLayersPrior) else 1

    @property
    def sizes(self) -> list[int]:
        """Numbers of examples at which errors are reported: quarters of the most."""
        return [self.n_examples * quarter // 4 for quarter in (1, 2, 3, 4)]


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


def standardised(network: LoopedNetwork, n_loops: int) -> Method:
    """As `looped`, on prompts in the canonical form that the network is trained on."""
    method, centre = looped(network, n_loops), network.config.centre

    def fit(X: Tensor, y: Tensor) -> Model:
        scale = Standardiser.fit(X, y, centre=centre)
        model = method(scale.features(X), scale.target(y))
        return lambda queries: scale.undo_target(model(scale.features(queries)))

    return fit


def checkpoint(weights: str) -> tuple[Stepped, int]:
    """Shipped weights by name, or those of a file: the method and the loops it takes by default."""
    network = load_checkpoint(weights).network
    return lambda n: standardised(network, n), network.config.n_loops


def fitted(model: BaseEstimator, represent: Callable[[Tensor], Tensor] = lambda X: X) -> Method:
    """Fit a scikit-learn estimator to each prompt by itself."""

    def fit(X: Tensor, y: Tensor) -> Model:
        models = [clone(model).fit(a, b) for a, b in zip(represent(X).numpy(), y, strict=True)]

        def predict(queries: Tensor) -> Tensor:
            rows = zip(models, represent(queries).numpy(), strict=True)
            return torch.tensor(np.array([m.predict(q) for m, q in rows]))[None].float()

        return predict

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


def chunks(n_prompts: int) -> Iterator[tuple[torch.Generator, int]]:
    for chunk, start in enumerate(range(0, n_prompts, CHUNK)):
        yield seeded_generator(HELD_OUT, chunk), min(CHUNK, n_prompts - start)


@torch.inference_mode()
def errors(task: Task, method: Method, n_examples: int, n_prompts: int) -> Tensor:
    """Squared errors (steps, prompts), each the mean over a prompt's queries, as shares of E[y^2].

    The layers' inputs of a chain of thought are the true ones here.
    """
    last, size = (n * task.rows_per_example for n in (task.n_examples, n_examples))
    found, squares = [], []
    for generator, n in chunks(n_prompts):
        X, y = task.prior.sample(generator, n, last + N_QUERY, task.n_features)
        model = method(X[:, last - size : last], y[:, last - size : last])
        found.append((model(X[:, last:]) - y[:, last:]).square().mean(2))
        squares.append(y[:, last:].square().mean(1))
    return torch.cat(found, 1) / (task.mean_square or torch.cat(squares).mean())
