"""The MLP block: one pass of the loop body is one step of backpropagation and gradient descent."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.utils import gen_batches

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.epochs import Lane, TrainingBlock
from sklearn_looped.programmed.algorithms.mlp.layers import (
    OutputActivation,
    mlp_fields,
    mlp_layers,
)
from sklearn_looped.programmed.transformer.block import Tape
from sklearn_looped.programmed.transformer.layout import Layout


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


@dataclass(frozen=True)
class EpochRecord:
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


class MLPBlock(TrainingBlock):
    r"""Loop body of fixed weights that takes one SGD step of a sigmoid network a pass.

    Every unit of the network, input, hidden or output, is a token. It holds its incoming weights
    :math:`w_k`, its bias and a one-hot code :math:`e_k` of its place in its layer. A *data* token
    is a sample (x, y) with a pointer to the next one, a linked list; the *register* token holds the
    pointer, the step size and the sample of the moment. Linear attention between two layers of
    units is a product with their weight matrix, its transpose, or an outer product:

    - forward, :math:`z_k = b_k + \sum_j (w_k^\top e_j)\, a_j`;
    - backward, :math:`\sum_k (e_j^\top w_k)\, \delta_k`;
    - update, :math:`w_k \leftarrow w_k - \gamma w_k - \sum_j (\delta_k a_j)\, e_j`, with
      :math:`\delta` times the step size :math:`\eta` and the decay :math:`\gamma = \eta\alpha`.

    So no weight has to be transposed or moved. The sigmoid is a softmax over two keys, the softmax
    of several classes one over the output tokens; products on one token are gated hidden units. All
    of it rounds as floating-point arithmetic does, nothing is approximated.

    This is the backpropagation of Giannou et al. 2023 as a block of its own: one loop a sample and
    3m + 6 layers for any number m of hidden layers, where theirs is a program of many loops on a
    machine of 13 layers, for m = 1.

    The certificate covers the pointer matches. The soft heads need none: their masked keys are
    `beyond_logits` away and underflow to 0 exactly.

    Parameters
    ----------
    layer_sizes : sequence of int
        Numbers of features, of units in each hidden layer, and of outputs; three or more.
    n_bits : int
        Bits L of a position: the sequence has at most 2**L tokens.
    output : {"identity", "logistic", "softmax"}
        What the outputs are passed through. Its loss, half the squared error or the log loss, has
        the derivative :math:`o - y` by the logits. "logistic" is for a single output.

    Attributes
    ----------
    fields : Layout
        Fields of a token.
    layers : list of Layer
        The loop body.
    certificate : Certificate

    Raises
    ------
    ValueError
        If there is no hidden layer, or several logistic outputs.

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.mlp import MLPBlock
    >>> block = MLPBlock([4, 16, 1], 10, "identity")
    >>> len(block.layers), block.certificate.logit_margin
    (9, 1024.0)
    """

    def __init__(self, layer_sizes: Sequence[int], n_bits: int, output: OutputActivation) -> None:
        if len(layer_sizes) < 3:
            raise ValueError(f"Got layer sizes {list(layer_sizes)}, expected a hidden layer.")
        if output == "logistic" and layer_sizes[-1] != 1:
            raise ValueError(f"Got {layer_sizes[-1]} logistic outputs, expected one.")
        self.layer_sizes, self.n_bits = tuple(layer_sizes), n_bits
        self.side_by_side = False
        # One kind of token for each layer of the network, in order.
        hidden = [f"hidden{i}" for i in range(1, len(layer_sizes) - 1)]
        self.kinds = ("input", *hidden, "output")
        fields = mlp_fields(self.layer_sizes, self.kinds, n_bits)
        names = ("one", "register", "null", "constant", *self.kinds, "position", "pointer")
        bounds = {**dict.fromkeys(names, 1.0), "in_next": 2.0, "next": 2.0}
        bounds |= {f"code{i}": 1.0 for i in range(len(self.kinds))}
        super().__init__(fields, mlp_layers(fields, self.kinds, output), bounds)

    def tokens(self, n_samples: int) -> Layout:
        """Kinds of token of a sequence with so many samples."""
        units = dict(zip(self.kinds, self.layer_sizes, strict=True))
        return Layout(register=1, **units, null=1, constant=1, data=n_samples)

    def punch_samples(self, samples: tuple[Array, Array], lanes: Sequence[Lane]) -> Tape:
        """Tape with the samples (X, y), and room for a network.

        Targets are of shape (n_samples, n_outputs), classes in one-hot form; a single column of 0
        and 1 for a logistic output.
        """
        X, y = samples
        sizes = enumerate(zip(self.kinds, self.layer_sizes, strict=True))
        codes = {kind: {f"code{i}": np.eye(n)} for i, (kind, n) in sizes}
        return self.load(self.tokens(len(X)), named=("data",), data={"x": X, "y": y}, **codes)

    def punch_lanes(self, tape: Tape, lanes: Sequence[Lane]) -> None:
        """Write the network of the only lane, its order and its step on the tape.

        Raises
        ------
        ValueError
            If the network is not of the block's sizes.
        """
        (lane,) = lanes
        network: Network = lane.memory
        if (sizes := network.layer_sizes) != self.layer_sizes:
            raise ValueError(f"Got a network of {sizes}, expected {self.layer_sizes}.")
        layers = zip(self.kinds[1:], network.coefs, network.intercepts, strict=True)
        for i, (kind, coef, intercept) in enumerate(layers, 1):
            columns = {f"w{i}": coef.T, "b": intercept[:, None]}
            tape.write(kind, decay=lane.steps.get("decay", 0.0), **columns)
        codes = tape.read("data", "position")[lane.order]
        # What to add to a pointer to a sample, to point to the next one; behind the last to none.
        following = np.empty_like(codes)
        following[lane.order] = np.diff(codes, axis=0, append=0)
        tape.write("data", next=following)
        tape.write("register", pointer=codes[0], eta=lane.steps.get("eta", 0.0))

    def run_lanes(
        self, tape: Tape, lanes: Sequence[Lane], evaluation: str = "fast"
    ) -> list["EpochRecord"]:
        """Run a tape, one loop a sample.

        Parameters
        ----------
        tape : Tape
            What `punch` made.
        lanes : sequence of one Lane
        evaluation : {"dense", "fast"}, default="fast"
            See `LoopedTransformer.run`.

        Returns
        -------
        records : list of one EpochRecord

        Examples
        --------
        One step of size 1/2 towards y = 3 at x = 2, of a network whose weights are all 0. The
        hidden unit is 1/2, so its outgoing weight moves by 3/4 and the intercept of the output by
        3/2:

        >>> import numpy as np
        >>> from sklearn_looped.programmed.algorithms.mlp import Lane, MLPBlock, Network
        >>> block = MLPBlock([1, 1, 1], 10, "identity")
        >>> network = Network([np.zeros((1, 1))] * 2, [np.zeros(1)] * 2)
        >>> lanes = [Lane(network, np.array([0]), {"eta": 0.5})]
        >>> tape = block.punch((np.array([[2.0]]), np.array([[3.0]])), lanes)
        >>> (record,) = block.run_lanes(tape, lanes)
        >>> record.network.coefs[1], record.network.intercepts[1]
        (array([[0.75]]), array([1.5]))
        """
        end, _ = self.run(tape, tape.tokens.size("data"), evaluation=evaluation)
        layers = list(enumerate(self.kinds[1:], 1))
        network = Network(
            [end.read(kind, f"w{i}").T.copy() for i, kind in layers],
            [end.read(kind, "b")[:, 0] for _, kind in layers],
        )
        squares = end.read("data", "seen_squares")[:, 0]
        return [EpochRecord(network, end.read("data", "seen_prediction"), squares)]

    def predict(self, network: Network, X: Array) -> Array:
        """Compute outputs for queries: visits with a step of size 0.

        Returns
        -------
        outputs : ndarray of shape (n_queries, n_outputs)
        """
        outputs = []
        for rows in gen_batches(len(X), 2**self.n_bits - n_tokens(self.layer_sizes, 0)):
            queries, y = X[rows], np.zeros((len(X[rows]), self.layer_sizes[-1]))
            lanes = [Lane(network, np.arange(len(queries)), {})]
            (record,) = self.run_lanes(self.punch((queries, y), lanes), lanes)
            outputs.append(record.prediction)
        return np.concatenate(outputs)
