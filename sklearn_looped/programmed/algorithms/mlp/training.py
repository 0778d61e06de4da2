"""The host of the MLP block: sample order, step sizes, and when to stop.

The host does no step of the descent. It writes scikit-learn's initial weights, sample order and
step size on the punchcard, one epoch at a time, and decides between epochs by the losses of the
recorded outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy
from sklearn.utils import shuffle

from sklearn_looped.programmed.algorithms.mlp.block import MLPBlock, OutputActivation
from sklearn_looped.programmed.algorithms.mlp.tape import Array, Network, Record, punch, run
from sklearn_looped.programmed.algorithms.sgd import Punchcard

_SMALLEST_ADAPTIVE = 1e-6
_EPS = np.finfo(np.float64).eps


def initial_network(layer_sizes: Sequence[int], rng: np.random.RandomState) -> Network:
    """Draw the weights as scikit-learn does: uniform up to sqrt(2 / (units in + units out))."""
    coefs, intercepts = [], []
    for n_in, n_out in pairwise(layer_sizes):
        bound = np.sqrt(2.0 / (n_in + n_out))
        coefs.append(rng.uniform(-bound, bound, (n_in, n_out)))
        intercepts.append(rng.uniform(-bound, bound, n_out))
    return Network(coefs, intercepts)


def losses(output: OutputActivation, y: Array, prediction: Array) -> Array:
    """Loss of each sample, without the penalty; (n_samples, n_outputs) -> (n_samples,).

    Half the mean squared error over the outputs, or the log loss.
    """
    if output == "identity":
        return ((y - prediction) ** 2).mean(axis=1) / 2
    p = np.clip(prediction, _EPS, 1 - _EPS)
    if output == "logistic":
        return -(xlogy(y, p) + xlogy(1 - y, 1 - p)).sum(axis=1)
    return -xlogy(y, p).sum(axis=1)


@dataclass(frozen=True)
class Rules:
    """The parameters of scikit-learn's networks that the host works by, with the same names."""

    alpha: float
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    tol: float
    n_iter_no_change: float


class Learner:
    """A network in training: what the host keeps of it between epochs.

    Parameters
    ----------
    block : MLPBlock
    output : {"identity", "logistic", "softmax"}
        That of the block.
    rules : Rules
    network : Network
        Initial weights.
    rng : RandomState
        Of the shuffle.
    """

    def __init__(
        self,
        block: MLPBlock,
        output: OutputActivation,
        rules: Rules,
        network: Network,
        rng: np.random.RandomState,
    ) -> None:
        self.block, self.output, self.rules, self.rng = block, output, rules, rng
        self.network, self.loss_curve = network, list[float]()
        self.eta = rules.learning_rate_init
        self.n_loops = 0
        self.converged = False
        self._best, self._waiting = np.inf, 0

    def train(self, X: Array, y: Array, evaluation: str = "gather") -> Punchcard:
        """Run epochs until the loss stalls, `max_iter` at most.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
        y : ndarray of shape (n_samples, n_outputs)
        evaluation : {"dense", "masked", "cached", "gather"}, default="gather"

        Returns
        -------
        card : Punchcard
            The last one that was run.

        Raises
        ------
        ValueError
            If the descent diverges, with the step.
        """
        order = np.arange(len(X))
        while not self.converged and len(self.loss_curve) < self.rules.max_iter:
            if self.rules.shuffle:
                order = shuffle(order, random_state=self.rng)
            decay = self.eta * self.rules.alpha
            card = punch(self.block, self.network, X, y, order, self.eta, decay)
            self.learn(run(self.block, card, evaluation), y, order)
        return card

    def learn(self, record: Record, y: Array, order: NDArray[np.intp]) -> None:
        """Take the record of an epoch: its loss, the next step size, whether the loss stalls.

        Raises
        ------
        ValueError
            If the descent diverges, with the step.
        """
        rules = self.rules
        self._check_finite(record, order)
        self.network = record.network
        self.n_loops += len(order)
        penalty = rules.alpha * record.squares / 2
        loss = float((losses(self.output, y, record.prediction) + penalty).mean())
        self.loss_curve.append(loss)
        self._waiting = self._waiting + 1 if loss > self._best - rules.tol else 0
        self._best = min(self._best, loss)
        if rules.learning_rate == "invscaling":
            self.eta = rules.learning_rate_init / (self.n_loops + 1) ** rules.power_t
        if self._waiting > rules.n_iter_no_change:
            if rules.learning_rate == "adaptive" and self.eta > _SMALLEST_ADAPTIVE:
                self.eta, self._waiting = self.eta / 5, 0
            else:
                self.converged = True

    def _check_finite(self, record: Record, order: NDArray[np.intp]) -> None:
        """Raise if the steps blew up."""
        fine = np.isfinite(record.prediction).all(axis=1) & np.isfinite(record.squares)
        weights = (*record.network.coefs, *record.network.intercepts)
        if not (fine.all() and all(np.isfinite(w).all() for w in weights)):
            bad = np.flatnonzero(~fine[order])
            step = self.n_loops + 1 + int(bad[0] if len(bad) else len(order) - 1)
            raise ValueError(
                f"Got a learning rate that diverges: learning_rate_init="
                f"{self.rules.learning_rate_init:g} blew up at step {step} (epoch "
                f"{len(self.loss_curve) + 1}); lower it, or scale the features and target."
            )
