"""Punchcards of the SGD block: samples and steps in, weights and scores out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from sklearn_looped.programmed.algorithms.sgd.block import SGDBlock
from sklearn_looped.programmed.algorithms.sgd.products import check_factors
from sklearn_looped.programmed.transformer.layout import Layout, sign_code

Array = NDArray[np.float64]


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

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Lane:
    """One model and the steps it is to take.

    Parameters
    ----------
    memory : ndarray of shape (width,)
        Its token as a run left it, or from `new_memory`.
    order : ndarray of shape (n_steps,)
        The samples to visit.
    steps : mapping of str to ndarray of shape (n_steps,)
        Fields of the tape, ``eta`` and ``decay`` and so on; those left out are 0.
    """

    memory: Array
    order: NDArray[np.intp]
    steps: Mapping[str, Array]


def new_memory(
    block: SGDBlock, w: ArrayLike = 0.0, b: float = 0.0, threshold: float = 0.0
) -> Array:
    """Token of a model with the given weights and intercept."""
    return block.fields.pack(1, one=1, model=1, threshold=threshold, w=w, b=b)[0].numpy()


def n_tokens(n_samples: int, tape_lengths: Sequence[int]) -> int:
    """Length of the sequence for models that take so many steps each."""
    return len(tape_lengths) + 2 + sum(tape_lengths) + len(tape_lengths) + n_samples


class Punchcard(NamedTuple):
    """The input of a run: names of columns, names of rows, and the initial state."""

    fields: Layout
    tokens: Layout
    state: Array


def punch(block: SGDBlock, samples: Samples, lanes: Sequence[Lane]) -> Punchcard:
    """Punchcard of a run.

    Each lane has one tape token a step and one behind them, whose pointers are cleared when it
    is read: a lane that is through reads the null token and stays as it is. The record of a
    step stands on the token behind it.
    """
    fields = block.fields
    lengths = [len(lane.order) + 1 for lane in lanes]
    tokens = Layout(model=len(lanes), null=1, unit=1, tape=sum(lengths), data=len(samples))
    if tokens.width > 2**block.n_bits:
        raise ValueError(f"Got {tokens.width} tokens, but {block.n_bits} bits name fewer.")
    state = fields.pack(tokens.width, one=1).numpy()  # (n_tokens, width)
    for kind in ("null", "unit"):
        state[tokens[kind], fields[kind]] = 1
    codes = sign_code(np.arange(tokens.width), block.n_bits)
    named = slice(tokens["tape"].start, None)
    state[named, fields["position"]] = codes[named]
    data = state[tokens["data"]]
    data[:, fields["x"]] = samples.x
    data[:, fields.at("bias")], data[:, fields.at("y")] = samples.bias, samples.y
    start = tokens["tape"].start
    for model, lane, length in zip(state, lanes, lengths, strict=False):
        data_codes = codes[tokens["data"].start + lane.order]
        tape_codes = codes[start : start + length]
        tape = state[start : start + length]
        tape[:, fields["next_sample"]] = _differences(data_codes)
        tape[:, fields["next_step"]] = np.diff(tape_codes, axis=0, append=0)
        for name, values in lane.steps.items():
            tape[:-1, fields.at(name)] = values
        model[:] = lane.memory
        model[fields["pointer"]], model[fields["counter"]] = data_codes[0], tape_codes[0]
        start += length
    return Punchcard(fields, tokens, state + 0.0)  # no negative zeros in a state


def _differences(codes: Array) -> Array:
    """Code the steps from each sample to the next, and from the last one to none: (n + 1, L)."""
    end = np.zeros((1, codes.shape[1]))
    return np.concatenate([np.diff(codes, axis=0, append=end), end])


@dataclass(frozen=True)
class Record:
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


def run_lanes(
    block: SGDBlock, card: Punchcard, lanes: Sequence[Lane], evaluation: str = "gather"
) -> list[Record]:
    """Run the lanes of a punchcard side by side, one loop a step, each to its tape's end.

    Parameters
    ----------
    block : SGDBlock
        The loop body.
    card : Punchcard
        What `punch` made of the lanes.
    lanes : sequence of Lane
        Models with their steps.
    evaluation : {"dense", "masked", "cached", "gather"}, default="gather"
        See `LoopedTransformer.run`.

    Returns
    -------
    records : list of Record
        One for each lane.

    Raises
    ------
    ValueError
        If a linearised product was asked for more than its error bound is for.

    Examples
    --------
    One step of size 1/2 from w = 0, b = 0 towards y = 3 at x = 2:

    >>> import numpy as np
    >>> from sklearn_looped.programmed.algorithms.sgd import (
    ...     Lane, Samples, SGDBlock, new_memory, punch, run_lanes
    ... )
    >>> block = SGDBlock(1, 10, "squared_error")
    >>> samples = Samples.targets(np.array([[2.0]]), np.array([3.0]), fit_intercept=True)
    >>> lane = Lane(new_memory(block), np.array([0]), {"eta": np.array([0.5])})
    >>> record = run_lanes(block, punch(block, samples, [lane]), [lane])[0]
    >>> record.score, record.weights
    (array([-3.]), array([[3. , 1.5]]))
    """
    fields, tokens = block.fields, card.tokens
    start = torch.tensor(card.state)
    lengths = [len(lane.order) for lane in lanes]
    ends = {n: [row for row, m in enumerate(lengths) if m == n] for n in set(lengths)}
    memories: dict[int, Array] = {}
    transformer = block.transformer(tokens)
    # What overflows is found in the record; see `Learner.learn`.
    with np.errstate(all="ignore"):
        states = transformer.run(start, max(lengths), evaluation=evaluation)
        for loop, state in enumerate(states, 1):
            for row in ends.get(loop, ()):
                memories[row] = state[row].numpy().copy()
    tape = state[tokens["tape"]].numpy()
    targets = state[tokens["data"], fields.at("y")].numpy()
    records, first = [], 1
    for row, n in enumerate(lengths):
        seen = tape[first : first + n]  # (n, width)
        columns = fields.index("seen_w", "seen_b")
        score, derivative = (seen[:, fields.at(f"seen_{x}")] for x in ("score", "derivative"))
        _check_products(block, lanes[row], score + targets[lanes[row].order], derivative)
        records.append(Record(memories[row], score, derivative, seen[:, columns]))
        first += n + 1
    return records


def _check_products(block: SGDBlock, lane: Lane, dots: Array, derivative: Array) -> None:
    factors = [values for name, values in lane.steps.items() if name != "l1"]
    check_factors(block.product, dots, derivative, *factors)


def score_samples(
    block: SGDBlock, memories: Sequence[Array], samples: Samples
) -> tuple[Array, Array]:
    """Scores and derivatives of samples under fitted models: steps of size 0.

    Gated blocks give every sample a copy of the model and take one loop; others visit the
    samples one after another.

    Returns
    -------
    score, derivative : ndarray of shape (n_samples, n_models)
    """
    columns = []
    parallel = block.product == "gated"
    size = 2**block.n_bits - 4
    chunk = max(1, size // 4 if parallel else size // 2)
    for memory in memories:
        parts = []
        for start in range(0, len(samples), chunk):
            rows = slice(start, start + chunk)
            part = Samples(samples.x[rows], samples.bias[rows], samples.y[rows])
            visits = np.arange(len(part))
            orders = visits[:, None] if parallel else visits[None]
            lanes = [Lane(memory, order, {}) for order in orders]
            records = run_lanes(block, punch(block, part, lanes), lanes)
            parts += [np.stack([r.score, r.derivative], axis=1) for r in records]
        columns.append(np.concatenate(parts))
    score, derivative = np.moveaxis(np.stack(columns, axis=1), 2, 0)
    return score, derivative
