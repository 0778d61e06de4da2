"""When a query leaves the loop: rules for ``n_loops="auto"``."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sklearn_looped.core.arrays import Array
from sklearn_looped.learned.inference.by_loop import ByLoop, Outcome
from sklearn_looped.learned.inference.support import Support
from sklearn_looped.learned.model.config import NetworkConfig

TOLERANCE = 0.06  # of the spread: saves 40 % of the loops for .004 of R2 on the prior's tables
SMALL_CHANGES = 2  # successive small changes after which a query has settled
HELD_OUT = 4  # one row in so many is held out
LEAST_ROWS = 20  # of which rows are held out
TINY = 1e-7  # probabilities are kept this far from 0 and 1 where their logarithm is taken


class ExitRule(Protocol):
    """Says after a loop which of the queries inside leave; a query's fate is its own."""

    def leaving(self, outcome: Outcome, last: Array, inside: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Decide, (q inside,), from this loop's outcome and the last loop's output."""


class Settled:
    """Leave after two successive changes, in all targets, below 6 % of their spread.

    Parameters
    ----------
    spread : ndarray of shape (T,)
        Standard deviation of each target.
    n_queries : int
    """

    def __init__(self, spread: Array, n_queries: int) -> None:
        self.tolerance = TOLERANCE * spread[:, None]
        self.calm = np.zeros(n_queries, dtype=np.intp)

    def leaving(self, outcome: Outcome, last: Array, inside: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Count small changes in a row."""
        small = (np.abs(outcome.output[..., 0] - last[..., 0]) <= self.tolerance).all(axis=0)
        self.calm[inside] = np.where(small, self.calm[inside] + 1, 0)
        return self.calm[inside] >= SMALL_CHANGES


class Gate:
    """Leave once the probability of having left, by the gate of the weights, passes a quantile.

    Parameters
    ----------
    quantile : float
        q of Ouro: the first loop m with 1 - prod(1 - lambda_t, t <= m) >= q is the last.
    n_queries : int

    References
    ----------
    R.-J. Zhu et al., "Scaling Latent Reasoning via Looped Language Models", 2025, Section 3.
    """

    def __init__(self, quantile: float, n_queries: int) -> None:
        self.quantile = quantile
        self.inside = np.ones(n_queries)

    def leaving(self, outcome: Outcome, last: Array, inside: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Cumulate the probability of having left."""
        assert outcome.leaving is not None
        self.inside[inside] *= 1 - outcome.leaving
        return 1 - self.inside[inside] >= self.quantile


class Exit(NamedTuple):
    """How long queries stay in the loop.

    Attributes
    ----------
    n_loops : int
        At most.
    rule : callable or None
        Takes the number of queries and returns their exit rule. None: all queries take the same
        number of loops.
    by_support : bool
        Whether, without a rule, each target takes the loops that the errors on the support ask
        for, in place of `n_loops`.
    """

    n_loops: int
    rule: Callable[[int], ExitRule] | None = None
    by_support: bool = False

    def shown(self, enough: NDArray[np.intp]) -> list[int] | None:
        """Loops whose predictions are asked for, given those enough for each target; None: all."""
        if self.rule is not None:
            return None
        return sorted(set(enough.tolist())) if self.by_support else [self.n_loops]

    def take(self, by_loop: ByLoop, n_queries: int) -> tuple[Array, NDArray[np.intp]]:
        """Output (T, q, n_outputs) of queries, and the loop (q,) that each leaves at."""
        if self.rule is not None:
            return leave_by_rule(by_loop, self.rule(n_queries))
        if self.by_support:
            return leave_by_support(by_loop)
        *_, last = by_loop
        return last.output, np.full(n_queries, self.n_loops)


def leave_by_support(by_loop: ByLoop) -> tuple[Array, NDArray[np.intp]]:
    """Run queries for the loops that the support asks for, each target for its own number.

    Returns
    -------
    output : ndarray of shape (T, q, n_outputs)
    n_loops : ndarray of shape (q,)
        The most of all targets.
    """
    outcome = next(by_loop)
    output, enough = outcome.output.copy(), outcome.enough
    while outcome.loop < enough.max():
        outcome = next(by_loop)
        output[enough >= outcome.loop] = outcome.output[enough >= outcome.loop]
    by_loop.close()
    return output, np.full(output.shape[1], enough.max())


def leave_by_rule(by_loop: ByLoop, rule: ExitRule) -> tuple[Array, NDArray[np.intp]]:
    """Run queries until each has left the loop, two loops at least.

    Returns
    -------
    output : ndarray of shape (T, q, n_outputs)
        Of each query after the last loop it took.
    n_loops : ndarray of shape (q,)
    """
    first = next(by_loop)
    output = first.output.copy()
    inside = np.arange(output.shape[1])
    n_loops = np.ones(len(inside), dtype=np.intp)
    staying = np.ones(len(inside), dtype=bool)
    rule.leaving(first, np.full_like(output, np.inf), inside)
    loop = 1
    while staying.any():
        try:
            outcome = by_loop.send(staying)
        except StopIteration:
            break
        loop += 1
        inside = inside[staying]
        staying = ~rule.leaving(outcome, output[:, inside], inside)
        output[:, inside], n_loops[inside] = outcome.output, loop
    by_loop.close()
    return output, n_loops


def hold_out(support: Support) -> tuple[Support, Support]:
    """Split off a quarter of the support as queries: every fourth row in the order of the targets.

    `check_rule` asks for `LEAST_ROWS` rows.
    """
    held = np.arange(len(support.X)) % HELD_OUT == HELD_OUT // 2
    return support.take(~held), support.take(held)


def check_rule(rule: str, n_rows: int, *, gate: bool, weights: str) -> None:
    """Refuse an exit rule without what it needs, before any work.

    Parameters
    ----------
    rule : {"support", "settled", "gate", "holdout"}
    n_rows : int
        Rows of the support.
    gate : bool
        Whether the weights have an exit gate.
    weights : str
        What they are called.

    Raises
    ------
    ValueError
        If the weights lack the gate, or the support rows to hold out.
    """
    if rule == "gate" and not gate:
        raise ValueError(
            f"Got exit_rule='gate', but the weights {weights} have no exit gate. Use "
            "exit_rule='settled' or 'holdout', or weights with a gate."
        )
    if rule == "holdout" and n_rows < LEAST_ROWS:
        raise ValueError(
            f"Got {n_rows} rows, but exit_rule='holdout' needs at least {LEAST_ROWS}: a quarter of "
            "them is held out to choose the number of loops. Use exit_rule='settled'."
        )


def most_loops(n_loops: int | str | None, config: NetworkConfig) -> int:
    """Loops that a query takes at most: those asked for, or as many as the weights are made for."""
    return config.n_loops if n_loops is None or n_loops == "auto" else int(n_loops)


def spread_of(support: Support) -> Array:
    """Weighted standard deviation of each target, (T,); scaled first, against overflow."""
    largest = np.abs(support.Y).max(axis=0)
    largest[largest == 0] = 1
    Y = support.Y / largest
    mean = np.average(Y, axis=0, weights=support.weights)
    return largest * np.sqrt(np.average((Y - mean) ** 2, axis=0, weights=support.weights))


def losses(output: Array, queries: Support, spread: Array, classifies: bool) -> Array:
    """Loss of each held-out query, (q,), given the output (T, q, n_outputs).

    Log loss of the class; mean squared error of numbers in units of their spread (T,).
    """
    if classifies:
        proba = output[..., 0].T.clip(TINY)
        return -(np.log(proba) * queries.Y).sum(axis=1)
    error = (output[..., 0] - queries.Y.T) / np.where(spread > 0, spread, 1)[:, None]
    return np.mean(error**2, axis=0)


def thriftiest_loop(losses: list[Array]) -> int:
    """Return the first loop whose mean loss is within one standard error of the best.

    Parameters
    ----------
    losses : list of ndarray of shape (q,)
        Of each held-out query after each loop.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.learned.inference.halting import thriftiest_loop
    >>> thriftiest_loop([np.array([9.0, 7.0]), np.array([2.0, 1.2]), np.array([2.0, 1.0])])
    2
    """
    table = np.array(losses)
    mean = table.mean(axis=1)
    best = mean.argmin()
    error = table[best].std(ddof=1) / np.sqrt(table.shape[1])
    return int(np.argmax(mean <= mean[best] + error)) + 1
