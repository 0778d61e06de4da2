"""What the programmed SGD estimators share: parameters, models, and running queries."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_looped.estimators.epochs import ProgrammedTraining, position_bits
from sklearn_looped.programmed.algorithms.epochs import Schedule
from sklearn_looped.programmed.algorithms.sgd import (
    PATIENCE,
    Loss,
    ProductKind,
    Samples,
    SGDBlock,
    SGDLearner,
    SGDRules,
    n_tokens,
)

MAX_SEED = np.iinfo(np.int32).max


class ProgrammedSGD(ProgrammedTraining):
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

    @property
    def block_(self) -> SGDBlock:
        """Loop body. It is the same for all data, so a pickle holds its declaration only."""
        return build_block(*self._declaration)

    @property
    def _n_models(self) -> int:
        return 1

    @abstractmethod
    def _seeds(self) -> list[int]:
        """Seed of the shuffle, as scikit-learn draws it, for each machine."""

    def _block_options(self) -> tuple[Loss, bool, bool, ProductKind]:
        """Everything but the size that the weights of the block depend on."""
        return self.loss, self.penalty in ("l1", "elasticnet"), bool(self.average), self.product

    def _declare(self, X: NDArray, y: NDArray, lengths: Sequence[int]) -> tuple[Any, ...]:
        steps = [n for n in lengths for _ in range(self._n_models)]
        n_bits = position_bits(n_tokens(self._n_models * len(X), steps))
        return X.shape[1], n_bits, *self._block_options()

    def _learners(self, rows: NDArray[np.intp], X: NDArray, y: NDArray) -> list[SGDLearner]:
        if self.learning_rate == "optimal" and self.alpha == 0:
            raise ValueError("Got alpha=0, but learning_rate='optimal' divides by alpha.")
        shared = {field.name for field in fields(Schedule)} - {"patience"}
        schedule = Schedule(**{name: getattr(self, name) for name in shared}, patience=PATIENCE)
        own: dict[str, Any] = {f.name: getattr(self, f.name, 0.0) for f in fields(SGDRules)}
        rules = SGDRules(**own)
        return [
            SGDLearner(schedule, rules, self.block_, rows + i * len(X), seed, self.keep_trace)
            for i, seed in enumerate(self._seeds())
        ]

    def _keep(self, learners: Sequence[SGDLearner]) -> None:
        columns = self.block_.fields
        prefixes = ["mean_" if 0 < self.average <= m.n_loops else "" for m in learners]
        models = list(zip(learners, prefixes, strict=True))
        self.coef_ = np.array([m.memory[columns[p + "w"]] for m, p in models])
        self.intercept_ = np.array([m.memory[columns.at(p + "b")] for m, p in models])
        if self.keep_trace:
            machines = [pd.concat(m.trace).assign(machine=i) for i, m in enumerate(learners)]
            self.trace_ = pd.concat(machines, ignore_index=True)

    def _still_falls(self, learners: Sequence[SGDLearner]) -> bool:
        return self.tol is not None and self.n_iter_ == self.max_iter

    def _query(self, X: Any, sign: float) -> tuple[NDArray, NDArray]:
        """Run queries, appended to the punchcard as samples of one label: scores, derivatives."""
        X, block = self._validate_queries(X), self.block_
        models = zip(np.atleast_2d(self.coef_), self.intercept_, strict=True)
        memories = [block.memory(w=coef, b=intercept) for coef, intercept in models]
        return block.score_samples(memories, Samples.margins(X, np.full(len(X), sign), True))


@lru_cache(maxsize=8)
def build_block(
    n_features: int, n_bits: int, loss: Loss, l1: bool, average: bool, product: ProductKind
) -> SGDBlock:
    """Block of a declared size, one for all fits of a process."""
    return SGDBlock(n_features, n_bits, loss, l1=l1, average=average, product=product)
