"""Regression by a neural network trained inside a programmed looped transformer."""

from collections.abc import Iterator
from copy import copy
from typing import Any, Self

from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils.validation import column_or_1d

from sklearn_looped.estimators.fitting import take_over
from sklearn_looped.estimators.neural_network.base import ProgrammedMLP
from sklearn_looped.estimators.validation import validate_numbers


class ProgrammedMLPRegressor(RegressorMixin, ProgrammedMLP):
    r"""Network trained by backpropagation inside a looped transformer of constructed weights.

    Samples, queries and the units of the network are tokens of one sequence; one block of fixed
    weights is applied to it again and again, and every pass takes one sample forward and backward.
    Parameters have the names, meanings and defaults of
    :class:`~sklearn.neural_network.MLPRegressor` with ``solver="sgd"``, and the trained weights are
    the same up to rounding.

    `fit` keeps the samples. `predict` runs `n_loops` loops over samples and queries and reads the
    predictions off the queries' tokens; `n_loops` is read there, so changing it needs no new fit.
    Queries act on nothing, so `fit` runs ahead, and the fast evaluation of `predict` resumes from
    what it left; ``evaluation="dense"`` runs everything again. `coefs_` and `intercepts_` say what
    the loops of `fit` computed; changing them by hand changes no prediction.

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
    coefs_ : list of ndarray of shape (n_units_in, n_units_out)
        Weights, one array per layer.
    intercepts_ : list of ndarray of shape (n_units_out,)
        Intercepts, one array per layer.
    loss_curve_ : list of float
        Mean over each epoch of half the squared error and penalty, of every sample before its
        step, from the outputs and squared weights that the transformer recorded.
    loss_ : float
        Last value of `loss_curve_`.
    best_loss_ : float or None
        Lowest value of `loss_curve_`; None with `early_stopping`.
    validation_scores_ : list of float or None
        Score on the rows held out after each epoch, R2; None without `early_stopping`.
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
    out_activation_ : "identity"
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
    sklearn_looped.ProgrammedSGDRegressor : Linear models.

    References
    ----------
    A. Giannou et al., "Looped Transformers as Programmable Computers", ICML 2023 (backpropagation
    of a network with one hidden layer; the block here takes any number).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped import ProgrammedMLPRegressor
    >>> X = np.linspace(-2, 2, 30)[:, None]
    >>> y = X[:, 0] ** 2
    >>> model = ProgrammedMLPRegressor((8,), batch_size=5, learning_rate_init=0.05, random_state=0)
    >>> model.fit(X, y).n_loops_, model.certificate_.error_bound
    (2160, 0.0)
    >>> model.predict([[1.0]]).round(1)
    array([1.])
    >>> model.set_params(n_loops=30).predict([[1.0]]).round(1)  # after one epoch
    array([2.4])
    """

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Run one epoch over the rows, continuing from the previous call.

        `predict` then starts from there too: its `n_loops` counts the loops over these rows only.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, scaled as in the previous calls.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the samples in the mean loss of a batch; not negative. None: 1.

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
        arrays = fitted._validate_training(X, y, reset=not hasattr(self, "coefs_"))
        take_over(self, fitted._partial_fit(*arrays, sample_weight))
        return self

    def _validate_training(self, X: Any, y: Any, reset: bool = True) -> tuple[NDArray, NDArray]:
        X, y = validate_numbers(self, X, y, reset=reset, multi_output=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self.out_activation_ = "identity"
        return X, y.reshape(len(X), -1)

    def predict(self, X: ArrayLike) -> NDArray:
        """Run `n_loops` loops over samples and queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        y : ndarray of shape (n_queries,) or (n_queries, n_outputs)
            Predicted targets.
        """
        return self._shaped(self._answer(X))

    def staged_predict(self, X: ArrayLike) -> Iterator[NDArray]:
        """Predictions after each epoch, up to `n_loops`, each of one more pass over the queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Yields
        ------
        y : ndarray of shape (n_queries,) or (n_queries, n_outputs)
            Predicted targets after the number of loops in `stages_`; the last are those of
            `predict`.
        """
        yield from map(self._shaped, self._staged_answers(X))

    def _shaped(self, answers: dict[str, NDArray]) -> NDArray:
        outputs = answers["prediction"]
        return outputs[:, 0] if self.n_outputs_ == 1 else outputs
