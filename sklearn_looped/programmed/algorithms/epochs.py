"""The host of training by epochs: visiting order, step sizes, and when to stop.

The host does no step of the descent. It writes the visiting order and the step sizes of an epoch
on the tape, where the samples stay as they were punched, and decides between epochs by the losses
of what the block recorded. A trainer is a block that keeps to `TrainingBlock`, and a `Learner`.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, r2_score

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.transformer.block import Block, Tape

_SMALLEST_ADAPTIVE = 1e-6


@dataclass(frozen=True)
class Lane:
    """One model and the steps that it is to take.

    Parameters
    ----------
    memory : object
        The model as a run left it, in the form of the block.
    order : ndarray of shape (n_steps,)
        The samples to visit.
    steps : mapping of str to float or ndarray of shape (n_steps,)
        Fields of the tape, ``eta`` and ``decay`` and so on; those left out are 0.
    """

    memory: Any
    order: NDArray[np.intp]
    steps: Mapping[str, Any]


class TrainingBlock(Block, ABC):
    """A block of which one loop is one step of training a model on a sample."""

    n_bits: int
    side_by_side: bool  # whether several models can run on one tape

    @abstractmethod
    def punch_samples(
        self, samples: Any, lanes: Sequence[Lane], queries: Array | None = None
    ) -> Tape:
        """Tape with samples and queries, for as many steps as the lanes have."""

    @abstractmethod
    def answer(
        self, memories: Sequence[Any], queries: Array, samples: Any = None
    ) -> dict[str, Array]:
        """Read predictions of queries by models off the queries' tokens, behind one more pass."""

    @abstractmethod
    def punch_lanes(self, tape: Tape, lanes: Sequence[Lane]) -> None:
        """Write models and steps on the tape, over those of another epoch."""

    @abstractmethod
    def run_lanes(self, tape: Tape, lanes: Sequence[Lane]) -> list[Any]:
        """Run all steps of a tape that has been punched, and read a record for each lane."""

    def punch(self, samples: Any, lanes: Sequence[Lane], queries: Array | None = None) -> Tape:
        """Tape of a run: samples, queries, models and steps.

        Raises
        ------
        ValueError
            If there are more tokens than positions.
        """
        tape = self.punch_samples(samples, lanes, queries)
        self.punch_lanes(tape, lanes)
        return tape


@dataclass(frozen=True)
class Schedule:
    """Step sizes, and when to stop; scikit-learn's parameters.

    Parameters
    ----------
    learning_rate : {"constant", "optimal", "invscaling", "adaptive"}
    eta0 : float
        Initial step size.
    power_t : float
    max_iter : int
        Cap on the epochs.
    tol : float or None
        None: no stop but for the caps.
    patience : float
        Epochs without improvement after which to stop, or to lower an adaptive step size.
    alpha : float
        Strength of the penalty.
    n_loops : int or None, default=None
        Cap on the steps.
    """

    learning_rate: str
    eta0: float
    power_t: float
    max_iter: int
    tol: float | None
    patience: float
    alpha: float
    n_loops: int | None = None


@dataclass(frozen=True)
class Validation:
    """Rows that a model is scored on after each epoch, as scikit-learn's early stopping does.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    y : ndarray of shape (n,) or (n, n_outputs)
        Targets, or numbers of the classes.
    weights : ndarray of shape (n,)
    decide : callable or None, default=None
        Predictions -> numbers of the classes; the score is the accuracy. None: it is R2.
    """

    X: Array
    y: NDArray[Any]
    weights: Array
    decide: Callable[[Array], NDArray[Any]] | None = None

    def score(self, prediction: Array) -> float:
        """Score of predictions; NaN where they are not finite."""
        if not np.isfinite(prediction).all():
            return np.nan
        if self.decide is None:
            return float(r2_score(self.y, prediction, sample_weight=self.weights))
        return float(accuracy_score(self.y, self.decide(prediction), sample_weight=self.weights))


class Learner(ABC):
    """One model in training: what the host keeps of it between epochs.

    Parameters
    ----------
    schedule : Schedule
    memory : object
        The model to begin with, in the form of the block.

    Attributes
    ----------
    memory : object
        The model by now.
    history : dict
        Loops -> the model that answers behind them, at the ends of epochs and at the start.
    n_iter, n_loops : int
        Epochs and loops run.
    best : float
        The lowest objective of an epoch.
    waiting : int
        Epochs without improvement.
    """

    def __init__(self, schedule: Schedule, memory: Any) -> None:
        self.schedule, self.eta, self.memory = schedule, schedule.eta0, memory
        self.n_iter = self.n_loops = 0
        self.history = {0: memory}
        self.converged = self.done = self.complete = False
        self.best, self.waiting = np.inf, 0

    @property
    def result(self) -> Any:
        """The model that answers: the last one, unless a trainer keeps another."""
        return self.memory

    def at(self, n_loops: int | None) -> Any:
        """Model that answers after so many loops, all if None; None where it takes a run."""
        if self.complete and (n_loops is None or n_loops >= self.n_loops):
            return self.result
        return None if n_loops is None else self.history.get(n_loops)

    def capped(self, n_loops: int | None) -> "Learner":
        """Copy of a learner that has not begun, with another cap on the loops."""
        learner = copy.deepcopy(self)
        learner.schedule = replace(self.schedule, n_loops=n_loops)
        return learner

    @property
    @abstractmethod
    def n_steps(self) -> int:
        """Steps of a whole epoch."""

    @abstractmethod
    def next_lane(self) -> Lane:
        """Order and steps of the next epoch, cut off at the cap on the loops."""

    @abstractmethod
    def take(self, block: Any, lane: Lane, record: Any) -> float | None:
        """Keep what an epoch left; its mean objective, or None where there is none to compare."""

    def cut(self, order: NDArray[np.intp]) -> NDArray[np.intp]:
        """Visits of an epoch, up to the cap on the loops."""
        cap = self.schedule.n_loops
        return order if cap is None else order[: cap - self.n_loops]

    def step_sizes(self, t: Any) -> Any:
        """Step sizes at the steps t = 1, 2, ..."""
        schedule = self.schedule
        if schedule.learning_rate == "invscaling":
            return schedule.eta0 / t**schedule.power_t
        if schedule.learning_rate == "optimal":  # Bottou's heuristic: weights are of this size
            typical = np.sqrt(1 / np.sqrt(schedule.alpha))
            return 1 / (schedule.alpha * (1 / (typical * schedule.alpha) + t - 1))
        return np.full(np.shape(t), self.eta)

    def learn(self, block: TrainingBlock, lane: Lane, record: Any) -> None:
        """Take the record of an epoch and decide whether to go on.

        Raises
        ------
        ValueError
            If the descent diverges, with the step.
        """
        schedule, objective = self.schedule, self.take(block, lane, record)
        self.n_iter += 1
        self.n_loops += len(lane.order)
        self.history[self.n_loops] = self.result
        if objective is not None and schedule.tol is not None:
            stalls = objective > self.best - schedule.tol
            self.waiting = self.waiting + 1 if stalls else 0
            self.best = min(self.best, objective)
        if self.waiting >= schedule.patience:
            if schedule.learning_rate == "adaptive" and self.eta > _SMALLEST_ADAPTIVE:
                self.eta, self.waiting = self.eta / 5, 0
            else:
                self.converged = True
        whole = len(lane.order) == self.n_steps
        self.complete = self.converged or (whole and self.n_iter == schedule.max_iter)
        self.done = self.complete or self.n_loops == schedule.n_loops

    def diverged(self, parameter: str, fine: NDArray[np.bool_], advice: str) -> ValueError:
        """Error for steps of an epoch of which not all are fine."""
        step = self.n_loops + 1 + int(np.argmin(fine))
        return ValueError(
            f"Got a learning rate that diverges: {parameter}={self.schedule.eta0:g} blew up at "
            f"step {step} (epoch {self.n_iter + 1}); lower {advice}"
        )


def train(
    block: TrainingBlock,
    samples: Any,
    learners: Sequence[Learner],
    queries: Array | None = None,
) -> Tape:
    """Run the block until all learners are done, side by side where it can.

    The samples are punched once, and again only where the number of learners or steps changes.

    Parameters
    ----------
    block : TrainingBlock
    samples : object
        The training set, in the form of the block.
    learners : sequence of Learner
    queries : ndarray of shape (n_queries, n_features) or None, default=None
        Further tokens of the sequence. They do not act on the models.

    Returns
    -------
    tape : Tape
        The last one that was run.

    Raises
    ------
    ValueError
        If a descent diverges, with the step.
    """
    groups = [learners] if block.side_by_side else [[learner] for learner in learners]
    lengths: list[int] = []
    for group in groups:
        while active := [learner for learner in group if not learner.done]:
            lanes = [learner.next_lane() for learner in active]
            before, lengths = lengths, [len(lane.order) for lane in lanes]
            if lengths != before:
                tape = block.punch_samples(samples, lanes, queries)
            block.punch_lanes(tape, lanes)
            records = block.run_lanes(tape, lanes)
            for learner, lane, record in zip(active, lanes, records, strict=True):
                learner.learn(block, lane, record)
    return tape
