"""What the programmed SGD estimators share: parameters, models, and running them."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context, is_classifier
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import assert_all_finite

from sklearn_looped.core.arrays import Array, refuse_masked
from sklearn_looped.estimators.epochs import ProgrammedTraining, position_bits, train_together
from sklearn_looped.estimators.fitting import whole_or_not_at_all
from sklearn_looped.estimators.validation import validate_weights
from sklearn_looped.programmed.algorithms.epochs import Schedule
from sklearn_looped.programmed.algorithms.sgd import (
    Loss,
    ProductKind,
    Samples,
    SGDBlock,
    SGDLearner,
    SGDRules,
    Validation,
    n_tokens,
)

MAX_SEED = np.iinfo(np.int32).max


class ProgrammedSGD(ProgrammedTraining):
    """Base of the estimators that run the SGD block."""

    _parameter_constraints: ClassVar[dict] = {
        **ProgrammedTraining._parameter_constraints,
        "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "shuffle": ["boolean"],
        "epsilon": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "learning_rate": [StrOptions({"constant", "optimal", "invscaling", "adaptive"})],
        "eta0": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "average": [Interval(Integral, 1, None, closed="left"), "boolean"],
        "product": [StrOptions({"gated", "linear", "softmax"})],
        "keep_trace": ["boolean"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    @whole_or_not_at_all
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        coef_init: ArrayLike | None = None,
        intercept_init: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Keep the samples, and run the loops of the transformer over them ahead of `predict`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, best on one scale.
        y : array-like of shape (n_samples,)
            Targets, or labels.
        coef_init, intercept_init : array-like or None, default=None
            Weights to begin with, in the shapes of `coef_` and `intercept_`; of a single model in
            any shape. None: 0, or with `warm_start` those of the previous fit.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Factors of the step sizes, as in scikit-learn: a weight of two is one step of twice the
            size, and not two steps. None: 1.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or a parameter is not valid, before any work; if the descent diverges, in
            which case the message names the step.
        """
        before = self._models if self.warm_start and hasattr(self, "_models") else None
        X, y = self._validate_training(X, y)
        shape = (self._n_models, X.shape[1])
        start: list[dict[str, Any]] = [{"w": 0.0, "b": 0.0} for _ in range(self._n_models)]
        if before is not None:
            # Scikit-learn's classifier begins with `coef_`, its regressor with the last weights.
            mean = "mean_" if is_classifier(self) and "mean_w" in before[0] else ""
            start = [{name: model[mean + name] for name in ("w", "b")} for model in before]
        coef = _initial(coef_init, shape, "coef_init")
        intercept = _initial(intercept_init, shape[:1], "intercept_init")
        if before and (len(before) != shape[0] or len(before[0]["w"]) != shape[1]):
            raise ValueError(
                "Got data of another shape than that of the previous fit; set warm_start=False."
            )
        for i, model in enumerate(start):
            model |= {} if coef is None else {"w": coef[i]}
            model |= {} if intercept is None else {"b": intercept[i]}
        return self._learn(X, y, sample_weight, start)

    def _partial_fit(self, X: NDArray, y: NDArray, sample_weight: ArrayLike | None) -> Self:
        """Take one step for each row, from the models of the calls before."""
        if self.early_stopping:
            raise ValueError("Got early_stopping=True, which partial_fit does not support.")
        names = ("w", "b", "mean_w", "mean_b") if self.average else ("w", "b")
        nothing = [dict.fromkeys(names, 0.0)] * self._n_models
        models = getattr(self, "_models", nothing)
        start = [{name: model.get(name, 0.0) for name in names} for model in models]
        return self._learn(X, y, sample_weight, start, int(getattr(self, "t_", 1)) - 1, epochs=1)

    def _learn(
        self,
        X: NDArray,
        y: NDArray,
        sample_weight: ArrayLike | None,
        start: Sequence[dict[str, Any]],
        n_before: int = 0,
        epochs: int | None = None,
    ) -> Self:
        weights = validate_weights(sample_weight, X)
        self._declaration = self._declare(X, y, [len(X)])
        own: dict[str, Any] = {"start": start, "n_before": n_before, "epochs": epochs}
        learners = self._learners(np.arange(len(X)), X, y, weights, **own)
        train_together([self], self._encode(X, y), [learners], one_pass=epochs is not None)
        self.t_ = 1.0 + n_before + self.n_iter_ * len(X)
        return self

    @property
    def block_(self) -> SGDBlock:
        """Loop body. It is the same for all data, so a pickle holds its declaration only."""
        return build_block(*self._declaration)

    @property
    def _n_models(self) -> int:
        return 1

    @abstractmethod
    def _validate_training(self, X: Any, y: Any) -> tuple[NDArray, NDArray]:
        """Arrays of the training set; sets what is known of the data."""

    @abstractmethod
    def _encode(self, X: NDArray, y: NDArray) -> Samples:
        """Encode the training set as the block's samples."""

    @abstractmethod
    def _draw(
        self, X: NDArray, y: NDArray, weights: NDArray
    ) -> tuple[list[int], NDArray[np.bool_], list[Validation | None]]:
        """Seeds of the shuffles, rows that are held out, what each model is validated on."""

    def _step_weights(self, y: NDArray, weights: Array | None, rows: NDArray) -> Array | None:
        """Factors of the step sizes on all data tokens; None: all 1."""
        return weights

    def _hold_out(self, y: NDArray, weights: NDArray) -> NDArray[np.bool_]:
        """Rows that early stopping is decided by, as scikit-learn draws them."""
        held_out = np.zeros(len(y), dtype=bool)
        if self.early_stopping:
            split = StratifiedShuffleSplit if is_classifier(self) else ShuffleSplit
            share = {"test_size": self.validation_fraction, "random_state": self.random_state}
            _, rows = next(split(**share).split(np.zeros((len(y), 1)), y))
            if not weights[rows].any():
                raise ValueError(
                    "Got weights that are all 0 on the validation rows; change random_state."
                )
            held_out[rows] = True
        return held_out

    def _block_options(self) -> tuple[Loss, bool, bool, ProductKind]:
        """Everything but the sizes that the weights of the block depend on."""
        return self.loss, self.penalty in ("l1", "elasticnet"), bool(self.average), self.product

    def _declare(self, X: NDArray, y: NDArray, lengths: Sequence[int]) -> tuple[Any, ...]:
        steps = [n for n in lengths for _ in range(self._n_models)]
        n_bits = position_bits(n_tokens(self._n_models * len(X), steps))
        return X.shape[1], n_bits, *self._block_options(), self._n_models

    def _learners(
        self,
        rows: NDArray[np.intp],
        X: NDArray,
        y: NDArray,
        weights: Array | None = None,
        *,
        start: Sequence[dict[str, Any]] | None = None,
        n_before: int = 0,
        epochs: int | None = None,
    ) -> list[SGDLearner]:
        """Models of the estimator, to be trained on some rows by `block_`."""
        if self.learning_rate == "optimal" and self.alpha == 0:
            raise ValueError("Got alpha=0, but learning_rate='optimal' divides by alpha.")
        scoring = np.ones(len(X)) if weights is None else weights
        seeds, held_out, validations = self._draw(X, y, scoring)
        shared = {field.name for field in fields(Schedule)} - {"patience"}
        own: dict[str, Any] = {name: getattr(self, name) for name in shared}
        own |= {} if epochs is None else {"max_iter": epochs}
        schedule = Schedule(**own, patience=self.n_iter_no_change)
        rules = SGDRules(**{field.name: getattr(self, field.name) for field in fields(SGDRules)})
        block = self.block_
        options = {
            "weights": self._step_weights(y, weights, rows),
            "kept": np.tile(~held_out, self._n_models) if self.early_stopping else None,
            "n_before": n_before,
            "keep_trace": self.keep_trace,
        }
        return [
            SGDLearner(
                schedule,
                rules,
                block.memory(threshold=self.epsilon, **({} if start is None else start[i])),
                block.fields,
                rows + i * len(X),
                seed,
                validation=validation,
                **options,
            )
            for i, (seed, validation) in enumerate(zip(seeds, validations, strict=True))
        ]

    def _keep(self, learners: Sequence[SGDLearner]) -> None:
        columns = self.block_.fields
        names = [name for name in ("w", "b", "mean_w", "mean_b") if name in columns]
        self._models = [{n: m.memory[columns[n]].copy() for n in names} for m in learners]
        prefix = "mean_" if self.average else ""
        self.coef_ = np.array([model[prefix + "w"] for model in self._models])
        self.intercept_ = np.concatenate([model[prefix + "b"] for model in self._models])
        if self.keep_trace:
            machines = [pd.concat(m.trace).assign(machine=i) for i, m in enumerate(learners)]
            self.trace_ = pd.concat(machines, ignore_index=True)
        for learner in learners:
            learner.trace = []

    def _still_falls(self, learners: Sequence[SGDLearner]) -> bool:
        last = learners[0].schedule.max_iter
        return self.tol is not None and self.n_iter_ == last == self.max_iter


def _initial(values: ArrayLike | None, shape: tuple[int, ...], name: str) -> Array | None:
    """Weights that a user begins with, one row a model."""
    if values is None:
        return None
    refuse_masked(**{name: values})
    array = np.asarray(values, dtype=np.float64)
    one = shape[0] == 1 and array.size == np.prod(shape)  # also a vector
    if not one and array.shape != shape:
        raise ValueError(f"Got {name} of shape {array.shape}, but expected {shape}.")
    assert_all_finite(array, input_name=name)
    return array.reshape(shape)


@lru_cache(maxsize=8)
def build_block(
    n_features: int,
    n_bits: int,
    loss: Loss,
    l1: bool,
    average: bool,
    product: ProductKind,
    n_models: int,
) -> SGDBlock:
    """Block of a declared size, one for all fits of a process."""
    kind = {"l1": l1, "average": average}
    return SGDBlock(n_features, n_bits, loss, **kind, product=product, n_models=n_models)
