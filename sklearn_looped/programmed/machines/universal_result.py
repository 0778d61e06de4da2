"""What the programs of the universal machine return."""

from typing import Generic, NamedTuple, TypeVar

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.machines.run_result import RunResult

Value = TypeVar("Value")


class UniversalResult(NamedTuple, Generic[Value]):
    """What a program computed, and its run.

    Parameters
    ----------
    value : ndarray or tuple
        The answer.
    run : RunResult
        The run: loops, memory and trace.
    """

    value: Value
    run: RunResult


class Eigenpair(NamedTuple):
    """The eigenvalue of largest absolute value, and its eigenvector.

    Parameters
    ----------
    eigenvalue : float
    eigenvector : ndarray of shape (n,)
        Of length 1.
    """

    eigenvalue: float
    eigenvector: Array


class TwoLayers(NamedTuple):
    """Weights of a network of two layers, shaped as ``coefs_`` and ``intercepts_`` of scikit-learn.

    Parameters
    ----------
    coefs : sequence of two ndarrays of shape (n_in, n_hidden) and (n_hidden, n_out)
    intercepts : sequence of two ndarrays of shape (n_hidden,) and (n_out,)
    """

    coefs: list[Array]
    intercepts: list[Array]
