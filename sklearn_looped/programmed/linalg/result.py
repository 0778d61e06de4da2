"""What the routines of linear algebra take and give: checked matrices, and a certified result."""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Generic, NamedTuple, TypeVar
from warnings import warn

import numpy as np
import torch
from numpy.linalg import LinAlgError
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints

from sklearn_looped.programmed.certificate import Certificate, certify
from sklearn_looped.programmed.evaluation import LoopedTransformer
from sklearn_looped.programmed.layers import Layer
from sklearn_looped.programmed.layout import Layout

Array = NDArray[np.float64]
UNIT_ROUNDOFF = float(np.finfo(np.float64).eps) / 2
Value = TypeVar("Value")


class Result(NamedTuple, Generic[Value]):
    """What a routine computed, and why it may be believed.

    Parameters
    ----------
    value : ndarray or EighResult
        The answer, as numpy's function of the same name has it.
    n_loops : int
        Loops that the transformer ran.
    tol : float
        The relative error that was asked for; 0 for routines of a single loop.
    certificate : Certificate
        ``certificate.error_bound`` bounds the absolute error of every entry of the value (of the
        eigenvalues, for `eigh_power`) against exact arithmetic.
    """

    value: Value
    n_loops: int
    tol: float
    certificate: Certificate

    def warn_if_above_tol(self, scale: float, advice: str) -> None:
        """Give a ConvergenceWarning if the certificate does not promise `tol` times `scale`."""
        bound = self.certificate.error_bound
        if bound > self.tol * scale:
            warn(
                f"The result is certified to a relative error of {bound / scale:.1e} only, after "
                f"{self.n_loops} loops, but tol={self.tol:g}. {advice}",
                ConvergenceWarning,
                stacklevel=3,
            )


class Machine(NamedTuple):
    """Loop body of fixed weights with the names of its columns."""

    fields: Layout
    layers: Sequence[Layer]

    def certify(self, error_bound: float) -> Certificate:
        """Certificate of the weights, with the bound of a result."""
        return certify(self.layers, self.fields, {}, torch.float64, error_bound=error_bound)

    def transformer(self, tokens: Layout) -> LoopedTransformer:
        """Looped transformer over a sequence of the given tokens."""
        return LoopedTransformer(self.layers, tokens)

    def load(self, tokens: Layout, **fields: Mapping[str, ArrayLike]) -> torch.Tensor:
        """Tape with the given ``kind={field: values}``; indicators are set.

        Values are of shape (number of tokens, width of the field), or broadcast to it.
        """
        state = self.fields.pack(tokens.width)
        if "one" in self.fields:
            state[:, self.fields["one"]] = 1.0
        for kind in tokens.names:
            if kind in self.fields:
                state[tokens[kind], self.fields[kind]] = 1.0
            for name, values in fields.get(kind, {}).items():
                state[tokens[kind], self.fields[name]] = torch.as_tensor(
                    np.asarray(values, dtype=np.float64) + 0.0
                )
        return state

    def read(self, state: torch.Tensor, tokens: Layout, kind: str, name: str) -> Array:
        """Contents of a field on the tokens of a kind."""
        return state[tokens[kind], self.fields[name]].numpy().copy()


def check_options(**options: Any) -> None:
    """Check the options that the routines share, by name."""
    constraints: dict[str, list[Any]] = {
        "tol": [Interval(Real, 0, None, closed="neither")],
        "product": [StrOptions({"linear", "softmax"})],
        "max_loops": [Interval(Integral, 1, None, closed="left")],
    }
    given = {name: constraints[name] for name in options}
    validate_parameter_constraints(given, options, caller_name="linalg")


def check_matrix(a: ArrayLike, name: str) -> Array:
    """Finite real matrix, or the error that numpy has for another number of dimensions."""
    if not issparse(a):
        a = np.asarray(a)
        if a.ndim != 2:
            raise LinAlgError(f"{a.ndim}-dimensional array given for {name!r}. Array must be 2-D.")
    return check_array(a, dtype=np.float64, input_name=name)


def check_square(a: ArrayLike, name: str = "a") -> Array:
    """Finite real square matrix."""
    matrix = check_matrix(a, name)
    if matrix.shape[0] != matrix.shape[1]:
        raise LinAlgError(f"Got {name!r} of shape {matrix.shape}, but it must be square.")
    return matrix


def rounding_of_product(left: Array, right: Array) -> Array:
    """Bound on the rounding of ``left @ right``, entry by entry: Higham 2002, Equation 3.13."""
    terms = left.shape[-1] * UNIT_ROUNDOFF
    return terms / (1 - terms) * (np.abs(left) @ np.abs(right))
