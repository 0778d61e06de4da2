"""What the programmed networks share: parameters, fitting, and running queries."""

from collections.abc import Sequence
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions

from sklearn_looped.estimators.epochs import ProgrammedTraining, position_bits
from sklearn_looped.programmed.algorithms.epochs import Schedule
from sklearn_looped.programmed.algorithms.mlp import (
    MLPBlock,
    MLPLearner,
    Network,
    OutputActivation,
    initial_network,
    n_tokens,
)


class ProgrammedMLP(ProgrammedTraining):
    """Base of the estimators that run the MLP block."""

    out_activation_: OutputActivation

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
    }

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (16,),
        *,
        alpha: float = 0.0001,
        learning_rate: Literal["constant", "invscaling", "adaptive"] = "constant",
        learning_rate_init: float = 0.05,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        n_iter_no_change: float = 10,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.alpha = alpha
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change

    @property
    def block_(self) -> MLPBlock:
        """Loop body. It is the same for all data, so a pickle holds its declaration only."""
        return build_block(*self._declaration)

    def _check_options(self) -> None:
        self._hidden_sizes()

    def _encode(self, X: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
        return X, y

    def _declare(self, X: NDArray, y: NDArray, lengths: Sequence[int]) -> tuple[Any, ...]:
        sizes = (X.shape[1], *self._hidden_sizes(), y.shape[1])
        return sizes, position_bits(n_tokens(sizes, len(X))), self.out_activation_

    def _learners(self, rows: NDArray[np.intp], X: NDArray, y: NDArray) -> list[MLPLearner]:
        rng = check_random_state(self.random_state)
        network = initial_network(self.block_.layer_sizes, rng)
        schedule = Schedule(
            self.learning_rate,
            self.learning_rate_init,
            self.power_t,
            self.max_iter,
            self.tol,
            self.n_iter_no_change + 1,
            self.alpha,
        )
        shuffled = rng if self.shuffle else None
        return [MLPLearner(schedule, self.out_activation_, y, network, shuffled)]

    def _keep(self, learners: Sequence[MLPLearner]) -> None:
        (learner,) = learners
        self.coefs_ = list(learner.network.coefs)
        self.intercepts_ = list(learner.network.intercepts)
        self.loss_curve_ = learner.loss_curve
        sizes = self.block_.layer_sizes
        self.n_layers_, self.n_outputs_ = len(sizes), sizes[-1]

    def _still_falls(self, learners: Sequence[MLPLearner]) -> bool:
        return not learners[0].converged

    def _hidden_sizes(self) -> list[int]:
        sizes = np.atleast_1d(self.hidden_layer_sizes)
        if sizes.ndim != 1 or sizes.dtype.kind not in "iu" or len(sizes) == 0 or sizes.min() < 1:
            raise ValueError(
                f"Got hidden_layer_sizes={self.hidden_layer_sizes!r}, expected positive integers, "
                "one a hidden layer; for none take ProgrammedSGDRegressor or "
                "ProgrammedSGDClassifier."
            )
        return sizes.tolist()

    def _outputs(self, X: Any) -> NDArray:
        """Run queries through the transformer: (n_queries, n_outputs)."""
        queries = self._validate_queries(X)
        return self.block_.predict(Network(self.coefs_, self.intercepts_), queries)


@lru_cache(maxsize=8)
def build_block(sizes: tuple[int, ...], n_bits: int, output: OutputActivation) -> MLPBlock:
    """Block of a declared size, one for all fits of a process."""
    return MLPBlock(sizes, n_bits, output)
