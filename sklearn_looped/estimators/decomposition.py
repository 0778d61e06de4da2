"""Principal components by power iteration in a looped transformer."""

from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import ArrayLike
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.decomposition._pca import _infer_dimension
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.extmath import svd_flip
from sklearn.utils.validation import check_is_fitted

from sklearn_looped.core.arrays import Array, refuse_masked
from sklearn_looped.core.warning import warn_user
from sklearn_looped.estimators.documentation import DocumentationLink
from sklearn_looped.estimators.fitting import Evaluated, whole_or_not_at_all
from sklearn_looped.estimators.validation import validate_samples, without_constants
from sklearn_looped.programmed.algorithms.linalg import (
    affine,
    eigh,
    exponents,
    moments,
    scale_back,
)


class ProgrammedPCA(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, Evaluated, DocumentationLink, BaseEstimator
):
    r"""Principal component analysis inside a looped transformer whose weights are written by hand.

    The samples are tokens. An attention average subtracts the means, linear attention computes
    the covariance matrix, and looped blocks find its eigenvectors by powers and deflation, see
    `sklearn_looped.programmed.algorithms.linalg.eigh`. `transform` and `inverse_transform`
    are one layer of linear attention.

    It equals :class:`~sklearn.decomposition.PCA`, signs included, to about
    ``1e-15 * variance[0] / gap`` in a component, where gap is the difference between its variance
    and the nearest other one: the covariance matrix represents small variances to 1e-16 of the
    largest only. A loop squares the matrix, so an eigenvalue that is close to another takes
    :math:`\log_2` of one over their relative gap more loops, which are few; but its component loses
    digits, and the estimator warns when its error may exceed `tol`.

    The transformer does the arithmetic. The host sets features that do not vary to 0, loads the
    tapes, in units of a power of two, copies results from one to the next, divides the eigenvalues
    by ``n_samples - 1`` and by their sum, chooses signs and, for a float or "mle", the number of
    components as scikit-learn does, stops the loops, and computes the certificate.

    Parameters
    ----------
    n_components : int, float, "mle" or None, default=None
        Number of components, at most ``min(n_samples, n_features)``. None: that many. A float
        strictly between 0 and 1: the fewest that explain more than this share of the variance.
        "mle": as many as Minka's criterion chooses; needs at least as many samples as features.
    tol : float, default=1e-6
        Error of the components, which have length 1, above which `fit` warns.
    max_loops : int, default=100
        Largest number of squarings for a component.
    evaluation : {"fast", "dense"}, default="fast"
        "fast": with numpy, skipping what cannot act. "dense": with torch, every token attending to
        every token, which is the definition. On a CPU both give the same bits.
    device : str, default="cpu"
        Where "dense" runs: "cpu", "cuda", "cuda:N" or "auto".

    Attributes
    ----------
    components_ : ndarray of shape (n_components_, n_features)
        Components in rows, of length 1, from the largest variance on; the entry of each that is
        largest in absolute value is positive.
    explained_variance_ : ndarray of shape (n_components_,)
        Variance along each component.
    explained_variance_ratio_ : ndarray of shape (n_components_,)
        Its share of the total variance.
    mean_ : ndarray of shape (n_features,)
        Means of the features.
    n_components_ : int
        Number of components.
    n_loops_ : int
        Loops run.
    certificate_ : Certificate
        ``certificate_.error_bound`` bounds the error of `explained_variance_` against the
        covariance matrix as it was rounded.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` had any.

    References
    ----------
    A. Giannou et al., "Looped Transformers as Programmable Computers", ICML 2023, Table 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped import ProgrammedPCA
    >>> X = np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    >>> model = ProgrammedPCA(n_components=1).fit(X)
    >>> model.components_.round(12), model.transform([[6.0, 8.0]]).round(12)
    (array([[0.6, 0.8]]), array([[5.]]))
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="neither"),
            StrOptions({"mle"}),
            None,
        ],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_loops": [Interval(Integral, 1, None, closed="left")],
        **Evaluated.evaluation_constraints,
    }

    def __init__(
        self,
        n_components: float | Literal["mle"] | None = None,
        *,
        tol: float = 1e-6,
        max_loops: int = 100,
        evaluation: Literal["fast", "dense"] = "fast",
        device: str = "cpu",
    ) -> None:
        self.n_components = n_components
        self.tol = tol
        self.max_loops = max_loops
        self.evaluation = evaluation
        self.device = device

    @_fit_context(prefer_skip_nested_validation=True)
    @whole_or_not_at_all
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Find the components, inside the transformer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or a parameter is not valid, before any work; if all features are constant;
            if variances are beyond the range of float64; if "mle" keeps no component, as it does of
            one feature and of variances below 1e-15.

        Warns
        -----
        ConvergenceWarning
            If close variances leave a component with an error above `tol`.
        """
        samples: Array = validate_samples(self, X, ensure_min_samples=2)
        samples, constants = without_constants(samples)
        n, d = samples.shape
        k = self._at_most(n, d)
        unit = int(exponents(samples))  # of lengths; variances are in its square
        mean, _, gram = moments(np.ldexp(samples, -unit))
        if not gram.any():
            raise ValueError("Got features that are all constant, so there are no components.")
        asked = min(k + 1, d)  # one more, for the gap behind the last component
        result = eigh(gram, asked, max_loops=self.max_loops)
        variances = result.value.eigenvalues[::-1] / (n - 1)
        bound = result.certificate.error_bound / (n - 1)
        largest = np.maximum(variances[:k], 0)
        try:
            explained, error = scale_back(largest, bound, 2 * unit)
        except LinAlgError:
            raise ValueError(
                f"Got features up to {np.abs(samples).max():.1e}, whose variances are beyond the "
                "range of float64; measure them in another unit."
            ) from None
        k = self._kept(largest, explained, n)
        largest, explained = largest[:k], explained[:k]
        vectors = result.value.eigenvectors[:, ::-1][:, :k]
        _, self.components_ = svd_flip(None, vectors.T, u_based_decision=False)
        self.mean_, self.explained_variance_ = np.ldexp(mean, unit) + constants, explained
        self.explained_variance_ratio_ = largest * (n - 1) / np.trace(gram)
        self.n_components_, self.n_loops_ = k, result.n_loops + 1
        self.certificate_ = replace(result.certificate, error_bound=error)
        self._check_gaps(variances, k, bound)
        return self

    def _at_most(self, n: int, d: int) -> int:
        """Count the components to find; with a float or "mle" some of them are kept."""
        most = min(n, d)
        if self.n_components == "mle" and n < d:
            raise ValueError(
                f"Got n_components='mle' and {n} samples of {d} features, but it needs as many "
                "samples; give a number."
            )
        if not isinstance(self.n_components, Integral):
            return most
        if self.n_components > most:
            raise ValueError(
                f"Got n_components={self.n_components}, but min(n_samples, n_features)={most}."
            )
        return int(self.n_components)

    def _kept(self, scaled: Array, variances: Array, n: int) -> int:
        """Count the components to keep of those found, by their variances."""
        if self.n_components == "mle":
            k = int(_infer_dimension(variances, n))
            if k == 0:
                raise ValueError(
                    f"Got n_components='mle', which keeps none of {len(variances)} with variances "
                    f"up to {variances[0]:.1e}: it takes two features, and variances above 1e-15. "
                    "Measure the features in another unit, or give a number."
                )
            return k
        if isinstance(self.n_components, Real) and self.n_components < 1:
            sums = np.cumsum(scaled)  # the last share is 1 in every bit
            return int(np.searchsorted(sums / sums[-1], self.n_components, side="right")) + 1
        return len(scaled)

    def _check_gaps(self, variances: Array, k: int, bound: float) -> None:
        gaps = -np.diff(variances)[:k]
        if gaps.size and not bound < self.tol * gaps.min():
            i = int(np.argmin(gaps))
            error = bound / max(gaps[i], np.finfo(np.float64).tiny)
            warn_user(
                f"Components {i} and {i + 1} have variances that differ by {gaps[i]:.1e}, so "
                f"they are certain to {min(error, 1.0):.1e} only, but tol={self.tol:g}. Ask for "
                "fewer components, scale the features, or raise tol.",
                ConvergenceWarning,
            )

    def transform(self, X: ArrayLike) -> Array:
        """Coordinates along the components, by linear attention.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_components_)
        """
        check_is_fitted(self)
        samples: Array = validate_samples(self, X, reset=False)
        with self._evaluated():
            return affine(samples, self.components_.T, self.mean_, np.zeros(self.n_components_))

    def inverse_transform(self, X: ArrayLike) -> Array:
        """Map coordinates back to samples, by linear attention.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components_)
            Coordinates along the components.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            If X has another number of columns than there are components.
        """
        check_is_fitted(self)
        refuse_masked(X=X)
        scores = check_array(X, dtype=np.float64)
        if scores.shape[1] != self.n_components_:
            raise ValueError(
                f"Got {scores.shape[1]} columns, but there are {self.n_components_} components."
            )
        with self._evaluated():
            return affine(scores, self.components_, np.zeros(self.n_components_), self.mean_)

    @property
    def _n_features_out(self) -> int:
        return self.n_components_
