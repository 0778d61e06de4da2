"""AlgoFormer's three constructions: a regression, a sequence, a chain of thought in context."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array
from sklearn.utils.validation import check_X_y

from sklearn_looped.core.arrays import Array, refuse_masked
from sklearn_looped.programmed.algorithms.algoformer.host import (
    Learning,
    Method,
    check_numbers,
    generate,
)


def regress(
    X: ArrayLike,
    y: ArrayLike,
    X_query: ArrayLike,
    *,
    step_size: float,
    weights: Sequence[ArrayLike] = (),
    slope: float = 0.1,
    method: Method = "descent",
    n_loops: int = 1,
) -> Array:
    r"""Regression on a representation: :math:`y = A\,\Phi(x)` with A learned in context.

    The prompt is :math:`x_1, y_1, \ldots, x_n, y_n` and, for each query, :math:`x_q` and a token
    for its answer. The block before the loop copies each token to the next one and computes the
    leaky ReLU network :math:`\Phi` of the copy in its feed-forward nets; the loop is gradient
    descent from A = 0 on :math:`\tfrac{1}{2n} \sum_i |y_i - A\,\Phi(x_i)|^2`, or Newton's method,
    one layer of linear attention; the block after it writes the predictions into the tokens of
    the answers.

    Let :math:`\mu_i` be the eigenvalues of :math:`\tfrac{\eta}{n} \sum_i \Phi(x_i)\Phi(x_i)^\top`
    that are not 0, :math:`\eta` the step size, and :math:`A^*` the least-squares solution of
    smallest norm. After t loops, up to rounding,

    .. math:: |A_t \Phi(x) - A^* \Phi(x)| \le \|A^*\|_2\, \|\Phi(x)\|\, \max_i \rho_i,

    with :math:`\rho_i = |1 - \mu_i|^t` for descent, and for Newton's method with
    :math:`\rho_i = \prod_{k<t} |1 - \mu_{i,k}|,\; \mu_{i,0} = \mu_i,\;
    \mu_{i,k+1} = \mu_{i,k} (3 - \mu_{i,k})^2 / 4`: each step whitens the representation, so the
    error is squared by a loop in the end (the steps of
    `sklearn_looped.programmed.algorithms.descent`). All reads are one-hot and no product is
    approximated, so the iterates are those of the formulas up to rounding: 1e-12 of the largest
    prediction. Whitening amplifies rounding: Newton's are off by up to
    :math:`10^{-14} \kappa` where the condition number :math:`\kappa` of the rows
    :math:`\Phi(x_i)` is above 100.

    The host loads the prompt with positions, what is known, and
    :math:`\sqrt{\eta / n}`; it reads the predictions and, before the loop, the eigenvalues, to
    refuse a step size that diverges.

    Parameters
    ----------
    X : array-like of shape (n, d)
    y : array-like of shape (n,) or (n, n_targets)
    X_query : array-like of shape (n_query, d)
    step_size : float
        :math:`\eta`. All :math:`\mu_i` must be below 2, for Newton's method below 3.
    weights : sequence of array-like of shape (m_in, m_out), default=()
        Matrices W of the layers :math:`s \mapsto \sigma(s W)` of :math:`\Phi`, the first with
        m_in = d. Without any it is linear regression.
    slope : float, default=0.1
        Slope of :math:`\sigma` below 0.
    method : {"descent", "newton"}, default="descent"
    n_loops : int, default=1

    Returns
    -------
    predictions : ndarray of shape (n_loops, n_query) or (n_loops, n_query, n_targets)
        After each loop.

    Raises
    ------
    ValueError
        If the data are not finite, shapes do not fit, a parameter is out of its range, the step
        size diverges on these data, or products or predictions are beyond the range of float64.

    References
    ----------
    Y. Gao et al., "AlgoFormer: An Efficient Transformer Framework with Algorithmic Structures",
    TMLR 2025: regression with representation.

    Examples
    --------
    >>> from sklearn_looped.programmed import algoformer
    >>> X, y, W = [[1.0], [-2.0], [3.0]], [1.9, 1.6, 5.7], [[1.0, -1.0]]
    >>> options = {"step_size": 0.25, "weights": [W], "method": "newton", "n_loops": 12}
    >>> algoformer.regress(X, y, [[-1.0]], **options)[-1].round(9)  # A = (2, 1)
    array([0.8])
    """
    refuse_masked(X=X, y=y, X_query=X_query)
    x, targets = check_X_y(X, y, multi_output=True, y_numeric=True, dtype=np.float64)
    queries = check_array(X_query, dtype=np.float64, input_name="X_query")
    _check_columns(queries, x.shape[1])
    single, targets = targets.ndim == 1, targets.reshape(len(x), -1)
    c = max(x.shape[1], targets.shape[1])
    matrices = _check_weights(weights, x.shape[1])
    matrices = [_padded(matrices[0].T, c).T, *matrices[1:]] if matrices else []
    rows = np.stack([_padded(x, c), _padded(targets, c)], 1)
    asked = np.stack([_padded(queries, c), np.zeros((len(queries), c))], 1)
    learning = Learning(slope, step_size, method, n_loops)
    value = np.concatenate([rows, asked]).reshape(-1, c)
    answers = np.zeros(len(value), dtype=bool)
    answers[2 * len(x) + 1 :: 2] = True
    code = np.tile([[0.0], [1.0]], (len(value) // 2, 1))
    _, by_loop = generate(value, answers, code, len(x), learning, weights=matrices)
    return by_loop[:, answers, 0] if single else by_loop[:, answers, : targets.shape[1]]


def autoregress(
    sequence: ArrayLike,
    *,
    order: int,
    step_size: float,
    n_ahead: int = 1,
    weights: Sequence[ArrayLike] = (),
    slope: float = 0.1,
    method: Method = "descent",
    n_loops: int = 1,
) -> Array:
    r"""Continue a sequence: :math:`x_t = A\,\Phi(x_{t-1}, \ldots, x_{t-q})`, A learned in context.

    Before the loop, q heads copy to each token the q tokens before it, whose positions are its
    own turned on a circle; what follows is the network of `regress`, with the tokens that have q
    predecessors as its examples. After the loop the prediction becomes the value of the next
    token, and the three blocks run again for the one behind it. Predictions do not become
    examples.

    Each prediction is within the bounds of `regress`, given the values before it, with the windows
    as :math:`x_i` and n the number of examples.

    Parameters
    ----------
    sequence : array-like of shape (n_known,) or (n_known, c)
        The past, the latest last.
    order : int
        q, below n_known.
    step_size : float
        As in `regress`.
    n_ahead : int, default=1
        How many values to predict, one after another.
    weights : sequence of array-like of shape (m_in, m_out), default=()
        As in `regress`, the first with m_in = q * c: a window is the latest value first.
    slope, method
        As in `regress`.
    n_loops : int, default=1
        Loops for each value.

    Returns
    -------
    future : ndarray of shape (n_ahead,) or (n_ahead, c)

    Raises
    ------
    ValueError
        As `regress`, or if the sequence is no longer than the order.

    References
    ----------
    Y. Gao et al., "AlgoFormer: An Efficient Transformer Framework with Algorithmic Structures",
    TMLR 2025: AR(q) with representation.

    Examples
    --------
    >>> from sklearn_looped.programmed import algoformer
    >>> fibonacci = [1.0, 1.0, 2.0, 3.0, 5.0, 8.0]
    >>> options = {"order": 2, "step_size": 0.05, "method": "newton", "n_loops": 25}
    >>> algoformer.autoregress(fibonacci, n_ahead=3, **options).round(6)
    array([13., 21., 34.])
    """
    refuse_masked(sequence=sequence)
    past = check_array(sequence, dtype=np.float64, ensure_2d=False, input_name="sequence")
    single, past = past.ndim == 1, past.reshape(len(past), -1)
    check_numbers(order=order, n_ahead=n_ahead)
    n, c = past.shape
    if n <= order:
        raise ValueError(f"Got a sequence of {n} values, but order={order} takes more than that.")
    matrices = _check_weights(weights, order * c)
    learning = Learning(slope, step_size, method, n_loops)
    value = np.concatenate([past, np.zeros((n_ahead, c))])
    code = np.concatenate([np.ones((n, n_ahead)), np.eye(n_ahead)])
    asked = np.arange(len(value)) >= n
    found, _ = generate(value, asked, code, n - order, learning, order=order, weights=matrices)
    return found[n:, 0] if single else found[n:]


def chain_of_thought(
    states: ArrayLike,
    X_query: ArrayLike,
    *,
    step_size: float,
    slope: float = 0.1,
    method: Method = "descent",
    n_loops: int = 1,
) -> Array:
    r"""Chains through a network, :math:`s_l = \sigma(W_l s_{l-1})`, its layers learned in context.

    The prompt shows the input and the outputs of all layers of each example, and the input of each
    query. To predict :math:`s_l` of the queries, the block before the loop takes the tokens of
    layer l as examples, reads each one's predecessor, and inverts the leaky ReLU of the targets;
    the loop fits :math:`W_l` as in `regress`; the block after it applies :math:`\sigma` and writes
    the queries' next states. The chain grows by a layer each time that the three blocks run.

    Bounds are those of `regress` for :math:`W_l s_{l-1}`, and :math:`\sigma` makes no error larger.

    Parameters
    ----------
    states : array-like of shape (n, n_layers + 1, m)
        Inputs and outputs of all layers.
    X_query : array-like of shape (n_query, m)
    step_size : float
        As in `regress`, for every layer.
    slope : float, default=0.1
        Slope of :math:`\sigma` below 0; 1: linear layers.
    method : {"descent", "newton"}, default="descent"
    n_loops : int, default=1
        Loops for each layer.

    Returns
    -------
    chains : ndarray of shape (n_query, n_layers, m)
        Outputs of all layers, each from the predicted output of the one before it.

    Raises
    ------
    ValueError
        As `regress`, or if the states are not those of chains.

    References
    ----------
    Y. Gao et al., "AlgoFormer: An Efficient Transformer Framework with Algorithmic Structures",
    TMLR 2025: chain of thought with an MLP.

    Examples
    --------
    >>> from sklearn_looped.programmed import algoformer
    >>> chains = [[[1.0], [2.0], [-0.2]], [[-3.0], [-0.6], [0.6]]]  # weights 2 and -1
    >>> options = {"step_size": 0.25, "method": "newton", "n_loops": 15}
    >>> algoformer.chain_of_thought(chains, [[5.0]], **options).round(9).ravel()
    array([10., -1.])
    """
    refuse_masked(states=states, X_query=X_query)
    given = check_array(states, dtype=np.float64, allow_nd=True, input_name="states")
    if given.ndim != 3 or given.shape[1] < 2:
        raise ValueError(
            f"Got states of shape {given.shape}, but expected (n, n_layers + 1, m): the input and "
            "the outputs of one layer or more."
        )
    queries = check_array(X_query, dtype=np.float64, input_name="X_query")
    n, length, m = given.shape
    _check_columns(queries, m)
    asked = np.zeros((len(queries), length, m))
    asked[:, 0] = queries
    learning = Learning(slope, step_size, method, n_loops)
    value = np.concatenate([given, asked])
    code = np.tile(np.eye(length)[:, 1:], (len(value), 1))
    answers = np.zeros((len(value), length), dtype=bool)
    answers[n:, 1:] = True
    tokens = value.reshape(-1, m)
    found, _ = generate(tokens, answers.ravel(), code, n, learning, activation=slope)
    return found.reshape(value.shape)[n:, 1:]


def _check_columns(queries: Array, d: int) -> None:
    if queries.shape[1] != d:
        raise ValueError(
            f"Got X_query of {queries.shape[1]} columns, but the examples have {d}; give the same."
        )


def _check_weights(weights: Sequence[ArrayLike], d: int) -> list[Array]:
    """Matrices of a representation of d inputs."""
    matrices = []
    for i, W in enumerate(weights):
        refuse_masked(**{f"weights[{i}]": W})
        matrices.append(check_array(W, dtype=np.float64, input_name=f"weights[{i}]"))
        if matrices[-1].shape[0] != d:
            raise ValueError(
                f"Got weights[{i}] of {matrices[-1].shape[0]} rows, but its input has {d} entries."
            )
        d = matrices[-1].shape[1]
    return matrices


def _padded(columns: Array, width: int) -> Array:
    """Columns of zeros behind the given ones."""
    return np.pad(columns, ((0, 0), (0, width - columns.shape[1])))
