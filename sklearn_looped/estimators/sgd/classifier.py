"""Linear classification by SGD inside a programmed looped transformer."""

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from sklearn_looped.estimators.sgd.base import MAX_SEED, ProgrammedSGD
from sklearn_looped.programmed.algorithms.sgd import Samples


def _has_probabilities(estimator: "ProgrammedSGDClassifier") -> bool:
    if estimator.loss != "log_loss":
        raise AttributeError(f"Got loss={estimator.loss!r}, but only 'log_loss' has probabilities.")
    return True


class ProgrammedSGDClassifier(ClassifierMixin, ProgrammedSGD):
    r"""Linear classification by SGD inside a looped transformer whose weights are written by hand.

    As :class:`ProgrammedSGDRegressor`, with the losses of
    :class:`~sklearn.linear_model.SGDClassifier`. A labelled sample is punched as
    :math:`y \cdot (x, 1)` with :math:`y = \pm 1`, so its score is the margin. The sigmoid of the
    log loss is exact: a softmax over two keys. More than two classes are fitted one against the
    rest, by model tokens that run side by side in one sequence.

    The transformer does all arithmetic of a step: score, derivative of the loss, shrinkage, update,
    L1 penalty and average, with weights that depend on the declared size, the loss and the kind of
    penalty alone. The host, plain Python, supplies three things: it writes the sample order and the
    step sizes of an epoch on the tape; between epochs it adds up the losses of the recorded scores
    for the `tol` rule; and it stops a descent that diverges. Weight matrices grow with the square
    of the number of features, which should stay below some hundreds.

    Parameters
    ----------
    loss : {"log_loss", "hinge"}, default="log_loss"
        The loss: logistic regression, or a linear support vector machine.
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
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffle.
    learning_rate : {"constant", "optimal", "invscaling", "adaptive"}, default="optimal"
        Step size at step t: ``eta0``; ``1 / (alpha * (t0 + t))``; ``eta0 / t**power_t``;
        ``eta0``, divided by 5 each time the objective stalls.
    eta0 : float, default=0.01
        Initial step size.
    power_t : float, default=0.5
        Exponent of "invscaling".
    average : bool or int, default=False
        Whether to average the weights over all steps, or from which step on.
    n_loops : int or None, default=None
        Cap on the number of loops of the transformer, which are the steps: one sample each, in
        the middle of an epoch too. None: no cap. More loops trade time for accuracy.
    product : {"gated", "linear", "softmax"}, default="gated"
        How the transformer forms products: by gated hidden units or linear attention, which round
        as floating-point arithmetic does, or by a linearised softmax as in the paper, with the
        error bound of the certificate; margins, derivatives or step sizes above 4 raise, so
        standardise features.
    keep_trace : bool, default=False
        Whether to keep `trace_`.

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
        Loops run by the machine that ran longest.
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
    >>> from sklearn_looped import ProgrammedSGDClassifier
    >>> X, y = np.array([[-1.0], [-0.5], [0.5], [1.0]]), ["no", "no", "yes", "yes"]
    >>> model = ProgrammedSGDClassifier(random_state=0).fit(X, y)
    >>> model.predict([[2.0], [-2.0]]).tolist()
    ['yes', 'no']
    """

    _parameter_constraints: ClassVar[dict] = {
        **ProgrammedSGD._parameter_constraints,
        "loss": [StrOptions({"log_loss", "hinge"})],
    }

    def __init__(
        self,
        loss: Literal["log_loss", "hinge"] = "log_loss",
        *,
        penalty: Literal["l2", "l1", "elasticnet"] | None = "l2",
        alpha: float = 0.0001,
        l1_ratio: float = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        learning_rate: Literal["constant", "optimal", "invscaling", "adaptive"] = "optimal",
        eta0: float = 0.01,
        power_t: float = 0.5,
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
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.average = average
        self.n_loops = n_loops
        self.product = product
        self.keep_trace = keep_trace

    def _validate_training(self, X: Any, y: Any) -> tuple[NDArray, NDArray]:
        return self._validate_classes(X, y)

    @property
    def _n_models(self) -> int:
        return len(self._positives())

    def _positives(self) -> range:
        """Numbers of the classes that have a machine of their own."""
        return range(1, 2) if len(self.classes_) == 2 else range(len(self.classes_))

    def _encode(self, X: NDArray, y: NDArray) -> Samples:
        signs = np.concatenate([np.where(y == i, 1.0, -1.0) for i in self._positives()])
        return Samples.margins(np.tile(X, (self._n_models, 1)), signs, self.fit_intercept)

    def _seeds(self) -> list[int]:
        rng = check_random_state(self.random_state)
        generators = [rng]
        if len(self.classes_) > 2:
            own = rng.randint(MAX_SEED, size=len(self.classes_))
            generators = [check_random_state(seed) for seed in own]
        seeds = []
        for generator in generators:
            generator.randint(1, MAX_SEED)  # scikit-learn spends this one on its data set
            seeds.append(generator.randint(MAX_SEED))
        return seeds

    def decision_function(self, X: ArrayLike) -> NDArray:
        """Run the queries through the transformer; the score of each class.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        scores : ndarray of shape (n_queries,) or (n_queries, n_classes)
            One column a class; the score of ``classes_[1]`` alone if there are two.
        """
        scores = self._query(X, 1.0)[0]
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
        scores = self.decision_function(X)
        return self.classes_[
            scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(int)
        ]

    @available_if(_has_probabilities)
    def predict_proba(self, X: ArrayLike) -> NDArray:
        r"""Probabilities: the transformer's sigmoids, normalised over more than two classes.

        A query with label -1 has the derivative :math:`\sigma(w^\top x + b)` up to the sign.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        probabilities : ndarray of shape (n_queries, n_classes)
            One column a class; rows sum to 1.
        """
        sigmoids = -self._query(X, -1.0)[1]
        if sigmoids.shape[1] == 1:
            return np.hstack([1 - sigmoids, sigmoids])
        sigmoids[sigmoids.sum(axis=1) == 0] = 1
        return sigmoids / sigmoids.sum(axis=1, keepdims=True)
