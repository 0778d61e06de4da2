"""The numbers of a machine trace: which of them are drawn, and in which form."""

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import check_scalar

from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.fleq_assembler import Cell, as_cell

MAX_WRITTEN_OUT = 32  # largest number of steps for which the picture contains numbers
_ROW, _CHARACTER = 0.13, 0.085  # height and width of small text, in inches


class History(NamedTuple):
    """The contents that are drawn of a trace.

    Attributes
    ----------
    memory : ndarray of shape (n_steps + 1, n_rows)
        A row per entry: those of the first cell, of the second, and so on.
    entries : ndarray of shape (n_cells,)
        How many rows each cell has.
    written : ndarray of shape (n_steps,)
        The cell that each step wrote.
    label : str
        Of the colour bar.
    """

    memory: NDArray[Any]
    entries: NDArray[np.intp]
    written: NDArray[np.intp]
    label: str


def history_of(trace: pd.DataFrame, program: Program, entry: int | None) -> History:
    """Replay the writes of a trace; of vectors keep one entry, or all up to the last not zero."""
    writes = [next(iter(cells.items())) for cells in trace["writes"]]
    written = np.array([address for address, _ in writes])
    vectors = isinstance(writes[0][1], Cell)
    n_entries = len(_values(writes[0][1]))
    if entry is not None:
        check_scalar(entry, "entry", Integral, min_val=0, max_val=n_entries - 1)
    n_cells = max(len(program.cells), int(written.max()) + 1)
    cells = np.zeros((n_cells, n_entries), dtype=float if vectors else np.int64)
    for address, contents in enumerate(program.cells):
        values = _values(as_cell(contents) if vectors else contents)
        cells[address, : len(values)] = values
    memory = np.repeat(cells[None], len(writes) + 1, axis=0)
    for step, (address, contents) in enumerate(writes, 1):
        memory[step:, address] = _values(contents)
    if entry is not None:
        memory = memory[:, :, [entry]]
    n_shown = memory.shape[2]
    used = memory.any(axis=0) * np.arange(1, n_shown + 1)
    entries = used.max(axis=1).clip(min=1)
    label = "Contents"
    if entry is not None and n_entries > 1:
        label = f"Contents, entry {entry} of 0 to {n_entries - 1}"
    return History(memory[:, np.arange(n_shown) < entries[:, None]], entries, written, label)


def _values(contents: Any) -> Any:
    """Return the entries of a cell; SUBLEQ's integer is one."""
    return contents.values if isinstance(contents, Cell) else (contents,)


def written_out(value: Any) -> str:
    """Return the text of a number in the picture."""
    return f"{value:.4g}" if isinstance(value, np.floating) else str(value)


def width_of(memory: NDArray[Any]) -> float:
    """Return the width in inches of the longest number of a trace, in small text."""
    return _CHARACTER * max(len(written_out(value)) for value in np.unique(memory))


def fits(memory: NDArray[Any], ax: Any) -> bool:
    """Whether the numbers that the steps wrote fit on these Axes without overlapping."""
    n_columns, n_rows = memory.shape
    width, height = np.array(ax.bbox.size) / ax.figure.dpi
    enough = width >= n_columns * width_of(memory) and height >= n_rows * _ROW
    return bool(n_columns <= MAX_WRITTEN_OUT + 1 and enough)


def thin(size: float, n_steps: int) -> float:
    """Return the width of a line or mark, smaller for many steps so that marks do not overlap."""
    return float(np.clip(size * 4 * MAX_WRITTEN_OUT / n_steps, size / 3, size))


def ticks_between(low: float, high: float) -> list[float]:
    """Return the ends of a range, and 0 and the powers of ten in it that are not near an end."""
    powers = 10.0 ** np.arange(16)
    within = [x for x in (*-powers, 0.0, *powers) if low < x < high]
    far = [x for x in within if x == 0 or (2 * x > low if x < 0 else 2 * x < high)]
    return [low, *far, high]


def write_contents(
    ax: Any, memory: NDArray[Any], steps: NDArray[Any], rows: NDArray[Any], norm: Any
) -> None:
    """Write the first contents of every row, and in bold what steps wrote to rows.

    `memory` is of shape (n_steps + 1, n_rows), `norm` that of the colours.
    """
    places = [(0, row) for row in range(memory.shape[1])]
    places += zip(steps.tolist(), rows.tolist(), strict=True)
    for step, row in places:
        value = memory[step, row]
        colour = "white" if norm(float(value)) < 0.5 else "black"
        ax.text(
            step, row, written_out(value), ha="center", va="center", color=colour,
            fontsize="small", weight="bold" if step else "normal",
        )  # fmt: skip
