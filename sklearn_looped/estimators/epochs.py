"""What the estimators trained by epochs inside a transformer share: running, predicting, tape."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import check_is_fitted

from sklearn_looped.core.arrays import refuse_masked
from sklearn_looped.core.warning import warn_user
from sklearn_looped.estimators.documentation import DocumentationLink
from sklearn_looped.estimators.fitting import Evaluated
from sklearn_looped.estimators.validation import validate_samples
from sklearn_looped.programmed.algorithms.epochs import Learner, TrainingBlock, train
from sklearn_looped.programmed.transformer.layout import n_code_bits

MIN_BITS = 10  # of a position: small problems share one declared size


class Run:
    """The loops of a fit: the samples, and the models as they were at the ends of epochs.

    Queries do not act on models, so the models of a number of loops are the same with any queries
    in the sequence, and what ran ahead is used again.

    Parameters
    ----------
    samples : object
        The training set, in the form of the block.
    fresh, learners : sequence of Learner
        The models before the run and behind it.
    """

    def __init__(self, samples: Any, fresh: Sequence[Any], learners: Sequence[Any]) -> None:
        self.samples, self.fresh, self.learners = samples, fresh, learners

    def answer(
        self, block: TrainingBlock, queries: NDArray, n_loops: int | None, *, dense: bool
    ) -> dict[str, NDArray]:
        """Predictions of queries after so many loops; dense ones run all of them again."""
        if not dense:
            return block.answer(self.memories(block, n_loops), queries)
        learners = [learner.capped(n_loops) for learner in self.fresh]
        train(block, self.samples, learners, queries)
        return block.answer([learner.result for learner in learners], queries, self.samples)

    def memories(self, block: TrainingBlock, n_loops: int | None) -> list[Any]:
        """Models after so many loops, all if None."""
        known = [learner.at(n_loops) for learner in self.learners]
        if not any(memory is None for memory in known):
            return known
        longer = [learner.capped(n_loops) for learner in self.fresh]
        train(block, self.samples, longer)
        for old, new in zip(self.learners, longer, strict=True):
            new.history = old.history | new.history
        known = [learner.result for learner in longer]
        if any(n.n_loops > o.n_loops for n, o in zip(longer, self.learners, strict=True)):
            self.learners = longer
        else:
            for old, new in zip(self.learners, longer, strict=True):
                old.history = new.history
        return known

    def stages(self, block: TrainingBlock, n_loops: int | None) -> NDArray[np.intp]:
        """Numbers of loops at the ends of epochs, up to `n_loops`, where an epoch may be cut."""
        self.memories(block, n_loops)
        ends = {end for learner in self.learners for end in learner.history if end > 0}
        last = max(learner.n_loops for learner in self.learners)
        last = last if n_loops is None else min(last, n_loops)
        epoch = self.fresh[0].n_steps
        return np.array(sorted(e for e in ends if e == last or (e < last and e % epoch == 0)))


class ProgrammedTraining(Evaluated, DocumentationLink, BaseEstimator, ABC):
    """Base of the estimators that run a `TrainingBlock`."""

    _declaration: tuple[Any, ...]
    _run: Run

    _parameter_constraints: ClassVar[dict] = {
        "n_loops": [Interval(Integral, 1, None, closed="left"), None],
        **Evaluated.evaluation_constraints,
    }

    @property
    @abstractmethod
    def block_(self) -> Any:
        """Loop body. It is the same for all data, so a pickle holds its declaration only."""

    @property
    def stages_(self) -> NDArray[np.intp]:
        """Numbers of loops behind the stages of `staged_predict`, up to `n_loops`."""
        check_is_fitted(self)
        with self._evaluated():
            return self._run.stages(self.block_, self.n_loops)

    @abstractmethod
    def _keep(self, learners: Sequence[Any]) -> None:
        """Read the answer off the models that were trained."""

    @abstractmethod
    def _still_falls(self, learners: Sequence[Any]) -> bool:
        """Whether the cap on the epochs ended the training."""

    def _validate_classes(self, X: Any, y: Any) -> tuple[NDArray, NDArray]:
        """Arrays of a classification, with labels as numbers; sets `classes_`."""
        X, y = validate_samples(self, X, y, copy=True)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        self._refuse_one_class()
        return X, labels

    def _refuse_one_class(self) -> None:
        if len(self.classes_) < 2:
            raise ValueError("Got 1 class, but the number of classes has to be greater than one.")

    def _validate_part(self, X: Any, y: Any, classes: Any) -> tuple[NDArray, NDArray]:
        """Arrays of a part of a classification; the first part sets `classes_`."""
        first = not hasattr(self, "classes_")
        if first and classes is None:
            raise ValueError("Got classes=None, but the first call of partial_fit needs them.")
        if classes is not None:
            refuse_masked(classes=classes)
            known = unique_labels(classes)
            if not first and not np.array_equal(known, self.classes_):
                raise ValueError(f"Got classes={known}, but the first call had {self.classes_}.")
            self.classes_ = known
            self._refuse_one_class()
        samples: NDArray
        samples, y = validate_samples(self, X, y, reset=first, copy=True)
        if not np.isin(y, self.classes_).all():
            raise ValueError(f"Got labels that are not among the classes {self.classes_}.")
        return samples, np.searchsorted(self.classes_, y)

    def _answer(self, X: Any) -> dict[str, NDArray]:
        """Run the queries behind `n_loops` steps over the samples."""
        queries = self._validate_queries(X)
        return self._answer_after(queries, self.n_loops)

    def _staged_answers(self, X: Any) -> Iterator[dict[str, NDArray]]:
        queries = self._validate_queries(X)
        yield from (self._answer_after(queries, int(n)) for n in self.stages_)

    def _answer_after(self, queries: NDArray, n_loops: int | None) -> dict[str, NDArray]:
        dense = self.evaluation == "dense"
        with self._evaluated():
            return self._run.answer(self.block_, queries, n_loops, dense=dense)

    def _validate_queries(self, X: Any) -> NDArray:
        check_is_fitted(self)
        self._validate_params()
        queries: NDArray = validate_samples(self, X, reset=False)
        return queries


def position_bits(n_tokens: int) -> int:
    """Bits of a position for so many tokens."""
    return max(MIN_BITS, n_code_bits(n_tokens))


def train_together(
    estimators: Sequence[Any],
    samples: Any,
    groups: Sequence[Sequence[Learner]],
    *,
    one_pass: bool = False,
) -> None:
    """Train the models of all estimators on one sequence; a warning names the user's line.

    One pass ends where it is meant to, so it does not warn.
    """
    block: TrainingBlock = estimators[0].block_
    fresh = [[copy.deepcopy(learner) for learner in group] for group in groups]
    learners = [learner for group in groups for learner in group]
    with estimators[0]._evaluated():
        tape = train(block, samples, learners)
    for estimator, start, group in zip(estimators, fresh, groups, strict=True):
        estimator._run = Run(samples, start, group)
        estimator.punchcard_, estimator.certificate_ = tape, block.certificate
        estimator.n_iter_ = max(learner.n_iter for learner in group)
        estimator.n_loops_ = max(learner.n_loops for learner in group)
        estimator._keep(group)
        if not one_pass and estimator._still_falls(group):
            warn_user(
                f"The loss still fell after {estimator.max_iter} epochs; raise max_iter or tol.",
                ConvergenceWarning,
            )
