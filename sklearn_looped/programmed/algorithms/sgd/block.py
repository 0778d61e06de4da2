"""The SGD block: one pass of the loop body is one step of stochastic gradient descent."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.epochs import Lane, TrainingBlock
from sklearn_looped.programmed.algorithms.sgd.layers import Loss, sgd_fields, sgd_stages
from sklearn_looped.programmed.algorithms.sgd.products import (
    ProductKind,
    build_layers,
    check_factors,
    error_bound,
)
from sklearn_looped.programmed.transformer.block import Tape
from sklearn_looped.programmed.transformer.layout import Layout, sign_code


@dataclass(frozen=True)
class Samples:
    """Contents of the data tokens.

    Parameters
    ----------
    x : ndarray of shape (n, n_features)
    bias : ndarray of shape (n,)
        What the intercept is multiplied by; 0 for a model without one.
    y : ndarray of shape (n,)
        Subtracted from the score: targets; 0 for labelled samples and queries.
    """

    x: Array
    bias: Array
    y: Array

    @classmethod
    def targets(cls, X: Array, y: Array, fit_intercept: bool) -> "Samples":
        """Encode a regression: the score is the residual ``w . x + b - y``."""
        return cls(X, np.full(len(X), float(fit_intercept)), y)

    @classmethod
    def margins(cls, X: Array, signs: Array, fit_intercept: bool) -> "Samples":
        """Encode labels -1 and +1: the score is the margin ``sign * (w . x + b)``."""
        return cls(X * signs[:, None], signs * float(fit_intercept), np.zeros(len(X)))

    @classmethod
    def nothing(cls, n_features: int) -> "Samples":
        """No samples."""
        return cls(np.empty((0, n_features)), np.empty(0), np.empty(0))

    def __len__(self) -> int:
        return len(self.x)


class SGDBlock(TrainingBlock):
    r"""Loop body of fixed weights that takes one SGD step a pass.

    The sequence holds *model* tokens, one null token, a *tape* and the *data*. A data token is a
    sample :math:`(x, 1, y)`, or :math:`(yx, y)` with a label :math:`y = \pm 1`. A tape token is
    one step: its step size, its shrinkage, and where the pointers go next, a linked list. A
    model token holds the weights and the registers of one machine; several of them run side by
    side. One pass does, by attention and feed-forward nets alone,

    1. read the sample and the step (two match heads); score :math:`s = w^\top x + b - y`;
    2. derivative of the loss, :math:`d = \ell'(s)`, from rectifiers, or for the log loss from a
       softmax over two keys, which is the sigmoid;
    3. :math:`w \leftarrow w - \gamma w - d\,(\eta x), \; b \leftarrow b - d\,\eta`, with the
       shrinkage :math:`\gamma = \min(1, \eta\alpha)`;
    4. write score, derivative and weights behind the step on the tape (a match head), apply the
       cumulative L1 penalty of Tsuruoka et al. 2009, update the average, clear the registers.

    *Query* tokens hold features only. In the same pass, before the weights move, they attend to
    the models: linear attention adds :math:`(w_m^\top x + b_m)\, e_m` with the one-hot code of
    model m, and for the log loss a softmax over two keys takes the sigmoids. Nothing attends to a
    query.

    This is the linear SGD of Giannou et al. 2023, Lemma 14, as a block of its own: one loop a
    sample and 4 layers for the squared error, where their program takes d instructions of 9.

    Parameters
    ----------
    n_features : int
        Number of features d.
    n_bits : int
        Bits L of a position: the sequence has at most 2**L tokens.
    loss : {"squared_error", "huber", "epsilon_insensitive", "hinge", "log_loss"}
    l1 : bool, default=False
        Whether the block applies an L1 penalty. The L2 penalty is part of every block; its
        strength, like every number, stands on the tape.
    average : bool, default=False
        Whether the block averages the weights over the steps.
    product : {"gated", "linear", "softmax"}, default="gated"
        How products are formed: by gated hidden units or by linear attention (both round as
        floating-point arithmetic does), or by a linearised softmax, with an error of
        `certificate.error_bound`. Only gated blocks run several model tokens.
    n_models : int, default=1
        Number of models that a query is answered by.

    Attributes
    ----------
    fields : Layout
        Fields of a token.
    layers : list of Layer
        The loop body.
    certificate : Certificate

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.sgd import SGDBlock
    >>> block = SGDBlock(3, 10, "squared_error")
    >>> len(block.layers), block.certificate.logit_margin
    (4, 1024.0)
    """

    def __init__(
        self,
        n_features: int,
        n_bits: int,
        loss: Loss,
        *,
        l1: bool = False,
        average: bool = False,
        product: ProductKind = "gated",
        n_models: int = 1,
    ) -> None:
        self.n_features, self.n_bits, self.product = n_features, n_bits, product
        self.side_by_side = product == "gated"
        fields = sgd_fields(n_features, n_bits, loss, l1, average, n_models)
        layers = build_layers(fields, sgd_stages(fields, loss, l1, average, product), product)
        codes = ("one", "model", "null", "unit", "query", "position", "counter", "pointer", "code")
        bounds = dict.fromkeys(codes, 1.0)
        super().__init__(fields, layers, bounds, error_bound=error_bound(product))

    def memory(self, **values: ArrayLike) -> Array:
        """Token of a model with the given fields: ``w``, ``b``, ``threshold`` and so on."""
        return self.fields.pack(1, one=1, model=1, **values)[0].numpy()

    def punch_samples(
        self, samples: Samples, lanes: Sequence[Lane], queries: Array | None = None
    ) -> Tape:
        """Tape with the samples and queries, and room for models and steps.

        Each lane has one tape token a step and one behind them, whose pointers are cleared when it
        is read: a lane that is through reads the null token and stays as it is. The record of a
        step stands on the token behind it.
        """
        n_steps = sum(len(lane.order) + 1 for lane in lanes)
        asked = np.empty((0, self.n_features)) if queries is None else queries
        tokens = Layout(
            model=len(lanes), null=1, unit=1, tape=n_steps, data=len(samples), query=len(asked)
        )
        columns = {"x": samples.x, "bias": samples.bias[:, None], "y": samples.y[:, None]}
        return self.load(tokens, named=("tape", "data"), data=columns, query={"asked": asked})

    def punch_lanes(self, tape: Tape, lanes: Sequence[Lane]) -> None:
        """Write models and steps on the tape."""
        fields, state, start = self.fields, tape.state.numpy(), tape.tokens["tape"].start
        for model, lane in zip(state, lanes, strict=False):
            visited = sign_code(tape.tokens["data"].start + lane.order, self.n_bits)
            rows = state[start : start + len(lane.order) + 1]
            codes = rows[:, fields["position"]]
            rows[:-1, fields["next_sample"]] = np.diff(visited, axis=0, append=0)
            rows[:, fields["next_step"]] = np.diff(codes, axis=0, append=0)
            for name, values in lane.steps.items():
                rows[:-1, fields.at(name)] = values
            rows += 0.0  # no negative zeros in a state
            model[:] = lane.memory + 0.0
            if len(visited):
                model[fields["pointer"]], model[fields["counter"]] = visited[0], codes[0]
            start += len(rows)

    def run_lanes(self, tape: Tape, lanes: Sequence[Lane]) -> list["LaneRecord"]:
        """Run the lanes of a tape side by side, one loop a step, each to its end.

        Parameters
        ----------
        tape : Tape
            What `punch` made of the lanes.
        lanes : sequence of Lane
            Models with their steps.

        Returns
        -------
        records : list of LaneRecord
            One for each lane.

        Raises
        ------
        ValueError
            If a linearised product was asked for more than its error bound is for.

        Examples
        --------
        One step of size 1/2 from w = 0, b = 0 towards y = 3 at x = 2:

        >>> import numpy as np
        >>> from sklearn_looped.programmed.algorithms.sgd import Lane, Samples, SGDBlock
        >>> block = SGDBlock(1, 10, "squared_error")
        >>> samples = Samples.targets(np.array([[2.0]]), np.array([3.0]), fit_intercept=True)
        >>> lanes = [Lane(block.memory(), np.array([0]), {"eta": np.array([0.5])})]
        >>> record = block.run_lanes(block.punch(samples, lanes), lanes)[0]
        >>> record.score, record.weights
        (array([-3.]), array([[3. , 1.5]]))
        """
        memories: dict[int, Array] = {}
        done = 0
        for n in sorted({len(lane.order) for lane in lanes}):
            tape, _ = self.run(tape, n - done)
            models, done = tape.state.numpy(), n
            memories |= {i: models[i].copy() for i, x in enumerate(lanes) if len(x.order) == n}
        targets, first, records = tape.read("data", "y")[:, 0], 1, []
        seen = tape.read("tape", "seen_score", "seen_derivative", "seen_w", "seen_b")
        for i, lane in enumerate(lanes):
            rows = seen[first : first + len(lane.order)]
            score, derivative = rows[:, 0], rows[:, 1]
            factors = [values for name, values in lane.steps.items() if name != "l1"]
            check_factors(self.product, score + targets[lane.order], derivative, *factors)
            records.append(LaneRecord(memories[i], score, derivative, rows[:, 2:]))
            first += len(lane.order) + 1
        return records

    def answer(
        self, memories: Sequence[Array], queries: Array, samples: Samples | None = None
    ) -> dict[str, Array]:
        """Predictions of queries by models that are through: one pass, which moves no weight.

        Parameters
        ----------
        memories : sequence of ndarray of shape (width,)
            Model tokens, at most `n_models` of them.
        queries : ndarray of shape (n_queries, n_features)
        samples : Samples or None, default=None
            Further tokens of the sequence. They cannot act on a query.

        Returns
        -------
        answers : dict
            Arrays of shape (n_queries, n_models): ``"prediction"``, and of the log loss
            ``"probability"``.
        """
        samples = Samples.nothing(self.n_features) if samples is None else samples
        lanes = [Lane(memory, np.empty(0, dtype=np.intp), {}) for memory in memories]
        tape = self.punch(samples, lanes, queries)
        tape.write("model", code=np.eye(len(memories), self.fields.size("code")))
        end, _ = self.run(tape)
        names = [name for name in ("prediction", "probability") if name in self.fields]
        answers = {name: end.read("query", name)[:, : len(memories)] for name in names}
        check_factors(self.product, answers["prediction"])
        return answers


def n_tokens(n_samples: int, tape_lengths: Sequence[int]) -> int:
    """Length of the sequence for models that take so many steps each."""
    return len(tape_lengths) + 2 + sum(tape_lengths) + len(tape_lengths) + n_samples


@dataclass(frozen=True)
class LaneRecord:
    """What a lane's run left behind.

    Parameters
    ----------
    memory : ndarray of shape (width,)
        The model's token after its last step.
    score, derivative : ndarray of shape (n_steps,)
        The score of each step's sample before the step, and the derivative of its loss.
    weights : ndarray of shape (n_steps, n_features + 1)
        Weights and intercept after each step, before an L1 penalty is paid.
    """

    memory: Array
    score: Array
    derivative: Array
    weights: Array

    def to_frame(self, lane: Lane) -> pd.DataFrame:
        """One row a step."""
        steps = {"sample": lane.order, **lane.steps}
        steps |= {"score": self.score, "derivative": self.derivative}
        names = [f"w{i}" for i in range(self.weights.shape[1] - 1)] + ["intercept"]
        return pd.DataFrame(steps).join(pd.DataFrame(self.weights, columns=names))
