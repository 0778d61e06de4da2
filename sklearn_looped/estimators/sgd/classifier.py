"""Linear classification by SGD inside a programmed looped transformer."""

from collections.abc import Iterator
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from sklearn_looped.estimators.sgd.one_vs_rest import OneVsRestSGD
from sklearn_looped.programmed.algorithms.sgd import Loss, ProductKind


def _has_probabilities(estimator: "ProgrammedSGDClassifier") -> bool:
    if estimator.loss != "log_loss":
        raise AttributeError(f"Got loss={estimator.loss!r}, but only 'log_loss' has probabilities.")
    return True


class ProgrammedSGDClassifier(OneVsRestSGD):
    r"""Linear classification by SGD inside a looped transformer whose weights are written by hand.

    As :class:`ProgrammedSGDRegressor`, with the losses of
    :class:`~sklearn.linear_model.SGDClassifier` and its defaults. A labelled sample is a token
    :math:`y \cdot (x, 1)` with :math:`y = \pm 1`, so its score is the margin. The sigmoid of the
    log loss is exact: a softmax over two keys. More than two classes are fitted one against the
    rest, by model tokens that run side by side in one sequence.

    `fit` keeps the samples, and `predict` runs `n_loops` steps over samples and queries and reads
    the predictions off the queries' tokens. `fit` runs ahead, and the fast evaluation resumes from
    what it left. `coef_` and `intercept_` say what the loops of `fit` computed; changing them by
    hand changes no prediction. They equal scikit-learn's to 1e-12 as long as the steps do not
    amplify rounding; the default steps, ``learning_rate="optimal"`` with ``alpha=1e-4``, are large
    and do, in scikit-learn as well: see ``python -m benchmarks parity``.

    The transformer does all arithmetic of a step: score, derivative of the loss, shrinkage, update,
    L1 penalty and average, and the predictions, with weights that depend only on the declared size,
    the loss, the kinds of penalty and product, and whether weights are averaged. The host, plain
    Python, supplies the rest: it writes the sample order and the step sizes of an epoch, times
    sample and class weights, on the tape; between epochs it adds up the losses of the recorded
    scores for the `tol` rule, or scores the predictions for the rows that early stopping holds out;
    and it stops a descent that diverges. Weight matrices grow with the square of the number of
    features, which should stay below some hundreds.

    Parameters
    ----------
    loss : {"hinge", "log_loss", "squared_error", "huber", "epsilon_insensitive"}, default="hinge"
        The loss: a linear support vector machine, logistic regression, or one of regression on
        the labels -1 and 1.
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
    learning_rate : {"constant", "optimal", "invscaling", "adaptive"}, default="optimal"
        Step size at step t, in this order: ``eta0``; ``1 / (alpha * (t0 + t))``; ``eta0 /
        t**power_t``; ``eta0``, divided by 5 each time the objective stalls.
    eta0 : float, default=0.01
        Initial step size, above 0.
    power_t : float, default=0.5
        Exponent of "invscaling", at least 0.
    early_stopping : bool, default=False
        Whether to hold rows out and stop by their score instead of the objective.
    validation_fraction : float, default=0.1
        Share of the rows that early stopping holds out, strictly between 0 and 1.
    n_iter_no_change : int, default=5
        Epochs without improvement after which to stop, or to lower an adaptive step size.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, by label: factors of the step sizes, as `sample_weight` is.
    warm_start : bool, default=False
        Whether `fit` begins with `coef_` and `intercept_` of the previous fit.
    average : bool or int, default=False
        Whether to average the weights over all steps, or from which step on.
    n_loops : int or None, default=None
        Number of loops of the transformer, one for each step on a sample. The last may lie in the
        middle of an epoch, and the stopping rule may end training earlier. None: until the stopping
        rule.
    product : {"gated", "linear", "softmax"}, default="gated"
        How the transformer forms products: by gated hidden units or linear attention, which round
        as floating-point arithmetic does, or by a linearised softmax as in the paper, with the
        error bound of the certificate; margins, derivatives or step sizes above 4 raise an error,
        so standardise features.
    keep_trace : bool, default=False
        Whether to record every step in `trace_`.
    evaluation : {"fast", "dense"}, default="fast"
        "fast": with numpy, skipping what cannot act. "dense": with torch, every token attending to
        every token, which is the definition. On a CPU both give the same bits.
    device : str, default="cpu"
        Where "dense" runs: "cpu", "cuda", "cuda:N" or "auto".

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Weights.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    n_iter_ : int
        Epochs run, counting one that `n_loops` cut short.
    n_loops_ : int
        Loops run by `fit`; of several classes, by the model that ran longest.
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
    >>> from sklearn_looped import ProgrammedSGDClassifier
    >>> X, y = np.array([[-1.0], [-0.5], [0.5], [1.0]]), ["no", "no", "yes", "yes"]
    >>> model = ProgrammedSGDClassifier(random_state=0).fit(X, y)
    >>> model.predict([[2.0], [-2.0]]).tolist()
    ['yes', 'no']
    """

    _parameter_constraints: ClassVar[dict] = {
        **OneVsRestSGD._parameter_constraints,
        "loss": [StrOptions(set(get_args(Loss)))],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        loss: Loss = "hinge",
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
        learning_rate: Literal["constant", "optimal", "invscaling", "adaptive"] = "optimal",
        eta0: float = 0.01,
        power_t: float = 0.5,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        class_weight: dict | Literal["balanced"] | None = None,
        warm_start: bool = False,
        average: bool | int = False,
        n_loops: int | None = None,
        product: ProductKind = "gated",
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
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.average = average
        self.n_loops = n_loops
        self.product, self.keep_trace = product, keep_trace
        self.evaluation, self.device = evaluation, device

    def decision_function(self, X: ArrayLike) -> NDArray:
        """Score of each class, after `n_loops` steps over samples and queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        scores : ndarray of shape (n_queries,) or (n_queries, n_classes)
            One column per class; with two classes only the score of ``classes_[1]``.
        """
        scores = self._answer(X)["prediction"]
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: ArrayLike) -> NDArray:
        """Class with the highest score.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        labels : ndarray of shape (n_queries,)
            Predicted labels.
        """
        return self._labels(self._answer(X)["prediction"])

    def staged_predict(self, X: ArrayLike) -> Iterator[NDArray]:
        """Predictions after each epoch, up to `n_loops`, each of one more pass over the queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Yields
        ------
        labels : ndarray of shape (n_queries,)
            Predicted labels after the number of loops in `stages_`; the last are those of
            `predict`.
        """
        yield from (self._labels(answers["prediction"]) for answers in self._staged_answers(X))

    @available_if(_has_probabilities)
    def predict_proba(self, X: ArrayLike) -> NDArray:
        r"""Probabilities: the transformer's sigmoids, normalised over more than two classes.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        probabilities : ndarray of shape (n_queries, n_classes)
            One column per class; rows sum to 1.
        """
        return _normalised(self._answer(X)["probability"])

    @available_if(_has_probabilities)
    def predict_log_proba(self, X: ArrayLike) -> NDArray:
        """Logarithms of the probabilities.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        logarithms : ndarray of shape (n_queries, n_classes)
            One column per class.
        """
        return np.log(self.predict_proba(X))

    @available_if(_has_probabilities)
    def staged_predict_proba(self, X: ArrayLike) -> Iterator[NDArray]:
        """Probabilities after each epoch, up to `n_loops`.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Yields
        ------
        probabilities : ndarray of shape (n_queries, n_classes)
            Those after the number of loops in `stages_`.
        """
        yield from (_normalised(answers["probability"]) for answers in self._staged_answers(X))

    def _labels(self, scores: NDArray) -> NDArray:
        one = scores.shape[1] == 1
        return self.classes_[(scores[:, 0] > 0).astype(int) if one else scores.argmax(axis=1)]


def _normalised(sigmoids: NDArray) -> NDArray:
    if sigmoids.shape[1] == 1:
        return np.hstack([1 - sigmoids, sigmoids])
    sigmoids[sigmoids.sum(axis=1) == 0] = 1
    return sigmoids / sigmoids.sum(axis=1, keepdims=True)
