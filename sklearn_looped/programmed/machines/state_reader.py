"""What a state of a machine says: program counter, memory, the write that is pending."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from sklearn_looped.core.modes import in_own_modes
from sklearn_looped.programmed.transformer.block import Block
from sklearn_looped.programmed.transformer.codes import code_of
from sklearn_looped.programmed.transformer.evaluation import LoopedTransformer
from sklearn_looped.programmed.transformer.layers import Layer
from sklearn_looped.programmed.transformer.layout import Layout

SCRATCH = 0  # row of the scratchpad, which holds the program counter


class StateReader(ABC):
    """Base of a machine: its layouts and weights, and how its states are read."""

    pending: tuple[str, ...]  # fields of a result that the next loop writes to its cell

    def __init__(
        self,
        tokens: Layout,
        fields: Layout,
        layers: Sequence[Layer],
        bounds: Mapping[str, float],
    ) -> None:
        self.tokens, self.fields, self.dtype = tokens, fields, fields.dtype
        self.code = code_of(fields)
        self.adjacency: csr_array | None = None
        self.block = Block(fields, layers, bounds)
        self.transformer, self.certificate = self.block.transformer(tokens), self.block.certificate

    def pc(self, state: Tensor) -> int:
        """Return the number of the next instruction.

        Parameters
        ----------
        state : Tensor of shape (n_tokens, width)

        Returns
        -------
        pc : int

        Raises
        ------
        ValueError
            If the program counter of the state is no code.
        """
        code = self._read(state, SCRATCH, "pc")
        row = self.code.decoder()(code)
        if not np.array_equal(self.code.encode(row).astype(code.dtype), code):
            raise ValueError(f"Got a program counter that is no code: {code.tolist()}.")
        return row - self.tokens["program"].start

    @abstractmethod
    def cells(self, state: Tensor) -> list[Any]:
        """Return the memory cells of a settled state.

        Parameters
        ----------
        state : Tensor of shape (n_tokens, width)

        Returns
        -------
        cells : list
        """

    @in_own_modes
    def settle(self, state: Tensor) -> Tensor:
        """Return the state with the last result written to its cell.

        This runs the write heads of the next loop early, by the same weights, and empties the
        registers of the pending write, so that going on from here does not write twice.

        Parameters
        ----------
        state : Tensor of shape (n_tokens, width)

        Returns
        -------
        settled : Tensor of shape (n_tokens, width)
        """
        settled = state.clone()
        if self.pending:
            heads = self.transformer.layers[0].heads
            writes = [h for h in heads if h.pointer is not None and h.pointer.held_by == "key"]
            write = LoopedTransformer([Layer(tuple(writes))], self.tokens)
            (settled,) = write.run(state, 1, evaluation="fast")
        for name in self.pending:
            settled[SCRATCH, self.fields[name]] = 0
        return settled

    @abstractmethod
    def disassemble(self, state: Tensor) -> str:
        """Return assembly text of the program and the memory on a tape.

        Parameters
        ----------
        state : Tensor of shape (n_tokens, width)

        Returns
        -------
        text : str
        """

    def _rewound(self, state: Tensor, pc: NDArray) -> Tensor:
        """State whose next instruction is `pc` and whose scratchpad is empty but for it.

        A write is made by the loop behind its instruction, so the memory is as it was before.
        """
        state = state.clone()
        kept = self.fields.index("one", "scratch")
        scratch = torch.zeros_like(state[SCRATCH])
        scratch[kept] = state[SCRATCH, kept]
        scratch[self.fields["pc"]] = torch.as_tensor(pc, device="cpu")
        state[SCRATCH] = scratch
        return state

    def _read(self, state: Tensor, rows: slice | int, field: str) -> NDArray:
        return state.numpy()[rows, self.fields[field]]
