"""Classification by a neural network trained inside a programmed looped transformer."""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context

from sklearn_looped.estimators.fitting import take_over
from sklearn_looped.estimators.neural_network.base import ProgrammedMLP
from sklearn_looped.estimators.probabilities import ProbabilisticClassifier
from sklearn_looped.programmed.algorithms.mlp import MLPLearner


class ProgrammedMLPClassifier(ProbabilisticClassifier, ProgrammedMLP):
    r"""Network trained by backpropagation inside a looped transformer of constructed weights.

    As :class:`ProgrammedMLPRegressor`, for the log loss of
    :class:`~sklearn.neural_network.MLPClassifier`. Two classes have one output, whose sigmoid is
    a softmax over the output token and the null token; more classes have one output each, and
    the softmax of an attention head over the output tokens is their softmax. Both are exact.
    `predict` reads its labels off the queries' tokens, after `n_loops` loops.

    The transformer does all arithmetic: activations, error, deltas, gradients, penalty, momentum,
    update, the sum of squared weights that the loss needs, and the predictions. Its own weights
    depend on the declared sizes of network and sequence, the activation and the kind of momentum
    alone. The host, plain Python, draws the initial weights and writes, for each epoch, the
    visiting order, the numbers of the steps and the sample weights on the tape; between epochs it
    adds up the losses of the recorded outputs for the stopping rule, or scores the predictions for
    the rows that early stopping holds out; and it stops a descent that diverges.

    Products, sums and sigmoids round as floating-point arithmetic does, so a step differs from
    scikit-learn's by 1e-15 or so. Steps that amplify rounding, as those of ReLU units near
    zero, do so in scikit-learn too (``python -m benchmarks parity``). Weight matrices grow with the
    square of the number of features and units, which should stay below some hundreds.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Number of units in each hidden layer; any number of layers, but at least one.
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Activation function of the hidden units.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights without the intercepts, at least 0.
    batch_size : int or "auto", default="auto"
        Samples per step, at most all training rows. "auto": 200, or all if there are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        Step size of an epoch, in this order: ``learning_rate_init``;
        ``learning_rate_init / (t + 1)**power_t`` after t samples; ``learning_rate_init``, divided
        by 5 each time the loss stalls.
    learning_rate_init : float, default=0.001
        Initial step size, above 0.
    power_t : float, default=0.5
        Exponent of "invscaling", at least 0.
    max_iter : int, default=200
        Cap on the number of epochs.
    shuffle : bool, default=True
        Whether to shuffle the samples before each epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights and of the shuffle, drawn as scikit-learn draws them.
    tol : float, default=1e-4
        An epoch counts as one without improvement if its loss is above the best one minus `tol`.
    warm_start : bool, default=False
        Whether `fit` begins with the network and the losses of the previous call.
    momentum : float, default=0.9
        Momentum of the gradient steps, from 0 to 1.
    nesterovs_momentum : bool, default=True
        Whether to use Nesterov's momentum.
    early_stopping : bool, default=False
        Whether to hold rows out, stop by their score instead of the loss, and keep the network
        that scored best at the end of an epoch.
    validation_fraction : float, default=0.1
        Share of the rows that early stopping holds out, at least 0 and below 1.
    n_iter_no_change : int or inf, default=10
        Stop after more than this number of consecutive epochs without improvement.
    n_loops : int or None, default=None
        Number of loops of the transformer, one per sample; weights change at the ends of batches.
        The stopping rule may end training earlier. None: until the stopping rule. With
        `early_stopping`, predictions are those of the best network at the ends of the epochs run.
    evaluation : {"fast", "dense"}, default="fast"
        "fast": with numpy, skipping what cannot act. "dense": with torch, every token attending to
        every token, which is the definition. On a CPU both give the same bits.
    device : str, default="cpu"
        Where "dense" runs: "cpu", "cuda", "cuda:N" or "auto".

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    coefs_ : list of ndarray of shape (n_units_in, n_units_out)
        Weights, one array per layer.
    intercepts_ : list of ndarray of shape (n_units_out,)
        Intercepts, one array per layer.
    loss_curve_ : list of float
        Mean over each epoch of log loss and penalty, of every sample before its
        step, from the outputs and squared weights that the transformer recorded.
    loss_ : float
        Last value of `loss_curve_`.
    best_loss_ : float or None
        Lowest value of `loss_curve_`; None with `early_stopping`.
    validation_scores_ : list of float or None
        Score on the rows held out after each epoch, accuracy; None without `early_stopping`.
    best_validation_score_ : float or None
        Highest of `validation_scores_`; None without `early_stopping`.
    t_ : int
        Number of samples seen, including those of previous calls that this one continued.
    n_iter_ : int
        Epochs run.
    n_loops_ : int
        Loops run by `fit`, one per sample and epoch.
    stages_ : ndarray of shape (n_stages,)
        Numbers of loops behind each prediction of `staged_predict`.
    n_layers_ : int
        Number of layers, input and output included.
    n_outputs_ : int
        Number of outputs.
    out_activation_ : {"logistic", "softmax"}
        Activation function of the outputs.
    block_ : MLPBlock
        The loop body.
    punchcard_ : Tape
        The sequence at the beginning of the last epoch, with the names of its rows and columns.
    certificate_ : Certificate
        Why the network's steps are exact up to rounding.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` had any.

    See Also
    --------
    sklearn_looped.ProgrammedSGDClassifier : Linear models.

    References
    ----------
    A. Giannou et al., "Looped Transformers as Programmable Computers", ICML 2023 (backpropagation
    of a network with one hidden layer; the block here takes any number).

    Examples
    --------
    Exclusive or, which no linear model learns:

    >>> from sklearn_looped import ProgrammedMLPClassifier
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["no", "yes", "yes", "no"]
    >>> options = {"learning_rate_init": 0.2, "n_iter_no_change": 100, "max_iter": 300}
    >>> model = ProgrammedMLPClassifier((4,), "tanh", random_state=0, **options).fit(X, y)
    >>> model.predict(X).tolist()
    ['no', 'yes', 'yes', 'no']
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Run one epoch over the rows, continuing from the previous call.

        `predict` then starts from there too: its `n_loops` counts the loops over these rows only.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, scaled as in the previous calls.
        y : array-like of shape (n_samples,)
            Labels, all among the classes.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the samples in the mean loss of a batch; not negative. None: 1.
        classes : array-like of shape (n_classes,) or None, default=None
            All labels that any call will contain; required in the first call.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or the classes are not valid, or `early_stopping` is set; if the descent
            diverges.
        """
        fitted = copy(self)
        samples, labels = fitted._validate_part(X, y, classes)
        take_over(self, fitted._partial_fit(samples, fitted._encode(labels), sample_weight))
        return self

    def _validate_training(self, X: Any, y: Any, reset: bool = True) -> tuple[NDArray, NDArray]:
        X, labels = self._validate_classes(X, y)
        known = getattr(self, "_labels", self.classes_) if self.warm_start else self.classes_
        if not np.array_equal(known, self.classes_):
            raise ValueError(
                f"Got classes {self.classes_}, but the previous fit had {known}; set "
                "warm_start=False."
            )
        return X, self._encode(labels)

    def _encode(self, labels: NDArray) -> NDArray:
        """One column of 0 and 1 for two classes, one a class for more."""
        if len(self.classes_) == 2:
            self.out_activation_ = "logistic"
            return labels[:, None].astype(np.float64)
        self.out_activation_ = "softmax"
        return np.eye(len(self.classes_))[labels]

    def _keep(self, learners: Sequence[MLPLearner]) -> None:
        super()._keep(learners)
        self._labels = self.classes_

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Run the queries through the transformer.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        probabilities : ndarray of shape (n_queries, n_classes)
            One column per class; rows sum to 1.
        """
        return _both(self._answer(X))

    def predict(self, X: ArrayLike) -> NDArray:
        """Most probable class.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        labels : ndarray of shape (n_queries,)
            Predicted labels.
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def staged_predict_proba(self, X: ArrayLike) -> Iterator[NDArray]:
        """Probabilities after each epoch, up to `n_loops`, each of one more pass over the queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Yields
        ------
        probabilities : ndarray of shape (n_queries, n_classes)
            Those after the number of loops in `stages_`.
        """
        yield from map(_both, self._staged_answers(X))

    def staged_predict(self, X: ArrayLike) -> Iterator[NDArray]:
        """Labels after each epoch, up to `n_loops`.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Yields
        ------
        labels : ndarray of shape (n_queries,)
            Those after the number of loops in `stages_`.
        """
        for probabilities in self.staged_predict_proba(X):
            yield self.classes_[probabilities.argmax(axis=1)]


def _both(answers: dict[str, NDArray]) -> NDArray:
    """Probabilities of all classes; two of them have one output."""
    outputs = answers["prediction"]
    return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs
