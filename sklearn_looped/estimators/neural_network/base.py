"""What the programmed networks share: parameters, fitting, and running queries."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context, is_classifier
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions

from sklearn_looped.core.arrays import Array
from sklearn_looped.estimators.epochs import ProgrammedTraining, position_bits, train_together
from sklearn_looped.estimators.fitting import whole_or_not_at_all
from sklearn_looped.estimators.validation import validate_weights
from sklearn_looped.programmed.algorithms.epochs import Schedule
from sklearn_looped.programmed.algorithms.mlp import (
    Activation,
    MLPBlock,
    MLPLearner,
    MLPRules,
    Momentum,
    OutputActivation,
    Progress,
    Validation,
    decide,
    initial_network,
    n_tokens,
)

_LARGEST_BATCH = 200  # of "auto", as in scikit-learn


class ProgrammedMLP(ProgrammedTraining):
    """Base of the estimators that run the MLP block."""

    out_activation_: OutputActivation

    _parameter_constraints: ClassVar[dict] = {
        **ProgrammedTraining._parameter_constraints,
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({"identity", "logistic", "tanh", "relu"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "warm_start": ["boolean"],
    }

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: Activation = "relu",
        *,
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: Literal["constant", "invscaling", "adaptive"] = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        n_loops: int | None = None,
        evaluation: Literal["fast", "dense"] = "fast",
        device: str = "cpu",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.n_loops = n_loops
        self.evaluation = evaluation
        self.device = device

    @_fit_context(prefer_skip_nested_validation=True)
    @whole_or_not_at_all
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Keep the samples, and run the loops of the transformer over them ahead of `predict`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, best on one scale.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets, or labels; several outputs for regression only.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the samples in the mean loss of a batch; not negative. None: 1.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or a parameter is not valid, before any work; if all samples of a batch
            have weight 0; if the descent diverges, in which case the message names the step.
        """
        before: Progress | None = getattr(self, "_progress", None) if self.warm_start else None
        self._hidden_sizes()  # raises before the data are read
        samples, targets = self._validate_training(X, y)
        if before is not None:
            before = before.restarted(self.learning_rate_init)
        return self._learn(samples, targets, sample_weight, before)

    def _partial_fit(self, X: NDArray, y: NDArray, sample_weight: ArrayLike | None) -> Self:
        """Run one epoch, from what the calls before left."""
        if self.early_stopping:
            raise ValueError("Got early_stopping=True, which partial_fit does not support.")
        return self._learn(X, y, sample_weight, getattr(self, "_progress", None), epochs=1)

    def _learn(
        self,
        X: NDArray,
        y: NDArray,
        sample_weight: ArrayLike | None,
        before: Progress | None,
        epochs: int | None = None,
    ) -> Self:
        weights = validate_weights(sample_weight, X, ensure_non_negative=True)
        sizes = (X.shape[1], *self._hidden_sizes(), y.shape[1])
        if before is not None and before.network.layer_sizes != sizes:
            raise ValueError(
                f"Got layers of sizes {sizes}, but the network of the previous call has "
                f"{before.network.layer_sizes}; set warm_start=False and call fit."
            )
        n_bits = position_bits(n_tokens(sizes, len(X)))
        kind = self.out_activation_, self.activation, self._momentum
        self._declaration = sizes, n_bits, *kind
        learner = self._learner(X, y, sizes, weights, before, epochs)
        train_together([self], (X, y), [[learner]], one_pass=epochs is not None)
        return self

    @property
    def block_(self) -> MLPBlock:
        """Loop body. It is the same for all data, so a pickle holds its declaration only."""
        return build_block(*self._declaration)

    @property
    def _momentum(self) -> Momentum:
        if self.momentum == 0:
            return "none"
        return "nesterov" if self.nesterovs_momentum else "plain"

    @abstractmethod
    def _validate_training(self, X: Any, y: Any, reset: bool = True) -> tuple[NDArray, NDArray]:
        """Arrays of the training set; sets what is known of the data."""

    def _learner(
        self,
        X: NDArray,
        y: NDArray,
        sizes: tuple[int, ...],
        weights: Array | None,
        before: Progress | None,
        epochs: int | None,
    ) -> MLPLearner:
        rng = check_random_state(self.random_state)
        network = initial_network(sizes, rng, self.activation) if before is None else before.network
        rows, validation = self._hold_out(X, y, weights, rng)
        schedule = Schedule(
            self.learning_rate,
            self.learning_rate_init,
            self.power_t,
            self.max_iter if epochs is None else epochs,
            self.tol,
            self.n_iter_no_change + 1,
            self.alpha,
            self.n_loops,
        )
        largest = _LARGEST_BATCH if self.batch_size == "auto" else int(self.batch_size)
        rules = MLPRules(min(largest, len(rows)), self.momentum, self.nesterovs_momentum)
        return MLPLearner(
            schedule,
            rules,
            self.out_activation_,
            y,
            network,
            rng if self.shuffle else None,
            rows=rows,
            weights=weights,
            validation=validation,
            before=before,
        )

    def _hold_out(
        self, X: NDArray, y: NDArray, weights: Array | None, rng: np.random.RandomState
    ) -> tuple[NDArray[np.intp], Validation | None]:
        """Rows to learn from and those that early stopping is decided by, as in scikit-learn."""
        rows = np.arange(len(X))
        if not self.early_stopping:
            return rows, None
        labels = is_classifier(self)
        split = {"test_size": self.validation_fraction, "random_state": rng}
        rows, own = train_test_split(
            rows, **split, stratify=y if labels and y.shape[1] == 1 else None
        )
        if len(own) < 2:
            raise ValueError(
                f"Got a validation set of {len(own)} rows, but 2 are needed; raise "
                "validation_fraction or give more rows."
            )
        scoring = np.ones(len(own)) if weights is None else weights[own]
        if not scoring.any():
            raise ValueError(
                "Got weights that are all 0 on the validation rows; change random_state."
            )
        expected = decide(y[own]) if labels else y[own]
        return rows, Validation(X[own], expected, scoring, decide if labels else None)

    def _keep(self, learners: Sequence[MLPLearner]) -> None:
        (learner,) = learners
        network, self._progress = learner.result, learner.progress
        self.coefs_ = [coef.copy() for coef in network.coefs]
        self.intercepts_ = [intercept.copy() for intercept in network.intercepts]
        self.loss_curve_, self.t_ = learner.loss_curve, learner.n_seen
        self.loss_ = learner.loss_curve[-1] if learner.loss_curve else np.nan
        stops = self.early_stopping
        self.best_loss_ = None if stops else learner.best
        self.validation_scores_ = learner.scores if stops else None
        self.best_validation_score_ = -learner.best if stops else None
        sizes = self.block_.layer_sizes
        self.n_layers_, self.n_outputs_ = len(sizes), sizes[-1]

    def _still_falls(self, learners: Sequence[MLPLearner]) -> bool:
        return learners[0].complete and not learners[0].converged

    def _hidden_sizes(self) -> list[int]:
        sizes = np.atleast_1d(self.hidden_layer_sizes)
        if sizes.ndim != 1 or sizes.dtype.kind not in "iu" or len(sizes) == 0 or sizes.min() < 1:
            raise ValueError(
                f"Got hidden_layer_sizes={self.hidden_layer_sizes!r}, but expected positive "
                "integers, one per hidden layer. For a linear model take ProgrammedSGDRegressor or "
                "ProgrammedSGDClassifier."
            )
        return sizes.tolist()


@lru_cache(maxsize=8)
def build_block(
    sizes: tuple[int, ...],
    n_bits: int,
    output: OutputActivation,
    activation: Activation,
    momentum: Momentum,
) -> MLPBlock:
    """Block of a declared size, one for all fits of a process."""
    return MLPBlock(sizes, n_bits, output, activation, momentum)
