"""What the in-context estimators share: keeping a support and running queries over it."""

import copy
from collections.abc import Iterator
from functools import cached_property
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_looped.core.device import choose_device
from sklearn_looped.core.warning import warn_user
from sklearn_looped.estimators.documentation import DocumentationLink
from sklearn_looped.estimators.validation import validate_table
from sklearn_looped.learned.checkpoints import Checkpoint, CheckpointError
from sklearn_looped.learned.fields import MAX_LOOPS, MAX_VIEWS
from sklearn_looped.learned.inference.constant import ConstantEnsemble, is_constant
from sklearn_looped.learned.inference.encoding import Array, Support, TableEncoder
from sklearn_looped.learned.inference.ensemble import ByLoop, SupportEnsemble
from sklearn_looped.learned.inference.halting import (
    ExitRule,
    Gate,
    Settled,
    hold_out,
    leave_by_rule,
    thriftiest_loop,
)
from sklearn_looped.learned.inference.members import Memories
from sklearn_looped.learned.inference.support import class_ranks
from sklearn_looped.learned.inference.views import fit_views
from sklearn_looped.learned.model.network import LoopedNetwork

MADE_ON_USE = ("_network", "_memories")  # of the fitted attributes, once after unpickling


class InContextEstimator(DocumentationLink, BaseEstimator):
    """Base of the in-context estimators: `fit` keeps the support, nothing is trained."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_loops": [Interval(Integral, 1, MAX_LOOPS, closed="both"), StrOptions({"auto"}), None],
        "exit_rule": [StrOptions({"settled", "gate", "holdout"})],
        "exit_quantile": [Interval(Real, 0, 1, closed="neither")],
        "n_estimators": [Interval(Integral, 1, MAX_VIEWS, closed="both"), None],
        "max_support": [Interval(Integral, 2, None, closed="left")],
        "device": [str],
        "random_state": ["random_state"],
    }

    # Parameters of the subclasses that are read here.
    n_loops: int | str | None
    exit_rule: str
    exit_quantile: float
    n_estimators: int | None
    max_support: int
    device: str
    random_state: int | np.random.RandomState | None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags

    @property
    def column_kinds_(self) -> dict[str, str]:
        """What each column was read as in `fit`; see `TableEncoder`."""
        return self._encoder.column_kinds_

    @property
    def feature_importances_(self) -> Array:
        """Importance of each column of the table, of sum one, as in `KernelMachineRegressor`.

        The columns' weights in the metric of the experts: how steeply what they predict rises
        along each. Nominal columns have the sum of their parts.

        Raises
        ------
        AttributeError
            If the weights were trained without experts.
        """
        check_is_fitted(self)
        if not self._checkpoint.network.config.experts:
            raise AttributeError(
                f"The weights {self._checkpoint.name!r} have no experts, whose metric would say "
                "how much columns matter. Use the default weights or permutation_importance."
            )
        weights = self._ensemble.column_weights(self._network, self._memories)
        sums = np.bincount(self._encoder.sources_, weights, self.n_features_in_)
        return sums / max(sums.sum(), np.finfo(np.float64).tiny)

    def _encode(
        self, table: Any, Y: Array, weights: Array | None, target: Array, target_type: str
    ) -> tuple[Support, np.random.RandomState]:
        """Encode a validated table; rows in an order of their own, repeated ones joined.

        `target` (n,) of `target_type` is what nominal columns of many levels are encoded by.
        """
        rng = check_random_state(self.random_state)
        self._encoder = TableEncoder(target_type)
        # The encoding's target rides along as a last column while rows are sorted.
        support = Support(table, np.column_stack([Y, target]), weights, np.arange(len(Y)))
        if weights is not None:
            support = support.take(np.flatnonzero(weights > 0))
        X = self._encoder.fit_transform(support.X, support.Y[:, -1], support.weights)
        support = support._replace(X=X).merged()
        if target_type == "multiclass":
            support.Y[:, -1] = class_ranks(support.X, support.Y[:, -1])
        support = support.in_canonical_order()
        return support._replace(Y=support.Y[:, :-1]), rng

    def _prepare(self, X: Any, y: Any, sample_weight: Any) -> None:
        """Do what `fit` does before the support runs through the network."""
        raise NotImplementedError

    def _decode(self, output: Array) -> NDArray[Any]:
        """Prediction (q, ...) from the ensemble's output (T, q, n_outputs)."""
        raise NotImplementedError

    def _keep(self, support: Support, checkpoint: Checkpoint, rng: np.random.RandomState) -> None:
        """Fit the members' views."""
        self._checkpoint = checkpoint
        if self.n_loops == "auto":
            self._check_gate()
        self._ensemble = self._fit_ensemble(support, rng)
        self._spread = _spread(support)
        self.weights_digest_ = checkpoint.digest

    def _warn_of_subsamples(self) -> None:
        """Say that members see a part of the rows only, if it is so."""
        n_rows = len(self._ensemble.support.X)
        if n_rows > self.max_support:
            warn_user(
                f"Got {n_rows} rows, more than max_support={self.max_support}: each of "
                f"the {self._count_members()} members sees a random subsample. Raise max_support "
                "to use more rows; time grows with its square."
            )

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> None:
        """Keep the support and run it through the network."""
        for name in MADE_ON_USE:
            self.__dict__.pop(name, None)  # an earlier fit's
        self._prepare(X, y, sample_weight)
        self._warn_of_subsamples()
        self._held_out_loop = None
        if self.n_loops == "auto" and self.exit_rule == "holdout":
            self._held_out_loop = self._choose_loop()
        self.n_loops_ = self._memories.n_loops

    def _fit_ensemble(self, support: Support, rng: np.random.RandomState) -> SupportEnsemble:
        config = self._checkpoint.network.config
        # Experts see all columns and choose those that the network reads.
        max_columns = None if config.experts else config.n_features
        views = fit_views(support, self._count_members(), max_columns, self.max_support, rng)
        kind = ConstantEnsemble if is_constant(support.X) else SupportEnsemble
        return kind(support, views)

    @cached_property
    def _network(self) -> LoopedNetwork:
        """The network on its device."""
        try:
            device = choose_device(self.device)
        except ValueError:  # pickled where there was a GPU, loaded where there is none
            device = torch.device("cpu")
        return network_on(device, self._checkpoint)

    @cached_property
    def _memories(self) -> Memories:
        """What is kept of the support; made at the first prediction after unpickling."""
        return self._ensemble.remember(self._network, self._count_loops())

    def _count_members(self) -> int:
        """Members that `n_estimators` asks for at most."""
        return self.n_estimators or self._checkpoint.network.config.n_views

    def _count_loops(self) -> int:
        """Loops that `n_loops` asks for at most."""
        if self.n_loops is None or self.n_loops == "auto":
            return self._checkpoint.network.config.n_loops
        return int(self.n_loops)

    def _choose_loop(self) -> int:
        """Loop that part of the support, taken as queries, asks for."""
        support, queries = hold_out(self._ensemble.support)
        ensemble = self._fit_ensemble(support, check_random_state(0))
        memories = ensemble.remember(self._network, self._count_loops())
        by_loop = ensemble.predict_by_loop(self._network, memories, queries.X)
        return thriftiest_loop([self._losses(outcome.output, queries) for outcome in by_loop])

    def _losses(self, output: Array, queries: Support) -> Array:
        """Loss of each query, (q,), given the ensemble's output for it."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be made again."""
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name not in MADE_ON_USE}

    def _memories_for(self, n_loops: int) -> Memories:
        """Return the support's memory for some loops; run the support again if more than in fit."""
        if n_loops > self._memories.n_loops:
            return self._ensemble.remember(self._network, n_loops, self._memories)
        return self._memories.first(n_loops)

    def _by_chunk(self, X: ArrayLike, n_loops: int) -> Iterator[tuple[ByLoop, int]]:
        """Yield, for each chunk of the validated queries, its run by loop and its size."""
        Z = self._encoder.transform(validate_table(self, X, reset=False))
        memories = self._memories_for(n_loops)
        size = self._ensemble.queries_at_once(self._network, memories)
        for start in range(0, len(Z), size):
            chunk = Z[start : start + size]
            yield self._ensemble.predict_by_loop(self._network, memories, chunk), len(chunk)

    def _run(self, X: ArrayLike) -> tuple[Array, NDArray[np.intp]]:
        """Output (T, q, n_outputs) of queries and the loop, (q,), that each was taken from."""
        check_is_fitted(self, "n_loops_")
        self._validate_params()
        n_loops = self._loops_taken()
        parts = [
            self._take(by_loop, n_queries, n_loops)
            for by_loop, n_queries in self._by_chunk(X, n_loops)
        ]
        outputs, loops = zip(*parts, strict=True)
        return np.concatenate(outputs, axis=1), np.concatenate(loops)

    def _novelty(self, X: ArrayLike) -> Array:
        """How far each query lies outside the support, (q,); see `TableEncoder.novelty`."""
        return self._encoder.novelty(validate_table(self, X, reset=False))

    def _loops_taken(self) -> int:
        """Loops that a query takes, at most where a rule decides query by query."""
        if self.n_loops == "auto" and self.exit_rule == "holdout":
            return self._held_out_loop or self._choose_loop()
        if self.n_loops == "auto":
            self._check_gate()
        return self._count_loops()

    def _take(
        self, by_loop: ByLoop, n_queries: int, n_loops: int
    ) -> tuple[Array, NDArray[np.intp]]:
        """Output (T, q, n_outputs) of a run, and the loop (q,) that each query leaves it at."""
        if self.n_loops == "auto" and self.exit_rule != "holdout":
            return leave_by_rule(by_loop, self._rule(n_queries))
        *_, last = by_loop
        return last.output, np.full(n_queries, n_loops)

    def _predict_support(self, folds: NDArray[np.intp]) -> Array:
        """Output (T, s, n_outputs) of the support rows, each from the rows of the other folds."""
        support, n_loops = self._ensemble.support, self._loops_taken()
        parts = []
        for fold in range(folds.max() + 1):
            ensemble = self._fit_ensemble(support.take(folds != fold), check_random_state(0))
            memories = ensemble.remember(self._network, n_loops)
            queries = support.X[folds == fold]
            by_loop = ensemble.predict_by_loop(self._network, memories, queries)
            parts.append(self._take(by_loop, len(queries), n_loops)[0])
        output = np.empty((len(parts[0]), len(folds), parts[0].shape[2]))
        for fold, part in enumerate(parts):
            output[:, folds == fold] = part
        return output

    def _rule(self, n_queries: int) -> ExitRule:
        if self.exit_rule == "gate":
            return Gate(self.exit_quantile, n_queries)
        return Settled(self._spread, n_queries)

    def _check_gate(self) -> None:
        if self.exit_rule == "gate" and self._checkpoint.network.gate is None:
            raise ValueError(
                f"Got exit_rule='gate', but the weights {self._checkpoint.name!r} have no exit "
                "gate. Use exit_rule='settled' or 'holdout', or weights with a gate."
            )

    def _stages(self, X: ArrayLike) -> Iterator[Array]:
        """Output (T, q, n_outputs) of queries after every loop."""
        check_is_fitted(self, "n_loops_")
        self._validate_params()
        chunks = [
            [outcome.output for outcome in by_loop]
            for by_loop, _ in self._by_chunk(X, self._count_loops())
        ]
        for parts in zip(*chunks, strict=True):
            yield np.concatenate(parts, axis=1)

    def _attention(self, X: ArrayLike, member: int) -> Iterator[Array]:
        """Weights (T, h, q, s) with which queries attend to one member's support, by loop."""
        check_is_fitted(self, "n_loops_")
        self._validate_params()
        Z = self._encoder.transform(validate_table(self, X, reset=False))
        memories = self._memories_for(self._count_loops())
        yield from self._ensemble.attention_by_loop(self._network, memories, Z, member)


def network_on(device: torch.device, checkpoint: Checkpoint) -> LoopedNetwork:
    """Return the network on a device; the loaded one is shared and stays on the CPU."""
    network = checkpoint.network
    return network if device.type == "cpu" else copy.deepcopy(network).to(device)


def check_kind(checkpoint: Checkpoint, *, classifies: bool) -> Checkpoint:
    """Refuse a regressor's weights in a classifier and the other way round."""
    if checkpoint.network.config.classifies != classifies:
        asked, found = ("classifier", "regressor") if classifies else ("regressor", "classifier")
        raise CheckpointError(
            f"The weights {checkpoint.name!r} are those of a {found}, but a {asked} needs its "
            "own: 'tabular' for LoopedICLRegressor, 'tabular-classifier' for LoopedICLClassifier."
        )
    return checkpoint


def _spread(support: Support) -> Array:
    """Weighted standard deviation of each target, (T,); scaled first, against overflow."""
    largest = np.abs(support.Y).max(axis=0)
    largest[largest == 0] = 1
    Y = support.Y / largest
    mean = np.average(Y, axis=0, weights=support.weights)
    return largest * np.sqrt(np.average((Y - mean) ** 2, axis=0, weights=support.weights))
