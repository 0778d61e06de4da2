"""FLEQ machine: function blocks, and a branch if a flag is less than or equal to zero."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.checks import DTYPES, check_dtype, check_sizes
from sklearn_looped.programmed.machines.fleq_assembler import (
    OPERATIONS,
    Cell,
    Instruction,
    as_cell,
    assemble_fleq,
    write_fleq,
)
from sklearn_looped.programmed.machines.fleq_layers import fleq_fields, fleq_layers, real_fields
from sklearn_looped.programmed.machines.function_layers import opcode
from sklearn_looped.programmed.machines.functions import (
    FleqFunction,
    check_functions,
    cost,
    domain_of,
    operands_of,
)
from sklearn_looped.programmed.machines.machine import Machine
from sklearn_looped.programmed.machines.state_reader import SCRATCH
from sklearn_looped.programmed.transformer.layers import Layer
from sklearn_looped.programmed.transformer.layout import Layout, n_code_bits, sign_code, sign_value

# Address operands of an instruction and the fields that hold them.
ADDRESSES = {"a": "ia", "b": "ib", "c": "ic", "flag": "iflag"}
RESERVED = dict.fromkeys(("branch", "jump", "halt"), "")  # names of macros


class FleqMachine(Machine):
    r"""A looped transformer that runs programs of function blocks; one loop is one instruction.

    A cell holds a vector and a pointer. An instruction applies one function f to two cells,
    writes the result, and branches: ``mem[c] <- f(mem[a], mem[b]); if mem[flag] <= 0 go to
    target``, where the flag's first entry is read *before* the write (Giannou et al. 2023,
    Section 5, FLEQ). Three layers: write back and fetch; read operands and route them to the
    function of the opcode; apply the functions and branch. Products are gated, the sigmoid is
    a softmax over two keys: both are exact up to the rounding of the result.

    Parameters
    ----------
    n_memory, n_instructions : int
        Size of the machine, at least 1 each: memory cells, and instructions with one more for the
        end of the program.
    n_entries : int, default=1
        Length D of a cell's vector, at least 1. Scalars lie in entry 0, the others are 0.
    dtype : {"float64", "float32"}, default="float64"
        Data type of weights and state.
    functions : mapping of str to function or None, default=None
        Additional instructions, by name: ``name a, c`` for a `SigmoidSum`, a
        `~sklearn_looped.programmed.machines.sigmoid_sum.ReluSum` or a
        `~sklearn_looped.programmed.machines.functions.Composition`, which take the first entry of
        a, and a `~sklearn_looped.programmed.machines.functions.Transposition`;
        ``name a, b, c`` for a `~sklearn_looped.programmed.machines.functions.MatrixProduct`.

    Attributes
    ----------
    transformer : LoopedTransformer
        The fixed weights.
    certificate : Certificate
        Why addresses and branches are exact, and layers, heads, width and error of the functions.
    operations : dict of str to str
        Names of all instructions and their operands.

    Raises
    ------
    ValueError
        If a size is not an integer of at least 1, the dtype is unknown, or a function has a name
        that is taken, an interval beyond the range of the dtype, or more entries than a cell.

    Notes
    -----
    A pointer may point to any cell of the machine and to the place behind the last cell, which
    reads as an empty cell. Loading by a cell without a pointer reads an empty cell too. It is a
    fault to increment a pointer beyond that place or a cell without a pointer, to store to a place
    without a cell, and to compute a result beyond the range of the dtype; the host looks for these.
    The network itself finds an operand outside a function's interval and ``trap``: its program
    counter then stays where it is, and it writes nothing more.

    References
    ----------
    A. Giannou et al., "Looped Transformers as Programmable Computers", ICML 2023.

    Examples
    --------
    >>> from sklearn_looped import FleqMachine
    >>> machine = FleqMachine(n_memory=8, n_instructions=4, n_entries=3)
    >>> program = "x: .vector 1 2 3\n y: .vector 4 5 6\n z: .word 0\n dot x, y, z"
    >>> machine.run(program)["z"]
    Cell(values=(32.0, 0.0, 0.0), pointer=None)
    """

    def __init__(
        self,
        n_memory: int,
        n_instructions: int,
        n_entries: int = 1,
        *,
        dtype: Literal["float64", "float32"] = "float64",
        functions: Mapping[str, FleqFunction] | None = None,
    ) -> None:
        check_sizes(n_memory=n_memory, n_instructions=n_instructions, n_entries=n_entries)
        check_dtype(dtype)
        self.functions = dict(functions or {})
        check_functions(self.functions, {**OPERATIONS, **RESERVED}, n_entries, DTYPES[dtype])
        self.operations = {**OPERATIONS, **{k: operands_of(f) for k, f in self.functions.items()}}
        tokens = Layout(scratch=1, null=1, memory=n_memory, program=n_instructions)
        n_code = n_code_bits(tokens.width)
        self._powers = 2.0 ** np.arange(n_code)
        fields = fleq_fields(n_code, n_entries, self.functions).astype(DTYPES[dtype])
        fields, layers = self._body(fields)
        # Codes and indicators are integers of size 1; the other fields hold real numbers.
        reals = real_fields(self.functions)
        bounds = {name: 1.0 for name in fields.names if name not in reals}
        super().__init__(tokens, fields, layers, bounds)
        unit = torch.finfo(self.dtype).eps / 2
        costs = {name: cost(function, unit) for name, function in self.functions.items()}
        absolute = [each.error_bound for each in costs.values() if not each.relative]
        largest = max(absolute, default=0.0)
        self.certificate = replace(self.certificate, error_bound=largest, functions=costs)
        if self.functions:  # the text may name them
            assemble = partial(assemble_fleq, operations=self.operations)
            self.assemble = assemble

    assemble = staticmethod(assemble_fleq)
    pending: tuple[str, ...] = ("result", "rp", "wp", "old", "oldp")

    def _body(self, fields: Layout) -> tuple[Layout, list[Layer]]:
        """Fields and layers of the loop body."""
        return fields, fleq_layers(fields, self.functions)

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
            If the program is larger than the machine, a cell has too many entries or is not
            finite, or an address is out of range.
        """
        tape = self._blank_tape(program)
        fields, n_code = self.fields, self.fields.size("pc")
        first, first_cell = self.tokens["program"].start, self.tokens["memory"].start
        codes = torch.from_numpy(sign_code(np.arange(self.tokens.width + 1), n_code))

        def code(address: int, size: int, offset: int, where: str) -> Tensor:
            if not 0 <= address < size:
                raise ValueError(
                    f"Got address {address} in {where}, expected 0 to {size - 1}; positions have "
                    f"{n_code} bits."
                )
            return codes[address + offset]

        for address, cell in enumerate(map(as_cell, program.cells)):
            row = tape[first_cell + address]
            row[fields["value"]] = torch.from_numpy(self._entries(cell, address))
            if cell.pointer is not None:
                where = f"the pointer of cell {address}"
                room = len(program.cells) + 1  # the place behind the last cell
                row[fields["pointer"]] = code(cell.pointer, room, first_cell, where)
        for number, instruction in enumerate(program.instructions):
            row, where = tape[first + number], f"instruction {number}"
            if instruction.operation not in self.operations:
                raise ValueError(
                    f"Got operation {instruction.operation!r} in {where}, which this machine does "
                    "not have; give it in functions."
                )
            row[fields[f"i{opcode(instruction.operation, self.functions)}"]] = 1
            for operand, field in ADDRESSES.items():
                address = getattr(instruction, operand)
                row[fields[field]] = code(address, len(program.cells), first_cell, where)
            target = code(instruction.target, len(program.instructions), first, where)
            row[fields["itarget"]] = target
        return tape

    def _entries(self, cell: Cell, address: int) -> NDArray[np.float64]:
        n_entries = self.fields.size("value")
        stored = torch.tensor(cell.values, dtype=torch.float64, device="cpu").to(self.dtype)
        if len(cell.values) > n_entries or not stored.isfinite().all():
            raise ValueError(
                f"Got {cell.values} in cell {address}, expected at most {n_entries} finite "
                f"numbers of {self.certificate.dtype}; declare a machine of more n_entries, or "
                "float64."
            )
        return np.pad(np.array(cell.values, dtype=float), (0, n_entries - len(cell.values))) + 0.0

    def cells(self, state: Tensor) -> list[Cell]:
        """Return the vectors and pointers in the memory of a settled state.

        Parameters
        ----------
        state : Tensor of shape (n_tokens, width)

        Returns
        -------
        cells : list of Cell
        """
        rows = state[self.tokens["memory"]]
        values = rows[:, self.fields["value"]].tolist()
        pointers = self._addresses(rows[:, self.fields["pointer"]])
        return [Cell(tuple(v), p) for v, p in zip(values, pointers, strict=True)]

    def _addresses(self, codes: Tensor) -> list[int | None]:
        first = self.tokens["memory"].start
        return [int(sign_value(c)) - first if c.any() else None for c in codes.numpy()]

    def _is_sound(self, state: Tensor) -> bool:
        if self._read(state, SCRATCH, "fault")[0] > 0:
            return False
        if not np.isfinite(self._read(state, SCRATCH, "result")).all():
            return False
        return self._pointer_fault(state) is None

    def _fault(self, program: Program, pc: int, state: Tensor) -> tuple[str, Any]:
        instruction: Instruction = program.instructions[pc]
        if self._read(state, SCRATCH, "fault")[0] > 0:
            row = self.tokens["memory"].start + instruction.a
            operand = float(self._read(state, row, "value")[0])
            if instruction.operation == "trap":
                return "the program traps", operand
            low, high = domain_of(self.functions[instruction.operation])
            return f"{instruction.operation} takes numbers from {low:g} to {high:g}", operand
        if not np.isfinite(self._read(state, SCRATCH, "result")).all():
            return f"the result is beyond the range of {self.certificate.dtype}", None
        reason, value = self._pointer_fault(state) or ("", None)
        return reason, value

    def _pointer_fault(self, state: Tensor) -> tuple[str, Any] | None:
        """Whether the pending write goes to no cell, or writes a pointer to no place."""
        n_memory, first = self.tokens.size("memory"), self.tokens["memory"].start
        for field, what, largest in (("wp", "store", n_memory - 1), ("rp", "pointer", n_memory)):
            code = self._read(state, SCRATCH, field)
            if field == "rp" and not code.any():
                continue  # a result without a pointer
            if not code[0]:  # no code: nothing to store to, or nothing to count up
                return (
                    f"a {what} by way of a cell without a pointer; declare it with .pointer",
                    None,
                )
            address = (int(code @ self._powers + self._powers.sum()) >> 1) - first
            if not 0 <= address <= largest:
                return f"a {what} to this address, expected 0 to {largest}", address
        return None

    def _describe(
        self, program: Program, before: tuple[int, list], after: tuple[int, list]
    ) -> dict[str, Any]:
        (pc, cells), (_, results) = before, after
        instruction: Instruction = program.instructions[pc]
        operands = self.operations[instruction.operation].replace("c", "")
        read = {getattr(instruction, name) for name in operands}
        written = instruction.c
        source = cells[instruction.a].pointer
        if instruction.operation == "load" and source in range(len(cells)):
            read.add(source)
        if instruction.operation == "store":
            written = cells[instruction.b].pointer
        return {
            "reads": {address: cells[address] for address in sorted(read)},
            "writes": {written: results[written]},
            "flag": cells[instruction.flag].values[0] <= 0,
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
        >>> from sklearn_looped import FleqMachine
        >>> machine = FleqMachine(n_memory=4, n_instructions=2)
        >>> tape = machine.load(machine.assemble("x: .word 5\n add x, x, x"))
        >>> print(machine.disassemble(tape))
        m0: .vector 5.0
        #1: .vector 1.0
        #0: .vector 0.0
        m3: .vector 0.0
        i0: add m0, m0, m0, #1, end
        """
        rows = state[self.tokens["program"]]
        columns = [f"i{opcode(name, self.functions)}" for name in self.operations]
        opcodes = torch.stack([rows[:, self.fields.at(column)] for column in columns], 1)
        rows, opcodes = rows[opcodes.any(1)], opcodes[opcodes.any(1)]
        operands = [self._addresses(rows[:, self.fields[field]]) for field in ADDRESSES.values()]
        targets = sign_value(rows[:, self.fields["itarget"]]) - self.tokens["program"].start
        names = [list(self.operations)[i] for i in opcodes.argmax(1).tolist()]
        instructions = zip(names, *operands, targets.tolist(), strict=True)
        return write_fleq(
            [Instruction(*fields) for fields in instructions],
            self.cells(self.settle(state)),
            self.operations,
        )
