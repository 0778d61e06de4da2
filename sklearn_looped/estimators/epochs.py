"""What the estimators trained by epochs inside a transformer share: fitting, block and tape."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self
from warnings import warn

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_looped.estimators.documentation import DocumentationLink
from sklearn_looped.estimators.fitting import whole_or_not_at_all
from sklearn_looped.programmed.algorithms.epochs import Learner, TrainingBlock, train
from sklearn_looped.programmed.transformer.block import Tape
from sklearn_looped.programmed.transformer.layout import n_code_bits

MIN_BITS = 10  # of a position: small problems share one declared size


class ProgrammedTraining(DocumentationLink, BaseEstimator, ABC):
    """Base of the estimators that run a `TrainingBlock`."""

    _declaration: tuple[Any, ...]

    @_fit_context(prefer_skip_nested_validation=True)
    @whole_or_not_at_all
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Write samples and steps on the punchcard and run the transformer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, best on one scale.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets, or labels; several outputs for the regression of networks only.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or a parameter is not valid, before any work; if the descent diverges,
            with the step.
        """
        self._check_options()
        arrays = self._validate_training(X, y)
        train_together([self], *arrays, [np.arange(len(arrays[0]))])
        return self

    @property
    @abstractmethod
    def block_(self) -> Any:
        """Loop body. It is the same for all data, so a pickle holds its declaration only."""

    def _check_options(self) -> None:
        """Refuse parameters that scikit-learn's constraints do not catch."""

    @abstractmethod
    def _validate_training(self, X: Any, y: Any) -> tuple[NDArray, NDArray]:
        """Arrays of the training set; sets what is known of the data."""

    @abstractmethod
    def _encode(self, X: NDArray, y: NDArray) -> Any:
        """Encode the training set as the block's samples."""

    @abstractmethod
    def _declare(self, X: NDArray, y: NDArray, lengths: Sequence[int]) -> tuple[Any, ...]:
        """Everything that the block depends on, for fits of so many rows."""

    @abstractmethod
    def _learners(self, rows: NDArray[np.intp], X: NDArray, y: NDArray) -> Sequence[Learner]:
        """Models of the estimator, to be trained on some rows by `block_`."""

    @abstractmethod
    def _keep(self, learners: Sequence[Any]) -> None:
        """Read the answer off the models that were trained."""

    @abstractmethod
    def _still_falls(self, learners: Sequence[Any]) -> bool:
        """Whether the cap on the epochs ended the training."""

    def _validate_classes(self, X: Any, y: Any) -> tuple[NDArray, NDArray]:
        """Arrays of a classification, with labels as numbers; sets `classes_`."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("Got 1 class, but the number of classes has to be greater than one.")
        return X, labels

    def _validate_queries(self, X: Any) -> NDArray:
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float64, reset=False)


def position_bits(n_tokens: int) -> int:
    """Bits of a position for so many tokens."""
    return max(MIN_BITS, n_code_bits(n_tokens))


def train_together(
    estimators: Sequence[Any], X: NDArray, y: NDArray, rows: Sequence[NDArray[np.intp]]
) -> None:
    """Train the models of all estimators on one sequence."""
    declaration = estimators[0]._declare(X, y, [len(own) for own in rows])
    groups = []
    for estimator, own in zip(estimators, rows, strict=True):
        estimator._declaration = declaration
        groups.append(estimator._learners(own, X, y))
    block: TrainingBlock = estimators[0].block_
    learners = [learner for group in groups for learner in group]
    tape: Tape = train(block, estimators[0]._encode(X, y), learners)
    for estimator, group in zip(estimators, groups, strict=True):
        estimator.punchcard_, estimator.certificate_ = tape, block.certificate
        estimator.n_iter_ = max(learner.n_iter for learner in group)
        estimator.n_loops_ = max(learner.n_loops for learner in group)
        estimator._keep(group)
        if estimator._still_falls(group):
            warn(
                f"The loss still fell after {estimator.max_iter} epochs; raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=5,
            )
