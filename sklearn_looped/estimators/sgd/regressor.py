"""Linear regression by SGD inside a programmed looped transformer."""

from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import validate_data

from sklearn_looped.estimators.sgd.base import MAX_SEED, ProgrammedSGD
from sklearn_looped.programmed.algorithms.sgd import Samples, SGDLearner


class ProgrammedSGDRegressor(RegressorMixin, ProgrammedSGD):
    r"""Linear regression by SGD inside a looped transformer whose weights are written by hand.

    The samples and the steps are tokens of a sequence, the *punchcard*; one block of fixed weights
    is applied to it again and again, and every pass is one step of
    :class:`~sklearn.linear_model.SGDRegressor`, whose parameters have the same names and meanings
    and whose coefficients come out the same to about 1e-15. `predict` puts the queries on a
    punchcard as samples with steps of size 0, and reads their scores from the same transformer.

    The transformer does all arithmetic of a step: score, derivative of the loss, shrinkage, update,
    L1 penalty and average, with weights that depend on the declared size, the loss and the kind of
    penalty alone. The host, plain Python, supplies three things: it writes the sample order and the
    step sizes of an epoch on the tape; between epochs it adds up the losses of the recorded scores
    for the `tol` rule; and it stops a descent that diverges. Weight matrices grow with the square
    of the number of features, which should stay below some hundreds.

    Parameters
    ----------
    loss : {"squared_error", "huber", "epsilon_insensitive"}, default="squared_error"
        The loss.
    penalty : {"l2", "l1", "elasticnet"} or None, default="l2"
        The penalty. L1 is the cumulative penalty of Tsuruoka et al. 2009, as in scikit-learn.
    alpha : float, default=0.0001
        Strength of the penalty; also sets the step sizes of ``learning_rate="optimal"``.
    l1_ratio : float, default=0.15
        Share of L1 in the elastic net.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    max_iter : int, default=1000
        Cap on the number of epochs.
    tol : float or None, default=1e-3
        Stop after 5 epochs whose mean objective, loss and penalty as scikit-learn 1.9 counts them,
        was not below the best one less `tol`. None: run all `max_iter` epochs.
    shuffle : bool, default=True
        Whether to shuffle the samples before each epoch.
    epsilon : float, default=0.1
        Where the Huber loss turns linear; half the width of the insensitive zone.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffle.
    learning_rate : {"constant", "optimal", "invscaling", "adaptive"}, default="invscaling"
        Step size at step t: ``eta0``; ``1 / (alpha * (t0 + t))``; ``eta0 / t**power_t``;
        ``eta0``, divided by 5 each time the objective stalls.
    eta0 : float, default=0.01
        Initial step size.
    power_t : float, default=0.25
        Exponent of "invscaling".
    average : bool or int, default=False
        Whether to average the weights over all steps, or from which step on.
    n_loops : int or None, default=None
        Cap on the number of loops of the transformer, which are the steps: one sample each, in
        the middle of an epoch too. None: no cap. More loops trade time for accuracy.
    product : {"gated", "linear", "softmax"}, default="gated"
        How the transformer forms products: by gated hidden units or linear attention, which round
        as floating-point arithmetic does, or by a linearised softmax as in the paper, with the
        error bound of the certificate; predictions, derivatives or step sizes above 4 raise, so
        standardise features and target.
    keep_trace : bool, default=False
        Whether to keep `trace_`.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Weights.
    intercept_ : ndarray of shape (1,)
        Intercept.
    n_iter_ : int
        Epochs run, counting one that `n_loops` cut short.
    n_loops_ : int
        Loops run.
    block_ : SGDBlock
        The loop body.
    punchcard_ : Tape
        Names of columns and rows, and the initial state of the last epoch.
    certificate_ : Certificate
        Why the result is exact.
    trace_ : DataFrame
        One row a step: sample, step sizes, score, derivative, and the weights after it, before
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
        "epsilon": [Interval(Real, 0, None, closed="left")],
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
        average: bool | int = False,
        n_loops: int | None = None,
        product: Literal["gated", "linear", "softmax"] = "gated",
        keep_trace: bool = False,
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
        self.average = average
        self.n_loops = n_loops
        self.product = product
        self.keep_trace = keep_trace

    def _validate_training(self, X: Any, y: Any) -> tuple[NDArray, NDArray]:
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        return X, y.astype(np.float64)

    def _encode(self, X: NDArray, y: NDArray) -> Samples:
        return Samples.targets(X, y, self.fit_intercept)

    def _seeds(self) -> list[int]:
        return [check_random_state(self.random_state).randint(0, MAX_SEED)]

    def _keep(self, learners: Sequence[SGDLearner]) -> None:
        super()._keep(learners)
        self.coef_ = self.coef_[0]

    def predict(self, X: ArrayLike) -> NDArray:
        """Run the queries through the transformer.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        y : ndarray of shape (n_queries,)
            Predicted targets.
        """
        return self._query(X, 1.0)[0][:, 0]
