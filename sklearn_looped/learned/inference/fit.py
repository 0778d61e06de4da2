"""From a table's rows to the predictor that an estimator keeps.

Shapes: n rows.
"""

from collections.abc import Callable

import numpy as np

from sklearn_looped.core.arrays import Array
from sklearn_looped.learned.checkpoints import Checkpoint
from sklearn_looped.learned.inference import divided
from sklearn_looped.learned.inference.halting import most_loops
from sklearn_looped.learned.inference.overview import Overview, has_steps
from sklearn_looped.learned.inference.predictor import SupportPredictor
from sklearn_looped.learned.inference.prepare import encoded_rows, fitted_views, in_own_order
from sklearn_looped.learned.inference.support import Support
from sklearn_looped.learned.inference.views import View


def fit_predictor(
    rows: Support,
    target: Array,
    target_type: str,
    weights: Callable[[Support], Checkpoint],
    *,
    n_loops: int | str | None,
    n_members: int | None,
    max_rows: int | str,
    device: str,
    rng: np.random.RandomState,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> SupportPredictor:
    """Encode rows and fit what the predictor needs, except for the run of the support.

    Parameters
    ----------
    rows : Support
        A validated table, yet to be encoded.
    target : ndarray of shape (n,) or (n, T)
        What nominal columns of many levels are encoded by.
    target_type : str
        What it is, as `TableEncoder` takes it.
    weights : callable
        Gives the checkpoint for the encoded support.
    n_loops : int, "auto" or None
        Loops to keep the memory for. "auto", None: as many as the weights are made for.
    n_members : int or None
        None: as many as the weights are made for, and `divided.N_MEMBERS` for each part of a
        divided table and for a table with an overview.
    max_rows : int or "auto"
        Of more rows, each member sees a random subsample. "auto": more than `divided.WHOLE` are
        divided, if the weights were trained with experts, and subsampled otherwise. Fewer rows of
        a regressor's table get an `Overview` if the target has steps (`has_steps`).
    device : str
    rng : RandomState
    n_jobs : int or None
        Parts of a divided table that run side by side.
    verbose : int
        Above 0: a bar shows the members, or the parts, while the support runs.

    Returns
    -------
    SupportPredictor
    """
    encoder, encoded = encoded_rows(rows, target, target_type)
    support = in_own_order(encoded, target_type)
    support = support._replace(Y=support.Y[:, :-1])
    checkpoint = weights(support)
    config = checkpoint.network.config
    limit = divided.WHOLE if isinstance(max_rows, str) else max_rows
    n_loops = most_loops(n_loops, config)

    def predictor(
        support: Support, views: list[View], n_members: int, overview: Overview | None = None
    ) -> SupportPredictor:
        return SupportPredictor(
            checkpoint, encoder, support, views, n_loops, n_members, limit, device, verbose,
            overview=overview,
        )  # fmt: skip

    if max_rows == "auto" and len(support.X) > limit and config.experts:
        whole = predictor(support, [], n_members or divided.N_MEMBERS)
        return divided.DividedPredictor.of(whole, n_jobs)
    overview = None
    seen = len(support.X) <= limit and config.experts and not config.classifies
    if seen and has_steps(support):
        overview = Overview.fit(support)
        support = support._replace(known=overview.left_out)
    n_members = n_members or (config.n_views if overview is None else divided.N_MEMBERS)
    views = fitted_views(support, config, n_members, limit, rng)
    return predictor(support, views, n_members, overview)
