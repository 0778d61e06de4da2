"""What the in-context estimators share: they keep a `SupportPredictor` and ask it."""

import os
from collections.abc import Iterable, Iterator
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_looped.core.arrays import Array
from sklearn_looped.core.warning import warn_user
from sklearn_looped.estimators.documentation import DocumentationLink
from sklearn_looped.estimators.validation import validate_table
from sklearn_looped.learned.checkpoints import Checkpoint, CheckpointError, load_checkpoint
from sklearn_looped.learned.fields import MAX_LOOPS, MAX_VIEWS
from sklearn_looped.learned.inference.fit import fit_predictor
from sklearn_looped.learned.inference.halting import Exit, check_rule, most_loops
from sklearn_looped.learned.inference.many import predict_tables
from sklearn_looped.learned.inference.predictor import SupportPredictor
from sklearn_looped.learned.inference.support import Support
from sklearn_looped.learned.inference.views import varying_columns
from sklearn_looped.learned.model.config import NetworkConfig

LARGE_OFFSET = 1e4  # offset of y in standard deviations beyond which float32 loses digits


class InContextEstimator(DocumentationLink, BaseEstimator):
    """Base of the in-context estimators: `fit` keeps the support, nothing is trained."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_loops": [Interval(Integral, 1, MAX_LOOPS, closed="both"), StrOptions({"auto"}), None],
        "exit_rule": [StrOptions({"support", "settled", "gate", "holdout"})],
        "exit_quantile": [Interval(Real, 0, 1, closed="neither")],
        "n_estimators": [Interval(Integral, 1, MAX_VIEWS, closed="both"), None],
        "max_support": [Interval(Integral, 2, None, closed="left"), StrOptions({"auto"})],
        "n_jobs": [Integral, None],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # Parameters of the subclasses that are read here.
    n_loops: int | str | None
    exit_rule: str
    exit_quantile: float
    n_estimators: int | None
    max_support: int | str
    n_jobs: int | None
    device: str
    random_state: int | np.random.RandomState | None
    verbose: int

    predictor_: SupportPredictor

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags

    @property
    def column_kinds_(self) -> dict[str, str]:
        """What each column was read as in `fit`; see `TableEncoder`."""
        check_is_fitted(self)
        return self.predictor_.encoder.column_kinds_

    @property
    def feature_importances_(self) -> Array:
        """Importance of each column of the table, of sum one, as in `KernelMachineRegressor`.

        The columns' weights in the metric of the experts, which are the mean squared slopes of
        their predictions along each column. Nominal columns have the sum of their encoded parts.
        Constant columns have 0, so that where there are no others the sum is 0.

        Raises
        ------
        AttributeError
            If the weights were trained without experts.
        """
        check_is_fitted(self)
        checkpoint = self.predictor_.checkpoint
        if not checkpoint.network.config.experts:
            raise AttributeError(
                f"The weights {checkpoint.name!r} have no experts, and feature importances are "
                "read from the experts' metric. Use the default weights, or "
                "sklearn.inspection.permutation_importance."
            )
        return self.predictor_.importances(self.n_features_in_)

    def _prepare(self, X: Any, y: Any, sample_weight: Any) -> None:
        """Do what `fit` does before the support runs through the network: set `predictor_`."""
        raise NotImplementedError

    def _meta_trained(self, n_rows: int, n_columns: int) -> Checkpoint:
        """Weights for a table of this size."""
        raise NotImplementedError

    def _decode(self, output: Array) -> NDArray[Any]:
        """Prediction (q, ...) from the ensemble's output (T, q, n_outputs)."""
        raise NotImplementedError

    def _keep(
        self,
        rows: Support,
        target: Array,
        target_type: str,
        checkpoint: Checkpoint | None,
    ) -> None:
        """Make the predictor; parameters as those of `fit_predictor`. None: train the weights."""
        has_gate = checkpoint is not None and checkpoint.network.gate is not None
        name = "trained on demand" if checkpoint is None else repr(checkpoint.name)

        def weights(support: Support) -> Checkpoint:
            if self.n_loops == "auto":
                check_rule(self.exit_rule, len(support.X), gate=has_gate, weights=name)
            return checkpoint or self._meta_trained(*support.X.shape)

        self.predictor_ = fit_predictor(
            rows,
            target,
            target_type,
            weights,
            n_loops=self.n_loops,
            n_members=self.n_estimators,
            max_rows=self.max_support,
            device=self.device,
            rng=check_random_state(self.random_state),
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        self.weights_digest_ = self.predictor_.checkpoint.digest

    def _warn_of_losses(self) -> None:
        """Say that members see a part of the rows or columns only, if it is so."""
        predictor = self.predictor_
        n_rows = len(predictor.support.X)
        if n_rows > predictor.max_rows and predictor.views:
            warn_user(
                f"Got {n_rows} rows, more than max_support={predictor.max_rows}: each of the "
                f"{predictor.n_members} members sees a random subsample. Raise max_support to use "
                "more rows; time grows with its square."
            )
        n_columns, read = len(varying_columns(predictor.support.X)), predictor.config.n_features
        if n_columns > read and not predictor.config.experts:
            warn_user(
                f"Got {n_columns} columns, more than the {read} that the weights "
                f"{predictor.checkpoint.name!r} read: each of the {predictor.n_members} members "
                "sees those most correlated with y and a share of the rest. The default weights "
                "lose none."
            )

    def _run_support(self) -> None:
        """Run the support through the network."""
        self._warn_of_losses()
        self.n_loops_ = self.predictor_.run_support(self._exit())

    def _exit(self) -> Exit:
        """How long queries stay in the loop."""
        return self.predictor_.exit(self.n_loops, self.exit_rule, self.exit_quantile)

    def _validated(self, X: ArrayLike) -> Any:
        """Check that the estimator is fitted, its parameters, and queries X; return the table."""
        check_is_fitted(self, "n_loops_")
        self._validate_params()
        return validate_table(self, X, reset=False)

    def _run(self, X: ArrayLike) -> tuple[Array, NDArray[np.intp], Array]:
        """Output (T, q, n_outputs) of queries, and the loop and the novelty, (q,), of each."""
        table = self._validated(X)
        return self.predictor_.predict(table, self._exit())

    def _stages(self, X: ArrayLike) -> Iterator[Array]:
        """Output (T, q, n_outputs) of queries after every loop."""
        table = self._validated(X)
        yield from self.predictor_.stages(table, most_loops(self.n_loops, self.predictor_.config))

    def attention_by_loop(self, X: ArrayLike, member: int = 0) -> Iterator[Array]:
        """Show what queries attend to, loop by loop, in one member of the ensemble.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.
        member : int, default=0
            Member of the ensemble: number of the view in ``predictor_.views``.

        Yields
        ------
        weights : ndarray of shape (n_targets, n_heads, n_samples, n_support)
            Attention weights; over the support they sum to one. For a classifier `n_targets` is
            the number of passes.

        Raises
        ------
        ValueError
            If there is no such member, or a table has been divided.
        """
        table = self._validated(X)
        n_loops = most_loops(self.n_loops, self.predictor_.config)
        yield from self.predictor_.attention(table, n_loops, member)


def predict_many(
    estimator: InContextEstimator, tables: Iterable[tuple[Any, Any, Any]]
) -> list[NDArray[Any]]:
    """Fit and predict many small tables in few passes of the network.

    Each result is that of ``clone(estimator).fit(X, y).predict(X_query)``, or `predict_proba` for
    a classifier, up to rounding. Tables of similar width share a pass.

    Parameters
    ----------
    estimator : LoopedICLRegressor or LoopedICLClassifier
        Its parameters are used; it is not fitted. Queries must take the same number of loops:
        with ``n_loops="auto"``, `exit_rule` must be "support".
    tables : iterable of tuple (X, y, X_query)
        Support, its target, and queries, as `fit` and `predict` take them.

    Returns
    -------
    predictions : list of ndarray
        One per table: of shape (n_queries,) or (n_queries, n_outputs) for a regressor, of shape
        (n_queries, n_classes) for a classifier.

    Raises
    ------
    TypeError
        If the estimator is none of the two.
    ValueError
        If queries would leave the loop at different times, or `fit` or `predict` would raise it
        for a table.

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
    if not isinstance(estimator, InContextEstimator):
        raise TypeError(
            f"Got {type(estimator).__name__}, but expected a LoopedICLRegressor or a "
            "LoopedICLClassifier."
        )
    if estimator.n_loops == "auto" and estimator.exit_rule != "support":
        raise ValueError(
            f"Got n_loops='auto' and exit_rule={estimator.exit_rule!r}, but queries that share a "
            "pass cannot leave the loop one by one. Use exit_rule='support' or a number of loops."
        )
    models, queries = [], []
    for X, y, X_query in tables:
        model = clone(estimator)
        model._validate_params()
        model._prepare(X, y, None)
        model._warn_of_losses()
        models.append(model)
        queries.append(validate_table(model, X_query, reset=False))
    exits = [model._exit() for model in models]
    outputs = predict_tables([model.predictor_ for model in models], queries, exits)
    return [model._decode(output) for model, output in zip(models, outputs, strict=True)]


def load_weights(name_or_path: str | os.PathLike[str], *, classifies: bool) -> Checkpoint:
    """Load weights; refuse a regressor's in a classifier and the other way round."""
    checkpoint = load_checkpoint(name_or_path)
    if not isinstance(checkpoint.network.config, NetworkConfig):
        raise CheckpointError(
            f"The weights {checkpoint.name!r} are those of a language model. Use weights that read "
            "tables, such as 'tabular'."
        )
    if checkpoint.network.config.classifies != classifies:
        asked, found = ("classifier", "regressor") if classifies else ("regressor", "classifier")
        raise CheckpointError(
            f"The weights {checkpoint.name!r} are those of a {found}, but a {asked} needs its "
            "own: 'tabular' for LoopedICLRegressor, 'tabular-classifier' for LoopedICLClassifier."
        )
    return checkpoint


def fits_float32(Y: Array, spread: Array) -> bool:
    """Whether float32, in which the network computes, holds the digits of targets Y (n, T)."""
    largest = np.abs(Y).max(axis=0)
    fits = (largest / LARGE_OFFSET <= spread) & (largest > 1e-30) & (largest < 1e30)
    return bool(fits.all())
