"""What the programmed networks share: parameters, fitting, and running queries."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions

from sklearn_looped.estimators.epochs import ProgrammedTraining, position_bits, train_together
from sklearn_looped.estimators.fitting import whole_or_not_at_all
from sklearn_looped.programmed.algorithms.epochs import Schedule
from sklearn_looped.programmed.algorithms.mlp import (
    Activation,
    MLPBlock,
    MLPLearner,
    MLPRules,
    Momentum,
    OutputActivation,
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
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
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
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.n_iter_no_change = n_iter_no_change
        self.n_loops = n_loops
        self.evaluation = evaluation
        self.device = device

    @_fit_context(prefer_skip_nested_validation=True)
    @whole_or_not_at_all
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Keep the samples, and run the loops of the transformer over them ahead of `predict`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, best on one scale.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets, or labels; several outputs for regression only.

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
        hidden = self._hidden_sizes()
        samples, targets = self._validate_training(X, y)
        sizes = (samples.shape[1], *hidden, targets.shape[1])
        self._declaration = (
            sizes,
            position_bits(n_tokens(sizes, len(samples))),
            self.out_activation_,
            self.activation,
            self._momentum,
        )
        train_together([self], (samples, targets), [[self._learner(sizes, targets)]])
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
    def _validate_training(self, X: Any, y: Any) -> tuple[NDArray, NDArray]:
        """Arrays of the training set; sets what is known of the data."""

    def _learner(self, sizes: tuple[int, ...], targets: NDArray) -> MLPLearner:
        rng = check_random_state(self.random_state)
        network = initial_network(sizes, rng, self.activation)
        schedule = Schedule(
            self.learning_rate,
            self.learning_rate_init,
            self.power_t,
            self.max_iter,
            self.tol,
            self.n_iter_no_change + 1,
            self.alpha,
            self.n_loops,
        )
        largest = _LARGEST_BATCH if self.batch_size == "auto" else int(self.batch_size)
        batch = min(largest, len(targets))
        rules = MLPRules(batch, self.momentum, self.nesterovs_momentum)
        shuffled = rng if self.shuffle else None
        return MLPLearner(schedule, rules, self.out_activation_, targets, network, shuffled)

    def _keep(self, learners: Sequence[MLPLearner]) -> None:
        (learner,) = learners
        self.coefs_ = [coef.copy() for coef in learner.memory.coefs]
        self.intercepts_ = [intercept.copy() for intercept in learner.memory.intercepts]
        self.loss_curve_ = learner.loss_curve
        sizes = self.block_.layer_sizes
        self.n_layers_, self.n_outputs_ = len(sizes), sizes[-1]

    def _still_falls(self, learners: Sequence[MLPLearner]) -> bool:
        return learners[0].complete and not learners[0].converged

    def _hidden_sizes(self) -> list[int]:
        sizes = np.atleast_1d(self.hidden_layer_sizes)
        if sizes.ndim != 1 or sizes.dtype.kind not in "iu" or len(sizes) == 0 or sizes.min() < 1:
            raise ValueError(
                f"Got hidden_layer_sizes={self.hidden_layer_sizes!r}, expected positive integers, "
                "one a hidden layer; for none take ProgrammedSGDRegressor or "
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
