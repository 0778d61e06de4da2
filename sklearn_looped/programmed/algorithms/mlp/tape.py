"""Punchcards of the MLP block: a network and samples in, the network trained on them out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_looped.programmed.algorithms.mlp.block import MLPBlock
from sklearn_looped.programmed.algorithms.sgd import Punchcard
from sklearn_looped.programmed.transformer.layout import Layout, sign_code

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Network:
    """Weights of a network, laid out as in :class:`~sklearn.neural_network.MLPRegressor`.

    Parameters
    ----------
    coefs : list of ndarray of shape (n_units_in, n_units_out)
        One a layer.
    intercepts : list of ndarray of shape (n_units_out,)
    """

    coefs: Sequence[Array]
    intercepts: Sequence[Array]

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Numbers of units, from the features to the outputs."""
        return (len(self.coefs[0]), *(len(b) for b in self.intercepts))


def n_tokens(layer_sizes: Sequence[int], n_samples: int) -> int:
    """Length of the sequence."""
    return sum(layer_sizes) + 3 + n_samples


def punch(
    block: MLPBlock,
    network: Network,
    X: Array,
    y: Array,
    order: NDArray[np.intp],
    eta: float = 0.0,
    decay: float = 0.0,
) -> Punchcard:
    """Punchcard of one visit to each sample.

    Parameters
    ----------
    block : MLPBlock
        The loop body.
    network : Network
        The weights to start from, of the block's layer sizes.
    X : ndarray of shape (n_samples, n_features)
    y : ndarray of shape (n_samples, n_outputs)
        Targets, or classes in one-hot form; a single column of 0 and 1 for a logistic output.
    order : ndarray of shape (n_samples,)
        A permutation of the samples, punched as the pointers from each to the next.
    eta, decay : float, default=0.0
        Step size, and share of its value that a weight loses in a step: eta * alpha.

    Returns
    -------
    card : Punchcard

    Raises
    ------
    ValueError
        If the network is not of the block's sizes, or there are more tokens than positions.
    """
    if network.layer_sizes != block.layer_sizes:
        raise ValueError(f"Got a network of {network.layer_sizes}, expected {block.layer_sizes}.")
    fields, tokens = block.fields, block.tokens(len(X))
    if tokens.width > 2**block.n_bits:
        raise ValueError(f"Got {tokens.width} tokens, but {block.n_bits} bits name fewer.")
    state = fields.pack(tokens.width, one=1).numpy()  # (n_tokens, width)
    _punch_network(state, block, tokens, network, decay)
    data, codes = state[tokens["data"]], sign_code(tokens.index("data"), block.n_bits)
    data[:, fields["position"]] = codes
    data[:, fields["x"]], data[:, fields["y"]] = X, y
    # What to add to a pointer to a sample, to point to the next one; behind the last to none.
    data[order, fields["next"]] = np.diff(codes[order], axis=0, append=0)
    register = state[tokens["register"].start]
    register[fields["pointer"]], register[fields.at("eta")] = codes[order[0]], eta
    return Punchcard(fields, tokens, state + 0.0)  # no negative zeros in a state


def _punch_network(
    state: Array, block: MLPBlock, tokens: Layout, network: Network, decay: float
) -> None:
    """Write the indicators of all tokens but the data, the codes and weights of the units."""
    fields = block.fields
    for kind in ("register", "null", "constant", *block.kinds):
        state[tokens[kind], fields[kind]] = 1
    for i, kind in enumerate(block.kinds):
        state[tokens[kind], fields[f"code{i}"]] = np.eye(tokens.size(kind))
    for i, (coef, intercept) in enumerate(zip(network.coefs, network.intercepts, strict=True), 1):
        layer = state[tokens[block.kinds[i]]]
        layer[:, fields[f"w{i}"]] = coef.T
        layer[:, fields.at("b")], layer[:, fields.at("decay")] = intercept, decay


@dataclass(frozen=True)
class Record:
    """What a run left behind; rows are samples, not steps.

    Parameters
    ----------
    network : Network
        The weights after the last step.
    prediction : ndarray of shape (n_samples, n_outputs)
        The outputs for each sample before its step.
    squares : ndarray of shape (n_samples,)
        Sum of all squared weights, without the intercepts, before that step.
    """

    network: Network
    prediction: Array
    squares: Array


def run(block: MLPBlock, card: Punchcard, evaluation: str = "gather") -> Record:
    """Run a punchcard, one loop a sample.

    Parameters
    ----------
    block : MLPBlock
        The loop body.
    card : Punchcard
        What `punch` made.
    evaluation : {"dense", "masked", "cached", "gather"}, default="gather"
        See `LoopedTransformer.run`.

    Returns
    -------
    record : Record

    Examples
    --------
    One step of size 1/2 towards y = 3 at x = 2, of a network whose weights are all 0. The hidden
    unit is 1/2, so its outgoing weight moves by 3/4 and the intercept of the output by 3/2:

    >>> import numpy as np
    >>> from sklearn_looped.programmed.algorithms.mlp import MLPBlock, Network, punch, run
    >>> block = MLPBlock([1, 1, 1], 10, "identity")
    >>> network = Network([np.zeros((1, 1))] * 2, [np.zeros(1)] * 2)
    >>> X, y = np.array([[2.0]]), np.array([[3.0]])
    >>> record = run(block, punch(block, network, X, y, np.array([0]), eta=0.5))
    >>> record.network.coefs[1], record.network.intercepts[1]
    (array([[0.75]]), array([1.5]))
    """
    fields, tokens = card.fields, card.tokens
    transformer = block.transformer(tokens)
    # What overflows is found in the record; see `Learner.learn`.
    with np.errstate(all="ignore"):
        for last in transformer.run(
            torch.tensor(card.state), tokens.size("data"), evaluation=evaluation
        ):
            state = last
    values = state.numpy()
    layers = [values[tokens[kind]] for kind in block.kinds]
    network = Network(
        [layer[:, fields[f"w{i}"]].T.copy() for i, layer in enumerate(layers[1:], 1)],
        [layer[:, fields.at("b")].copy() for layer in layers[1:]],
    )
    data = values[tokens["data"]]
    return Record(
        network,
        data[:, fields["seen_prediction"]].copy(),
        data[:, fields.at("seen_squares")].copy(),
    )


def predict(block: MLPBlock, network: Network, X: Array) -> Array:
    """Compute outputs for queries: visits with a step of size 0, as many a run as there is room.

    Returns
    -------
    outputs : ndarray of shape (n_queries, n_outputs)
    """
    chunk = 2**block.n_bits - n_tokens(block.layer_sizes, 0)
    outputs = []
    for start in range(0, len(X), chunk):
        part = X[start : start + chunk]
        y = np.zeros((len(part), block.layer_sizes[-1]))
        card = punch(block, network, part, y, np.arange(len(part)))
        outputs.append(run(block, card).prediction)
    return np.concatenate(outputs)
