"""What the host keeps of the MLP block between epochs: scikit-learn's start, order and losses."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.special import xlogy
from sklearn.utils import shuffle

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.epochs import Lane, Learner, Schedule
from sklearn_looped.programmed.algorithms.mlp.block import EpochRecord, Network
from sklearn_looped.programmed.algorithms.mlp.layers import OutputActivation

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


class MLPLearner(Learner):
    """A network in training.

    Parameters
    ----------
    schedule : Schedule
    output : {"identity", "logistic", "softmax"}
        That of the block.
    y : ndarray of shape (n_samples, n_outputs)
        Targets.
    network : Network
        Initial weights.
    rng : RandomState or None
        Of the shuffle. None: no shuffle.
    """

    def __init__(
        self,
        schedule: Schedule,
        output: OutputActivation,
        y: Array,
        network: Network,
        rng: np.random.RandomState | None,
    ) -> None:
        super().__init__(schedule)
        self.output, self.y, self.network, self.rng = output, y, network, rng
        self.order, self.loss_curve = np.arange(len(y)), list[float]()

    def next_lane(self) -> Lane:
        """Order of the next epoch, and its one step size."""
        if self.rng is not None:
            self.order = shuffle(self.order, random_state=self.rng)
        eta = float(self.step_sizes(self.n_loops + 1))
        return Lane(self.network, self.order, {"eta": eta, "decay": eta * self.schedule.alpha})

    def take(self, lane: Lane, record: EpochRecord) -> float:
        """Keep the network; the mean of loss and penalty over the epoch.

        Raises
        ------
        ValueError
            If the descent diverges, with the step.
        """
        fine = np.isfinite(record.prediction).all(axis=1) & np.isfinite(record.squares)
        fine = fine[lane.order]
        weights = (*record.network.coefs, *record.network.intercepts)
        fine[-1] &= all(np.isfinite(w).all() for w in weights)
        if not fine.all():
            advice = "it, or scale the features and target."
            raise self.diverged("learning_rate_init", fine, advice)
        self.network = record.network
        loss = losses(self.output, self.y, record.prediction)
        loss += self.schedule.alpha * record.squares / 2
        self.loss_curve.append(float(loss.mean()))
        return self.loss_curve[-1]
