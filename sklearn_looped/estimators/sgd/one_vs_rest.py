"""What labels make of SGD: one model against the rest for each class, as scikit-learn has it."""

from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight

from sklearn_looped.core.arrays import Array
from sklearn_looped.estimators.fitting import take_over
from sklearn_looped.estimators.sgd.base import MAX_SEED, ProgrammedSGD
from sklearn_looped.programmed.algorithms.sgd import Samples, Validation, signs


class OneVsRestSGD(ClassifierMixin, ProgrammedSGD):
    """Base of the classifier: its models, their samples, weights and seeds."""

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Take one step for each row, continuing from the previous call.

        `predict` then starts from there too: its `n_loops` counts the steps over these rows only.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, scaled as in the previous calls.
        y : array-like of shape (n_samples,)
            Labels, all among the classes.
        classes : array-like of shape (n_classes,) or None, default=None
            All labels that any call will contain; required in the first call.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Factors of the step sizes. None: 1.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or the classes are not valid, if `early_stopping` or
            ``class_weight="balanced"`` is set, or if the descent diverges.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "Got class_weight='balanced', which partial_fit does not support; pass the weights "
                "of sklearn.utils.class_weight.compute_class_weight as a dict."
            )
        fitted = copy(self)
        samples, labels = fitted._validate_part(X, y, classes)
        take_over(self, fitted._partial_fit(samples, labels, sample_weight))
        return self

    def _validate_training(self, X: Any, y: Any) -> tuple[NDArray, NDArray]:
        return self._validate_classes(X, y)

    @property
    def _n_models(self) -> int:
        return len(self._positives())

    def _positives(self) -> range:
        """Numbers of the classes that have a machine of their own."""
        return range(1, 2) if len(self.classes_) == 2 else range(len(self.classes_))

    def _encode(self, X: NDArray, y: NDArray) -> Samples:
        signs = np.concatenate([np.where(y == i, 1.0, -1.0) for i in self._positives()])
        encode = Samples.margins if self.loss in ("hinge", "log_loss") else Samples.targets
        return encode(np.tile(X, (self._n_models, 1)), signs, self.fit_intercept)

    def _step_weights(self, y: NDArray, weights: Array | None, rows: NDArray) -> Array | None:
        if self.class_weight is None:
            return None if weights is None else np.tile(weights, self._n_models)
        own = {"classes": self.classes_, "y": self.classes_[y[rows]]}
        by_class = compute_class_weight(self.class_weight, **own)
        others = by_class[0] if len(self.classes_) == 2 else 1.0
        steps = [np.where(y == i, by_class[i], others) for i in self._positives()]
        return np.concatenate([step if weights is None else step * weights for step in steps])

    def _draw(
        self, X: NDArray, y: NDArray, weights: NDArray
    ) -> tuple[list[int], NDArray[np.bool_], list[Validation | None]]:
        rng = check_random_state(self.random_state)
        generators = [rng]
        if len(self.classes_) > 2:
            held_out = self._hold_out(y, weights)
            own = rng.randint(MAX_SEED, size=len(self.classes_))
            generators = [check_random_state(seed) for seed in own]
        seeds: list[int] = []
        for generator in generators:
            generator.randint(1, MAX_SEED)  # scikit-learn spends this one on its data set
            if len(self.classes_) == 2:
                held_out = self._hold_out(y, weights)
            seeds.append(generator.randint(MAX_SEED))
        if not self.early_stopping:
            return seeds, held_out, [None] * len(seeds)
        # Scikit-learn compares predictions -1 and 1 with labels 0 and 1 of the log loss.
        low = 0.0 if self.loss == "log_loss" else -1.0
        labels = (np.where(y[held_out] == i, 1.0, low) for i in self._positives())
        shared = X[held_out], weights[held_out]
        return seeds, held_out, [Validation(shared[0], s, shared[1], signs) for s in labels]
