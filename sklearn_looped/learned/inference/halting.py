"""When a query leaves the loop: rules for ``n_loops="auto"``."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sklearn_looped.learned.inference.encoding import Array, Support
from sklearn_looped.learned.inference.ensemble import ByLoop, Outcome

TOLERANCE = 0.06  # of the spread: saves 40 % of the loops for .004 of R2 on the prior's tables
SMALL_CHANGES = 2  # successive small changes after which a query has settled
HELD_OUT = 4  # one row in so many is held out
MIN_HELD_OUT = 5  # rows


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

    Raises
    ------
    ValueError
        If fewer than 20 rows are there.
    """
    n_rows = len(support.X)
    if n_rows < HELD_OUT * MIN_HELD_OUT:
        raise ValueError(
            f"Got {n_rows} rows, but exit_rule='holdout' needs at least {HELD_OUT * MIN_HELD_OUT}: "
            "a quarter of them is held out to choose the loop. Use exit_rule='settled'."
        )
    held = np.arange(n_rows) % HELD_OUT == HELD_OUT // 2
    return support.take(~held), support.take(held)


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
