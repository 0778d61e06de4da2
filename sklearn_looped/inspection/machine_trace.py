"""`MachineTraceDisplay`: memory, program counter and attention of a programmed machine."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_scalar
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sklearn_looped.inspection.machine_attention import (
    attention_maps,
    cell_names,
    draw_maps,
    token_names,
)
from sklearn_looped.inspection.machine_numbers import (
    MAX_WRITTEN_OUT,
    fits,
    history_of,
    thin,
    ticks_between,
    width_of,
    write_contents,
)
from sklearn_looped.inspection.style import BLUE, COLOUR_MAP, VERMILION, label_ticks
from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.machine import Machine

MAX_WIDTH = 14.0  # inches


class MachineTraceDisplay:
    r"""Memory and program counter of a `SubleqMachine` or `FleqMachine`, step by step.

    Create one with `from_machine`, or with `from_trace` from an earlier run.

    Parameters
    ----------
    memory : array-like of shape (n_steps + 1, n_rows)
        Contents of the cells before the first step and after each step, a row per entry.
    counter : array-like of shape (n_steps,)
        Number of the instruction that each step executed.
    written : array-like of shape (n_steps,)
        Address to which each step wrote.
    entries : array-like of shape (n_cells,), default=None
        How many rows each cell has, one after another. None: one, a number.
    cell_names : sequence of str, length n_cells, default=None
        None: the addresses.
    label : str, default="Contents"
        Label of the colour bar.
    machine, program : Machine and Program, default=None
        The machine and the program that ran; `plot_attention` needs them.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Axes of the memory.
    image_ : matplotlib AxesImage
        Memory, with a row per entry and a column per step; step 0 is before the first one.
    colorbar_ : matplotlib Colorbar
    counter_ax_, counter_line_ : matplotlib Axes and Line2D
        Program counter.
    attention_ : list of ndarray of shape (n_rows, n_tokens)
        Weights that `plot_attention` drew, one entry per head, for the tokens that it can change.
    attention_axes_, attention_images_ : list of matplotlib Axes and AxesImage

    Raises
    ------
    ValueError
        If the shapes are inconsistent.

    Examples
    --------
    >>> from sklearn_looped import SubleqMachine
    >>> from sklearn_looped.inspection import MachineTraceDisplay
    >>> machine = SubleqMachine(n_memory=8, n_instructions=12)
    >>> program = "x: .word 20\n y: .word 22\n add x, y"
    >>> display = MachineTraceDisplay.from_machine(machine, program)
    >>> display.memory[-1, :2].tolist(), display.counter.tolist()
    ([20, 42], [0, 1, 2])
    """

    def __init__(
        self,
        *,
        memory: ArrayLike,
        counter: ArrayLike,
        written: ArrayLike,
        entries: ArrayLike | None = None,
        cell_names: Sequence[str] | None = None,
        label: str = "Contents",
        machine: Machine | None = None,
        program: Program | None = None,
    ) -> None:
        self.memory, self.counter = np.asarray(memory), np.asarray(counter)
        self.written = np.asarray(written)
        n_steps = len(self.counter)
        if self.memory.ndim != 2 or len(self.memory) != n_steps + 1 or len(self.written) != n_steps:
            raise ValueError(
                f"Got memory of shape {self.memory.shape}, {n_steps} instructions and "
                f"{len(self.written)} addresses, but expected memory of shape (n_steps + 1, "
                "n_rows) and one instruction and one address per step."
            )
        n_rows = self.memory.shape[1]
        self.entries = np.ones(n_rows, int) if entries is None else np.asarray(entries)
        if self.entries.sum() != n_rows:
            raise ValueError(f"Got {self.entries.sum()} entries of cells for {n_rows} rows.")
        n_cells = len(self.entries)
        self.cell_names = list(map(str, range(n_cells))) if cell_names is None else list(cell_names)
        if len(self.cell_names) != n_cells:
            raise ValueError(f"Got {len(self.cell_names)} names for {n_cells} cells.")
        self.label, self.machine, self.program = label, machine, program

    @classmethod
    def from_machine(
        cls,
        machine: Machine,
        program: Program | str,
        *,
        max_loops: int = 1000,
        entry: int | None = None,
        ax: Any = None,
    ) -> "MachineTraceDisplay":
        """Run a program with a trace and draw it.

        Parameters
        ----------
        machine : SubleqMachine or FleqMachine
        program : Program or str
            Assembled program, or its text.
        max_loops : int, default=1000
            Largest number of steps, as in `Machine.run`.
        entry : int, default=None
            Entry of the cells' vectors that is drawn, for a `FleqMachine`. None: all entries, a
            row each, up to the last that is ever different from 0.
        ax : sequence of two matplotlib Axes, default=None
            Axes for the program counter and the memory. None: a new figure.

        Returns
        -------
        MachineTraceDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `machine` is not a `Machine`.
        ValueError
            If the program is too large for the machine or has no instruction, or its cells have no
            such entry.

        Warns
        -----
        ConvergenceWarning
            If the program has not halted after `max_loops` steps.
        """
        check_matplotlib_support(f"{cls.__name__}.from_machine")
        if not isinstance(machine, Machine):
            raise TypeError(
                f"Got {type(machine).__name__}, but expected a SubleqMachine or a FleqMachine."
            )
        program = machine._as_program(program)
        trace = machine.run(program, max_loops, trace=True).trace
        display = cls.from_trace(trace, program, entry=entry, ax=ax)
        display.machine = machine
        return display

    @classmethod
    def from_trace(
        cls,
        trace: pd.DataFrame | None,
        program: Program,
        *,
        entry: int | None = None,
        ax: Any = None,
    ) -> "MachineTraceDisplay":
        """Draw the trace of a run.

        Parameters
        ----------
        trace : DataFrame
            `RunResult.trace` of a run from the start of the program.
        program : Program
            The program that ran.
        entry : int, default=None
            Entry of the cells' vectors that is drawn, for a `FleqMachine`. None: all entries, a
            row each, up to the last that is ever different from 0.
        ax : sequence of two matplotlib Axes, default=None
            Axes for the program counter and the memory. None: a new figure.

        Returns
        -------
        MachineTraceDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the trace is empty, or the cells have no such entry.
        """
        check_matplotlib_support(f"{cls.__name__}.from_trace")
        if trace is None or trace.empty:
            raise ValueError(
                "Got no trace, or a trace without steps. Run a program of at least one instruction "
                "with trace=True."
            )
        history = history_of(trace, program, entry)
        display = cls(
            memory=history.memory,
            counter=trace["pc"].to_numpy(),
            written=history.written,
            entries=history.entries,
            cell_names=cell_names(program, len(history.entries)),
            label=history.label,
            program=program,
        )
        return display.plot(ax)

    def plot(self, ax: Any = None) -> "MachineTraceDisplay":
        """Draw the memory and the program counter by step.

        Up to 32 steps the picture contains the numbers that were written, if they fit; otherwise a
        mark shows where each step wrote.

        Parameters
        ----------
        ax : sequence of two matplotlib Axes, default=None
            Axes for the program counter and the memory. None: a new figure.

        Returns
        -------
        MachineTraceDisplay
            This display.

        Raises
        ------
        ValueError
            If there are not exactly two Axes.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        n_steps, n_rows = len(self.counter), self.memory.shape[1]
        if ax is None:
            height = float(np.clip(0.3 * n_rows, 2, 10))
            column = max(0.42, 0.1 + width_of(self.memory))
            size = float(np.clip(2.5 + column * n_steps, 6.4, MAX_WIDTH)), height + 2.2
            _, ax = plt.subplots(
                2, figsize=size, layout="constrained", height_ratios=(1.2, height), sharex=True
            )
        axes = list(np.ravel(np.asarray(ax, dtype=object)))
        if len(axes) != 2:
            raise ValueError(f"Got {len(axes)} Axes, but expected two, for counter and memory.")
        self.counter_ax_, self.ax_ = axes
        self.figure_ = self.ax_.figure
        steps = range(1, n_steps + 1)
        crowded = n_steps > 20 * MAX_WRITTEN_OUT  # a line would fill the Axes; points do not
        [self.counter_line_] = self.counter_ax_.step(
            steps, self.counter, where="mid", color=BLUE, linewidth=thin(1.2, n_steps),
            linestyle="none" if crowded else "-", marker="," if crowded else ".",
        )  # fmt: skip
        ends = self.counter.min() - 0.5, self.counter.max() + 0.5
        self.counter_ax_.set(ylabel="Instruction", ylim=ends)
        self.counter_ax_.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
        self._draw_memory()
        return self

    def _draw_memory(self) -> None:
        from matplotlib.colors import AsinhNorm
        from matplotlib.ticker import MaxNLocator

        low, high = float(self.memory.min()), float(self.memory.max())
        high = high if high > low else low + max(1.0, abs(low))
        smallest = min(1.0, max(abs(low), abs(high)) / 100)  # below, colours are linear
        norm = AsinhNorm(smallest, vmin=low, vmax=high)
        contents = self.memory.T.astype(float)
        self.image_ = self.ax_.imshow(
            contents, cmap=COLOUR_MAP, aspect="auto", norm=norm, interpolation="nearest"
        )
        ticks = ticks_between(low, high)
        self.colorbar_ = self.figure_.colorbar(
            self.image_, ax=self.ax_, label=self.label, ticks=ticks, format="{x:.4g}"
        )
        self.colorbar_.minorticks_off()
        cell_of_row = np.repeat(np.arange(len(self.entries)), self.entries)
        steps, rows = (cell_of_row == self.written[:, None]).nonzero()
        if fits(self.memory, self.ax_):
            write_contents(self.ax_, self.memory, steps + 1, rows, norm)
        else:
            self.ax_.plot(
                steps + 1, rows, ".", color=VERMILION, label="written",
                markersize=thin(6.0, len(steps)),
            )  # fmt: skip
            self.ax_.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
        ends = np.cumsum(self.entries) - 0.5
        label_ticks(self.ax_.yaxis, self.cell_names, ends - self.entries / 2)
        if (self.entries > 1).any():  # the cells apart
            self.ax_.hlines(ends[:-1], -0.5, self.memory.shape[0] - 0.5, "white", linewidth=1)
        self.ax_.set(xlabel="Step (0: before the first)", ylabel="Memory cell")
        self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=16))

    def plot_attention(
        self, *, step: int = 1, layer: int = 0, ax: Sequence[Any] | None = None
    ) -> "MachineTraceDisplay":
        """Draw the attention of a layer's heads in one step.

        The program is run again up to that step. A head is drawn for the tokens that it can change;
        for all others its output is 0.

        Parameters
        ----------
        step : int, default=1
            From 1 to the number of steps.
        layer : int, default=0
            Layer of the block.
        ax : sequence of matplotlib Axes, default=None
            One for each head of the layer. None: a new figure.

        Returns
        -------
        MachineTraceDisplay
            This display.

        Raises
        ------
        ValueError
            If the display was created without a machine, there is no such step or layer, or the
            number of Axes differs from that of the heads.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot_attention")
        if self.machine is None or self.program is None:
            raise ValueError(
                "The display has no machine to compute attention with. Create it with from_machine."
            )
        n_layers = len(self.machine.transformer.layers)
        check_scalar(step, "step", Integral, min_val=1, max_val=len(self.counter))
        check_scalar(layer, "layer", Integral, min_val=0, max_val=n_layers - 1)
        maps = attention_maps(self.machine, self.program, step, layer)
        self.attention_ = [each.weights for each in maps]
        axes, self.attention_images_ = draw_maps(maps, token_names(self.machine, self.program), ax)
        self.attention_axes_ = axes
        return self
