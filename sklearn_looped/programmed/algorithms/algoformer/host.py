"""The host of AlgoFormer's constructions: it loads the prompt, and runs the blocks once a phase."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.algoformer.blocks import algoformer_blocks
from sklearn_looped.programmed.algorithms.descent import NEWTON, Step
from sklearn_looped.programmed.transformer.block import Tape
from sklearn_looped.programmed.transformer.layout import Layout

Method = Literal["descent", "newton"]
METHODS = {"descent": (Step(), 2.0), "newton": (NEWTON, 3.0)}  # and where eigenvalues must be below
_LARGEST_INPUT = 1e150  # of what is multiplied by each other
LARGEST = 2**20  # positions: their margin exceeds the rounding of a turn by a factor of 10,000


class Learning(NamedTuple):
    """How the loop learns, and the slope of the representation; see `functions.regress`."""

    slope: float
    step_size: float
    method: Method
    n_loops: int


def generate(
    value: Array,
    asked: NDArray[np.bool_],
    code: Array,
    n: int,
    learning: Learning,
    *,
    order: int = 1,
    weights: Sequence[Array] = (),
    activation: float = 1.0,
) -> tuple[Array, Array]:
    """Run the three blocks once a phase.

    `value` has a row a token, `asked` says which are to be predicted, and `code` in which phases a
    token takes part; `n` is the number of examples of a phase. Returns the values at the end, and
    what was predicted in the last phase after each loop, (n_loops, n_tokens, c).
    """
    check_numbers(**learning._asdict())
    slope, step_size, method, n_loops = learning
    (n_tokens, c), n_phases = value.shape, code.shape[1]
    tokens = Layout(scratch=1, null=1, token=n_tokens)
    if (n_codes := tokens.width + order) > LARGEST:
        raise ValueError(f"Got {n_codes} positions, but at most {LARGEST} are told apart.")
    step, limit = METHODS[method]
    blocks = algoformer_blocks(
        c, order=order, n_codes=n_codes, n_phases=n_phases,
        weights=weights, slope=slope, activation=activation, step=step,
    )  # fmt: skip
    token = {"value": value, "asked": asked[:, None], "known": np.logical_not(asked)[:, None]}
    token |= {"code": code, "scale": np.sqrt(step_size / n)}
    first = {"current": np.eye(n_phases)[0]}
    tape = blocks.before.load(tokens, named=("token",), token=token, scratch=first)
    for _ in range(n_phases):
        tape, _ = blocks.before.run(tape)
        _check_step(tape, step_size, method, limit)
        by_loop = []
        for end in blocks.loop.states(tape, n_loops):
            by_loop.append(end.read("token", "prediction"))
        if not np.isfinite(end.read("token", "prediction")).all():
            raise ValueError("Got predictions beyond the range of float64; scale the data.")
        tape, _ = blocks.after.run(end)
    return tape.read("token", "value"), np.stack(by_loop)


def _check_step(tape: Tape, step_size: float, method: Method, limit: float) -> None:
    """Refuse numbers whose products overflow, and a step size with which the loop diverges."""
    examples, x = tape.read("token", "support")[:, 0] == 1, tape.read("token", "x")
    if not np.abs(x).max() <= _LARGEST_INPUT:
        raise ValueError(
            f"Got values, of which sqrt(step_size / n) times the representation has entries up to "
            f"{np.abs(x).max():.1e}, whose products overflow; scale the data."
        )
    largest = np.linalg.norm(x[examples], 2) ** 2
    if not largest < limit:
        raise ValueError(
            f"Got step_size={step_size:g}, but method={method!r} diverges on these data from "
            f"{step_size * limit / largest:.3g} on; choose a smaller one."
        )


def check_numbers(**given: Any) -> None:
    """Check the parameters that are no arrays, by name."""
    positive, whole = (
        Interval(Real, 0, None, closed="neither"),
        Interval(Integral, 1, None, closed="left"),
    )
    constraints: dict[str, list[Any]] = {
        "order": [whole],
        "n_ahead": [whole],
        "n_loops": [whole],
        "slope": [Interval(Real, 0, 1, closed="right")],
        "step_size": [positive],
        "method": [StrOptions(set(METHODS))],
    }
    given_constraints = {name: constraints[name] for name in given}
    validate_parameter_constraints(given_constraints, given, caller_name="algoformer")
