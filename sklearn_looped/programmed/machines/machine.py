"""What both machines share: the blank tape, the run, the trace."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from sklearn_looped.core.memory import check_memory
from sklearn_looped.core.names import known_names
from sklearn_looped.core.warning import warn_user
from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.checks import check_program, check_sizes
from sklearn_looped.programmed.machines.faults import Fault, MachineFaultError
from sklearn_looped.programmed.machines.run_result import RunResult
from sklearn_looped.programmed.machines.state_reader import SCRATCH, StateReader
from sklearn_looped.programmed.transformer.evaluation import check_evaluation

TAPES = 6  # that a run holds at a time, about
TRACE_COLUMNS = ["step", "pc", "line", "instruction", "reads", "writes", "flag"]


class Machine(StateReader):
    """A looped transformer that runs programs; the host loads the tape and stops the loop.

    Parameters
    ----------
    tokens, fields : Layout
        Names of the rows and columns of the state.
    layers : sequence of Layer
        The loop body.
    bounds : mapping of str to float
        Largest absolute value of the fields that hold integers, see `certify`.

    Attributes
    ----------
    block : Block
        The loop body.
    transformer : LoopedTransformer
        The fixed weights. They depend on the sizes declared, never on program or data.
    certificate : Certificate
        Why every state is exact.
    """

    @staticmethod
    @abstractmethod
    def assemble(text: str) -> Program:
        """Assemble a text."""

    @abstractmethod
    def load(self, program: Program) -> Tensor:
        """Write a program and its data to a tape.

        Parameters
        ----------
        program : Program

        Returns
        -------
        tape : Tensor of shape (n_tokens, width)
        """

    @abstractmethod
    def _describe(
        self, program: Program, before: tuple[int, list], after: tuple[int, list]
    ) -> dict[str, Any]:
        """Trace entries of one instruction, from (pc, cells) before and after it."""

    @abstractmethod
    def _is_sound(self, state: Tensor) -> bool:
        """Whether the last instruction met no fault; the host only looks at the state."""

    @abstractmethod
    def _fault(self, program: Program, pc: int, state: Tensor) -> tuple[str, Any]:
        """Reason and value of the fault that instruction `pc` met."""

    def run(
        self,
        program: Program | str,
        max_loops: int = 100_000,
        *,
        state: Tensor | None = None,
        evaluation: str = "fast",
        device: str = "cpu",
        breakpoints: Sequence[str | int] = (),
        trace: bool = False,
        on_fault: Literal["raise", "return"] = "raise",
    ) -> RunResult:
        """Loop until the program halts, meets a breakpoint or a fault, or exceeds the cap.

        The host writes the tape, compares the program counter with the places to stop, looks
        whether the state is still exact, and reads the memory at the end (at every step of a
        trace); it changes nothing in the loop, which is attention and feed-forward layers.

        Parameters
        ----------
        program : Program or str
            Assembled program, or its text.
        max_loops : int, default=100_000
            Largest number of instructions executed.
        state : Tensor or None, default=None
            State of an earlier result to continue from: it executes the instruction it stopped
            at, breakpoint or not. None: the program's own tape.
        evaluation : {"dense", "fast"}, default="fast"
            How layers are evaluated; on a CPU both give the same bits, see `LoopedTransformer.run`.
        device : str, default="cpu"
            Where "dense" runs: "cpu", "cuda", "cuda:N" or "auto".
        breakpoints : sequence of str or int, default=()
            Labels or numbers of instructions to stop at, before they are executed.
        trace : bool, default=False
            Record every instruction; slower.
        on_fault : {"raise", "return"}, default="raise"
            What to do where an instruction has no result: a value outside a function's domain, an
            overflow, a pointer to no cell. "return": the result contains the fault, and the memory
            as it was before the instruction.

        Returns
        -------
        result : RunResult

        Raises
        ------
        MachineFaultError
            At a fault, unless it is to be returned; a ValueError with the attribute `fault`.
        ValueError
            If the program does not fit the machine, or a parameter or the state is not one of this
            machine's.
        TypeError
            If `program` is neither.
        MemoryError
            If the tape of a machine of this size needs more memory than there is.

        Warns
        -----
        ConvergenceWarning
            If the program has not halted after `max_loops` loops; the state is kept.
        """
        program = self._as_program(program)
        tape = self.load(program)
        check_evaluation(evaluation, device)
        self._check_run(tape if state is None else state, max_loops, on_fault)
        stops = self._stops(program, breakpoints)

        def until(current: Tensor) -> bool:
            return self._read(current, SCRATCH, "pc").tobytes() in stops

        rows: list[dict[str, Any]] | None = [] if trace else None
        stopped = until(tape) if state is None else self.pc(state) == program.halt
        state = tape if state is None else state
        n_loops, fault = 0, None
        if not stopped:
            where: dict[str, Any] = {"evaluation": evaluation, "device": device}
            where |= {"adjacency": self.adjacency, "until": until}
            loop = self.transformer.run(state, max_loops, **where)
            state, n_loops, fault = self._follow(program, state, loop, rows)
        if fault is not None and on_fault == "raise":
            raise MachineFaultError(fault)
        if fault is None and not until(state):
            warn_user(
                f"The program has not halted after n_loops={n_loops} loops; raise max_loops, or "
                "continue from result.state.",
                ConvergenceWarning,
            )
        return self._result(program, state, n_loops, fault, rows)

    def _as_program(self, program: Program | str) -> Program:
        """Assemble a program that is given as text."""
        if not isinstance(program, str | Program):
            raise TypeError(
                f"Got {type(program).__name__}, but expected a Program or the text of one."
            )
        return self.assemble(program) if isinstance(program, str) else program

    def _result(
        self,
        program: Program,
        state: Tensor,
        n_loops: int,
        fault: Fault | None,
        rows: list[dict[str, Any]] | None = None,
    ) -> RunResult:
        """Return the result of a run that stopped in some state, with the rows of its trace."""
        state = self.settle(state)
        pc = self.pc(state)
        return RunResult(
            cells=self.cells(state),
            pc=pc,
            halted=fault is None and pc == program.halt,
            n_loops=n_loops,
            state=state,
            labels=program.labels,
            trace=None if rows is None else pd.DataFrame(rows, columns=TRACE_COLUMNS),
            fault=fault,
        )

    def _follow(
        self,
        program: Program,
        state: Tensor,
        loop: Iterable[Tensor],
        rows: list[dict[str, Any]] | None,
    ) -> tuple[Tensor, int, Fault | None]:
        """Last state of a loop, the number of states, the fault; adds to the rows of a trace."""
        n_loops, at = 0, self._read(state, SCRATCH, "pc").copy()
        before = None if rows is None else (self.pc(state), self.cells(self.settle(state)))
        for n_loops, current in enumerate(loop, 1):
            if not self._is_sound(current):
                state, fault = self._stopped(program, current, at, n_loops)
                return state, n_loops, fault
            state, at = current, self._read(current, SCRATCH, "pc").copy()
            if rows is not None and before is not None:
                pc, after = before[0], (self.pc(state), self.cells(self.settle(state)))
                row = {"step": n_loops, "pc": pc, "line": program.line(pc)}
                entries = self._describe(program, before, after)
                rows.append({**row, "instruction": program.text(pc), **entries})
                before = after
        return state, n_loops, None

    def _stopped(
        self, program: Program, state: Tensor, before: NDArray, n_loops: int
    ) -> tuple[Tensor, Fault]:
        """State to go on from, and the fault, of a loop that made a state which is not sound.

        `before` is the program counter before that loop.
        """
        rewound = self._rewound(state, before)
        pc = self.pc(rewound)
        reason, value = self._fault(program, pc, state)
        return rewound, Fault(reason, value, program.describe(pc), pc, n_loops)

    def _check_run(self, state: Tensor, max_loops: int, on_fault: str) -> None:
        check_sizes(max_loops=max_loops)
        if on_fault not in ("raise", "return"):
            raise ValueError(f"Got on_fault={on_fault!r}, expected 'raise' or 'return'.")
        shape = (self.tokens.width, self.fields.width)
        if state.shape != shape or state.dtype != self.dtype:
            raise ValueError(
                f"Got a state of shape {tuple(state.shape)} and {state.dtype}, but the machine's "
                f"are {shape} and {self.dtype}; continue with the machine that made it."
            )

    def _blank_tape(self, program: Program) -> Tensor:
        """Return a tape with indicators, positions and program counter, once the sizes fit."""
        fields, tokens = self.fields, self.tokens
        check_program(program, tokens)
        check_memory(
            TAPES * 8 * tokens.width * fields.width,
            f"The tape of {tokens.width:,} tokens",
            "Declare a smaller machine.",
        )
        tape = self.block.load(tokens, named=("memory", "program")).state
        tape[SCRATCH, fields["pc"]] = tape[tokens["program"].start, fields["position"]]
        return tape

    def _stops(self, program: Program, breakpoints: Sequence[str | int]) -> set[bytes]:
        """Codes of the instructions to stop at, as bytes of the program counter."""
        stops = [program.halt]
        for point in breakpoints:
            number = program.code_labels.get(point) if isinstance(point, str) else point
            if number is None or not 0 <= number <= program.halt:
                known = known_names(str(point), program.code_labels)
                raise ValueError(
                    f"Got breakpoint {point!r}, expected 0 to {program.halt} or a label{known}"
                )
            stops.append(number)
        positions = np.array(stops) + self.tokens["program"].start
        codes = torch.as_tensor(self.code.encode(positions), dtype=self.dtype, device="cpu")
        return {code.numpy().tobytes() for code in codes}
