"""Prediction for many small tables at once."""

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray
from sklearn.base import clone

from sklearn_looped.core.device import choose_device
from sklearn_looped.estimators.in_context.base import InContextEstimator, network_on
from sklearn_looped.estimators.validation import validate_table
from sklearn_looped.learned.inference.many import predict_tables


def predict_many(
    estimator: InContextEstimator, tables: Iterable[tuple[Any, Any, Any]]
) -> list[NDArray[Any]]:
    """Fit and predict many small tables in few passes of the network.

    Each result is that of ``clone(estimator).fit(X, y).predict(X_query)``, or `predict_proba` for
    a classifier, to rounding; tables of like width share a pass.

    Parameters
    ----------
    estimator : LoopedICLRegressor or LoopedICLClassifier
        Its parameters are used; it is not fitted. `n_loops` must not be "auto".
    tables : iterable of tuple (X, y, X_query)
        Support, its target, and queries, as `fit` and `predict` take them.

    Returns
    -------
    predictions : list of ndarray
        One a table: of shape (n_queries,) or (n_queries, n_outputs) for a regressor, of shape
        (n_queries, n_classes) for a classifier.

    Raises
    ------
    ValueError
        If `n_loops` is "auto", or a table is one that `fit` or `predict` refuses.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped import LoopedICLRegressor
    >>> from sklearn_looped.estimators.in_context import predict_many
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(5, 30, 2))  # five tables
    >>> tables = [(x[:20], x[:20, 0], x[20:]) for x in X]
    >>> [prediction.shape for prediction in predict_many(LoopedICLRegressor(), tables)]
    [(10,), (10,), (10,), (10,), (10,)]
    """
    if estimator.n_loops == "auto":
        raise ValueError(
            "Got n_loops='auto', but tables that share a pass take the same number of loops. "
            "Give a number, or None for the weights' own."
        )
    models, queries = [], []
    for X, y, X_query in tables:
        model = clone(estimator)
        model._validate_params()
        model._prepare(X, y, None)
        model._warn_of_subsamples()
        models.append(model)
        queries.append(model._encoder.transform(validate_table(model, X_query, reset=False)))
    if not models:
        return []
    network = network_on(choose_device(estimator.device), models[0]._checkpoint)
    outputs = predict_tables(
        network, [model._ensemble for model in models], queries, models[0]._count_loops()
    )
    return [model._decode(output) for model, output in zip(models, outputs, strict=True)]
