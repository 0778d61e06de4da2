"""Linear and ridge regression: normal equations and Newton's inverse in a looped transformer."""

from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from sklearn_looped.core.arrays import Array
from sklearn_looped.estimators.documentation import DocumentationLink
from sklearn_looped.estimators.fitting import Evaluated, whole_or_not_at_all
from sklearn_looped.estimators.validation import (
    validate_numbers,
    validate_samples,
    validate_weights,
    without_constants,
)
from sklearn_looped.programmed.algorithms.linalg import (
    Moments,
    Result,
    affine,
    exponents,
    least_norm,
    least_norm_of_rows,
    moments,
    scale_back,
    solve,
)
from sklearn_looped.programmed.algorithms.linalg.result import Exponents


class _LeastSquares(RegressorMixin, Evaluated, DocumentationLink, BaseEstimator):
    """Least squares with a penalty of `_penalty` on the squared coefficients."""

    _parameter_constraints: ClassVar[dict] = {
        "fit_intercept": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_loops": [Interval(Integral, 1, None, closed="left")],
        **Evaluated.evaluation_constraints,
    }
    _one_column_is_flat: ClassVar[bool] = False  # coefficients of one column of targets
    fit_intercept: bool
    tol: float
    max_loops: int

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @property
    def _penalty(self) -> float:
        return 0.0

    @_fit_context(prefer_skip_nested_validation=True)
    @whole_or_not_at_all
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Form the normal equations and solve them, inside the transformer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the squared errors, not negative. None: 1.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or a parameter is not valid, before any work.
        numpy.linalg.LinAlgError
            If `max_loops` is too small, or a result beyond float64. It is a subclass of ValueError.

        Warns
        -----
        ConvergenceWarning
            If the certificate does not promise `tol`.
        """
        samples, targets = validate_numbers(self, X, y, multi_output=True)
        weights, shift = validate_weights(sample_weight, samples, ensure_non_negative=True), 0
        if weights is not None:
            if not weights.any():
                raise ValueError("Got sample_weight that are all 0; at least one must be positive.")
            kept = weights > 0
            samples, targets, shift = samples[kept], targets[kept], int(exponents(weights))
            weights = np.ldexp(weights[kept], -shift)  # whose sum is finite
        if self.fit_intercept:
            samples, _ = without_constants(samples)  # the intercept takes their place
        table, d = np.column_stack([samples, targets]), samples.shape[1]
        mean, result, unit = self._solve(table, d, weights, shift)
        scale = unit[d:] - unit[:d, None]
        coef, bound = scale_back(result.value, result.certificate.error_bound, scale)
        self.n_loops_ = result.n_loops + 1
        self.certificate_ = replace(result.certificate, error_bound=bound)
        at_zero = affine(np.zeros((1, d)), result.value, mean[:d], mean[d:])
        intercept, _ = scale_back(at_zero[0], 0.0, unit[d:])
        flat = targets.ndim == 1 or (self._one_column_is_flat and targets.shape[1] == 1)
        self.coef_ = coef[:, 0] if flat else coef.T
        self.intercept_ = float(intercept[0]) if targets.ndim == 1 else intercept
        if not self.fit_intercept:
            self.intercept_ = 0.0
        return self

    def _solve(
        self, table: Array, d: int, weights: Array | None, shift: int
    ) -> tuple[Array, Result[Array], Exponents]:
        """Means and coefficients of d features and the targets behind them, and their units.

        Features are measured in units of their own, unless the norm of all coefficients counts;
        weights are in units of 2**shift.
        """
        unit = exponents(table, 0)
        options: dict[str, Any] = {"tol": self.tol, "max_loops": self.max_loops}
        if self._penalty:
            unit[:d] = np.maximum(unit[:d], (np.frexp(self._penalty)[1] - shift + 1) // 2)
        elif len(table) - self.fit_intercept < d:
            return self._solve_of_least_norm(table, d, weights, options)
        mean, _, gram = self._equations(table, unit, d, weights, shift)
        noise = self._rounding(np.ldexp(table[:, :d], -unit[:d]), weights)
        if self._penalty or (np.diag(gram)[:d] > noise).all():
            try:
                return mean, solve(gram[:d, :d], gram[:d, d:], **options), unit
            except LinAlgError:
                if self._penalty:
                    raise
        return self._solve_of_least_norm(table, d, weights, options)

    def _solve_of_least_norm(
        self, table: Array, d: int, weights: Array | None, options: dict[str, Any]
    ) -> tuple[Array, Result[Array], Exponents]:
        """As `_solve`, all features in one unit, where the equations do not determine w."""
        unit = exponents(table, 0)
        unit[:d] = unit[:d].max()
        mean, centred, gram = self._equations(table, unit, d, weights)  # without a penalty
        if len(table) - self.fit_intercept < d:
            rows = centred[:, :d], centred[:, d:]  # no residual is left: weights do not matter
            found = least_norm_of_rows(*rows, centred=self.fit_intercept, **options)
            if found is not None:
                return mean, found, unit
        floor = self._rounding(np.ldexp(table[:, :d], -unit[:d]), weights).max()
        return mean, least_norm(gram[:d, :d], gram[:d, d:], floor=floor, **options), unit

    def _equations(
        self, table: Array, unit: Exponents, d: int, weights: Array | None, shift: int = 0
    ) -> Moments:
        penalty = np.zeros(table.shape[1])  # counts in squares of the units
        penalty[:d] = np.ldexp(self._penalty, -shift - 2 * unit[:d])
        scaled = np.ldexp(table, -unit)
        return moments(scaled, centre=self.fit_intercept, penalty=penalty, weights=weights)

    def _rounding(self, X: Array, weights: Array | None) -> Array:
        """Squared norms of centred columns up to which they are rounding, not data."""
        total = len(X) if weights is None else weights.sum()
        return total * (len(X) * np.finfo(np.float64).eps * np.abs(X).max(axis=0)) ** 2

    def predict(self, X: ArrayLike) -> Array:
        """Predict by linear attention over the coefficients.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        y : ndarray of shape (n_queries,) or (n_queries, n_targets)
            Predicted targets.
        """
        check_is_fitted(self)
        queries: Array = validate_samples(self, X, reset=False)
        coef = np.atleast_2d(self.coef_)
        offset = np.broadcast_to(self.intercept_, len(coef))
        with self._evaluated():
            found = affine(queries, coef.T, np.zeros(queries.shape[1]), offset)
        return found[:, 0] if self.coef_.ndim == 1 else found


class ProgrammedLinearRegression(_LeastSquares):
    r"""Ordinary least squares inside a looped transformer whose weights are written by hand.

    The samples are tokens. An attention average subtracts the means, linear attention computes
    the normal equations :math:`X^\top X w = X^\top y`, and one block of two attention layers is
    looped to solve them: Newton-Schulz inverse with iterative refinement, see
    `sklearn_looped.programmed.algorithms.linalg.solve`. `predict` is one layer of linear attention.

    It equals :class:`~sklearn.linear_model.LinearRegression` up to the certified error, which grows
    with the *square* of the condition number of X with scaled columns: it is 1e-8 up to a condition
    number of about 3e3. Beyond that a ConvergenceWarning gives the numbers. Where the
    equations are singular, it is the solution of least norm, as scikit-learn's. With fewer samples
    than features, :math:`w = X^\top \alpha` with :math:`X X^\top \alpha = y`, equations as many as
    the samples. Where features or samples depend on each other, `eigh` finds the subspace of the
    singular values of X above 1e-6 of the largest, in which the equations are regular, and `solve`
    runs there. `eigh` takes 26 to 60 loops for every feature, so drop such features where there are
    many.

    The transformer does the arithmetic. The host sets constant features to 0 where there is an
    intercept, loads the tapes, in units of powers of two, divides the sample weights by their sum,
    counts the eigenvalues that are not 0, copies results from one tape to the next, stops the
    loops, and computes the certificate.

    Parameters
    ----------
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    tol : float, default=1e-8
        Error relative to the largest coefficient, each feature measured in units of the power of
        two above it; `fit` warns if the certified bound is larger. Above 0.
    max_loops : int, default=128
        Largest number of loops; about twice the binary logarithm of the condition number of
        the normal equations is needed.
    evaluation : {"fast", "dense"}, default="fast"
        "fast": with numpy, skipping what cannot act. "dense": with torch, every token attending to
        every token, which is the definition. On a CPU both give the same bits.
    device : str, default="cpu"
        Where "dense" runs: "cpu", "cuda", "cuda:N" or "auto".

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept.
    n_loops_ : int
        Loops run.
    certificate_ : Certificate
        ``certificate_.error_bound`` bounds the error of every coefficient against the exact
        solution of the equations as they were rounded.
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
    >>> from sklearn_looped import ProgrammedLinearRegression
    >>> X, y = np.array([[0.0], [1.0], [3.0]]), np.array([1.0, 3.0, 7.0])
    >>> model = ProgrammedLinearRegression().fit(X, y)
    >>> model.coef_.round(12), round(model.intercept_, 12), model.n_loops_
    (array([2.]), 1.0, 9)
    """

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        tol: float = 1e-8,
        max_loops: int = 128,
        evaluation: Literal["fast", "dense"] = "fast",
        device: str = "cpu",
    ) -> None:
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_loops = max_loops
        self.evaluation = evaluation
        self.device = device


class ProgrammedRidge(_LeastSquares):
    r"""Ridge regression inside a looped transformer whose weights are written by hand.

    As :class:`ProgrammedLinearRegression`, with the normal equations
    :math:`(X^\top X + \alpha I)\, w = X^\top y` of :class:`~sklearn.linear_model.Ridge`. The
    penalty bounds their condition number, so features may be dependent, and there may be more
    features than samples.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, at least 0; the intercept is not penalised. 0 is least squares.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    tol : float, default=1e-8
        Error relative to the largest coefficient, each feature measured in units of the power of
        two above it; `fit` warns if the certified bound is larger. Above 0.
    max_loops : int, default=128
        Largest number of loops.
    evaluation : {"fast", "dense"}, default="fast"
        "fast": with numpy, skipping what cannot act. "dense": with torch, every token attending to
        every token, which is the definition. On a CPU both give the same bits.
    device : str, default="cpu"
        Where "dense" runs: "cpu", "cuda", "cuda:N" or "auto".

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept.
    n_loops_ : int
        Loops run.
    certificate_ : Certificate
        ``certificate_.error_bound`` bounds the error of every coefficient against the exact
        solution of the normal equations as they were rounded.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` had any.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped import ProgrammedRidge
    >>> X, y = np.array([[-1.0], [0.0], [1.0]]), np.array([-1.0, 1.0, 3.0])
    >>> ProgrammedRidge(alpha=2.0).fit(X, y).predict([[2.0]]).round(12)
    array([3.])
    """

    _parameter_constraints: ClassVar[dict] = {
        **_LeastSquares._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="left")],
    }
    _one_column_is_flat = True  # as in Ridge

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        tol: float = 1e-8,
        max_loops: int = 128,
        evaluation: Literal["fast", "dense"] = "fast",
        device: str = "cpu",
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_loops = max_loops
        self.evaluation = evaluation
        self.device = device

    @property
    def _penalty(self) -> float:
        return float(self.alpha)
