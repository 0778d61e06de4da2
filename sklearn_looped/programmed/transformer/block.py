"""A block: fields, the layers over them, why they are exact, and how a tape is loaded and run."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.transformer.certificate import Certificate, certify
from sklearn_looped.programmed.transformer.codes import code_of
from sklearn_looped.programmed.transformer.evaluation import LoopedTransformer, chosen_evaluation
from sklearn_looped.programmed.transformer.layers import Layer
from sklearn_looped.programmed.transformer.layout import Layout


class Tape(NamedTuple):
    """A sequence of tokens: the names of its columns, those of its rows, and its state.

    Parameters
    ----------
    fields, tokens : Layout
    state : Tensor of shape (n_tokens, width)
    """

    fields: Layout
    tokens: Layout
    state: Tensor

    def read(self, kind: str, *names: str) -> Array:
        """Contents of fields on the tokens of a kind, a copy of shape (n, width of the fields)."""
        values: Array = self.state.numpy()[self.tokens[kind]]
        return values[:, self.fields.index(*names)]

    def write(self, kind: str, **values: ArrayLike) -> None:
        """Write fields of the tokens of a kind, in place; values are broadcast to (n, width)."""
        rows = self.state.numpy()[self.tokens[kind]]
        for name, value in values.items():
            rows[:, self.fields[name]] = np.asarray(value) + 0.0  # no negative zeros in a state


class Block:
    """Loop body of fixed weights over named fields, certified before it runs.

    Parameters
    ----------
    fields : Layout
        Fields of a token.
    layers : iterable of Layer
        The loop body.
    bounds : mapping of str to float, default=None
        Largest absolute value of the fields that hold integers, see `certify`. None: there are
        none.
    error_bound : float, default=0.0
        See `Certificate`.

    Attributes
    ----------
    certificate : Certificate

    Raises
    ------
    ValueError
        If the loop body cannot be exact, with the numbers.

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.block import Block
    >>> from sklearn_looped.programmed.transformer.layers import make_layer
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> from sklearn_looped.programmed.transformer.primitives import add
    >>> fields = Layout(one=1, count=1)
    >>> units = add(fields, {"one": "count"})
    >>> block = Block(fields, [make_layer(fields, units=units, rows=("a",))])
    >>> end, n_loops = block.run(block.load(Layout(a=2), a={"count": [[10], [20]]}), 3)
    >>> end.read("a", "count").tolist(), n_loops
    ([[13.0], [23.0]], 3)
    """

    def __init__(
        self,
        fields: Layout,
        layers: Iterable[Layer],
        bounds: Mapping[str, float] | None = None,
        *,
        error_bound: float = 0.0,
    ) -> None:
        self.fields, self.layers = fields, tuple(layers)
        self.certificate = certify(self.layers, fields, bounds or {}, error_bound=error_bound)

    def certify(self, error_bound: float) -> Certificate:
        """Return the certificate with the bound of a result."""
        return replace(self.certificate, error_bound=error_bound)

    def transformer(self, tokens: Layout) -> LoopedTransformer:
        """Looped transformer of these weights over a sequence of the given tokens."""
        return LoopedTransformer(self.layers, tokens)

    def load(
        self, tokens: Layout, *, named: tuple[str, ...] = (), **values: Mapping[str, ArrayLike]
    ) -> Tape:
        """Tape with the given ``kind={field: values}``; indicators are set.

        Parameters
        ----------
        tokens : Layout
        named : tuple of str, default=()
            Kinds of token that pointers name: their field ``position`` gets the code of the row.
        **values : mapping of str to array-like
            By kind; of shape (number of tokens, width of the field), or broadcast to it.

        Returns
        -------
        tape : Tape

        Raises
        ------
        ValueError
            If there are more tokens than positions.
        """
        fields = self.fields
        n_named = max(tokens.index(*named), default=0) + 1
        if named and n_named > (n_codes := code_of(fields).n_codes):
            raise ValueError(f"Got {n_named} tokens, but a pointer names at most {n_codes}.")
        shape = tokens.width, fields.width
        tape = Tape(fields, tokens, torch.zeros(shape, dtype=fields.dtype, device="cpu"))
        if "one" in fields:
            tape.state[:, fields["one"]] = 1.0
        for kind in tokens.names:
            if kind in fields:
                tape.write(kind, **{kind: 1.0})
            if kind in named:
                tape.write(kind, position=code_of(fields).encode(tokens.index(kind)))
            tape.write(kind, **values.get(kind, {}))
        return tape

    def states(
        self,
        tape: Tape,
        n_loops: int,
        *,
        until: Callable[[Tape], bool] | None = None,
        evaluation: str | None = None,
        **options: Any,
    ) -> Iterator[Tape]:
        """Run the loop on a tape, which it does not change, and yield every state of it.

        Parameters
        ----------
        tape : Tape
        n_loops : int
            Cap on the number of loops.
        until : callable, default=None
            Stop rule: called with each state, ends the loop when it returns True.
        evaluation : {"dense", "fast"} or None, default=None
            See `LoopedTransformer.run`: the states of a fast one are the same memory. None: that of
            `evaluated`, with its device.
        **options
            ``adjacency``, as in `LoopedTransformer.run`.

        Yields
        ------
        tape : Tape
        """
        options |= {"until": until, "evaluation": evaluation}
        yield from (tape._replace(state=state) for state in self._loop(tape, n_loops, **options))

    def run(self, tape: Tape, n_loops: int = 1, **options: Any) -> tuple[Tape, int]:
        """Run the loop and return its last state, and how many loops it took; see `states`."""
        states = enumerate(self._loop(tape, n_loops, **options), 1)
        [(n_loops, state)] = deque(states, maxlen=1)
        return tape._replace(state=state), n_loops

    def _loop(
        self,
        tape: Tape,
        n_loops: int,
        *,
        until: Callable[[Tape], bool] | None = None,
        evaluation: str | None = None,
        **options: Any,
    ) -> Iterator[Tensor]:
        if evaluation is None:
            evaluation, options["device"] = chosen_evaluation()
        stop = None if until is None else lambda state: until(tape._replace(state=state))
        run = self.transformer(tape.tokens).run
        return run(tape.state, n_loops, until=stop, evaluation=evaluation, **options)
