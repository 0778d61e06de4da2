"""SUBLEQ machine: subtract and branch if less than or equal to zero, two layers an instruction."""

from numbers import Integral
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.checks import DTYPES, check_dtype, check_sizes
from sklearn_looped.programmed.machines.machine import Machine
from sklearn_looped.programmed.machines.state_reader import SCRATCH
from sklearn_looped.programmed.machines.subleq_assembler import (
    Instruction,
    assemble_subleq,
    write_subleq,
)
from sklearn_looped.programmed.machines.subleq_layers import subleq_fields, subleq_layers
from sklearn_looped.programmed.transformer.certificate import integer_limit
from sklearn_looped.programmed.transformer.layers import Layer
from sklearn_looped.programmed.transformer.layout import Layout, n_code_bits, sign_code, sign_value


class SubleqMachine(Machine):
    r"""A looped transformer that runs SUBLEQ programs; one loop is one instruction.

    Two layers: the first writes the previous result back and fetches the instruction that the
    program counter names, the second reads both operands, subtracts, and selects the next
    program counter. Softmax attention and ReLU feed-forward only. Every softmax row is one-hot,
    so every state is exact and no error correction is needed (Giannou et al. 2023, Section 4,
    count nine layers; `PaperSubleqMachine` in `machines.paper_subleq` is their form).

    Parameters
    ----------
    n_memory, n_instructions : int
        Size of the machine, at least 1 each: memory cells, and instructions with one more for the
        end of the program.
    n_bits : int, default=16
        Bits of a cell, 2 to 62; values lie in [-2**(n_bits-1), 2**(n_bits-1) - 1].
    cells : {"bits", "integer"}, default="bits"
        Two's complement codes, or one number a cell, which makes a narrower state.
    dtype : {"float64", "float32"}, default="float64"
        Data type of weights and state.
    temperature : float or None, default=None
        Factor of the attention scores, above 0. None: the smallest power of two that makes
        every read exact in `dtype`.
    overflow : {"trap", "wrap"}, default="trap"
        What happens to a result beyond the range of the cells: the machine stops with a fault, or
        the result wraps around as in two's complement. The network marks it in either case;
        ``cells="integer"`` cannot wrap.

    Attributes
    ----------
    transformer : LoopedTransformer
        The fixed weights.
    certificate : Certificate
        Why every state is exact.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the machine cannot be exact: a temperature below the
        bound, or integers beyond those that the dtype represents exactly.

    References
    ----------
    A. Giannou et al., "Looped Transformers as Programmable Computers", ICML 2023.

    Examples
    --------
    >>> from sklearn_looped import SubleqMachine
    >>> machine = SubleqMachine(n_memory=8, n_instructions=12)
    >>> result = machine.run("x: .word 20\n y: .word 22\n add x, y")
    >>> result["y"], result.halted, result.n_loops
    (42, True, 3)
    """

    def __init__(
        self,
        n_memory: int,
        n_instructions: int,
        *,
        n_bits: int = 16,
        cells: Literal["bits", "integer"] = "bits",
        dtype: Literal["float64", "float32"] = "float64",
        temperature: float | None = None,
        overflow: Literal["trap", "wrap"] = "trap",
    ) -> None:
        check_sizes(n_memory=n_memory, n_instructions=n_instructions)
        _check_options(n_bits, cells, dtype, temperature, overflow)
        self.n_bits, self._bits, self.overflow = n_bits, cells == "bits", overflow
        others = dict.fromkeys(self._others, 1)
        tokens = Layout(**others, memory=n_memory, program=n_instructions)
        fields, layers = self._body(n_code_bits(tokens.width), DTYPES[dtype])
        if temperature is not None:
            layers = [layer.at_temperature(temperature) for layer in layers]
        bounds = dict.fromkeys(fields.names, 1.0)
        if not self._bits:
            bounds |= dict.fromkeys(("value", "va", "vb", "delta"), 2.0 ** (n_bits - 1))
        super().__init__(tokens, fields, layers, bounds)

    def _body(self, n_code: int, dtype: torch.dtype) -> tuple[Layout, list[Layer]]:
        """Fields and layers."""
        fields = subleq_fields(n_code, self.n_bits if self._bits else 1).astype(dtype)
        return fields, subleq_layers(fields, self.n_bits, self._bits)

    assemble = staticmethod(assemble_subleq)
    pending: tuple[str, ...] = ("wp", "delta")
    _others: tuple[str, ...] = ("scratch", "null")  # kinds of token beside cells and instructions

    def load(self, program: Program) -> Tensor:
        """Write a program and its data to a tape.

        Parameters
        ----------
        program : Program

        Returns
        -------
        tape : Tensor of shape (n_tokens, width)

        Raises
        ------
        ValueError
            If the program is larger than the machine, or a value or address out of range.
        """
        tape = self._blank_tape(program)
        self._check_values(program)
        fields, tokens = self.fields, self.tokens
        first_cell, first = tokens["memory"].start, tokens["program"].start
        cells = [*program.cells, *[0] * (tokens.size("memory") - len(program.cells))]
        values = sign_code(cells, self.n_bits) if self._bits else np.array(cells, float)[:, None]
        tape[tokens["memory"], fields["value"]] = torch.from_numpy(values)
        rows = slice(first, first + len(program.instructions))
        for name, numbers, offset in zip(
            "abc",
            zip(*program.instructions, strict=True),
            (first_cell, first_cell, first),
            strict=True,
        ):
            codes = self.code.encode(np.array(numbers) + offset)
            tape[rows, fields[f"i{name}"]] = torch.as_tensor(codes, dtype=self.dtype, device="cpu")
        return tape

    @property
    def _range(self) -> tuple[int, int]:
        """Smallest and largest integer of a cell."""
        half = 1 << (self.n_bits - 1)
        return -half, half - 1

    def _check_values(self, program: Program) -> None:
        low, high = self._range
        for address, value in enumerate(program.cells):
            if not (isinstance(value, int | np.integer) and low <= value <= high):
                raise ValueError(
                    f"Got {value} in cell {address}, but cells of n_bits={self.n_bits} hold "
                    f"integers from {low} to {high}; declare more bits."
                )
        sizes = (len(program.cells), len(program.cells), len(program.instructions))
        for number, instruction in enumerate(program.instructions):
            for operand, size in zip(instruction, sizes, strict=True):
                if not 0 <= operand < size:
                    raise ValueError(
                        f"Got address {operand} in instruction {number}, expected 0 to {size - 1}; "
                        f"positions have {self.fields.size('pc')} bits."
                    )

    def cells(self, state: Tensor) -> list[int]:
        """Return the integers in the memory of a settled state; raises if one is out of range.

        Parameters
        ----------
        state : Tensor of shape (n_tokens, width)

        Returns
        -------
        cells : list of int
        """
        self._check_range(state)
        values = self._read(state, self.tokens["memory"], "value")
        if self._bits:
            return sign_value(values, signed=True).tolist()
        return [int(value) for value in values[:, 0]]

    def _is_sound(self, state: Tensor) -> bool:
        return self.overflow == "wrap" or not self._read(state, SCRATCH, "overflow")[0]

    def _fault(self, program: Program, pc: int, state: Tensor) -> tuple[str, Any]:
        values = self.cells(state)  # the result is not written yet
        a, b, _ = program.instructions[pc]
        low, high = self._range
        advice = "declare more bits" + (", or overflow='wrap'" if self._bits else "")
        reason = f"cells of n_bits={self.n_bits} hold integers from {low} to {high}; {advice}"
        return reason, values[b] - values[a]

    def _check_range(self, state: Tensor) -> None:
        if self._bits:
            return
        values = self._read(state, self.tokens["memory"], "value")
        low, high = self._range
        if (bad := (values < low) | (values > high)).any():
            raise ValueError(
                f"Got a result of {values[bad][0]:.0f}, but cells of n_bits={self.n_bits} hold "
                f"integers from {low} to {high}; declare more bits, or overflow='wrap' with "
                "cells='bits'."
            )

    def _describe(
        self, program: Program, before: tuple[int, list], after: tuple[int, list]
    ) -> dict[str, Any]:
        (pc, cells), (_, results) = before, after
        a, b, _ = program.instructions[pc]
        return {
            "reads": {a: cells[a], b: cells[b]},
            "writes": {b: results[b]},
            "flag": results[b] <= 0,
        }

    def disassemble(self, state: Tensor) -> str:
        r"""Return assembly text of the program and the memory on a tape, to assemble again.

        Parameters
        ----------
        state : Tensor of shape (n_tokens, width)

        Returns
        -------
        text : str

        Examples
        --------
        >>> from sklearn_looped import SubleqMachine
        >>> machine = SubleqMachine(n_memory=4, n_instructions=3)
        >>> tape = machine.load(machine.assemble("x: .word 5\n loop: subleq #2, x, loop"))
        >>> print(machine.disassemble(tape))
        m0: .word 5
        m1: .word 2
        #0: .word 0
        #-1: .word -1
        i0: subleq m1, m0, i0
        """
        rows = state.numpy()[self.tokens["program"]]
        used = rows[rows[:, self.fields["ia"]].any(1)]
        return write_subleq(self._instructions(used), self.cells(self.settle(state)))

    def _instructions(self, rows: NDArray) -> list[Any]:
        """Decode instructions from their tokens."""
        kinds = {"ia": "memory", "ib": "memory", "ic": "program"}
        numbers = [
            (self.code.decode(rows[:, self.fields[name]]) - self.tokens[kind].start).tolist()
            for name, kind in kinds.items()
        ]
        return list(map(Instruction, *numbers))


def _check_options(
    n_bits: int, cells: str, dtype: str, temperature: float | None, overflow: str
) -> None:
    if not (isinstance(n_bits, Integral) and 2 <= n_bits <= 62):
        raise ValueError(f"Got n_bits={n_bits}, expected an integer from 2 to 62.")
    if cells not in ("bits", "integer"):
        raise ValueError(f"Got cells={cells!r}, expected 'bits' or 'integer'.")
    if overflow not in ("trap", "wrap"):
        raise ValueError(f"Got overflow={overflow!r}, expected 'trap' or 'wrap'.")
    if cells == "integer" and overflow == "wrap":
        raise ValueError("Got overflow='wrap' with cells='integer'; use cells='bits'.")
    check_dtype(dtype)
    largest = integer_limit(DTYPES[dtype])  # keeps temperature * score finite by far
    if temperature is not None and not 0 < temperature <= largest:
        raise ValueError(f"Got temperature={temperature}, expected above 0 and up to {largest}.")
