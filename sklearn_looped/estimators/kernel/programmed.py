"""Kernel machine: kernel ridge that learns its metric, as loops of softmax and linear attention."""

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context
from sklearn.utils import gen_batches
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_looped.core.arrays import Array
from sklearn_looped.estimators.documentation import DocumentationLink
from sklearn_looped.estimators.fitting import Evaluated, whole_or_not_at_all
from sklearn_looped.estimators.validation import (
    validate_numbers,
    validate_samples,
    without_constants,
)
from sklearn_looped.programmed.algorithms.kernel_machine import (
    BATCH,
    KernelMachineFit,
    check_kernel,
    check_queries,
    check_table,
    fit_kernel_machine,
    median_length,
    predict_kernel_machine,
    target_scale,
)
from sklearn_looped.programmed.algorithms.linalg.result import Result, warn_if_above_tol


class ProgrammedKernelMachineRegressor(RegressorMixin, Evaluated, DocumentationLink, BaseEstimator):
    r"""Kernel ridge regression with a metric from its own gradient, inside a looped transformer.

    The recursive feature machine of Radhakrishnan et al. with the Gaussian kernel of
    `sklearn_looped.core.kernels` and its small linear part,

    .. math:: k(x, z) = e^{-\|x - z\|_M^2 / 2 L^2} + \tfrac{0.1}{d} \langle x, z \rangle_M,
        \qquad (K + \lambda I)\, a + b 1 = y, \quad 1^\top a = 0,

    with the diagonal metric M = 1 at first and then, `n_rounds` times,
    :math:`m_j \propto \frac1n \sum_p (\partial_j f(x_p))^2`, of mean 1. Samples and queries are
    tokens of 10 d + 24 entries, and the weights depend on the number d of features only.

    **The kernel is attention.** In units of L the score :math:`(M x_i)^\top x_k - \|x_i\|_M^2 / 2 -
    \|x_k\|_M^2 / 2` is the logarithm of the Gaussian kernel. A softmax over the samples gives it
    divided by its sum over the row, the Nadaraya-Watson smoother. To leave out this normalisation,
    every row also attends to a null token of the logit C = 48, with the value 0, and values are
    scaled by :math:`e^C`:

    .. math:: \frac{\sum_k e^{s_k}\, e^C v_k}{e^C + \sum_k e^{s_k}} = \sum_k e^{s_k} v_k
        \quad \text{to } n\, e^{-48} \text{, below half a unit in the last place.}

    So the head reads the kernel matrix itself, without a division and without an approximation that
    float64 could resolve. The linear kernel is a head of linear attention. Laplace and Matérn
    kernels need the square root of a squared distance, the Manhattan one the sizes of all
    differences; scores are bilinear and have neither, so only the Gaussian kernel is available.

    **The solve** is a loop of that attention: the residual :math:`r = y - (K + \lambda I) a`,
    its mean, which is the intercept, subtracted by an attention average, and one step of Polyak's
    heavy ball by gated units. Without the means, the eigenvalues of the system are between
    :math:`\lambda` and :math:`h = \lambda + n - 1 + 0.1\, n \max_j \mathrm{var}(x_j)` in any
    metric. That certifies the step sizes and the number of loops before anything runs: the
    residual shrinks by :math:`1 - 2 / (\sqrt{h / \lambda} + 1)` a loop, so about
    :math:`22 \sqrt{h / \lambda}` of them bring it to rounding (2**-50).

    **The metric** takes two products of attention, of the kernel with a and with :math:`a x`,
    for all slopes at all samples; gated units square them, an attention average takes the mean,
    Newton's method computes the reciprocal of their sum, and ReLUs keep every weight above 1e-4.
    A round of the metric is one more pass over the same blocks.

    It equals the closed form, `sklearn_looped.core.kernel_ridge` with this kernel and a metric from
    gradients alone, at equal length, penalty and rounds, to 1e-11 up to :math:`n / \lambda = 10^4`.
    That is one Gaussian path of `KernelMachineRegressor`, without its choice by leave-one-out
    error, its mixture, and the columns' own shares of the variance in the first metric. The
    certificate, which takes every rounding at its worst, promises 1e-8 of the targets' standard
    deviation up to about :math:`n / \lambda = 10^4` at ``n_rounds=0``, and 1e-6 up to about
    :math:`10^3` with rounds; beyond `tol` a ConvergenceWarning gives the numbers.

    `fit` keeps the samples. `predict` runs the rounds over samples and queries and reads the
    predictions off the queries' tokens; `n_loops` is read there, so changing it needs no new fit.
    Queries act on nothing, so `fit` runs the rounds in advance, and their results are kept.
    `metric_`, `dual_coef_` and `intercept_` say what the loops of `fit` computed; changing them by
    hand changes no prediction.

    The host sets constant features to 0, computes the median distance if asked for, divides by the
    length, loads the tape with the step sizes, runs the blocks in turn, and computes the
    certificate; for that it solves one system a round beyond the first, to see how errors of the
    metric grow. Features should be of comparable scale: standardise them first. The attention takes
    about 72 n max(n, 1024) bytes and the dense weights 11 kB times the square of d; a table that
    needs more than 2 GiB, as 5,500 samples or 450 features do, is refused.

    Parameters
    ----------
    length : float or "median", default="median"
        Length scale L of the kernel in the units of the features, above 0. "median": the median
        distance between samples.
    penalty : float, default=1.0
        Penalty :math:`\lambda` on the squared norm of the predictor, above 0.
    n_rounds : int, default=2
        How often the metric is estimated anew, 0 or more. 0 is kernel ridge regression.
    n_loops : int or None, default=None
        Loops of the solve in each round, read by `fit` and by `predict`; few of them stop early,
        which regularises. None: as many as are certified, of which there may be at most 20,000.
    tol : float, default=1e-6
        `fit` warns if the certified bound of the error, relative to the targets' standard
        deviation, is larger. Above 0.
    evaluation : {"fast", "dense"}, default="fast"
        "fast": with numpy, skipping what cannot act. "dense": with torch, every token attending to
        every token, which is the definition. On a CPU both give the same bits.
    device : str, default="cpu"
        Where "dense" runs: "cpu", "cuda", "cuda:N" or "auto".

    Attributes
    ----------
    metric_ : ndarray of shape (n_features,)
        Weights of the features in the metric, of mean 1.
    dual_coef_ : ndarray of shape (n_samples,)
        Weights of the samples in the predictor, a.
    intercept_ : float
        Intercept b, for features whose means over the samples are subtracted.
    length_ : float
        Length scale L that was used.
    n_loops_ : int
        Loops of the solve run by `fit`, in all rounds.
    stages_ : ndarray of shape (n_rounds + 1,)
        Numbers of loops, in all rounds so far, behind each prediction of `staged_predict`.
    certificate_ : Certificate
        ``certificate_.error_bound`` bounds the error, against the closed form in exact
        arithmetic, of the prediction for a query that is no farther from the mean, in the
        metric, than the farthest sample.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` had any.

    References
    ----------
    A. Radhakrishnan, D. Beaglehole, P. Pandit, M. Belkin, "Mechanism for feature learning in
    neural networks and backpropagation-free machine learning models", Science 383, 2024.

    X. Cheng, Y. Chen, S. Sra, "Transformers Implement Functional Gradient Descent to Learn
    Non-Linear Functions In Context", ICML 2024.

    C. Gao et al., "On the Expressive Power of a Variant of the Looped Transformer", 2024: blocks
    before, in and after the loop.

    Examples
    --------
    Of three features the first matters.

    >>> import numpy as np
    >>> from sklearn_looped import ProgrammedKernelMachineRegressor
    >>> X = np.random.default_rng(0).normal(size=(40, 3))
    >>> model = ProgrammedKernelMachineRegressor(n_rounds=1).fit(X, np.sin(2 * X[:, 0]))
    >>> model.metric_.round(1), model.certificate_.error_bound < 1e-8
    (array([2.5, 0.2, 0.3]), True)
    """

    _parameter_constraints: ClassVar[dict] = {
        "length": [Interval(Real, 0, None, closed="neither"), StrOptions({"median"})],
        "penalty": [Interval(Real, 0, None, closed="neither")],
        "n_rounds": [Interval(Integral, 0, None, closed="left")],
        "n_loops": [Interval(Integral, 1, None, closed="left"), None],
        "tol": [Interval(Real, 0, None, closed="neither")],
        **Evaluated.evaluation_constraints,
    }

    def __init__(
        self,
        *,
        length: float | Literal["median"] = "median",
        penalty: float = 1.0,
        n_rounds: int = 2,
        n_loops: int | None = None,
        tol: float = 1e-6,
        evaluation: Literal["fast", "dense"] = "fast",
        device: str = "cpu",
    ) -> None:
        self.length = length
        self.penalty = penalty
        self.n_rounds = n_rounds
        self.n_loops = n_loops
        self.tol = tol
        self.evaluation = evaluation
        self.device = device

    @_fit_context(prefer_skip_nested_validation=True)
    @whole_or_not_at_all
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Solve and estimate the metric in turn, inside the transformer.

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
            If the data or a parameter is not valid, if samples are too far apart for exact
            scores or too many for the memory, or the condition number asks for too many loops;
            before any work.

        Warns
        -----
        ConvergenceWarning
            If the certificate does not promise `tol`.
        """
        samples, targets = validate_numbers(self, X, y, ensure_min_samples=2)
        samples, self._constants = without_constants(samples)
        check_table(samples, targets, self.penalty)
        self.length_ = median_length(samples) if self.length == "median" else float(self.length)
        check_kernel(samples, self.length_, self.penalty, self.n_loops)
        options: dict[str, Any] = {"length": self.length_, "penalty": float(self.penalty)}
        self._support = samples, targets, options | {"n_rounds": self.n_rounds}
        self._rounds: dict[int | None, list[KernelMachineFit]] = {}
        last = self._run_rounds()[-1]
        self.metric_, self.dual_coef_ = last.metric.copy(), last.coef.copy()
        self.intercept_, self.n_loops_ = last.intercept, last.n_loops
        self.certificate_ = last.certificate
        result = Result(self.dual_coef_, self.n_loops_, self.tol, self.certificate_)
        warn_if_above_tol(
            result,
            target_scale(targets),
            "Raise n_loops if it is set, or else penalty, or take fewer rounds or raise tol.",
        )
        return self

    def _run_rounds(self) -> list[KernelMachineFit]:
        """Machine after each round of `n_loops` loops; what ran once is kept."""
        if self.n_loops not in self._rounds:
            samples, targets, options = self._support
            check_kernel(samples, options["length"], options["penalty"], self.n_loops)
            rounds = fit_kernel_machine(samples, targets, n_loops=self.n_loops, **options)
            self._rounds[self.n_loops] = rounds
        return self._rounds[self.n_loops]

    @property
    def stages_(self) -> NDArray[np.intp]:
        """Numbers of loops behind the stages of `staged_predict`."""
        check_is_fitted(self)
        with self._evaluated():
            return np.array([machine.n_loops for machine in self._run_rounds()])

    def predict(self, X: ArrayLike) -> Array:
        """Let the queries attend to the samples.

        Predictions are kept within half the range of the targets beyond it, as those of
        `sklearn_looped.core.kernel_machine` are.

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
            If the queries are not valid, or larger than 1e70 times the length.
        """
        return self._predict(self._checked(X), -1)

    def staged_predict(self, X: ArrayLike) -> Iterator[Array]:
        """Predictions after each round of the metric, beginning with kernel ridge regression.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Yields
        ------
        y : ndarray of shape (n_queries,)
            Predicted targets after the number of loops in `stages_`; the last are those of
            `predict`.
        """
        queries = self._checked(X)
        yield from (self._predict(queries, i) for i in range(self._support[2]["n_rounds"] + 1))

    def _checked(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        self._validate_params()
        queries: Array = validate_samples(self, X, reset=False) - self._constants
        check_queries(queries, self.length_)
        return queries

    def _predict(self, queries: Array, stage: int) -> Array:
        batches = gen_batches(len(queries), BATCH)
        with self._evaluated():
            machine = self._run_rounds()[stage]
            return np.concatenate([predict_kernel_machine(machine, queries[b]) for b in batches])
