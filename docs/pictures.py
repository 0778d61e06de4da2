"""The two pictures of a looped transformer: ``learned()`` and ``programmed()``."""

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

SUPPORT, QUERY, BLOCK, HOST, INK = "#cfe3f5", "#fde3c8", "#e4e4e4", "#ffffff", "#222222"


def _canvas(width: float, height: float) -> Any:
    _, axes = plt.subplots(figsize=(width, height), layout="constrained")
    axes.set(xlim=(0, 10 * width), ylim=(4, 4 + 10 * height), aspect="equal")
    axes.set_axis_off()
    return axes


def _box(axes: Any, x: float, y: float, w: float, h: float, text: str, **style: Any) -> None:
    """Draw a box with its lower left corner at (x, y), its text in the middle."""
    size = style.pop("fontsize", 10)
    options = {"facecolor": BLOCK, "edgecolor": INK, "linewidth": 1.1} | style
    axes.add_patch(FancyBboxPatch((x, y), w, h, boxstyle="round,pad=0,rounding_size=1", **options))
    axes.text(x + w / 2, y + h / 2, text, ha="center", va="center", fontsize=size, color=INK)


def _arrow(axes: Any, *points: tuple[float, float], **style: Any) -> None:
    """Draw a line through the points that ends in an arrow."""
    options = {"color": INK, "linewidth": 1.4} | style
    axes.plot(*zip(*points[:-1], strict=True), solid_capstyle="round", **options)
    head = FancyArrowPatch(*points[-2:], arrowstyle="-|>", mutation_scale=14, shrinkA=0, shrinkB=0,
                           **options)  # fmt: skip
    axes.add_patch(head)


def _tokens(axes: Any, x: float, rows: list[tuple[str, str]], w: float = 15) -> None:
    """Draw a column of tokens, top to bottom: (text, colour)."""
    for place, (text, colour) in enumerate(rows):
        _box(axes, x, 29.5 - 4.6 * place, w, 4, text, facecolor=colour, fontsize=9)


def learned() -> None:
    """Draw support and queries, injection of the prompt, block, loop, readout."""
    axes = _canvas(9, 4.1)
    support = [(rf"$x_{i},\; y_{i}$", SUPPORT) for i in (1, 2)] + [(r"$x_s,\; y_s$", SUPPORT)]
    _tokens(axes, 2, [*support, (r"$x_q,\; ?$", QUERY), (r"$x_{q'},\; ?$", QUERY)])
    axes.text(9.5, 36.5, "prompt $P$", ha="center", fontsize=11)
    axes.text(9.5, 8, "support and queries,\none token a row", ha="center", va="top", fontsize=9)
    axes.text(27.5, 22, "+", ha="center", va="center", fontsize=16)
    axes.add_patch(plt.Circle((27.5, 22), 2.4, fill=False, color=INK))
    axes.text(27.5, 17.6, "injection", ha="center", va="top", fontsize=9)
    _arrow(axes, (17.6, 22), (25, 22))
    _arrow(axes, (30, 22), (36, 22))
    _box(axes, 36, 10, 26, 24, "", facecolor="#f6f6f6")
    axes.text(49, 31.4, "one block of weights $B$", ha="center", va="center", fontsize=11)
    _box(axes, 38, 20.5, 22, 8, "attention: every row\nreads the support rows")
    _box(axes, 38, 11.5, 22, 7, "feed-forward,\neach row by itself")
    _arrow(axes, (62, 22), (66, 22), (66, 40), (27.5, 40), (27.5, 24.5))
    axes.text(47, 41, r"the loop: $Z_{t+1} = B(\mathrm{norm}(Z_t) + P)$,  n_loops times",
              ha="center", va="bottom", fontsize=11)  # fmt: skip
    _arrow(axes, (66, 22), (71, 22))
    _box(axes, 71, 17, 16, 10, "readout:\nmean and quantiles\nof each query", facecolor=QUERY,
         fontsize=9)  # fmt: skip


def programmed() -> None:
    """Draw the tape, the block of a machine, the loop without injection, and the host."""
    axes = _canvas(9, 4.1)
    rows = [("scratchpad: pc", QUERY), ("null", BLOCK), ("cell  x = 20", SUPPORT),
            ("cell  y = 22", SUPPORT), ("subleq x, y, 1", HOST)]  # fmt: skip
    _tokens(axes, 2, rows, w=19)
    axes.text(11.5, 36.5, "tape = state", ha="center", fontsize=11)
    axes.text(11.5, 8, "registers, memory and\nprogram, one token each", ha="center", va="top",
              fontsize=9)  # fmt: skip
    _arrow(axes, (21.6, 22), (34, 22))
    _box(axes, 34, 6, 30, 29, "", facecolor="#f6f6f6")
    axes.text(49, 32, "one block, weights by construction", ha="center", va="center", fontsize=10)
    _box(axes, 36, 19, 26, 10.5, "layer 1\nattention writes the last result\nand fetches the "
         "instruction", fontsize=9)  # fmt: skip
    _box(axes, 36, 7.5, 26, 10, "layer 2\nattention reads the operands;\nfeed-forward subtracts, "
         "branches", fontsize=9)  # fmt: skip
    _arrow(axes, (64, 22), (68, 22), (68, 40), (28, 40), (28, 22.5))
    axes.text(48, 41, r"the loop: $Z_{t+1} = B(Z_t)$,  one instruction a loop", ha="center",
              va="bottom", fontsize=11)  # fmt: skip
    _arrow(axes, (68, 22), (73, 22), linestyle="--")
    _box(axes, 73, 15.5, 15, 13, "host:\nlooks at pc,\nstops the loop,\nreads memory",
         linestyle="--", facecolor=HOST, fontsize=9)  # fmt: skip
