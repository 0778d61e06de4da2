"""What the host keeps of the MLP block between epochs: scikit-learn's start, order and losses."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import xlogy
from sklearn.utils import shuffle

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.epochs import Lane, Learner, Schedule
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
        Initial weights.
    rng : RandomState or None
        Of the shuffle. None: no shuffle.
    """

    def __init__(
        self,
        schedule: Schedule,
        rules: MLPRules,
        output: OutputActivation,
        y: Array,
        network: Network,
        rng: np.random.RandomState | None,
    ) -> None:
        super().__init__(schedule, network)
        self.rules, self.output, self.y, self.rng = rules, output, y, rng
        self.order, self.loss_curve = np.arange(len(y)), list[float]()
        place = np.arange(len(y))
        start = place - place % rules.batch_size
        self._sizes = np.minimum(len(y) - start, rules.batch_size)  # of the batches, by visit
        self._ends = (place + 1 == start + self._sizes).astype(np.float64)

    @property
    def n_steps(self) -> int:
        """Steps of a whole epoch."""
        return len(self.y)

    def next_lane(self) -> Lane:
        """Order of the next epoch, and its steps at the ends of the batches."""
        if self.rng is not None:
            self.order = shuffle(self.order, random_state=self.rng)
        order, rules = self.cut(self.order), self.rules
        end = self._ends[: len(order)]
        step = end * float(self.step_sizes(self.n_loops + 1)) / self._sizes[: len(order)]
        steps = {"end": end, "step": step, "decay": step * self.schedule.alpha}
        steps["brake"] = end * (1 - rules.momentum)
        steps["lead"] = end * (rules.momentum if rules.nesterovs_momentum else 1.0)
        return Lane(self.memory, order, steps)

    def take(self, block: MLPBlock, lane: Lane, record: EpochRecord) -> float | None:
        """Keep the network; the mean of loss and penalty over an epoch that was not cut off.

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
        self.memory = record.network
        if len(lane.order) < self.n_steps:
            return None
        loss = losses(self.output, self.y, record.prediction)
        loss[lane.order] += self.schedule.alpha * record.squares[lane.order] / self._sizes / 2
        self.loss_curve.append(float(loss.mean()))
        return self.loss_curve[-1]
