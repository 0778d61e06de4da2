"""The looped transformer: layers over a sequence of tokens, applied again and again.

`dense` is the definition: every row attends to every key. `fast` skips what cannot act; see
`sklearn_looped.programmed.transformer.fast`. Both give the same bits; the tests hold them to it.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from torch import Tensor

from sklearn_looped.core.device import choose_device
from sklearn_looped.core.loop import run_loop
from sklearn_looped.core.modes import disturbed, in_own_modes
from sklearn_looped.programmed.transformer.fast import Adjacency, compile_block, dense_adjacency
from sklearn_looped.programmed.transformer.layers import Layer
from sklearn_looped.programmed.transformer.layout import Layout

EVALUATIONS = ("dense", "fast")
_CHOSEN: ContextVar[tuple[str, str]] = ContextVar("chosen", default=("fast", "cpu"))


def check_evaluation(evaluation: str, device: str) -> torch.device:
    """Return the device of an evaluation.

    Raises
    ------
    ValueError
        If the evaluation is unknown, or this machine has no such device, or "fast" is to run on
        another device than the CPU.
    """
    if evaluation not in EVALUATIONS:
        raise ValueError(f"Got evaluation={evaluation!r}, expected one of {EVALUATIONS}.")
    chosen = choose_device(device)
    if evaluation == "fast" and chosen.type != "cpu":
        raise ValueError(
            f"Got device={device!r}, but evaluation='fast' runs on the CPU; "
            "choose evaluation='dense' or device='cpu'."
        )
    return chosen


@contextmanager
def evaluated(evaluation: str, device: str) -> Iterator[None]:
    """Choose how and where all blocks run in a ``with`` statement.

    Parameters
    ----------
    evaluation : {"dense", "fast"}
        See `LoopedTransformer.run`.
    device : str
        See `check_evaluation`.

    Raises
    ------
    ValueError
        See `check_evaluation`.

    Examples
    --------
    >>> from sklearn_looped.programmed import linalg
    >>> from sklearn_looped.programmed.transformer.evaluation import evaluated
    >>> with evaluated("dense", "cpu"):
    ...     result = linalg.matmul([[1.0, 2.0]], [[3.0], [4.0]])
    >>> result.value
    array([[11.]])
    """
    check_evaluation(evaluation, device)
    token = _CHOSEN.set((evaluation, device))
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def chosen_evaluation() -> tuple[str, str]:
    """Return evaluation and device of `evaluated`; "fast" on the CPU outside of it."""
    return _CHOSEN.get()


class LoopedTransformer:
    """A loop body of fixed weights, applied again and again without input injection.

    Parameters
    ----------
    layers : sequence of Layer
        The loop body.
    tokens : Layout
        The kinds of token of the sequence, in order, with their numbers.

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.evaluation import LoopedTransformer
    >>> from sklearn_looped.programmed.transformer.layers import make_layer
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> from sklearn_looped.programmed.transformer.primitives import add
    >>> fields, tokens = Layout(one=1, count=1), Layout(memory=2)
    >>> layer = make_layer(fields, (), add(fields, {"one": "count"}), ("memory",))
    >>> transformer = LoopedTransformer([layer], tokens)
    >>> tape = fields.pack(2, one=1, count=[[10], [20]])
    >>> [state[:, 1].tolist() for state in transformer.run(tape, 3)]
    [[11.0, 21.0], [12.0, 22.0], [13.0, 23.0]]
    """

    def __init__(self, layers: Sequence[Layer], tokens: Layout) -> None:
        self.layers = tuple(layers)
        self.tokens = tokens

    def fingerprint(self) -> str:
        """SHA-256 of all that is fixed: equal before and after a run, and for every program.

        Weight matrices, their non-zero entries as the evaluations use them, temperatures and
        target columns.
        """
        digest = hashlib.sha256()
        for i, layer in enumerate(self.layers):
            for name, p in layer.projections():
                digest.update(f"layer{i}.{name}".encode())
                for part in (p.weight, p.inputs, p.outputs, p.values):
                    digest.update(np.ascontiguousarray(part.numpy()).tobytes())
            for head in layer.heads:
                parts = (head.kind, head.transposed, head.temperature, head.targets)
                digest.update(repr(parts).encode())
        return digest.hexdigest()

    def __call__(self, state: Tensor, adjacency: Tensor | None = None) -> Tensor:
        """One pass of the loop body, dense: (n, d) -> (n, d), or of several tapes (B, n, d)."""
        if state.ndim == 3:
            return torch.stack([self(tape, adjacency) for tape in state])
        for layer in self.layers:
            state = layer(state, adjacency)
        return state

    def run(
        self,
        state: Tensor,
        n_loops: int,
        *,
        evaluation: str = "dense",
        device: str = "cpu",
        until: Callable[[Tensor], bool] | None = None,
        adjacency: Adjacency = None,
    ) -> Iterator[Tensor]:
        """Loop without input injection (`run_loop`) and yield every state.

        Parameters
        ----------
        state : Tensor of shape (n_tokens, width) or (n_tapes, n_tokens, width)
            The tape, or several that run side by side, each by itself. It is not changed.
        n_loops : int
            Cap on the number of loops.
        evaluation : {"dense", "fast"}, default="dense"
            Both give the same bits. "fast" works in place: every state that it yields is the same
            memory, clone what is to be kept.
        device : str, default="cpu"
            Where "dense" runs: "auto", "cpu", "cuda" or "cuda:N". States are on the CPU before and
            behind each loop. On a GPU sums are formed in another order, so they are equal up to
            rounding only.
        until : callable, default=None
            Stop rule, see `run_loop`.
        adjacency : csr_array or Tensor of shape (n_tokens, n_tokens) or None, default=None
            For graph heads. "dense" multiplies by all of it, "fast" by its non-zero entries.

        Yields
        ------
        state : Tensor of the same shape

        Raises
        ------
        ValueError
            If evaluation and device do not fit (`check_evaluation`), the number of tokens or the
            shape of the adjacency matrix is wrong, or "fast" is to run several tapes through heads
            that are no matches.
        """
        where = check_evaluation(evaluation, device)
        n_tokens = state.shape[-2]
        if n_tokens != self.tokens.width:
            raise ValueError(f"Got {n_tokens} tokens, expected {self.tokens.width}.")
        if adjacency is not None and tuple(adjacency.shape) != (n_tokens, n_tokens):
            raise ValueError(
                f"Got an adjacency matrix of shape {tuple(adjacency.shape)}, "
                f"but there are {n_tokens} tokens."
            )
        state, block = self._start(state, evaluation, where, adjacency)
        loop = in_own_modes(run_loop) if disturbed() else run_loop
        return loop(block, state, n_loops, until=until)

    @in_own_modes
    def _start(
        self, state: Tensor, evaluation: str, device: torch.device, adjacency: Adjacency
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Copy of the tape to begin from, and the loop body."""
        state = state.clone(memory_format=torch.contiguous_format)
        if evaluation == "fast":
            return state, compile_block(self.layers, self.tokens, state, adjacency)
        matrix = dense_adjacency(adjacency, state.dtype)
        if device.type == "cpu":
            return state, lambda x: self(x, matrix)
        moved = LoopedTransformer([layer.to(device) for layer in self.layers], self.tokens)
        matrix = None if matrix is None else matrix.to(device)
        return state, lambda x: moved(x.to(device), matrix).cpu()
