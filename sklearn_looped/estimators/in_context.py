"""In-context estimators: `fit` keeps the support, `predict` runs a looped transformer over it."""

import copy
import os
import warnings
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_looped.core.device import choose_device
from sklearn_looped.estimators.validation import validate_table, validate_training
from sklearn_looped.learned.checkpoints import load_checkpoint
from sklearn_looped.learned.encoding import Array, TableEncoder, in_canonical_order
from sklearn_looped.learned.ensemble import CHUNK, SupportEnsemble, last_loop, settled_loop
from sklearn_looped.learned.network import LoopedNetwork, SupportMemory
from sklearn_looped.learned.on_demand import meta_trained
from sklearn_looped.learned.priors import PRIORS
from sklearn_looped.learned.readout import interpolate_quantiles
from sklearn_looped.learned.views import fit_views

LARGE_OFFSET = 1e4  # offset of y in standard deviations beyond which float32 loses digits


class LoopedICLRegressor(RegressorMixin, BaseEstimator):
    r"""In-context regression with a looped transformer.

    `fit` loads a meta-trained looped transformer and keeps the training rows as its support; it
    trains nothing. `predict` runs one block of weights again and again over the support and the
    queries,

    .. math:: Z_{t+1} = B(\mathrm{norm}(Z_t) + P), \qquad t = 1, \dots, \text{n\_loops},

    where the prompt P embeds one row a token, and reads the prediction off the queries' last
    state [1]_. Support rows attend to support rows and queries to the support only, so neither
    the order of the rows nor the other queries matter, and the support's keys and values are
    computed once, at `fit`.

    Columns and target are standardised by the support, their signs and the order of columns made
    canonical: ``a * X + b`` column by column and ``c * y + e`` change the predictions only by
    those maps.

    Parameters
    ----------
    weights : str, path or None, default="tabular"
        Name of shipped weights, path of a checkpoint file, or None: weights are meta-trained on
        `prior` for the table's size at the first `fit` and cached on disk (minutes; see
        `sklearn_looped.learned.on_demand`).
    n_loops : int, "auto" or None, default=None
        Loops a prediction takes. None: as many as the weights were made for. "auto": each query
        stops once two successive changes are below a hundredth of the standard deviation of y,
        at that number at the latest. Read at `predict` too: changing it needs no new `fit`.
    prior : {"decision-tree", "linear", "relu-network", "sparse-linear", "tables"}, default=None
        What to meta-train on; needed with, and only allowed with, ``weights=None``.
    n_estimators : int, default=4
        Members of the ensemble, which see the table in turn as it is, as whitened principal
        components, with normal marginals, and as components of those. More than four differ,
        and are run, only where rows or columns are subsampled. Of more columns than the network
        reads (32), each member sees the most correlated half and a different share of the rest.
    max_support : int, default=1024
        Rows a member attends to; of more, each draws a random subsample, with a warning.
    device : str, default="auto"
        "auto" (a CUDA device where there is one), "cpu", "cuda" or "cuda:N".
    random_state : int, RandomState instance or None, default=None
        Draws the subsamples of rows and columns and the folds of the target encoding. Without
        such, the result does not depend on it.
    verbose : int, default=0
        Above 0: a progress bar while weights are meta-trained.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X was a DataFrame with text names.
    n_loops_ : int
        Loops the support was run for in `fit`.
    weights_digest_ : str
        sha256 of the configuration and weights used.

    Raises
    ------
    ValueError
        In `fit` and `predict`, if parameters or data are invalid; the message says what to do.

    See Also
    --------
    sklearn.linear_model.LassoCV : A strong rival on small, noisy, nearly linear tables.

    Notes
    -----
    Predictions are float32, the precision they are computed in; float64 where the offset of y is
    more than 10,000 times its spread, or its size outside the range of float32. Missing cells
    (NaN) are information to the network. Nominal columns of a DataFrame are encoded (see
    `sklearn_looped.learned.encoding`). A pickle carries the support and, for shipped weights,
    their name and digest in place of the weights.

    References
    ----------
    .. [1] L. Yang, K. Lee, R. Nowak, D. Papailiopoulos, "Looped Transformers are Better at
       Learning Learning Algorithms", ICLR 2024, Eq. 1.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_looped import LoopedICLRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = LoopedICLRegressor().fit(X[:300], y[:300])
    >>> model.predict(X[300:]).shape
    (142,)
    >>> model.score(X[300:], y[300:]) > 0.4
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "weights": [str, os.PathLike, None],
        "n_loops": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"}), None],
        "prior": [StrOptions(set(PRIORS)), None],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "max_support": [Interval(Integral, 2, None, closed="left")],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        weights: str | os.PathLike[str] | None = "tabular",
        *,
        n_loops: int | str | None = None,
        prior: str | None = None,
        n_estimators: int = 4,
        max_support: int = 1024,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.weights = weights
        self.n_loops = n_loops
        self.prior = prior
        self.n_estimators = n_estimators
        self.max_support = max_support
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> "LoopedICLRegressor":
        """Load the weights and keep the support.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Support rows; NaN marks a missing cell.
        y : array-like of shape (n_samples,)
            Targets, finite.

        Returns
        -------
        self
        """
        device = choose_device(self.device)
        if (self.weights is None) != (self.prior is not None):
            raise ValueError(
                f"Got weights={self.weights!r} and prior={self.prior!r}. Give weights, or "
                f"weights=None and a prior among {', '.join(sorted(PRIORS))}."
            )
        if self.weights is not None:
            self._checkpoint = load_checkpoint(self.weights)
        table, y = validate_training(self, X, y)
        rng = check_random_state(self.random_state)
        self._encoder = TableEncoder(random_state=rng.randint(2**31 - 1))
        table, y = in_canonical_order(table, y)
        X = self._encoder.fit_transform(table, y)
        if self.weights is None:
            assert self.prior is not None
            self._checkpoint = meta_trained(
                self.prior, X.shape[1], len(X), self.device, self.verbose
            )
        if len(X) > self.max_support:
            warnings.warn(
                f"Got {len(X)} rows, more than max_support={self.max_support}: each of the "
                f"{self.n_estimators} members sees a random subsample. Raise max_support to use "
                "more rows; time grows with its square.",
                stacklevel=2,
            )
        self._fit_ensemble(X, y, rng)
        self._start(device)
        self.n_loops_ = len(self._memories[0].loops)
        self.weights_digest_ = self._checkpoint.digest
        return self

    def _fit_ensemble(self, X: Array, y: Array, rng: np.random.RandomState) -> None:
        """Fit the members' views, and the precision that y asks for."""
        width = self._checkpoint.network.config.n_features
        views = fit_views(X, y, self.n_estimators, width, self.max_support, rng)
        self._ensemble = SupportEnsemble.fit(X, y, views)
        largest = float(np.abs(y).max())
        self._spread = largest * float(np.std(y / largest)) if largest else 0.0
        fits = largest <= LARGE_OFFSET * self._spread and 1e-30 < largest < 1e30
        self._dtype = np.float32 if fits else np.float64

    def _start(self, device: torch.device) -> None:
        """Put the network on the device and run the support through it."""
        network = self._checkpoint.network
        if device.type != "cpu":  # the loaded network is shared and stays where it is
            network = copy.deepcopy(network).to(device)
        self._network: LoopedNetwork = network
        self._memories = self._ensemble.remember(network, self._count_loops())

    def _count_loops(self) -> int:
        """Loops that `n_loops` asks for at most."""
        if self.n_loops is None or self.n_loops == "auto":
            return self._checkpoint.network.config.n_loops
        return int(self.n_loops)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be rebuilt: the memory of the support, and shipped weights."""
        state = super().__getstate__().copy()
        for name in ("_memories", "_network"):
            state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "_checkpoint"):
            try:
                device = choose_device(self.device)
            except ValueError:  # pickled where there was a GPU, loaded where there is none
                device = torch.device("cpu")
            self._start(device)

    def _memories_for(self, n_loops: int) -> list[SupportMemory]:
        """Return the support's memory for some loops; run the support again if more than in fit."""
        if n_loops > len(self._memories[0].loops):
            return self._ensemble.remember(self._network, n_loops)
        return [memory.first(n_loops) for memory in self._memories]

    def _by_chunk(self, X: ArrayLike) -> Iterator[Iterator[Array]]:
        """Yield, for each chunk of the validated queries, the predictions by loop."""
        check_is_fitted(self, "n_loops_")
        self._validate_params()
        X = validate_table(self, X, reset=False)
        Z = self._encoder.transform(X)
        memories = self._memories_for(self._count_loops())
        for start in range(0, len(Z), CHUNK):
            yield self._ensemble.predict_by_loop(self._network, memories, Z[start : start + CHUNK])

    def _summarise(self, X: ArrayLike, summary: Callable[[Array], Array]) -> NDArray[Any]:
        """Summary of means and quantiles (q, 1 + n_quantiles) after the last loop, by chunk."""
        parts = []
        for by_loop in self._by_chunk(X):
            if self.n_loops == "auto":
                output, _ = settled_loop(by_loop, self._spread)
            else:
                output = last_loop(by_loop)
            parts.append(summary(output).astype(self._dtype))
        return np.concatenate(parts)

    def predict(
        self, X: ArrayLike, return_std: bool = False
    ) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]:
        """Predict the target's mean for each query.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.
        return_std : bool, default=False
            Whether to return the predictive standard deviation too, noise included.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        std : ndarray of shape (n_samples,)
            Only if `return_std`.
        """
        if not return_std:
            return self._summarise(X, lambda output: output[:, 0])
        mean, std = self._summarise(
            X, lambda output: np.column_stack([output[:, 0], output[:, 1:].std(axis=1)])
        ).T
        return mean, std

    def predict_quantiles(
        self, X: ArrayLike, quantiles: ArrayLike = (0.1, 0.5, 0.9)
    ) -> NDArray[Any]:
        """Predict quantiles of the target for each query.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.
        quantiles : array-like of shape (n_quantiles,), default=(0.1, 0.5, 0.9)
            Levels in (0, 1). Levels beyond the outermost that the network predicts (1/62 and
            61/62 for the shipped weights) get those.

        Returns
        -------
        ndarray of shape (n_samples, n_quantiles)

        Raises
        ------
        ValueError
            If a level lies outside (0, 1).

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn_looped import LoopedICLRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> LoopedICLRegressor().fit(X, y).predict_quantiles(X[:2]).shape
        (2, 3)
        """
        wanted = np.atleast_1d(np.asarray(quantiles, dtype=np.float64))
        if wanted.ndim != 1 or not ((wanted > 0) & (wanted < 1)).all():
            raise ValueError(f"Got quantiles={quantiles!r}, but expected levels between 0 and 1.")
        return self._summarise(X, lambda output: interpolate_quantiles(output[:, 1:], wanted))

    def staged_predict(self, X: ArrayLike) -> Iterator[NDArray[Any]]:
        """Predict after every loop, in one pass, as `GradientBoostingRegressor` does by stage.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.

        Yields
        ------
        y : ndarray of shape (n_samples,)
            After the first loop, the second, and so on up to `n_loops`.
        """
        stages = [[stage[:, 0] for stage in by_loop] for by_loop in self._by_chunk(X)]
        for parts in zip(*stages, strict=True):
            yield np.concatenate(parts).astype(self._dtype)
