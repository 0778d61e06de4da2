"""Pictures of the benchmarks; matplotlib is needed only where one is asked for.

Colours are those of Okabe and Ito, which the colour-blind tell apart.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import studentized_range

from sklearn_looped.inspection.style import BLUE, VERMILION

OTHERS = (VERMILION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "black")
STEP = 0.34  # inches from one line of text to the next


def _figure(width: float, height: float) -> Any:
    """Make a figure of a size in inches that is the same file each time it is drawn."""
    import matplotlib.figure as mpl_figure
    from matplotlib import rcParams

    rcParams.update({"svg.hashsalt": "sklearn_looped", "font.size": 11})
    return mpl_figure.Figure((width, height), layout="constrained")


def _save(figure: Any, path: Path) -> None:
    date = {"Date": None} if path.suffix == ".svg" else None
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata=date)


def critical_difference(n_models: int, n_sets: int, level: float = 0.05) -> float:
    """Difference of mean ranks that is significant in Nemenyi's test.

    J. Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 2006,
    Section 3.2.2.
    """
    q = studentized_range.ppf(1 - level, n_models, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_models * (n_models + 1) / (6 * n_sets)))


def groups_alike(ranks: NDArray[np.float64], difference: float) -> list[tuple[int, int]]:
    """First and last place of the largest groups of sorted ranks within one difference."""
    last = np.searchsorted(ranks, ranks + difference, side="right") - 1
    starts = np.flatnonzero(np.diff(last, prepend=-1))  # the others lie within an earlier group
    return [(int(start), int(last[start])) for start in starts if last[start] > start]


def draw_ranks(ranks: pd.Series, n_sets: int, ours: str, path: Path) -> None:
    """Draw mean ranks over data sets, joined by bars where Nemenyi's test tells no difference."""
    ranks = ranks.sort_values()
    values = ranks.to_numpy()
    difference = critical_difference(len(ranks), n_sets)
    groups = groups_alike(values, difference)
    n_left = (len(ranks) + 1) // 2
    bottom = -(len(groups) + n_left + 0.5)
    figure = _figure(9, STEP * (4 - bottom))
    axes = figure.subplots()
    axes.set(xlim=(-1.2, len(ranks) + 2.2), ylim=(bottom, 2.6))
    axes.set_axis_off()

    axes.plot([1, len(ranks)], [0, 0], color="black", linewidth=1.2)
    for rank in range(1, len(ranks) + 1):
        axes.plot([rank, rank], [0, 0.25], color="black", linewidth=1.2)
        axes.text(rank, 0.4, str(rank), ha="center", va="bottom")
    axes.errorbar(1 + difference / 2, 1.7, xerr=difference / 2, color="black", capsize=4)
    axes.text(
        1.15 + difference, 1.7, f"critical difference {difference:.2f} (Nemenyi, 5 %)", va="center"
    )
    for line, (first, last) in enumerate(groups, 1):
        ends = [values[first] - 0.06, values[last] + 0.06]
        axes.plot(ends, [-line * 0.8, -line * 0.8], color=VERMILION, linewidth=4)
    for place, (name, rank) in enumerate(ranks.items()):
        left = place < n_left
        depth = place if left else len(ranks) - 1 - place
        end, y = (0.6 if left else len(ranks) + 0.4), -(len(groups) + 1 + depth)
        own = {"color": BLUE, "zorder": 3} if name == ours else {"color": "black"}
        axes.plot([rank, rank, end], [0, y, y], linewidth=2 if name == ours else 1, **own)
        text = f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}"
        weight = "bold" if name == ours else "normal"
        x, side = (end - 0.1, "right") if left else (end + 0.1, "left")
        axes.text(x, y, text, ha=side, va="center", weight=weight, **own)
    figure.suptitle(f"Mean rank by R2 over {n_sets} data sets; bars join no significant difference")
    _save(figure, path)


def draw_loops(r2: pd.DataFrame, trained: int, path: Path) -> None:
    """Draw R2 by loop: data sets (rows) as thin lines, their mean as a thick one."""
    figure = _figure(7.5, 5)
    axes = figure.subplots()
    axes.plot(r2.columns, r2.T, color="0.6", linewidth=0.8)
    axes.plot([], [], color="0.6", linewidth=0.8, label="one data set, mean of its folds")
    label = f"mean of {len(r2)} data sets"
    axes.plot(r2.columns, r2.mean(), color=BLUE, linewidth=3, marker="o", label=label)
    axes.axvline(trained, color=VERMILION, linestyle="--", label=f"trained for {trained} loops")
    axes.set(xlabel="loops", ylabel="R2 on the test rows, clipped to [0, 1]", ylim=(-0.02, 1.02))
    axes.set_xticks(r2.columns)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def draw_errors(
    panels: dict[str, pd.DataFrame],
    ours: str,
    xlabel: str,
    path: Path,
    lowest: float = 1e-5,
    ylabel: str = "squared error, share of E[y²]",
) -> None:
    """Draw errors on a log axis, cut off at `lowest`: a panel a table with a row a point.

    Its columns are x, method, value, and low and high, the ends of the interval.
    """
    n_columns = 2 if len(panels) == 4 else min(len(panels), 3)
    n_rows = -(-len(panels) // n_columns)
    figure = _figure(4.2 * n_columns, 3.6 * n_rows + 0.6)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    methods = list(dict.fromkeys(m for table in panels.values() for m in table["method"]))
    others = [m for m in methods if m != ours]
    colours = {m: OTHERS[i % len(OTHERS)] for i, m in enumerate(others)} | {ours: BLUE}
    styles = {m: ("-", "--", ":")[i // len(OTHERS) % 3] for i, m in enumerate(others)} | {ours: "-"}
    labelled: dict[str, Any] = {}
    for axes, (title, table) in zip(grid.flat, panels.items(), strict=False):
        for method, part in table.groupby("method", sort=False):
            style = {"color": colours[method], "linestyle": styles[method]}
            width = 3 if method == ours else 1.3
            (line,) = axes.plot(part["x"], part["value"], linewidth=width, **style)
            labelled.setdefault(str(method), line)
            axes.fill_between(part["x"], part["low"], part["high"], color=style["color"], alpha=0.2)
        top = max(1.5, min(10.0, 1.2 * table["value"].max()))
        axes.set(title=title, xlabel=xlabel, yscale="log")
        axes.set_ylim(max(lowest, 0.5 * table["value"].min()), top)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    grid[0, 0].set_ylabel(ylabel)
    place = {"loc": "outside lower center", "ncols": min(4, n_columns + 1), "frameon": False}
    figure.legend(labelled.values(), labelled.keys(), fontsize=9, **place)
    _save(figure, path)
