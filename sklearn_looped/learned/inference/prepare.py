"""From a table's rows to an encoded support and the views of it.

Shapes: n rows, T targets.
"""

import numpy as np

from sklearn_looped.core.arrays import Array
from sklearn_looped.learned.inference.encoding import TableEncoder
from sklearn_looped.learned.inference.support import Support, class_ranks
from sklearn_looped.learned.inference.views import View, fit_views
from sklearn_looped.learned.model.config import NetworkConfig


def encoded_rows(rows: Support, target: Array, target_type: str) -> tuple[TableEncoder, Support]:
    """Encode rows and bring them in an order of their own, repeated ones joined."""
    encoder = TableEncoder(target_type)
    # The encoding's target rides along as a last column while rows are sorted.
    rows = rows._replace(Y=np.column_stack([rows.Y, target]), rows=np.arange(len(target)))
    if rows.weights is not None:
        rows = rows.take(np.flatnonzero(rows.weights > 0))
    X = encoder.fit_transform(rows.X, rows.Y[:, -1], rows.weights)
    support = rows._replace(X=X).merged()
    if target_type == "multiclass":
        support.Y[:, -1] = class_ranks(support.X, support.Y[:, -1])
    support = support.in_canonical_order()
    return encoder, support._replace(Y=support.Y[:, :-1])


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
