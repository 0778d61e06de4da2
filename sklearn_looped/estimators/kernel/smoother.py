"""Kernel regression: softmax attention is the Nadaraya-Watson smoother."""

from numbers import Real
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context
from sklearn.utils import gen_batches
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from sklearn_looped.estimators.documentation import DocumentationLink
from sklearn_looped.estimators.fitting import Evaluated, whole_or_not_at_all
from sklearn_looped.estimators.validation import validate_numbers, validate_samples
from sklearn_looped.programmed.algorithms.smoother import smooth

_BATCH = 1024  # queries on one tape; they do not see each other
_LARGEST = 1e70  # in units of the bandwidth


class ProgrammedKernelRegressor(RegressorMixin, Evaluated, DocumentationLink, BaseEstimator):
    r"""Nadaraya-Watson kernel regression as one softmax attention head.

    .. math:: \hat y(q) = \frac{\sum_i k(q, x_i)\, y_i}{\sum_i k(q, x_i)}, \qquad
        k(q, x) = e^{-\|q - x\|^2 / 2 h^2}

    is what a query token reads by attending to sample tokens with the score
    :math:`q^\top x - \|x\|^2 / 2` in units of the bandwidth h: no approximation, and nothing
    learned but the samples themselves. Queries far from all samples get the target of the nearest
    one, the limit of the formula, where evaluating it as written gives 0 / 0.

    The samples' medians are subtracted inside the transformer, so an offset of the data or a far
    sample costs no accuracy but that of the data; scores are accurate to about 1e-16 times the
    squared distance of query and sample from the medians in units of h. All features share one
    bandwidth: scale them first. The host divides by the bandwidth, loads the tapes, a batch of
    queries at a time, and reads them.

    Parameters
    ----------
    bandwidth : float, default=1.0
        Standard deviation h of the kernel, in the units of the features; above 0.
    evaluation : {"fast", "dense"}, default="fast"
        "fast": with numpy, skipping what cannot act. "dense": with torch, every token attending to
        every token, which is the definition. On a CPU both give the same bits.
    device : str, default="cpu"
        Where "dense" runs: "cpu", "cuda", "cuda:N" or "auto".

    Attributes
    ----------
    X_ : ndarray of shape (n_samples, n_features)
        The samples.
    y_ : ndarray of shape (n_samples,)
        Their targets.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` had any.

    References
    ----------
    E. A. Nadaraya, "On Estimating Regression", Theory Probab. Appl. 1964. G. S. Watson, "Smooth
    Regression Analysis", Sankhyā 1964.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped import ProgrammedKernelRegressor
    >>> X, y = np.array([[-1.0], [1.0]]), np.array([0.0, 4.0])
    >>> ProgrammedKernelRegressor(bandwidth=0.5).fit(X, y).predict([[0.0], [1e9]])
    array([2., 4.])
    """

    _parameter_constraints: ClassVar[dict] = {
        "bandwidth": [Interval(Real, 0, None, closed="neither")],
        **Evaluated.evaluation_constraints,
    }

    def __init__(
        self,
        bandwidth: float = 1.0,
        *,
        evaluation: Literal["fast", "dense"] = "fast",
        device: str = "cpu",
    ) -> None:
        self.bandwidth = bandwidth
        self.evaluation = evaluation
        self.device = device

    @_fit_context(prefer_skip_nested_validation=True)
    @whole_or_not_at_all
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Keep the samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, on one scale.
        y : array-like of shape (n_samples,)
            Targets.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or the bandwidth is not valid, or a value is above 1e70 bandwidths.
        """
        self.X_, self.y_ = validate_numbers(self, X, y)
        self._scale(self.X_)
        return self

    def _scale(self, X: NDArray) -> NDArray:
        """Lengths in units of the bandwidth."""
        largest = np.abs(X).max()
        if largest > _LARGEST * self.bandwidth:
            raise ValueError(
                f"Got values up to {largest:.1e} for bandwidth={self.bandwidth:g}, but scores "
                f"overflow beyond {_LARGEST:g} bandwidths; scale the data or raise bandwidth."
            )
        return X / self.bandwidth

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Let the queries attend to the samples.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        y : ndarray of shape (n_queries,)
            Predicted targets.

        Raises
        ------
        ValueError
            If the queries are not valid, or a value is above 1e70 bandwidths.
        """
        check_is_fitted(self)
        self._validate_params()
        queries = self._scale(validate_samples(self, X, reset=False))
        samples = self._scale(self.X_)
        batches = gen_batches(len(queries), _BATCH)
        with self._evaluated():
            return np.concatenate([smooth(samples, self.y_, queries[batch]) for batch in batches])
