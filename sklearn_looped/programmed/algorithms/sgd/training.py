"""The host of the SGD block: sample order, step sizes, and when to stop.

The host does no step of the descent. It writes scikit-learn's sample order and step sizes on
the tape, one epoch at a time, and decides between epochs by the losses of the recorded scores.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_looped.programmed.algorithms.sgd.block import MAX_DERIVATIVE, Loss, SGDBlock
from sklearn_looped.programmed.algorithms.sgd.tape import (
    Array,
    Lane,
    Punchcard,
    Record,
    Samples,
    new_memory,
    punch,
    run_lanes,
)

_PATIENCE = 5  # epochs without improvement, scikit-learn's n_iter_no_change
_SMALLEST_ADAPTIVE = 1e-6
_SMALLEST_SCALE = 1e-9  # where scikit-learn's scaled weights start anew
_LARGEST_WEIGHT = 10 * MAX_DERIVATIVE


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
class Rules:
    """The parameters of scikit-learn's SGD that the host works by, with the same names."""

    loss: Loss
    penalty: str | None
    alpha: float
    l1_ratio: float
    max_iter: int
    tol: float | None
    shuffle: bool
    epsilon: float
    learning_rate: str
    eta0: float
    power_t: float
    average: int
    n_loops: int | None

    @property
    def l1_share(self) -> float:
        """Share of the L1 penalty in the whole penalty."""
        return {"l1": 1.0, "elasticnet": self.l1_ratio}.get(str(self.penalty), 0.0)

    def step_sizes(self, t: Array, eta: float) -> Array:
        """Step sizes at the steps t = 1, 2, ...; `eta` is the current one where it adapts."""
        if self.learning_rate == "invscaling":
            return self.eta0 / t**self.power_t
        if self.learning_rate == "optimal":  # Bottou's heuristic: weights are of this size
            typical = np.sqrt(1 / np.sqrt(self.alpha))
            return 1 / (self.alpha * (1 / (typical * self.alpha) + t - 1))
        return np.full(len(t), eta)

    def objective(self, record: Record, norms: Array) -> float:
        """Mean over an epoch of loss and penalty, with the norms before each step."""
        loss = LOSSES[self.loss](record.score, self.epsilon)
        if self.penalty is None:
            return float(loss.mean())
        penalty = norms @ [1 - self.l1_share, self.l1_share]
        return float((loss + self.alpha * penalty).mean())


def norms_of(lane: Lane, record: Record, first: Array) -> Array:
    """Half the squared norm and the absolute sum of the weights, as scikit-learn counts them.

    It measures weights that a step moved, before the L1 penalty is paid; where the derivative is
    0 it lets the last measure decay. Returns an array of shape (n_steps + 1, 2), `first` in front.
    """
    w = record.weights[:, :-1]
    norms = np.vstack([first, np.stack([(w * w).sum(1) / 2, np.abs(w).sum(1)], axis=1)])
    keep = 1 - lane.steps["decay"]
    for i in np.flatnonzero(record.derivative == 0):
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


@dataclass
class Learner:
    """One model in training: what the host keeps of it between epochs.

    Parameters
    ----------
    rules : Rules
    rows : ndarray of shape (n,)
        The samples it learns from.
    seed : int
        Of the shuffle, which is the same permutation in every epoch.
    keep_trace : bool, default=False
        Whether to collect the records of all steps in `trace`.
    """

    rules: Rules
    rows: NDArray[np.intp]
    seed: int
    keep_trace: bool = False
    n_iter: int = 0
    n_loops: int = 0
    done: bool = False
    trace: list[pd.DataFrame] = field(default_factory=list)

    def start(self, block: SGDBlock) -> None:
        """Weights of 0, nothing seen."""
        self.memory = new_memory(block, threshold=self.rules.epsilon)
        self._eta = self.rules.eta0
        self._best, self._waiting, self._norms = np.inf, 0, np.zeros(2)
        self._scale, self._share = 1.0, 0.0
        if self.rules.shuffle:
            self._shuffle = visiting_order(len(self.rows), self.seed)

    def next_lane(self) -> Lane:
        """Tape of the next epoch, cut off at `n_loops`."""
        rules = self.rules
        if rules.shuffle:
            self.rows = self.rows[self._shuffle]
        left = len(self.rows) if rules.n_loops is None else rules.n_loops - self.n_loops
        order = self.rows[:left]
        t = np.arange(self.n_loops + 1.0, self.n_loops + 1 + len(order))
        eta = rules.step_sizes(t, self._eta)
        decay = np.zeros(len(t))
        if rules.penalty is not None:
            decay = np.minimum(1, (1 - rules.l1_share) * eta * rules.alpha)
        steps = {"eta": eta, "decay": decay}
        if rules.l1_share:
            steps["l1"] = rules.l1_share * eta * rules.alpha
        if rules.average:
            counted = t - rules.average + 1
            steps["rate"] = np.where(counted > 0, 1 / np.maximum(counted, 1), 0)
            if rules.l1_share:
                steps["share"] = self._shares(decay, steps["rate"])
        return Lane(self.memory, order, steps)

    def _shares(self, decay: Array, rate: Array) -> Array:
        """Share of an L1 payment that scikit-learn's running sum lends to the average.

        It keeps the average as a sum of updates, so a payment moves the weights of all steps
        averaged so far, less what has decayed since.
        """
        shares = []
        for keep, new in zip((1 - decay).tolist(), rate.tolist(), strict=True):
            self._scale *= keep
            self._share = self._share / keep if self._scale >= _SMALLEST_SCALE else 0.0
            self._scale = self._scale if self._scale >= _SMALLEST_SCALE else 1.0
            self._share += new * (1 - self._share)
            shares.append(self._share)
        return np.array(shares)

    def learn(self, lane: Lane, record: Record) -> None:
        """Take the record of an epoch and decide whether to go on.

        Raises
        ------
        ValueError
            If the descent diverges, with the step.
        """
        rules = self.rules
        self._check_finite(record)
        if self.keep_trace:
            self.trace.append(record.to_frame(lane).assign(epoch=self.n_iter + 1))
        self.memory = record.memory
        self.n_iter += 1
        self.n_loops += len(lane.order)
        if rules.tol is not None and len(lane.order) == len(self.rows):
            norms = norms_of(lane, record, self._norms)
            objective, self._norms = rules.objective(record, norms[:-1]), norms[-1]
            self._waiting = self._waiting + 1 if objective > self._best - rules.tol else 0
            self._best = min(self._best, objective)
        if self._waiting >= _PATIENCE:
            if rules.learning_rate == "adaptive" and self._eta > _SMALLEST_ADAPTIVE:
                self._eta, self._waiting = self._eta / 5, 0
            else:
                self.done = True
        self.done |= self.n_iter == rules.max_iter or self.n_loops == rules.n_loops

    def _check_finite(self, record: Record) -> None:
        """Raise if the steps blew up; only a decaying rate recovers from steps cut off."""
        fine = np.abs(record.weights).max(axis=1) <= _LARGEST_WEIGHT
        if self.rules.learning_rate == "constant":
            fine &= np.abs(record.score) <= MAX_DERIVATIVE
        if not fine.all():
            step = self.n_loops + int(np.argmin(fine)) + 1
            raise ValueError(
                f"Got a learning rate that diverges: eta0={self.rules.eta0:g} blew up at step "
                f"{step} (epoch {self.n_iter + 1}); lower eta0 or scale the features and target."
            )


def train(
    block: SGDBlock, samples: Samples, learners: Sequence[Learner], evaluation: str = "gather"
) -> Punchcard:
    """Run the block until all learners are done, those of a gated block side by side.

    Returns
    -------
    card : Punchcard
        The last one that was run.
    """
    for learner in learners:
        learner.start(block)
    groups = [learners] if block.product == "gated" else [[learner] for learner in learners]
    for group in groups:
        while active := [learner for learner in group if not learner.done]:
            lanes = [learner.next_lane() for learner in active]
            card = punch(block, samples, lanes)
            records = run_lanes(block, card, lanes, evaluation)
            for learner, lane, record in zip(active, lanes, records, strict=True):
                learner.learn(lane, record)
    return card
