"""Targets of in-context regression: compressed far out for the network, and restored.

Shapes: n rows, T targets, q queries.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from sklearn_looped.core.arrays import Array
from sklearn_looped.estimators.in_context.base import InContextEstimator
from sklearn_looped.estimators.validation import check_bounds, check_levels
from sklearn_looped.learned.inference.conformal import check_conformal, corrected_levels
from sklearn_looped.learned.inference.tails import Tails
from sklearn_looped.learned.model.readout import interpolate_quantiles


class TargetsInContext(InContextEstimator):
    """Base of in-context regressors: from the network's answers to means and quantiles of y."""

    _range: Array  # of the targets of `fit`, the least and the largest
    _tails: Tails
    _one_target: bool
    _dtype: type[np.floating[Any]]

    def _restored(self, values: Array) -> Array:
        """Undo the compression of targets far out, (T, q) or (T, q, m)."""
        return self._tails.restore(values.T).T

    def _shaped(self, values: Array) -> NDArray[Any]:
        """From (T, q, ...) to (q, ...) for one target and (q, T, ...) for several."""
        values = values.astype(self._dtype)
        return values[0] if self._one_target else np.moveaxis(values, 0, 1)

    def _decode(self, output: Array) -> NDArray[Any]:
        return self._shaped(self._restored(output[..., 0]))

    def _check_quantiles(self) -> None:
        """Refuse weights that predict a mean alone."""
        check_is_fitted(self, "n_loops_")
        if not self.predictor_.config.n_quantiles:
            raise ValueError(
                f"The weights {self.predictor_.checkpoint.name!r} predict a mean only, without "
                "quantiles and standard deviations. Use weights such as 'tabular'."
            )

    def predict_quantiles(
        self,
        X: ArrayLike,
        quantiles: ArrayLike = (0.1, 0.5, 0.9),
        conformal: bool = False,
        bounds: tuple[float | None, float | None] | None = None,
    ) -> NDArray[Any]:
        """Predict quantiles of the target for each query.

        They are calibrated on the support: each of its rows is predicted without its target, and
        the network's quantiles are read at the levels below which the requested shares of these
        targets lie. The uncalibrated levels count as 100 rows, and as one more for each row with
        duplicates. That costs nothing, since `fit` predicts these rows anyway.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.
        quantiles : array-like of shape (n_quantiles,), default=(0.1, 0.5, 0.9)
            Levels in (0, 1). Beyond the outermost levels that the network predicts (1/62 and
            61/62 for the shipped weights) a normal tail through these and the median continues.
        conformal : bool, default=False
            Whether to correct the levels on the support by distributional conformal prediction
            (Chernozhukov et al. 2021): each fifth is predicted from the others, and quantiles are
            read at the levels below which the requested shares of its targets lie. Costs five
            more fits at every call. Needs 20 different support rows.
        bounds : tuple (low, high), default=None
            Least and largest possible value of the target; quantiles are clipped to them. (0, None)
            for counts, (0, 1) for shares. None: no bound.

        Returns
        -------
        ndarray of shape (n_samples, n_quantiles) or (n_samples, n_outputs, n_quantiles)

        Raises
        ------
        ValueError
            If the weights predict no quantiles; if a level lies outside (0, 1); if `bounds` are not
            increasing or a target of `fit` lies outside them; or, with `conformal`, if there are
            fewer than 20 support rows or too few for a level.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn_looped import LoopedICLRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> LoopedICLRegressor().fit(X, y).predict_quantiles(X[:2]).shape
        (2, 3)
        """
        wanted = check_levels(quantiles)
        self._check_quantiles()
        low, high = check_bounds(bounds, self._range)
        if conformal:
            check_conformal(wanted, self.predictor_.support)
        output, *_ = self._run(X)
        levels = [wanted] * len(output)
        if conformal:
            levels = corrected_levels(self.predictor_, self._exit(), wanted)
        found = np.stack([*map(interpolate_quantiles, output[..., 1:], levels)])
        return self._shaped(self._restored(found).clip(low, high))
