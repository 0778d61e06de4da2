"""What the host keeps of the SGD block between epochs: scikit-learn's order, steps and losses."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.epochs import Lane, Learner, Schedule, Validation
from sklearn_looped.programmed.algorithms.sgd.block import LaneRecord, SGDBlock
from sklearn_looped.programmed.algorithms.sgd.layers import MAX_DERIVATIVE, Loss
from sklearn_looped.programmed.transformer.layout import Layout

_SMALLEST_SCALE = 1e-9  # where scikit-learn's scaled weights start anew
_LARGEST_WEIGHT = 10 * MAX_DERIVATIVE
_LARGEST_ERROR = 1e20  # beyond, a step that is cut off has fewer than 8 digits


def _huber(s: Array, c: float) -> Array:
    return np.where(np.abs(s) <= c, s * s / 2, c * (np.abs(s) - c / 2))


LOSSES: dict[Loss, Callable[[Array, float], Array]] = {
    "squared_error": lambda s, c: s * s / 2,
    "huber": _huber,
    "epsilon_insensitive": lambda s, c: np.maximum(np.abs(s) - c, 0),
    "hinge": lambda s, c: np.maximum(1 - s, 0),
    "log_loss": lambda s, c: np.logaddexp(0, -s),
}


@dataclass(frozen=True)
class SGDRules:
    """Parameters of scikit-learn's SGD beside the `Schedule`, with the same names."""

    loss: Loss
    penalty: str | None
    l1_ratio: float
    shuffle: bool
    epsilon: float
    average: int

    @property
    def l1_share(self) -> float:
        """Share of the L1 penalty in the whole penalty."""
        return {"l1": 1.0, "elasticnet": self.l1_ratio}.get(str(self.penalty), 0.0)


def norms_of(lane: Lane, record: LaneRecord, first: Array) -> Array:
    """Half the squared norm and the absolute sum of the weights, as scikit-learn counts them.

    It measures weights that a step moved, before the L1 penalty is paid; where the update is 0
    it lets the last measure decay. Returns an array of shape (n_steps + 1, 2), `first` in front.
    """
    w = record.weights[:, :-1]
    norms = np.vstack([first, np.stack([(w * w).sum(1) / 2, np.abs(w).sum(1)], axis=1)])
    keep = 1 - lane.steps["decay"]
    for i in np.flatnonzero(record.derivative * lane.steps["eta"] == 0):
        norms[i + 1] = norms[i] * [keep[i] ** 2, keep[i]]
    return norms


def visiting_order(n: int, seed: int) -> NDArray[np.intp]:
    """Scikit-learn's shuffle of n samples: Fisher-Yates by a 32-bit xorshift generator."""
    order = list(range(n))
    state = seed or 1
    for i in range(n - 1):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        j = i + (state & 0x7FFFFFFF) % (n - i)
        order[i], order[j] = order[j], order[i]
    return np.array(order, dtype=np.intp)


def signs(scores: Array) -> NDArray[np.intp]:
    """Decide between the labels -1 and 1."""
    return np.where(scores > 0, 1, -1)


class SGDLearner(Learner):
    """A linear model in training.

    Parameters
    ----------
    schedule : Schedule
    rules : SGDRules
    memory : ndarray of shape (width,)
        The model token to begin with.
    fields : Layout
        Fields of the token.
    rows : ndarray of shape (n,)
        The samples it learns from.
    seed : int
        Of the shuffle, which is the same permutation in every epoch.
    weights : ndarray of shape (n_data_tokens,) or None, default=None
        Weights of the samples: factors of the step sizes.
    kept : ndarray of bool of shape (n_data_tokens,) or None, default=None
        Samples that are not held out for validation.
    validation : Validation or None, default=None
        Stops the training by its score instead of the objective.
    n_before : int, default=0
        Steps that the model took before, by which steps are counted.
    keep_trace : bool, default=False
        Whether to collect the records of all steps in `trace`.
    """

    def __init__(
        self,
        schedule: Schedule,
        rules: SGDRules,
        memory: Array,
        fields: Layout,
        rows: NDArray[np.intp],
        seed: int,
        *,
        weights: Array | None = None,
        kept: NDArray[np.bool_] | None = None,
        validation: Validation | None = None,
        n_before: int = 0,
        keep_trace: bool = False,
    ) -> None:
        super().__init__(schedule, memory)
        self.rules, self.fields, self.rows, self.keep_trace = rules, fields, rows, keep_trace
        self.weights, self.kept, self.validation = weights, kept, validation
        self.n_before = n_before
        self.trace: list[pd.DataFrame] = []
        w = memory[fields["w"]]
        self._norms, self._scale, self._share = np.array([w @ w / 2, np.abs(w).sum()]), 1.0, 0.0
        if rules.shuffle:
            self._shuffle = visiting_order(len(rows), seed)

    @property
    def n_steps(self) -> int:
        """Steps of a whole epoch."""
        return len(self.rows) if self.kept is None else int(self.kept[self.rows].sum())

    def next_lane(self) -> Lane:
        """Tape of the next epoch, cut off at `n_loops`."""
        rules, schedule = self.rules, self.schedule
        if rules.shuffle:
            self.rows = self.rows[self._shuffle]
        order = self.cut(self.rows if self.kept is None else self.rows[self.kept[self.rows]])
        t = self.n_before + self.n_loops + np.arange(1.0, len(order) + 1)
        eta = self.step_sizes(t)
        decay = np.zeros(len(t))
        if rules.penalty is not None:
            decay = np.minimum(1, (1 - rules.l1_share) * eta * schedule.alpha)
        steps = {"eta": eta if self.weights is None else eta * self.weights[order], "decay": decay}
        if rules.l1_share:
            steps["l1"] = rules.l1_share * eta * schedule.alpha
        if rules.average:  # before it begins the mean is the weights themselves
            steps["rate"] = 1 / np.maximum(t - rules.average + 1, 1)
        shares = self._shares(decay, steps.get("rate", np.zeros(len(t))))
        if rules.average and rules.l1_share:
            steps["share"] = shares
        return Lane(self.memory, order, steps)

    def _shares(self, decay: Array, rate: Array) -> Array:
        """Share of an L1 payment that scikit-learn's running sum lends to the average.

        It keeps the average as a sum of updates, so a payment moves the weights of all steps
        averaged so far, less what has decayed since. On the way, follow the scale of its weights.
        """
        shares = []
        for keep, new in zip((1 - decay).tolist(), rate.tolist(), strict=True):
            self._scale *= keep
            self._share = self._share / keep if self._scale >= _SMALLEST_SCALE else 0.0
            self._scale = self._scale if self._scale >= _SMALLEST_SCALE else 1.0
            self._share += new * (1 - self._share)
            shares.append(self._share)
        return np.array(shares)

    def take(self, block: SGDBlock, lane: Lane, record: LaneRecord) -> float | None:
        """Keep the model; the mean of loss and penalty over an epoch that was not cut off.

        With a validation set it is minus the score.

        Raises
        ------
        ValueError
            If the descent diverges, with the step; only a decaying rate recovers from steps that
            are cut off.
        """
        fine = np.abs(record.weights).max(axis=1) <= _LARGEST_WEIGHT
        if self.schedule.learning_rate == "constant":
            fine &= np.abs(record.score) <= MAX_DERIVATIVE
        elif self.rules.loss == "squared_error":
            fine &= np.abs(record.score) <= _LARGEST_ERROR
        if not fine.all():
            raise self.diverged("eta0", fine, "eta0 or scale the features and target.")
        if self.keep_trace:
            self.trace.append(record.to_frame(lane).assign(epoch=self.n_iter + 1))
        self.memory = record.memory
        if self.schedule.tol is None or len(lane.order) < self.n_steps:
            return None
        if self.validation is not None:
            prediction = block.answer([self._scored()], self.validation.X)["prediction"]
            return -self.validation.score(prediction[:, 0])
        norms = norms_of(lane, record, self._norms)
        self._norms = norms[-1]
        loss = LOSSES[self.rules.loss](record.score, self.rules.epsilon)
        if self.rules.penalty is None:
            return float(loss.mean())
        penalty = norms[:-1] @ [1 - self.rules.l1_share, self.rules.l1_share]
        return float((loss + self.schedule.alpha * penalty).mean())

    def _scored(self) -> Array:
        """Model that scikit-learn validates: it divides the weights by their decay so far."""
        memory = self.memory.copy()
        memory[self.fields["w"]] /= self._scale
        if self.rules.average:
            memory[self.fields["mean_w"]] = memory[self.fields["w"]]
            memory[self.fields["mean_b"]] = memory[self.fields["b"]]
        return memory
