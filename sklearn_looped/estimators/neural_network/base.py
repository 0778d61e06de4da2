"""What the programmed networks share: parameters, fitting, and running queries."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self
from warnings import warn

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_looped.estimators.documentation import DocumentationLink
from sklearn_looped.estimators.fitting import whole_or_not_at_all
from sklearn_looped.programmed.algorithms.mlp import (
    Learner,
    MLPBlock,
    Network,
    OutputActivation,
    Rules,
    initial_network,
    n_tokens,
    predict,
)
from sklearn_looped.programmed.algorithms.sgd import MIN_BITS
from sklearn_looped.programmed.transformer.layout import n_code_bits


class ProgrammedMLP(DocumentationLink, BaseEstimator, ABC):
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

    @_fit_context(prefer_skip_nested_validation=True)
    @whole_or_not_at_all
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Write network and samples on the punchcard and run the transformer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, best standardised.
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
        X, targets = self._validate_training(X, y)
        sizes = (X.shape[1], *hidden, targets.shape[1])
        n_bits = max(MIN_BITS, n_code_bits(n_tokens(sizes, len(X))))
        self._declaration = sizes, n_bits, self.out_activation_
        rng = check_random_state(self.random_state)
        rules = Rules(**{field.name: getattr(self, field.name) for field in fields(Rules)})
        learner = Learner(
            self.block_, self.out_activation_, rules, initial_network(sizes, rng), rng
        )
        self.punchcard_ = learner.train(X, targets)
        self.coefs_ = list(learner.network.coefs)
        self.intercepts_ = list(learner.network.intercepts)
        self.loss_curve_ = learner.loss_curve
        self.n_iter_, self.n_loops_ = len(learner.loss_curve), learner.n_loops
        self.n_layers_, self.n_outputs_ = len(sizes), sizes[-1]
        self.certificate_ = self.block_.certificate
        if not learner.converged:
            warn(
                f"The loss still fell after {self.max_iter} epochs; raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return self

    @property
    def block_(self) -> MLPBlock:
        """Loop body. It is the same for all data, so a pickle holds its declaration only."""
        return build_block(*self._declaration)

    def _hidden_sizes(self) -> list[int]:
        sizes = np.atleast_1d(self.hidden_layer_sizes)
        if sizes.ndim != 1 or sizes.dtype.kind not in "iu" or len(sizes) == 0 or sizes.min() < 1:
            raise ValueError(
                f"Got hidden_layer_sizes={self.hidden_layer_sizes!r}, expected positive integers, "
                "one a hidden layer; for none take ProgrammedSGDRegressor or "
                "ProgrammedSGDClassifier."
            )
        return sizes.tolist()

    @abstractmethod
    def _validate_training(self, X: Any, y: Any) -> tuple[NDArray, NDArray]:
        """Arrays of the training set, targets of shape (n, outputs); sets `out_activation_`."""

    def _outputs(self, X: Any) -> NDArray:
        """Run queries through the transformer: (n_queries, n_outputs)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return predict(self.block_, Network(self.coefs_, self.intercepts_), X)


@lru_cache(maxsize=8)
def build_block(sizes: tuple[int, ...], n_bits: int, output: OutputActivation) -> MLPBlock:
    """Block of a declared size, one for all fits of a process."""
    return MLPBlock(sizes, n_bits, output)
