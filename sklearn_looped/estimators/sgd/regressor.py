"""Linear regression by SGD inside a programmed looped transformer."""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions

from sklearn_looped.estimators.fitting import take_over
from sklearn_looped.estimators.sgd.base import MAX_SEED, ProgrammedSGD
from sklearn_looped.estimators.validation import validate_numbers
from sklearn_looped.programmed.algorithms.sgd import Samples, SGDLearner, Validation


class ProgrammedSGDRegressor(RegressorMixin, ProgrammedSGD):
    r"""Linear regression by SGD inside a looped transformer whose weights are written by hand.

    Samples, steps and queries are tokens of one sequence; one block of fixed weights is applied to
    it again and again, and every pass is one step of :class:`~sklearn.linear_model.SGDRegressor`,
    whose parameters have the same names, meanings and defaults. `fit` keeps the samples. `predict`
    runs `n_loops` steps over samples and queries and reads the predictions off the queries' tokens;
    `n_loops` is read there, so changing it needs no new fit. Queries act on nothing, so `fit` runs
    ahead, and the fast evaluation of `predict` resumes from the models that it left;
    ``evaluation="dense"`` runs everything again. `coef_` and `intercept_` say what the loops of
    `fit` computed; changing them by hand changes no prediction.

    Weights equal scikit-learn's to 1e-12 as long as the steps do not amplify rounding, which large
    steps do, those of ``learning_rate="optimal"`` with a small `alpha` above all: there
    scikit-learn's own result changes as much when each entry of `X` changes by one unit in the last
    place (``python -m benchmarks parity``).

    The transformer does all arithmetic of a step: score, derivative of the loss, shrinkage, update,
    L1 penalty and average, and the predictions, with weights that depend only on the declared size,
    the loss, the kinds of penalty and product, and whether weights are averaged. The host, plain
    Python, supplies the rest: it writes the sample order and the step sizes of an epoch, times the
    sample weights, on the tape; between epochs it adds up the losses of the recorded scores for the
    `tol` rule, or scores the predictions for the rows that early stopping holds out; and it stops a
    descent that diverges. Weight matrices grow with the square of the number of features, which
    should stay below some hundreds.

    Parameters
    ----------
    loss : {"squared_error", "huber", "epsilon_insensitive"}, default="squared_error"
        The loss.
    penalty : {"l2", "l1", "elasticnet"} or None, default="l2"
        The penalty. L1 is the cumulative penalty of Tsuruoka et al. 2009, as in scikit-learn.
    alpha : float, default=0.0001
        Strength of the penalty, at least 0. It also sets the step sizes of
        ``learning_rate="optimal"``, which need it above 0.
    l1_ratio : float, default=0.15
        Share of L1 in the elastic net, from 0 to 1.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    max_iter : int, default=1000
        Cap on the number of epochs.
    tol : float or None, default=1e-3
        Stop after `n_iter_no_change` epochs whose mean objective, loss and penalty as scikit-learn
        1.9 counts them, was above the best one minus `tol`. None: run all `max_iter` epochs.
    shuffle : bool, default=True
        Whether to shuffle the samples before each epoch.
    epsilon : float, default=0.1
        Where the Huber loss turns linear; half the width of the insensitive zone.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffle.
    learning_rate : {"constant", "optimal", "invscaling", "adaptive"}, default="invscaling"
        Step size at step t, in this order: ``eta0``; ``1 / (alpha * (t0 + t))``; ``eta0 /
        t**power_t``; ``eta0``, divided by 5 each time the objective stalls.
    eta0 : float, default=0.01
        Initial step size, above 0.
    power_t : float, default=0.25
        Exponent of "invscaling", at least 0.
    early_stopping : bool, default=False
        Whether to hold rows out and stop by their score instead of the objective.
    validation_fraction : float, default=0.1
        Share of the rows that early stopping holds out, strictly between 0 and 1.
    n_iter_no_change : int, default=5
        Epochs without improvement after which to stop, or to lower an adaptive step size.
    warm_start : bool, default=False
        Whether `fit` begins with the last weights of the previous fit, of which `coef_` may be an
        average. The new average is of the new steps alone; scikit-learn's contains the old one.
    average : bool or int, default=False
        Whether to average the weights over all steps, or from which step on.
    n_loops : int or None, default=None
        Number of loops of the transformer, one for each step on a sample. The last may lie in the
        middle of an epoch, and the stopping rule may end training earlier. None: until the stopping
        rule.
    product : {"gated", "linear", "softmax"}, default="gated"
        How the transformer forms products: by gated hidden units or linear attention, which round
        as floating-point arithmetic does, or by a linearised softmax as in the paper, with the
        error bound of the certificate; predictions, derivatives or step sizes above 4 raise an
        error, so standardise features and target.
    keep_trace : bool, default=False
        Whether to record every step in `trace_`.
    evaluation : {"fast", "dense"}, default="fast"
        "fast": with numpy, skipping what cannot act. "dense": with torch, every token attending to
        every token, which is the definition. On a CPU both give the same bits.
    device : str, default="cpu"
        Where "dense" runs: "cpu", "cuda", "cuda:N" or "auto".

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Weights.
    intercept_ : ndarray of shape (1,)
        Intercept.
    n_iter_ : int
        Epochs run, counting one that `n_loops` cut short.
    n_loops_ : int
        Loops run by `fit`.
    stages_ : ndarray of shape (n_stages,)
        Numbers of loops behind each prediction of `staged_predict`.
    t_ : float
        1 plus the number of samples of all epochs run, as in scikit-learn.
    block_ : SGDBlock
        The loop body.
    punchcard_ : Tape
        The sequence at the beginning of the last epoch, with the names of its rows and columns.
    certificate_ : Certificate
        Why the result is exact, or with ``product="softmax"`` the bound of its error.
    trace_ : DataFrame
        One row per step: sample, step sizes, score, derivative, and the weights after it, before
        an L1 penalty is paid. Only with `keep_trace`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` had any.

    See Also
    --------
    sklearn_looped.estimators.sgd.fit_many : Grids, folds and bootstraps at once.

    References
    ----------
    A. Giannou et al., "Looped Transformers as Programmable Computers", ICML 2023, Lemma 14.
    Y. Tsuruoka, J. Tsujii, S. Ananiadou, "Stochastic Gradient Descent Training for L1-regularized
    Log-linear Models with Cumulative Penalty", ACL 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped import ProgrammedSGDRegressor
    >>> X, y = np.array([[-1.0], [0.0], [1.0]]), np.array([-1.0, 1.0, 3.0])
    >>> model = ProgrammedSGDRegressor(eta0=0.1, random_state=0).fit(X, y)
    >>> model.n_loops_, model.certificate_.error_bound
    (108, 0.0)
    >>> model.predict([[2.0]]).round(2)
    array([4.8])
    """

    _parameter_constraints: ClassVar[dict] = {
        **ProgrammedSGD._parameter_constraints,
        "loss": [StrOptions({"squared_error", "huber", "epsilon_insensitive"})],
    }

    def __init__(
        self,
        loss: Literal["squared_error", "huber", "epsilon_insensitive"] = "squared_error",
        *,
        penalty: Literal["l2", "l1", "elasticnet"] | None = "l2",
        alpha: float = 0.0001,
        l1_ratio: float = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        epsilon: float = 0.1,
        random_state: int | np.random.RandomState | None = None,
        learning_rate: Literal["constant", "optimal", "invscaling", "adaptive"] = "invscaling",
        eta0: float = 0.01,
        power_t: float = 0.25,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        warm_start: bool = False,
        average: bool | int = False,
        n_loops: int | None = None,
        product: Literal["gated", "linear", "softmax"] = "gated",
        keep_trace: bool = False,
        evaluation: Literal["fast", "dense"] = "fast",
        device: str = "cpu",
    ) -> None:
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.epsilon = epsilon
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.average = average
        self.n_loops = n_loops
        self.product = product
        self.keep_trace = keep_trace
        self.evaluation = evaluation
        self.device = device

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Take one step for each row, continuing from the previous call.

        `predict` then starts from there too: its `n_loops` counts the steps over these rows only.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, scaled as in the previous calls.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Factors of the step sizes. None: 1.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data is not valid, or `early_stopping` is set; if the descent diverges.
        """
        fitted = copy(self)
        arrays = fitted._validate_training(X, y, reset=not hasattr(self, "coef_"))
        take_over(self, fitted._partial_fit(*arrays, sample_weight))
        return self

    def _validate_training(self, X: Any, y: Any, reset: bool = True) -> tuple[NDArray, NDArray]:
        return validate_numbers(self, X, y, reset=reset)

    def _encode(self, X: NDArray, y: NDArray) -> Samples:
        return Samples.targets(X, y, self.fit_intercept)

    def _draw(
        self, X: NDArray, y: NDArray, weights: NDArray
    ) -> tuple[list[int], NDArray[np.bool_], list[Validation | None]]:
        held_out = self._hold_out(y, weights)
        seed = check_random_state(self.random_state).randint(0, MAX_SEED)
        validation = None
        if self.early_stopping:
            validation = Validation(X[held_out], y[held_out], weights[held_out])
        return [seed], held_out, [validation]

    def _keep(self, learners: Sequence[SGDLearner]) -> None:
        super()._keep(learners)
        self.coef_ = self.coef_[0]

    def predict(self, X: ArrayLike) -> NDArray:
        """Run `n_loops` steps over samples and queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        y : ndarray of shape (n_queries,)
            Predicted targets.
        """
        return self._answer(X)["prediction"][:, 0]

    def staged_predict(self, X: ArrayLike) -> Iterator[NDArray]:
        """Predictions after each epoch, up to `n_loops`, each of one more pass over the queries.

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
        yield from (answers["prediction"][:, 0] for answers in self._staged_answers(X))
