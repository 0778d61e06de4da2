"""From a table's rows to an encoded support and the views of it.

Shapes: n rows, T targets.
"""

import numpy as np

from sklearn_looped.core.arrays import Array
from sklearn_looped.learned.inference.encoding import TableEncoder
from sklearn_looped.learned.inference.support import Support, class_ranks, sorting_target
from sklearn_looped.learned.inference.views import View, fit_views
from sklearn_looped.learned.model.config import NetworkConfig


def encoded_rows(rows: Support, target: Array, target_type: str) -> tuple[TableEncoder, Support]:
    """Encode rows by a target (n,) or (n, T), and leave out those of weight 0.

    What rows are sorted by (`sorting_target`) rides along as a last target.
    """
    rows = rows._replace(rows=np.arange(len(target)))
    if rows.weights is not None:
        rows = rows.take(np.flatnonzero(rows.weights > 0))
    target = target[rows.rows].reshape(len(rows.Y), -1)
    encoder = TableEncoder(target_type)
    X = encoder.fit_transform(rows.X, target, rows.weights)
    key = sorting_target(target, rows.weights)
    return encoder, rows._replace(X=X, Y=np.column_stack([rows.Y, key]))


def in_own_order(rows: Support, target_type: str) -> Support:
    """Bring what `encoded_rows` returns in an order of its own, repeated rows joined."""
    support = rows.merged()
    if target_type == "multiclass":
        support.Y[:, -1] = class_ranks(support.X, support.Y[:, -1])
    return support.in_canonical_order()


def fitted_views(
    support: Support,
    config: NetworkConfig,
    n_members: int,
    max_rows: int,
    rng: np.random.RandomState,
) -> list[View]:
    """Fit the views of an encoded support that a network of some configuration reads."""
    # Experts see all columns and choose those that the network reads.
    max_columns = None if config.experts else config.n_features
    by_class = config.classifies
    return fit_views(support, n_members, max_columns, max_rows, rng, by_class=by_class)
