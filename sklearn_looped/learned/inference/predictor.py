"""`SupportPredictor`: from a table's rows to predictions of queries, by a looped network.

Shapes: T targets, s support rows, q queries, d columns.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state, gen_batches

from sklearn_looped.core.arrays import Array
from sklearn_looped.core.device import choose_device
from sklearn_looped.core.modes import in_own_modes
from sklearn_looped.learned.checkpoints import Checkpoint
from sklearn_looped.learned.inference import by_loop
from sklearn_looped.learned.inference.by_loop import ByLoop
from sklearn_looped.learned.inference.constant import is_constant, repeated, target_distribution
from sklearn_looped.learned.inference.encoding import TableEncoder
from sklearn_looped.learned.inference.halting import (
    Exit,
    Gate,
    Settled,
    check_rule,
    hold_out,
    losses,
    most_loops,
    spread_of,
    thriftiest_loop,
)
from sklearn_looped.learned.inference.members import (
    Memories,
    members_of,
    n_tables,
    remember,
)
from sklearn_looped.learned.inference.overview import Overview
from sklearn_looped.learned.inference.prepare import fitted_views
from sklearn_looped.learned.inference.support import Queries, Support
from sklearn_looped.learned.inference.views import View, varying
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.network import LoopedNetwork

CHUNK = 1024  # queries at a time, summed over targets: bounds the memory of a prediction
MADE_ON_USE = ("network", "memories")  # once after unpickling


@dataclass(eq=False)
class SupportPredictor:
    """Encoder, views, network and memory of one support: all that a prediction is made with.

    It is what the in-context estimators keep of `fit`, as ``predictor_``. Tables that it is given
    are validated; outputs are, for each target, in units of y the mean and then the quantiles in
    rising order, or the probability of each class, which is a target. Pickles leave out the
    network, which `Checkpoint` brings back, and the memory; both are made again when asked for.

    Parameters
    ----------
    checkpoint : Checkpoint
        The weights.
    encoder : TableEncoder
        Fitted; brings tables to numbers.
    support : Support
        Encoded, with T targets.
    views : list of View
        What each member of the ensemble sees.
    n_loops : int
        Loops that the memory is for; others can be asked for.
    n_members, max_rows : int
        As `fit_views` takes them.
    device : str
        As `sklearn_looped.core.device.choose_device` takes it.
    verbose : int
        Above 0: a bar shows the members while the support runs.
    kept : int or None
        Bytes that are kept at most; None: `members.KEPT`.
    overview : Overview or None
        Gave what is known of the support, and gives it of queries; None: nothing is known.
    """

    checkpoint: Checkpoint
    encoder: TableEncoder
    support: Support
    views: list[View]
    n_loops: int
    n_members: int
    max_rows: int
    device: str
    verbose: int = 0
    kept: int | None = None
    overview: Overview | None = None

    def _from(self, support: Support, n_loops: int) -> "SupportPredictor":
        """Predict from other rows of the same table, with the same network."""
        rng = check_random_state(0)
        views = fitted_views(support, self.config, self.n_members, self.max_rows, rng)
        other = replace(self, support=support, views=views, n_loops=n_loops)
        other.network = self.network
        return other

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be made again."""
        return {name: value for name, value in vars(self).items() if name not in MADE_ON_USE}

    @property
    def config(self) -> NetworkConfig:
        """Configuration of the network."""
        return self.checkpoint.network.config

    @property
    def n_tables(self) -> int:
        """Tables that a view takes: one a target, or a pass of a classifier."""
        return n_tables(self.config, self.support)

    @cached_property
    def network(self) -> LoopedNetwork:
        """The network on its device; a loaded one is shared and stays on the CPU."""
        try:
            device = choose_device(self.device)
        except ValueError:  # pickled where there was a GPU, loaded where there is none
            device = torch.device("cpu")
        network = self.checkpoint.network
        return network if device.type == "cpu" else copy.deepcopy(network).to(device)

    @cached_property
    def memories(self) -> Memories:
        """What is kept of the support for `n_loops` loops.

        Raises
        ------
        MemoryError
            If a single pass would need more memory than there is.
        """
        parts = self.views, self.support, self.network, self.n_loops
        return remember(*parts, verbose=self.verbose, limit=self.kept)

    @in_own_modes
    def run_support(self, exit: Exit) -> int:
        """Run the support through the loops that queries take with this exit.

        Returns the number of loops that the memory is for.
        """
        memories = self.memories
        if memories.members is not None and exit.by_support:
            memories.enough()
        elif memories.members is not None:
            memories.weighing(exit.n_loops)
        return memories.n_loops

    @cached_property
    def spread(self) -> Array:
        """Standard deviation of each target, (T,)."""
        return spread_of(self.support)

    @cached_property
    def constant(self) -> Array | None:
        """Output for every query, (T, n_outputs), if all rows of the support are the same."""
        if not is_constant(self.support.X):
            return None
        return target_distribution(self.support, self.config)

    @cached_property
    def held_out_loop(self) -> int:
        """Loop that a quarter of the support, taken as queries, asks for."""
        return thriftiest_loop(self.held_out_losses(self.spread))

    def held_out_losses(self, spread: Array) -> list[Array]:
        """Loss of each row of that quarter after every loop."""
        n_loops = self.config.n_loops
        known, queries = hold_out(self.support)
        stages = self._from(known, n_loops).encoded_stages(queries.as_queries(), n_loops)
        return [losses(out, queries, spread, self.config.classifies) for out in stages]

    def exit(self, n_loops: int | str | None, rule: str, quantile: float) -> Exit:
        """Return how long queries stay in the loop.

        Parameters
        ----------
        n_loops : int, "auto" or None
        rule : {"support", "settled", "gate", "holdout"}
        quantile : float
            As ``exit_rule`` and ``exit_quantile`` of `LoopedICLRegressor`.

        Returns
        -------
        Exit

        Raises
        ------
        ValueError
            If the weights lack the gate that the rule asks for, or the support rows to hold out.
        """
        most = most_loops(n_loops, self.config)
        if n_loops != "auto":
            return Exit(most)
        if rule == "support":
            return Exit(most, by_support=True)
        has_gate = self.checkpoint.network.gate is not None
        check_rule(rule, len(self.support.X), gate=has_gate, weights=repr(self.checkpoint.name))
        if rule == "holdout":
            return Exit(self.held_out_loop)
        if rule == "settled":
            return Exit(most, partial(Settled, self.spread))
        return Exit(most, partial(Gate, quantile))

    def predict(self, table: Any, exit: Exit) -> tuple[Array, NDArray[np.intp], Array]:
        """Predict queries.

        Parameters
        ----------
        table : DataFrame or ndarray of shape (q, n_columns)
        exit : Exit
            How long they stay in the loop.

        Returns
        -------
        output : ndarray of shape (T, q, n_outputs)
        n_loops : ndarray of shape (q,)
            The loop that each leaves at.
        novelty : ndarray of shape (q,)
            How far each lies outside the support.
        """
        cells = self.encoder.read(table)
        return *self.predict_encoded(self._queries(cells), exit), self.encoder.novelty(cells)

    def queries(self, table: Any) -> Queries:
        """Encode queries, and add what the overview predicts of them."""
        return self._queries(self.encoder.read(table))

    def _queries(self, cells: Array) -> Queries:
        X = self.encoder.tails_.compress(cells)
        return Queries(X, None if self.overview is None else self.overview.predict(X))

    def predict_encoded(self, X: Queries, exit: Exit) -> tuple[Array, NDArray[np.intp]]:
        """Predict queries that are encoded, as `predict` does."""
        runs = self._runs(X, exit.n_loops, exit)
        parts = [exit.take(run, n_queries) for run, n_queries in runs]
        outputs, loops = zip(*parts, strict=True)
        return np.concatenate(outputs, axis=1), np.concatenate(loops)

    def predict_support(self, folds: NDArray[np.intp], exit: Exit) -> Array:
        """Predict the support rows, (T, s, n_outputs), each from the other folds (s,)."""
        rows = self.support.as_queries()
        parts = {
            fold: self._from(self.support.take(folds != fold), exit.n_loops).predict_encoded(
                rows[folds == fold], exit
            )[0]
            for fold in np.unique(folds)
        }
        n_targets, _, n_outputs = next(iter(parts.values())).shape
        output = np.empty((n_targets, len(rows), n_outputs))
        for fold, part in parts.items():
            output[:, folds == fold] = part
        return output

    def stages(self, table: Any, n_loops: int) -> Iterator[Array]:
        """Yield the output (T, q, n_outputs) of queries after every loop."""
        yield from self.encoded_stages(self.queries(table), n_loops)

    def encoded_stages(self, X: Queries, n_loops: int) -> Iterator[Array]:
        """Yield what `stages` does, of queries that are encoded."""
        chunks = [[outcome.output for outcome in run] for run, _ in self._runs(X, n_loops)]
        for parts in zip(*chunks, strict=True):
            yield np.concatenate(parts, axis=1)

    @in_own_modes
    def attention(self, table: Any, n_loops: int, member: int) -> Iterator[Array]:
        """Yield for every loop the weights (T, h, q, s) of queries on one member's support."""
        n_members = len(self.views)
        if not (isinstance(member, Integral) and 0 <= member < n_members):
            raise ValueError(
                f"Got member={member!r}, but the members have the numbers 0 to {n_members - 1}."
            )
        X, memories = self.queries(table), self._memories_for(n_loops)
        if memories.members is None:
            found = members_of(self.views[member], self.support, self.config, n_loops)
            known = [(part, part.support.remember(self.network, n_loops)) for part in found]
        else:
            known = memories.members[member]
        runs = [part.queries(X).answer(self.network, kept, True) for part, kept in known]
        for steps in zip(*runs, strict=True):
            weights = [step.attention for step in steps if step.attention is not None]
            yield torch.cat(weights).cpu().double().numpy()

    def importances(self, n_columns: int) -> Array:
        """Return the importance of each of the table's columns, of sum one, by the experts' metric.

        It is that of the first view, which shows columns as they are; those that it leaves out
        weigh nothing, nor do constant ones: where there are no others all weights are 0.
        """
        view = self.views[0]
        if self.memories.members is None:
            found = members_of(view, self.support, self.config, self.n_loops)
        else:
            found = (part for part, _ in self.memories.members[0])
        weights = np.zeros(self.support.X.shape[1])
        weights[view.columns] = torch.cat([part.metric() for part in found]).mean(0).numpy()
        return self.encoder.shares_of_columns(weights * varying(self.support.X), n_columns)

    def _memories_for(self, n_loops: int) -> Memories:
        """Return the support's memory for some loops; run the support again for more than kept."""
        if n_loops > self.n_loops:
            parts = self.views, self.support, self.network, n_loops
            return remember(*parts, self.memories, limit=self.kept)
        return self.memories.first(n_loops)

    def _runs(
        self, X: Queries, n_loops: int, exit: Exit | None = None
    ) -> Iterator[tuple[ByLoop, int]]:
        """Yield, for each chunk of the encoded queries, its run by loop and its size."""
        memories = self._memories_for(n_loops)
        size = max(1, CHUNK // self.n_tables)
        if memories.members is None:
            size = by_loop.queries_at_once(
                self.config, self.support.Y.shape[1], len(self.views), n_loops
            )
        for rows in gen_batches(len(X), size):
            yield self._run(X[rows], memories, exit), rows.stop - rows.start

    @in_own_modes
    def _run(self, X: Queries, memories: Memories, exit: Exit | None) -> ByLoop:
        """Run encoded queries loop by loop, for what the exit takes at least; None: all."""
        network, n_loops = self.network, memories.n_loops
        if self.constant is not None:
            output = np.array([repeated(self.constant, len(X))] * n_loops)
            leaving = None if network.gate is None else np.ones((n_loops, len(X)))
            enough = np.ones(len(output[0]), dtype=np.intp)
            yield from by_loop.replayed(output, leaving, enough)
        elif memories.members is None:
            found = by_loop.one_by_one(self.views, self.support, network, n_loops, X)
            yield from by_loop.replayed(*found)
        else:
            shown = None if exit is None else exit.shown(memories.enough())
            yield from by_loop.side_by_side(memories, network, X, shown)
