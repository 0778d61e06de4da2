"""SUBLEQ machine: subtract and branch if less than or equal to zero, two layers an instruction."""

from numbers import Integral
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.machine import DTYPES, SCRATCH, Machine, check_sizes
from sklearn_looped.programmed.machines.paper_subleq import paper_fields, paper_layers
from sklearn_looped.programmed.machines.subleq_assembler import (
    Instruction,
    assemble_subleq,
    write_subleq,
)
from sklearn_looped.programmed.machines.subleq_layers import subleq_fields, subleq_layers
from sklearn_looped.programmed.transformer.certificate import certify, integer_limit
from sklearn_looped.programmed.transformer.evaluation import LoopedTransformer
from sklearn_looped.programmed.transformer.layout import Layout, n_code_bits, sign_code, sign_value


class SubleqMachine(Machine):
    r"""A looped transformer that runs SUBLEQ programs; one loop is one instruction.

    Two layers: the first writes the previous result back and fetches the instruction that the
    program counter names, the second reads both operands, subtracts, and selects the next
    program counter. Softmax attention and ReLU feed-forward only. Every softmax row is one-hot,
    so every state is exact and no error correction is needed (Giannou et al. 2023, Section 4,
    take nine layers; see `paper_layout`).

    Parameters
    ----------
    n_memory, n_instructions : int
        Size of the machine: memory cells, and instructions including the end of file.
    n_bits : int, default=16
        Bits of a cell; values lie in [-2**(n_bits-1), 2**(n_bits-1) - 1].
    cells : {"bits", "integer"}, default="bits"
        Two's complement codes, or one number a cell, which makes a narrower state.
    dtype : {"float64", "float32"}, default="float64"
        Data type of weights and state.
    paper_layout : bool, default=False
        The paper's own form with ten layers: reads that tie with the scratchpad, buffers, a
        subtraction of three layers and an error correction with a fixed epsilon. Needs
        ``cells="bits"``. Its ties are exact from a temperature of their own on, see
        `sklearn_looped.programmed.machines.paper_subleq`.
    temperature : float or None, default=None
        Factor of the attention scores, above 0. None: the smallest power of two that makes
        every read exact in `dtype`.
    overflow : {"trap", "wrap"} or None, default=None
        What a result beyond the cells does: stop the machine with a fault, or wrap around as two's
        complement does. The network marks it either way. None: "wrap" in the paper's form, which
        cannot trap, and "trap" otherwise; ``cells="integer"`` cannot wrap.

    Attributes
    ----------
    transformer : LoopedTransformer
        The fixed weights.
    certificate : Certificate
        Why every state is exact.

    Raises
    ------
    ValueError
        If a size is below 1, or the machine cannot be exact: a temperature below the bound,
        integers beyond the dtype.

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
        paper_layout: bool = False,
        temperature: float | None = None,
        overflow: Literal["trap", "wrap"] | None = None,
    ) -> None:
        _check_sizes(n_memory, n_instructions, n_bits, cells, dtype, paper_layout)
        self.overflow = _check_overflow(overflow, cells, paper_layout)
        _check_temperature(temperature, DTYPES[dtype])
        self.n_bits, self.dtype, self._bits = n_bits, DTYPES[dtype], cells == "bits"
        null = {} if paper_layout else {"null": 1}
        self.tokens = Layout(scratch=1, **null, memory=n_memory, program=n_instructions)
        n_tokens = self.tokens.width
        n_code = n_code_bits(n_tokens)
        if paper_layout:
            self.pending = ()  # the paper's form writes in the same loop
            self.fields = paper_fields(n_code, n_bits)
            layers = paper_layers(self.fields, temperature, self.dtype)
        else:
            self.fields = subleq_fields(n_code, n_bits if self._bits else 1)
            layers = subleq_layers(self.fields, n_bits, self._bits, self.dtype, temperature)
        largest = 1 if self._bits else 2 ** (n_bits - 1)
        bounds = {name: 1.0 for name in self.fields.names}
        if not self._bits:
            bounds |= dict.fromkeys(("value", "va", "vb", "delta"), largest)
        self.transformer = LoopedTransformer(layers, self.tokens)
        self.certificate = certify(layers, self.fields, bounds, self.dtype)

    assemble = staticmethod(assemble_subleq)
    pending: tuple[str, ...] = ("wp", "delta")

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
        n_code = fields.size("pc")
        first_cell, first = tokens["memory"].start, tokens["program"].start
        cells = [*program.cells, *[0] * (tokens.size("memory") - len(program.cells))]
        values = sign_code(cells, self.n_bits) if self._bits else np.array(cells, float)[:, None]
        tape[tokens["memory"], fields["value"]] = torch.as_tensor(values)
        rows = slice(first, first + len(program.instructions))
        for name, numbers, offset in zip(
            "abc",
            zip(*program.instructions, strict=True),
            (first_cell, first_cell, first),
            strict=True,
        ):
            codes = sign_code(np.array(numbers) + offset, n_code)
            tape[rows, fields[f"i{name}"]] = torch.as_tensor(codes)
        return tape.to(self.dtype)

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
        program = self.tokens["program"]
        codes = state[program][state[program, self.fields.at("ia")] != 0]
        a, b = (
            sign_value(codes[:, self.fields[name]]) - self.tokens["memory"].start
            for name in ("ia", "ib")
        )
        c = sign_value(codes[:, self.fields["ic"]]) - program.start
        instructions = map(Instruction, a.tolist(), b.tolist(), c.tolist())
        return write_subleq(list(instructions), self.cells(self.settle(state)))


def _check_sizes(
    n_memory: int, n_instructions: int, n_bits: int, cells: str, dtype: str, paper_layout: bool
) -> None:
    check_sizes(n_memory=n_memory, n_instructions=n_instructions)
    if not (isinstance(n_bits, Integral) and 2 <= n_bits <= 62):
        raise ValueError(f"Got n_bits={n_bits}, expected an integer from 2 to 62.")
    if cells not in ("bits", "integer") or (paper_layout and cells != "bits"):
        expected = "'bits' with paper_layout" if paper_layout else "'bits' or 'integer'"
        raise ValueError(f"Got cells={cells!r}, expected {expected}.")
    if dtype not in DTYPES:
        raise ValueError(f"Got dtype={dtype!r}, expected one of {tuple(DTYPES)}.")


def _check_overflow(
    overflow: Literal["trap", "wrap"] | None, cells: str, paper_layout: bool
) -> Literal["trap", "wrap"]:
    if overflow is None:
        return "wrap" if paper_layout else "trap"
    if overflow not in ("trap", "wrap"):
        raise ValueError(f"Got overflow={overflow!r}, expected 'trap', 'wrap' or None.")
    if paper_layout and overflow == "trap":
        raise ValueError("Got overflow='trap' with paper_layout, which wraps; use overflow='wrap'.")
    if cells == "integer" and overflow == "wrap":
        raise ValueError("Got overflow='wrap' with cells='integer'; use cells='bits'.")
    return overflow


def _check_temperature(temperature: float | None, dtype: torch.dtype) -> None:
    largest = integer_limit(dtype)  # keeps temperature * score finite by far
    if temperature is not None and not 0 < temperature <= largest:
        raise ValueError(f"Got temperature={temperature}, expected above 0 and up to {largest}.")
