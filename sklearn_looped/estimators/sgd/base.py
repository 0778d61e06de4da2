"""What the programmed SGD estimators share: parameters, and fitting one or many at once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, ClassVar, Self
from warnings import warn

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_looped.estimators.documentation import DocumentationLink
from sklearn_looped.estimators.fitting import whole_or_not_at_all
from sklearn_looped.programmed.algorithms.sgd import (
    MIN_BITS,
    Learner,
    Loss,
    ProductKind,
    Punchcard,
    Rules,
    Samples,
    SGDBlock,
    n_tokens,
    new_memory,
    score_samples,
    train,
)
from sklearn_looped.programmed.transformer.layout import n_code_bits

MAX_SEED = np.iinfo(np.int32).max


class ProgrammedSGD(DocumentationLink, BaseEstimator, ABC):
    """Base of the estimators that run the SGD block."""

    _parameter_constraints: ClassVar[dict] = {
        "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "learning_rate": [StrOptions({"constant", "optimal", "invscaling", "adaptive"})],
        "eta0": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "average": [Interval(Integral, 1, None, closed="left"), "boolean"],
        "n_loops": [Interval(Integral, 1, None, closed="left"), None],
        "product": [StrOptions({"gated", "linear", "softmax"})],
        "keep_trace": ["boolean"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    @whole_or_not_at_all
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Write samples and steps on the punchcard and run the transformer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, best on one scale.
        y : array-like of shape (n_samples,)
            Targets, or labels.

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
        arrays = self._validate_training(X, y)
        train_together([self], *arrays, [np.arange(len(arrays[0]))])
        return self

    @property
    def block_(self) -> SGDBlock:
        """Loop body. It is the same for all data, so a pickle holds its declaration only."""
        return build_block(*self._declaration)

    @abstractmethod
    def _validate_training(self, X: Any, y: Any) -> tuple[NDArray, NDArray]:
        """Arrays of the training set; sets what is known of the data."""

    @abstractmethod
    def _encode(self, X: NDArray, y: NDArray) -> Samples:
        """Encode the training set as data tokens, a set for each machine of the estimator."""

    @abstractmethod
    def _seeds(self) -> list[int]:
        """Seed of the shuffle, as scikit-learn draws it, for each machine."""

    def _rules(self) -> Rules:
        if self.learning_rate == "optimal" and self.alpha == 0:
            raise ValueError("Got alpha=0, but learning_rate='optimal' divides by alpha.")
        names = [field.name for field in fields(Rules)]
        return Rules(**{"epsilon": 0.0, **{n: getattr(self, n) for n in names if hasattr(self, n)}})

    def _block_options(self) -> tuple[Loss, bool, bool, ProductKind]:
        """Everything but the size that the weights of the block depend on."""
        return self.loss, self.penalty in ("l1", "elasticnet"), bool(self.average), self.product

    def _keep(self, card: Punchcard, learners: Sequence[Learner]) -> None:
        """Read the answer off the model tokens."""
        prefixes = ["mean_" if 0 < self.average <= m.n_loops else "" for m in learners]
        self.coef_ = np.array(
            [m.memory[card.fields[p + "w"]] for m, p in zip(learners, prefixes, strict=True)]
        )
        self.intercept_ = np.array(
            [m.memory[card.fields.at(p + "b")] for m, p in zip(learners, prefixes, strict=True)]
        )
        self.n_iter_ = max(learner.n_iter for learner in learners)
        self.n_loops_ = max(learner.n_loops for learner in learners)
        self.punchcard_, self.certificate_ = card, self.block_.certificate
        if self.keep_trace:
            machines = [pd.concat(m.trace).assign(machine=i) for i, m in enumerate(learners)]
            self.trace_ = pd.concat(machines, ignore_index=True)
        if self.tol is not None and self.n_iter_ == self.max_iter:
            warn(
                f"The loss still fell after {self.max_iter} epochs; raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=6,
            )

    def _query(self, X: Any, sign: float) -> tuple[NDArray, NDArray]:
        """Run queries, appended to the punchcard as samples of one label: scores, derivatives."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        memories = [
            new_memory(self.block_, w=coef, b=intercept)
            for coef, intercept in zip(np.atleast_2d(self.coef_), self.intercept_, strict=True)
        ]
        signs = np.full(len(X), sign)
        return score_samples(self.block_, memories, Samples.margins(X, signs, True))


@lru_cache(maxsize=8)
def build_block(
    n_features: int, n_bits: int, loss: Loss, l1: bool, average: bool, product: ProductKind
) -> SGDBlock:
    """Block of a declared size, one for all fits of a process."""
    return SGDBlock(n_features, n_bits, loss, l1=l1, average=average, product=product)


def train_together(
    estimators: Sequence[ProgrammedSGD],
    X: NDArray,
    y: NDArray,
    rows: Sequence[NDArray[np.intp]],
) -> None:
    """Train the machines of all estimators on one sequence."""
    samples = estimators[0]._encode(X, y)
    machines: list[list[Learner]] = []
    for e, own in zip(estimators, rows, strict=True):
        rules = e._rules()
        machines.append(
            [
                Learner(rules, own + i * len(X), seed, e.keep_trace)
                for i, seed in enumerate(e._seeds())
            ]
        )
    learners = [learner for group in machines for learner in group]
    size = n_tokens(len(samples), [len(learner.rows) for learner in learners])
    n_bits = max(MIN_BITS, n_code_bits(size))
    declaration = (X.shape[1], n_bits, *estimators[0]._block_options())
    card = train(build_block(*declaration), samples, learners)
    for estimator, group in zip(estimators, machines, strict=True):
        estimator._declaration = declaration
        estimator._keep(card, group)
