"""Fitting many programmed estimators at once."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_looped.estimators.epochs import train_together
from sklearn_looped.estimators.fitting import take_over, unfitted_copy
from sklearn_looped.estimators.sgd.base import ProgrammedSGD


def fit_many(
    estimators: Iterable[ProgrammedSGD],
    X: ArrayLike,
    y: ArrayLike,
    rows: Sequence[ArrayLike] | None = None,
) -> list[ProgrammedSGD]:
    """Fit many estimators at once, by one transformer with a model token for each.

    Folds, bootstraps and grids run side by side in one sequence and share its data tokens; each
    estimator ends as its own `fit` would leave it, bit by bit.

    Parameters
    ----------
    estimators : iterable of ProgrammedSGDRegressor or ProgrammedSGDClassifier
        They may differ in the numbers (`alpha`, `eta0`, `max_iter`, `n_loops`, ...), the
        learning rate and the seed; not in what decides the weights of the block or its data
        tokens: class, `loss`, `fit_intercept`, whether there is an L1 penalty and an average.
        `product` must be "gated".
    X : array-like of shape (n_samples, n_features)
        Features.
    y : array-like of shape (n_samples,)
        Targets, or labels.
    rows : sequence of array-like of int, default=None
        Row numbers that each estimator is trained on, in order; they may repeat. None: all rows.

    Returns
    -------
    estimators : list
        The same objects, fitted.

    Raises
    ------
    ValueError
        If the estimators cannot share one block, one has `early_stopping` or `warm_start` set,
        there are not rows for each of them, or a fit fails.
    TypeError
        If one is not an SGD estimator of this package.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.estimators.sgd import fit_many
    >>> from sklearn_looped import ProgrammedSGDRegressor
    >>> X, y = np.array([[-1.0], [0.0], [1.0]]), np.array([-2.0, 0.0, 2.0])
    >>> grid = [ProgrammedSGDRegressor(n_loops=n, eta0=0.1, random_state=0) for n in (3, 30, 300)]
    >>> [round(float(e.coef_[0]), 3) for e in fit_many(grid, X, y)]
    [0.32, 1.365, 1.899]
    """
    estimators = list(estimators)
    for estimator in estimators:
        if not isinstance(estimator, ProgrammedSGD):
            raise TypeError(
                f"Got {type(estimator).__name__}, but expected ProgrammedSGDRegressor or "
                "ProgrammedSGDClassifier."
            )
        estimator._validate_params()
    keys = {(type(e), e.fit_intercept, *e._block_options()) for e in estimators}
    if len(keys) != 1 or estimators[0].product != "gated":
        raise ValueError(
            "Got estimators that cannot share one block: class, loss, fit_intercept, L1 penalty "
            "and average must agree, and product be 'gated'."
        )
    for name in ("early_stopping", "warm_start"):
        if any(getattr(estimator, name) for estimator in estimators):
            raise ValueError(f"Got {name}=True, which needs a fit of its own.")
    fitted: list[ProgrammedSGD] = [unfitted_copy(estimator) for estimator in estimators]
    for estimator in fitted:
        X_, y_ = estimator._validate_training(X, y)
    own = _checked_rows(rows, len(fitted), len(X_))
    declaration, groups = fitted[0]._declare(X_, y_, [len(r) for r in own]), []
    for estimator, picked in zip(fitted, own, strict=True):
        estimator._declaration = declaration
        groups.append(estimator._learners(picked, X_, y_))
    train_together(fitted, fitted[0]._encode(X_, y_), groups)
    for estimator, ready, picked in zip(estimators, fitted, own, strict=True):
        ready.t_ = 1.0 + ready.n_iter_ * len(picked)
        take_over(estimator, ready)
    return estimators


def _checked_rows(
    rows: Sequence[ArrayLike] | None, n_estimators: int, n_rows: int
) -> list[NDArray[np.intp]]:
    """Row numbers of each estimator; all if None."""
    everything = np.arange(n_rows)
    if rows is None:
        return [everything] * n_estimators
    if len(rows) != n_estimators:
        raise ValueError(f"Got rows for {len(rows)} of {n_estimators} estimators.")
    try:
        own = [everything[np.asarray(numbers)] for numbers in rows]
    except IndexError as error:
        raise ValueError(f"Got rows that are no numbers of {n_rows} rows: {error}.") from error
    if not all(map(len, own)):
        raise ValueError("Got no rows for an estimator.")
    return own
