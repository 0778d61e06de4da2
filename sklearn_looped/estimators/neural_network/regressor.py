"""Regression by a neural network trained inside a programmed looped transformer."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import column_or_1d, validate_data

from sklearn_looped.estimators.neural_network.base import ProgrammedMLP


class ProgrammedMLPRegressor(RegressorMixin, ProgrammedMLP):
    r"""Sigmoid network trained by backpropagation inside a looped transformer written by hand.

    The samples and the units of the network are tokens of a sequence, the *punchcard*; one block of
    fixed weights is applied to it again and again, and every pass is one step, forward and
    backward, of ``MLPRegressor(activation="logistic", solver="sgd", batch_size=1, momentum=0)``:
    :class:`~sklearn.neural_network.MLPRegressor`'s parameters have the same names and meanings
    here, and the weights come out the same. `predict` puts the queries on a punchcard as samples
    with steps of size 0, and reads their outputs from the same transformer.

    The transformer does all arithmetic of a step: activations, error, deltas, penalty, update,
    and the sum of squared weights that the loss needs. Its own weights depend on the declared sizes
    of network and sequence alone. The host, plain Python, draws the initial weights and punches,
    for each epoch, the visiting order, the step size and the decay; between epochs it adds up the
    losses of the recorded outputs for the stopping rule; and it stops a descent that diverges.
    Products, sums and sigmoids round as floating-point arithmetic does, so weights differ from
    scikit-learn's by rounding only, about 1e-14 after thousands of steps. Weight matrices grow with
    the square of the number of features and units, which should stay below some hundreds.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(16,)
        Number of units in each hidden layer; any number of layers, but at least one.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights, intercepts excepted.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        Step size of an epoch: ``learning_rate_init``; ``learning_rate_init / (t + 1)**power_t``
        after t steps; ``learning_rate_init``, divided by 5 each time the loss stalls.
    learning_rate_init : float, default=0.05
        Initial step size, for one sample; scikit-learn's 0.001 is for Adam on batches.
    power_t : float, default=0.5
        Exponent of "invscaling".
    max_iter : int, default=200
        Cap on the number of epochs.
    shuffle : bool, default=True
        Whether to shuffle the samples before each epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights and of the shuffle, drawn as scikit-learn draws them.
    tol : float, default=1e-4
        An epoch whose loss is not below the best one less `tol` is one without improvement.
    n_iter_no_change : int or inf, default=10
        Stop after more than so many epochs in a row without improvement.

    Attributes
    ----------
    coefs_ : list of ndarray of shape (n_units_in, n_units_out)
        Weights, one array a layer.
    intercepts_ : list of ndarray of shape (n_units_out,)
        Intercepts, one array a layer.
    loss_curve_ : list of float
        Mean over each epoch of half the squared error and penalty, of every sample before its
        step, from the outputs and squared weights that the transformer recorded.
    n_iter_ : int
        Epochs run.
    n_loops_ : int
        Loops run, one a sample and epoch.
    n_layers_ : int
        Number of layers, input and output included.
    n_outputs_ : int
        Number of outputs.
    out_activation_ : "identity"
        What the outputs are passed through.
    block_ : MLPBlock
        The loop body.
    punchcard_ : Tape
        Names of columns and rows, and the initial state of the last epoch.
    certificate_ : Certificate
        Why the result is exact.
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
    >>> model = ProgrammedMLPRegressor((8,), learning_rate_init=0.2, random_state=0).fit(X, y)
    >>> model.n_loops_, model.certificate_.error_bound
    (1830, 0.0)
    >>> model.predict([[1.0]]).round(1)
    array([1.])
    """

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _validate_training(self, X: Any, y: Any) -> tuple[NDArray, NDArray]:
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self.out_activation_ = "identity"
        return X, y.astype(np.float64).reshape(len(X), -1)

    def predict(self, X: ArrayLike) -> NDArray:
        """Run the queries through the transformer.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        y : ndarray of shape (n_queries,) or (n_queries, n_outputs)
            Predicted targets.
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if self.n_outputs_ == 1 else outputs
