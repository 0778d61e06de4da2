"""Pictures of the benchmarks; matplotlib is needed only where one is asked for.

Colours are those of Okabe and Ito, which the colour-blind tell apart.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from sklearn_looped.inspection.style import BLACK, BLUE, VERMILION

OTHERS = (VERMILION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", BLACK)
LOWEST = 1e-5  # error that is drawn


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


def draw_ranks(scores: pd.DataFrame, ours: str, path: Path) -> None:
    """Draw the critical-difference diagram of scores by data set (rows) and estimator (columns).

    Bars join estimators between which Nemenyi's test finds no difference at 5 % (J. Demšar,
    "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 2006, Section 3.2.2).
    """
    import scikit_posthocs

    figure = _figure(9, 4.5)
    scikit_posthocs.critical_difference_diagram(
        scores.rank(axis=1, ascending=False).mean(),
        scikit_posthocs.posthoc_nemenyi_friedman(scores.to_numpy())
        .set_axis(scores.columns, axis=0)
        .set_axis(scores.columns, axis=1),
        ax=figure.subplots(),
        label_fmt_left="{label}  {rank:.2f}",
        label_fmt_right="{rank:.2f}  {label}",
        color_palette=dict.fromkeys(scores, BLACK) | {ours: BLUE},
        text_h_margin=0.1,
        crossbar_props={"color": VERMILION, "linewidth": 4},
    )
    figure.suptitle(
        f"Mean rank by R2 over {len(scores)} data sets; "
        "bars join no significant difference (Nemenyi, 5 %)"
    )
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
    ylabel: str = "squared error, share of E[y²]",
) -> None:
    """Draw errors on a log axis, cut off at `LOWEST`: a panel a table with a row a point.

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
        axes.set_ylim(max(LOWEST, 0.5 * table["value"].min()), top)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    grid[0, 0].set_ylabel(ylabel)
    place = {"loc": "outside lower center", "ncols": min(4, n_columns + 1), "frameon": False}
    figure.legend(labelled.values(), labelled.keys(), fontsize=9, **place)
    _save(figure, path)
