"""The numbers of a machine trace: which of them are drawn, and in which form."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_scalar

from sklearn_looped.programmed.machines.fleq_assembler import Cell

MAX_WRITTEN_OUT = 32  # largest number of steps for which the picture contains numbers
_ROW, _CHARACTER = 0.13, 0.085  # height and width of small text, in inches


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


def contents_label(entry: int, contents: Any) -> str:
    """Return the label of the colour bar, with the entry of the vectors that is drawn."""
    n_entries = len(contents.values) if isinstance(contents, Cell) else 1
    return "Contents" if n_entries == 1 else f"Contents, entry {entry} of 0 to {n_entries - 1}"


def ticks_between(low: float, high: float) -> list[float]:
    """Return the ends of a range, and 0 and the powers of ten in it that are not near an end."""
    powers = 10.0 ** np.arange(16)
    within = [x for x in (*-powers, 0.0, *powers) if low < x < high]
    far = [x for x in within if x == 0 or (2 * x > low if x < 0 else 2 * x < high)]
    return [low, *far, high]


def check_entry(entry: int, contents: Any) -> None:
    """Raise unless the cells have such an entry."""
    n_entries = len(contents.values) if isinstance(contents, Cell) else 1
    check_scalar(entry, "entry", Integral, min_val=0, max_val=n_entries - 1)


def number(contents: Any, entry: int) -> Any:
    """Return the number of a cell: SUBLEQ's integer, or an entry of FLEQ's vector."""
    if not isinstance(contents, Cell):
        return contents
    return contents.values[entry] if entry < len(contents.values) else 0.0


def write_contents(ax: Any, memory: NDArray[Any], written: NDArray[Any], norm: Any) -> None:
    """Write the first contents of every cell, and in bold what each step wrote.

    `memory` is of shape (n_steps + 1, n_cells), `written` (n_steps,), `norm` that of the colours.
    """
    places = [(0, address) for address in range(memory.shape[1])]
    places += list(enumerate(written.tolist(), 1))
    for step, address in places:
        value = memory[step, address]
        colour = "white" if norm(float(value)) < 0.5 else "black"
        ax.text(
            step, address, written_out(value), ha="center", va="center", color=colour,
            fontsize="small", weight="bold" if step else "normal",
        )  # fmt: skip
