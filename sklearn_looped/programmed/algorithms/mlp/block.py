"""The MLP block: one pass of the loop body is one step of backpropagation and gradient descent."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.epochs import Lane, TrainingBlock
from sklearn_looped.programmed.algorithms.mlp.layers import (
    Activation,
    Design,
    Momentum,
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
    velocity : Network or None, default=None
        What momentum keeps of the steps before. None: 0.
    """

    coefs: Sequence[Array]
    intercepts: Sequence[Array]
    velocity: "Network | None" = None

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
    r"""Loop body of fixed weights that backpropagates one sample of a network a pass.

    Every unit of the network, input, hidden or output, is a token. It holds its incoming weights
    :math:`w_k`, its bias and a one-hot code :math:`e_k` of its place in its layer. A *data* token
    is a sample (x, y) with a pointer to the next one, a linked list, and with the numbers of its
    step: the weight of its error, the step size :math:`\eta` and the decay
    :math:`\gamma = \eta\alpha`, both 0 except at the end of a batch. The *register* token holds the
    pointer and the sample of the moment. Linear attention between two layers of units is a product
    with their weight matrix, its transpose, or an outer product:

    - forward, :math:`z_k = b_k + \sum_j (w_k^\top e_j)\, a_j`;
    - backward, :math:`\sum_k (e_j^\top w_k)\, \delta_k`;
    - gradient, :math:`g_k \leftarrow g_k + \sum_j (\delta_k a_j)\, e_j`;
    - at the end of a batch :math:`w_k \leftarrow w_k - \eta g_k - \gamma w_k`, or the same of a
      velocity, which is then added, as momentum has it; :math:`g_k \leftarrow 0`.

    So no weight has to be transposed or moved. The sigmoid is a softmax over two keys, tanh is one
    too, the softmax of several classes one over the output tokens; rectifiers and products on one
    token are hidden units. All of it rounds as floating-point arithmetic does, nothing is
    approximated.

    *Query* tokens hold features and their own activations. In the same forward layers they attend
    to the units, before the weights move. Nothing attends to a query.

    This is the backpropagation of Giannou et al. 2023 as a block of its own: one loop a sample and
    3m + 6 layers for any number m of hidden layers of sigmoids, 2m + 6 of rectifiers, and one more
    with momentum, where theirs is a program of many loops on a machine of 13 layers, for m = 1.

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
    activation : {"identity", "logistic", "tanh", "relu"}, default="logistic"
        That of the hidden units.
    momentum : {"none", "plain", "nesterov"}, default="none"
        Whether steps are taken with a velocity. Its strength, like every number, stands on the
        tape.

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

    def __init__(
        self,
        layer_sizes: Sequence[int],
        n_bits: int,
        output: OutputActivation,
        activation: Activation = "logistic",
        momentum: Momentum = "none",
    ) -> None:
        if len(layer_sizes) < 3:
            raise ValueError(f"Got layer sizes {list(layer_sizes)}, expected a hidden layer.")
        if output == "logistic" and layer_sizes[-1] != 1:
            raise ValueError(f"Got {layer_sizes[-1]} logistic outputs, expected one.")
        self.layer_sizes, self.n_bits = tuple(layer_sizes), n_bits
        self.side_by_side = False
        # One kind of token for each layer of the network, in order.
        hidden = [f"hidden{i}" for i in range(1, len(layer_sizes) - 1)]
        self.kinds = ("input", *hidden, "output")
        self.design = Design(self.kinds, activation, output, momentum)
        fields = mlp_fields(self.layer_sizes, self.design, n_bits)
        names = ("one", "register", "null", "constant", *self.kinds, "query", "position", "pointer")
        bounds = {**dict.fromkeys(names, 1.0), "in_next": 2.0, "next": 2.0}
        bounds |= {f"code{i}": 1.0 for i in range(len(self.kinds))}
        super().__init__(fields, mlp_layers(fields, self.design), bounds)

    def tokens(self, n_samples: int, n_queries: int = 0) -> Layout:
        """Kinds of token of a sequence with so many samples and queries."""
        units = dict(zip(self.kinds, self.layer_sizes, strict=True))
        return Layout(register=1, **units, null=1, constant=1, data=n_samples, query=n_queries)

    def punch_samples(
        self,
        samples: tuple[Array, Array],
        lanes: Sequence[Lane],
        queries: Array | None = None,
    ) -> Tape:
        """Tape with the samples (X, y) and queries, and room for a network.

        Targets are of shape (n_samples, n_outputs), classes in one-hot form; a single column of 0
        and 1 for a logistic output.
        """
        X, y = samples
        asked = np.empty((0, self.layer_sizes[0])) if queries is None else queries
        sizes = enumerate(zip(self.kinds, self.layer_sizes, strict=True))
        columns = {kind: {f"code{i}": np.eye(n)} for i, (kind, n) in sizes}
        columns |= {"data": {"x": X, "y": y}, "query": {"a0": asked}}
        return self.load(self.tokens(len(X), len(asked)), named=("data",), **columns)

    def punch_lanes(self, tape: Tape, lanes: Sequence[Lane]) -> None:
        """Write the network of the only lane, its order and its steps on the tape.

        The weight of a sample is 1 where the lane has none.

        Raises
        ------
        ValueError
            If the network is not of the block's sizes.
        """
        (lane,) = lanes
        network: Network = lane.memory
        if (sizes := network.layer_sizes) != self.layer_sizes:
            raise ValueError(f"Got a network of {sizes}, expected {self.layer_sizes}.")
        self._write(tape, network, "w")
        if network.velocity is not None:
            self._write(tape, network.velocity, "v")
        codes = tape.read("data", "position")[lane.order]
        # What to add to a pointer to a sample, to point to the next one; behind the last to none.
        following = np.zeros((tape.tokens.size("data"), self.n_bits))
        following[lane.order] = np.diff(codes, axis=0, append=0)
        numbers = np.zeros((len(following), 1))
        for name in ("weight", *self.design.scalars):
            numbers[lane.order, 0] = lane.steps.get(name, float(name == "weight"))
            tape.write("data", **{name: numbers})
        tape.write("data", next=following)
        tape.write("register", pointer=codes[0] if len(codes) else 0.0)

    def run_lanes(self, tape: Tape, lanes: Sequence[Lane]) -> list["EpochRecord"]:
        """Run a tape, one loop a sample.

        Parameters
        ----------
        tape : Tape
            What `punch` made.
        lanes : sequence of one Lane

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
        >>> lanes = [Lane(network, np.array([0]), {"step": 0.5, "end": 1.0})]
        >>> tape = block.punch((np.array([[2.0]]), np.array([[3.0]])), lanes)
        >>> (record,) = block.run_lanes(tape, lanes)
        >>> record.network.coefs[1], record.network.intercepts[1]
        (array([[0.75]]), array([1.5]))
        """
        (lane,) = lanes
        end, _ = self.run(tape, len(lane.order))
        network = self._network(end, "w")
        if self.design.momentum != "none":
            network = replace(network, velocity=self._network(end, "v"))
        squares = end.read("data", "seen_squares")[:, 0]
        return [EpochRecord(network, end.read("data", "seen_prediction"), squares)]

    def answer(
        self,
        memories: Sequence[Network],
        queries: Array,
        samples: tuple[Array, Array] | None = None,
    ) -> dict[str, Array]:
        """Predictions of queries by a network that is through: one pass, which moves no weight.

        Parameters
        ----------
        memories : sequence of one Network
        queries : ndarray of shape (n_queries, n_features)
        samples : tuple of ndarray or None, default=None
            Further tokens of the sequence. They cannot act on a query.

        Returns
        -------
        answers : dict
            ``"prediction"`` of shape (n_queries, n_outputs).
        """
        if samples is None:
            sizes = self.layer_sizes
            samples = np.empty((0, sizes[0])), np.empty((0, sizes[-1]))
        lanes = [Lane(memory, np.empty(0, dtype=np.intp), {}) for memory in memories]
        end, _ = self.run(self.punch(samples, lanes, queries))
        return {"prediction": end.read("query", "answer")}

    def _write(self, tape: Tape, network: Network, letter: str) -> None:
        """Write weights (w) or velocities (v) on the tokens of the units."""
        layers = zip(self.kinds[1:], network.coefs, network.intercepts, strict=True)
        for i, (kind, coef, intercept) in enumerate(layers, 1):
            tape.write(kind, **{f"{letter}{i}": coef.T, f"{letter}b": intercept[:, None]})

    def _network(self, tape: Tape, letter: str) -> Network:
        """Read weights (w) or velocities (v) off the tokens of the units."""
        layers = list(enumerate(self.kinds[1:], 1))
        return Network(
            [tape.read(kind, f"{letter}{i}").T.copy() for i, kind in layers],
            [tape.read(kind, f"{letter}b")[:, 0] for _, kind in layers],
        )
