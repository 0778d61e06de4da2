"""What the host keeps of the MLP block between epochs: scikit-learn's start, order and losses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy
from sklearn.utils import shuffle

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.epochs import Lane, Learner, Schedule, Validation
from sklearn_looped.programmed.algorithms.mlp.block import EpochRecord, MLPBlock, Network
from sklearn_looped.programmed.algorithms.mlp.layers import Activation, OutputActivation

_EPS = np.finfo(np.float64).eps


def initial_network(
    layer_sizes: Sequence[int], rng: np.random.RandomState, activation: Activation = "logistic"
) -> Network:
    """Draw the weights as scikit-learn does: uniform up to sqrt(f / (units in + units out)).

    The factor f is 2 for sigmoids and 6 for all other units.
    """
    coefs, intercepts = [], []
    for n_in, n_out in pairwise(layer_sizes):
        bound = np.sqrt((2.0 if activation == "logistic" else 6.0) / (n_in + n_out))
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
class MLPRules:
    """Parameters of scikit-learn's networks beside the `Schedule`, with the same names."""

    batch_size: int
    momentum: float
    nesterovs_momentum: bool


@dataclass(frozen=True)
class Progress:
    """What one call of `fit` or `partial_fit` leaves to the next, as in scikit-learn.

    Parameters
    ----------
    network : Network
        With its velocity.
    eta : float
        The step size by now.
    best : float
        The lowest objective of an epoch.
    waiting : int
        Epochs without improvement.
    n_seen : int
        Samples seen.
    loss_curve, scores : tuple of float
        Losses and validation scores of the epochs.
    """

    network: Network
    eta: float
    best: float
    waiting: int
    n_seen: int
    loss_curve: tuple[float, ...]
    scores: tuple[float, ...]

    def restarted(self, eta: float) -> "Progress":
        """Return the same with the step size and the velocity of a new training."""
        return replace(self, eta=eta, network=replace(self.network, velocity=None))


def decide(prediction: Array) -> NDArray[np.intp]:
    """Choose the most probable class; a single output is the probability of the second."""
    if prediction.shape[1] == 1:
        return (prediction[:, 0] > 0.5).astype(np.intp)
    return prediction.argmax(axis=1)


class MLPLearner(Learner):
    """A network in training.

    Parameters
    ----------
    schedule : Schedule
    rules : MLPRules
    output : {"identity", "logistic", "softmax"}
        That of the block.
    y : ndarray of shape (n_samples, n_outputs)
        Targets.
    network : Network
        Weights to begin with.
    rng : RandomState or None
        Of the shuffle. None: no shuffle.
    rows : ndarray of shape (n,) or None, default=None
        Samples to learn from. None: all.
    weights : ndarray of shape (n_samples,) or None, default=None
        Weights of the samples in the loss. None: 1.
    validation : Validation or None, default=None
        Stops the training by its score instead of the loss, and keeps the best network.
    before : Progress or None, default=None
        What earlier calls left.
    """

    def __init__(
        self,
        schedule: Schedule,
        rules: MLPRules,
        output: OutputActivation,
        y: Array,
        network: Network,
        rng: np.random.RandomState | None,
        *,
        rows: NDArray[np.intp] | None = None,
        weights: Array | None = None,
        validation: Validation | None = None,
        before: Progress | None = None,
    ) -> None:
        super().__init__(schedule, network)
        self.rules, self.output, self.y, self.rng = rules, output, y, rng
        self.rows = np.arange(len(y)) if rows is None else rows
        self.weights = np.ones(len(y)) if weights is None else weights
        self.validation = validation
        # Scikit-learn overwrites the best network of an earlier call, in place, by the last one.
        self._best_network = network if before is None else None
        self.n_seen, self.loss_curve, self.scores = 0, list[float](), list[float]()
        if before is not None:
            self.eta, self.n_seen = before.eta, before.n_seen
            self.loss_curve, self.scores = list(before.loss_curve), list(before.scores)
            if bool(before.scores) == (validation is not None):
                self.best, self.waiting = before.best, before.waiting
        place = np.arange(self.n_steps)
        start = place - place % rules.batch_size
        self._sizes = np.minimum(self.n_steps - start, rules.batch_size)  # of batches, by visit
        self._ends = (place + 1 == start + self._sizes).astype(np.float64)
        self._totals = self._sizes.astype(np.float64)  # weights of the batches, by visit

    @property
    def n_steps(self) -> int:
        """Steps of a whole epoch."""
        return len(self.rows)

    @property
    def result(self) -> Network:
        """The last network; with a validation set the best one at the ends of epochs."""
        if self.validation is None or self._best_network is None:
            return self.memory
        return self._best_network

    @property
    def progress(self) -> Progress:
        """What the next call may go on from."""
        network = replace(self.result, velocity=self.memory.velocity)
        numbers = self.eta, self.best, self.waiting, self.n_seen
        return Progress(network, *numbers, tuple(self.loss_curve), tuple(self.scores))

    def next_lane(self) -> Lane:
        """Order of the next epoch, and its steps at the ends of the batches.

        Raises
        ------
        ValueError
            If all samples of a batch have weight 0.
        """
        if self.rng is not None:
            self.rows = shuffle(self.rows, random_state=self.rng)
        size = self.rules.batch_size
        sums = np.add.reduceat(self.weights[self.rows], np.arange(0, self.n_steps, size))
        if not sums.all():
            raise ValueError(
                "Got a batch of samples of which all have weight 0; drop them or raise batch_size."
            )
        self._totals = np.repeat(sums, size)[: self.n_steps]
        order, rules = self.cut(self.rows), self.rules
        n = len(order)
        end = self._ends[:n]
        step = end * self.eta / self._totals[:n]
        steps = {"end": end, "step": step, "decay": step * self.schedule.alpha}
        steps["weight"] = self.weights[order]
        steps["brake"] = end * (1 - rules.momentum)
        steps["lead"] = end * (rules.momentum if rules.nesterovs_momentum else 1.0)
        return Lane(self.memory, order, steps)

    def take(self, block: MLPBlock, lane: Lane, record: EpochRecord) -> float | None:
        """Keep the network; the mean of loss and penalty over an epoch that was not cut off.

        With a validation set it is minus the score.

        Raises
        ------
        ValueError
            If the descent diverges, with the step.
        """
        order = lane.order
        fine = np.isfinite(record.prediction).all(axis=1) & np.isfinite(record.squares)
        fine = fine[order]
        weights = (*record.network.coefs, *record.network.intercepts)
        fine[-1] &= all(np.isfinite(w).all() for w in weights)
        if not fine.all():
            advice = "it, or scale the features and target."
            raise self.diverged("learning_rate_init", fine, advice)
        self.memory = record.network
        if len(order) < self.n_steps:
            return None
        loss = losses(self.output, self.y[order], record.prediction[order])
        loss *= self.weights[order] * self._sizes / self._totals
        loss += self.schedule.alpha * record.squares[order] / self._totals / 2
        self.loss_curve.append(float(loss.mean()))
        self.n_seen += self.n_steps
        if self.schedule.learning_rate == "invscaling":
            self.eta = float(self.step_sizes(self.n_seen + 1))
        if self.validation is None:
            return self.loss_curve[-1]
        prediction = block.answer([self.memory], self.validation.X)["prediction"]
        self.scores.append(self.validation.score(prediction))
        if -self.scores[-1] < self.best:
            self._best_network = self.memory
        return -self.scores[-1]
