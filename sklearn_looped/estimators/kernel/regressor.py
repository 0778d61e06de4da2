"""`KernelMachineRegressor`: kernel ridge regression in a loop that learns its metric."""

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score

from sklearn_looped.core.arrays import Array
from sklearn_looped.estimators.fitting import whole_or_not_at_all
from sklearn_looped.estimators.kernel.base import KernelMachineEstimator
from sklearn_looped.estimators.validation import validate_training
from sklearn_looped.learned.inference.tails import tails_of_targets


class KernelMachineRegressor(RegressorMixin, KernelMachineEstimator):
    r"""Kernel ridge regression in a loop that learns its metric: a recursive feature machine.

    .. math:: f(x) = b + \sum_i \alpha_i k(x, x_i), \qquad
        k(x, z) = \phi(|x - z|_M / L) + .1 \, \langle x, z \rangle_M / d

    starts from equal weights of the d columns, M = I. Each loop then takes as weights the mean
    squared slopes of the predictor along the columns, the diagonal of the average gradient outer
    product, and solves again [1]_: columns that do not matter fade from the distances. The slopes
    are cross-fitted, :math:`M_{jj} \propto \sum_p \partial_j f(x_p) \, \partial_j g(x_p)` with f
    fitted to the rows of odd number and g to those of even number, so that what noise does to one
    of them averages out; in the first loop the weights are averaged with the share of the targets'
    variance that each column explains by itself. This is done for two kernels: the Gaussian one,
    for smooth functions, :math:`\phi(r) = e^{-r^2 / 2}` of the Euclidean distance; and for steps,
    as trees have them, :math:`\phi(r) = e^{-r}` of the Manhattan distance
    :math:`\sum_j \sqrt{M_{jj}} |x_j - z_j|`, to which forests of random axis-parallel partitions
    tend [3]_.

    Nothing is left to tune by hand: length scale L and ridge penalty are chosen by the
    leave-one-out error, which one decomposition gives in closed form for all rows, before the first
    loop and after the last, and for one target and more than 16 columns also after the first. The
    prediction is a mixture of each kernel before and after the loops, ridge regression and the
    mean, whose shares minimise the leave-one-out error [2]_: where the kernels do not help, ridge
    regression or the mean remains.

    Parameters
    ----------
    n_loops : int, default=3
        Rounds in which the metric is learned, 0 or more. 0: all columns have the same weight.
    max_rows : int, default=4096
        Largest number of different rows used, at least 2. From a larger table that many are taken,
        evenly spaced along the target (of several targets, along their mean squared deviation),
        with a warning. Memory is about ten matrices of n^2
        numbers of 8 bytes (.1 GB for 1,024 rows, 1.3 GB for 4,096); time grows with the cube (on
        one core about half a second for 1,024 rows of 10 columns, fifteen seconds for 4,096).

    Attributes
    ----------
    metric_ : ndarray of shape (n_encoded_columns,)
        Mean squared slopes of the mixture along the encoded columns, at up to 256 of the rows,
        scaled to mean 1 over the columns that vary. A nominal column is encoded as one or several.
    feature_importances_ : ndarray of shape (n_features_in_,)
        The metric summed over the parts of each column, divided by its sum.
    loo_predictions_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Prediction of each row of `fit`, left out with all rows that equal it; the ordinary
        prediction for rows that were not used (weight 0, or beyond `max_rows`).
    loo_std_ : ndarray of the shape of `loo_predictions_`
        Their standard deviations.
    loo_score_ : float
        R2 of `loo_predictions_`, averaged over targets.
    column_kinds_ : dict of str
        What each column was read as, as in `LoopedICLRegressor`.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X was a DataFrame with text names.

    Raises
    ------
    ValueError
        In `fit` and `predict`, if parameters or data are invalid; says what to do.
    TypeError
        If cells contain lists or other objects, or X is a lazy frame of polars.

    See Also
    --------
    KernelMachineClassifier : The same for class labels.
    LoopedICLRegressor : A looped transformer that was meta-trained.
    sklearn.kernel_ridge.KernelRidge : One kernel with given hyperparameters.
    sklearn.gaussian_process.GaussianProcessRegressor : Hyperparameters by marginal likelihood.

    Notes
    -----
    Deterministic, and independent of the order of rows and columns and of units. Columns are
    standardised and clipped at 8 standard deviations; missing cells (NaN) count as the mean, and
    nominal columns of a DataFrame are encoded (see `sklearn_looped.learned.inference.encoding`).
    Predictions exceed the range of the targets by at most half of it. Targets more than 20
    interquartile ranges from the median are compressed, with a warning, and predictions are
    transformed back.

    References
    ----------
    .. [1] A. Radhakrishnan, D. Beaglehole, P. Pandit, M. Belkin, "Mechanism for feature learning
       in neural networks and backpropagation-free machine learning models", Science 383, 2024.
    .. [2] L. Breiman, "Stacked regressions", Machine Learning 24, 1996.
    .. [3] M. Balog, B. Lakshminarayanan, Z. Ghahramani, D. M. Roy, Y. W. Teh, "The Mondrian
       kernel", UAI 2016.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from sklearn_looped import KernelMachineRegressor
    >>> X, y = make_friedman1(200, n_features=10, random_state=0)
    >>> model = KernelMachineRegressor().fit(X[:150], y[:150])
    >>> model.score(X[150:], y[150:]) > 0.95
    True
    >>> (model.feature_importances_[:5] > model.feature_importances_[5:].max()).all()  # they matter
    np.True_
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    @whole_or_not_at_all
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> "KernelMachineRegressor":
        """Choose length scale and penalty, solve, and learn the metric.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            NaN marks a missing cell.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets, finite.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts: a weight of 2 means the same as the row twice, a weight of
            0 as no row. Fractions are allowed; weights below one on average are relative and are
            divided by their mean.

        Returns
        -------
        self
        """
        table, y, weights = validate_training(self, X, y, sample_weight)
        self._one_target = y.ndim == 1
        Y = y.reshape(len(y), -1)
        # Targets are divided by a power of two, which is exact: no square overflows.
        self._exponents = np.frexp(np.abs(Y).max(axis=0))[1]
        scaled = np.ldexp(Y, -self._exponents)
        self._tails = tails_of_targets(scaled, weights)
        compressed = self._tails.compress(scaled)
        mean, std = self._fit_machine(table, compressed, weights, compressed, "continuous")
        mean, std = self._restored(mean, std)
        self.loo_score_ = float(r2_score(scaled, mean, sample_weight=weights))
        self.loo_predictions_, self.loo_std_ = self._shaped(mean), self._shaped(std)
        return self

    def _restored(self, mean: Array, std: Array) -> tuple[Array, Array]:
        """Undo the compression of targets far out, (q, T)."""
        low, high = self._tails.restore(mean - std), self._tails.restore(mean + std)
        idle = np.isinf(self._tails.limit)
        return self._tails.restore(mean), np.where(idle, std, (high - low) / 2)

    def _shaped(self, values: Array) -> NDArray[np.float64]:
        """Bring (q, T) to the units and the shape of y."""
        values = np.ldexp(values, self._exponents)
        return values[:, 0] if self._one_target else values

    @overload
    def predict(self, X: ArrayLike, return_std: Literal[False] = ...) -> NDArray[Any]: ...
    @overload
    def predict(self, X: ArrayLike, return_std: bool) -> Any: ...
    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Predict the target's mean for each query.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.
        return_std : bool, default=False
            Whether to return the predictive standard deviation too, noise included: that of a
            Gaussian process with the kernel of `metric_`, scaled to the leave-one-out errors.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        std : ndarray of the shape of y
            Only if `return_std`.
        """
        mean, std = map(self._shaped, self._restored(*self._query(X, return_std)))
        return (mean, std) if return_std else mean
