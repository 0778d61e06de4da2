"""What an ensemble learns from its predictions of the support rows, each without its target.

A network with feedback predicts every support row after every loop. From that come the members'
shares of the average, the loop that is enough, and the levels that targets reach among quantiles.

Shapes: M members, L loops, T targets, s support rows.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import ndtr

from sklearn_looped.core.arrays import Array
from sklearn_looped.learned.inference.support import Support

PRIOR_ROWS = 100.0  # support rows that the shares by the experts' errors count as
FEWEST = 3  # loops: `tabular` was trained with no fewer, and two predict its support too well
SLACK = 0.002  # of the squared error: a loop that takes off no more is not worth its time
SUM = 1e3  # weight of the equation that shares add up to one, over the size of the others


class Weighing(NamedTuple):
    """How an ensemble's predictions are combined.

    Attributes
    ----------
    shares : ndarray of shape (L, M, T)
        Of the members in the average after each loop; they add up to one.
    errors : ndarray of shape (L, T) or None
        Squared errors of the averages on the support rows; None: not known.
    reached : ndarray of shape (L, T, s) or None
        Levels of the rows' targets among the averages' quantiles; None: not known.
    """

    shares: Array
    errors: Array | None
    reached: Array | None = None

    @classmethod
    def of_loops(cls, parts: Sequence["Weighing"]) -> "Weighing":
        """Join those of some loops after another."""
        shares, *known = zip(*parts, strict=True)
        errors, reached = (None if field[0] is None else np.concatenate(field) for field in known)
        return cls(np.concatenate(shares), errors, reached)

    def enough(self, fewest: int = FEWEST) -> NDArray[np.intp]:
        """Loops that are enough for each target, (T,): all where errors are not known."""
        if self.errors is None:
            return np.full(self.shares.shape[2], len(self.shares))
        return fewest_loops(self.errors, fewest)


def weigh(
    left_out: Sequence[Array | None], importance: Sequence[Array], support: Support, n_loops: int
) -> Weighing:
    """Weigh the members of an ensemble by their errors on the support rows.

    Parameters
    ----------
    left_out : sequence of ndarray of shape (L, T, s, 1 or 2), or None
        Each member's predictions of the support rows, and the scores that their targets reach
        among the quantiles, if it predicts such. None: they are unknown, or not of all rows; shares
        are then those by importance.
    importance : sequence of ndarray of shape (T,)
        Of each member, by the leave-one-out errors of its experts.
    support : Support
        The rows.
    n_loops : int
        L.

    Returns
    -------
    Weighing
    """
    prior = np.stack(importance) / np.sum(importance, axis=0)
    known = [each for each in left_out if each is not None]
    if len(known) < len(left_out):
        return Weighing(np.broadcast_to(prior, (n_loops, *prior.shape)), None)
    counts = support.counts
    predicted, *scores = np.moveaxis(np.stack(known), -1, 0)  # (M, L, T, s) each
    residuals = support.Y.T - predicted
    largest = np.abs(support.Y).max(axis=0)[:, None]
    residuals /= np.where(largest > 0, largest, 1)  # against overflow
    gram = np.einsum("mlts,klts,s->ltmk", residuals, residuals, counts)
    shares = np.array(
        [
            [shares_of(G, p, counts.sum()) for G, p in zip(loop, prior.T, strict=True)]
            for loop in gram
        ]
    )
    errors = np.einsum("ltm,ltmk,ltk->lt", shares, gram, shares)
    # The score among averaged quantiles is the average score where members have equal spreads.
    reached = [ndtr(np.einsum("ltm,mlts->lts", shares, each)) for each in scores]
    return Weighing(shares.transpose(0, 2, 1), errors, *reached)


def shares_of(gram: Array, prior: Array, n_rows: float) -> Array:
    """Shares of members with the least squared error of their average, drawn to prior ones.

    Stacked regression [1]_, with shares that are not negative and add up to one, and the prior
    ones in the weight of `PRIOR_ROWS` rows.

    Parameters
    ----------
    gram : ndarray of shape (M, M)
        Products of the members' residuals, summed over rows.
    prior : ndarray of shape (M,)
    n_rows : float

    Returns
    -------
    ndarray of shape (M,)

    References
    ----------
    .. [1] L. Breiman, "Stacked regressions", Machine Learning 24, 1996.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.learned.inference.left_out import shares_of
    >>> residuals = np.array([[1.0, -1.0] * 500, [0.0, 2.0] * 500])
    >>> shares_of(residuals @ residuals.T, np.array([0.5, 0.5]), 1000).round(2)
    array([0.6, 0.4])
    """
    error = prior @ gram @ prior / n_rows
    if not error > 0:
        return prior
    penalty = PRIOR_ROWS * error
    values, vectors = np.linalg.eigh(gram + penalty * np.eye(len(prior)))
    root = np.sqrt(values)[:, None] * vectors.T
    size = SUM * np.sqrt(values[-1])
    sides = penalty * (vectors.T @ prior) / np.sqrt(values)
    shares, _ = nnls(np.vstack([root, np.full(len(prior), size)]), np.append(sides, size))
    return np.asarray(shares / shares.sum())


def fewest_loops(errors: Array, fewest: int = FEWEST) -> NDArray[np.intp]:
    """Return the first loop, of `fewest` or more, after which the next is of little use.

    (L, T) -> (T,): L where there is no such loop. So loops can be run until one is of little use.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.learned.inference.left_out import fewest_loops
    >>> fewest_loops(np.array([[9.0], [2.0], [1.5], [1.001], [1.0], [0.5]]))
    array([4])
    """
    first = min(fewest, len(errors)) - 1
    idle = errors[first + 1 :] >= (1 - SLACK) * errors[first:-1]
    end = np.ones_like(errors[:1], dtype=bool)
    return first + 1 + np.argmax(np.concatenate([idle, end]), axis=0)
