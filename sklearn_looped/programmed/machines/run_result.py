"""What a run of a machine returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from torch import Tensor

from sklearn_looped.core.names import known_names
from sklearn_looped.programmed.machines.faults import Fault


@dataclass(frozen=True)
class RunResult:
    r"""Where a run stopped.

    Parameters
    ----------
    cells : list
        The memory, one entry a cell.
    pc : int
        Number of the next instruction.
    halted : bool
        Whether the program reached its end.
    n_loops : int
        Loops made, one an instruction.
    state : Tensor of shape (n_tokens, width)
        The state of the transformer, to continue from.
    labels : mapping of str to int
        Addresses of the program's cells.
    trace : DataFrame or None
        One row an instruction with the columns step, pc, line and instruction as in the text,
        reads, writes, flag.
    fault : Fault or None
        Why the machine stopped where it could not go on; the memory, `pc` and `state` are those
        before the instruction.

    Examples
    --------
    >>> from sklearn_looped import SubleqMachine
    >>> machine = SubleqMachine(n_memory=8, n_instructions=12)
    >>> result = machine.run("x: .word 5, 6\n subleq x, x+1", trace=True)
    >>> result.block("x", 2), result.halted, result.trace["writes"].tolist()
    ([5, 1], True, [{1: 1}])
    """

    cells: list[Any]
    pc: int
    halted: bool
    n_loops: int
    state: Tensor = field(repr=False)
    labels: Mapping[str, int]
    trace: pd.DataFrame | None = None
    fault: Fault | None = None

    def __getitem__(self, label: str) -> Any:
        """Contents of the named cell."""
        return self.block(label, 1)[0]

    def block(self, label: str, n_cells: int) -> list[Any]:
        """Contents of some cells from a label on.

        Parameters
        ----------
        label : str
        n_cells : int

        Returns
        -------
        cells : list

        Raises
        ------
        ValueError
            If there is no such label, or there are fewer cells behind it.
        """
        if label not in self.labels:
            raise ValueError(f"Got label {label!r} of no cell{known_names(label, self.labels)}")
        start = self.labels[label]
        if not 0 < n_cells <= len(self.cells) - start:
            raise ValueError(
                f"Got n_cells={n_cells} behind {label!r}, expected 1 to {len(self.cells) - start}."
            )
        return self.cells[start : start + n_cells]
