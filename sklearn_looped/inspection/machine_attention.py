"""The attention of a programmed machine's heads over its tokens, and its drawing."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_looped.inspection.style import COLOUR_MAP, label_ticks
from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.machine import Machine
from sklearn_looped.programmed.transformer.fast import dense_adjacency
from sklearn_looped.programmed.transformer.layers import Head


class AttentionMap(NamedTuple):
    """Attention of one head.

    Attributes
    ----------
    title : str
        Kind of the head, the tokens that it can change, and the fields that it writes.
    rows : list of int, length n_rows
        The tokens that the head can change; for all others its output is 0.
    weights : ndarray of shape (n_rows, n_tokens)
    """

    title: str
    rows: list[int]
    weights: NDArray[np.floating[Any]]


def attention_maps(machine: Machine, program: Program, step: int, layer: int) -> list[AttentionMap]:
    """Run a program up to a step, counted from 1, and return the attention of a layer's heads."""
    transformer = machine.transformer
    state = machine.load(program)
    if step > 1:
        run = transformer.run(state, step - 1, evaluation="fast", adjacency=machine.adjacency)
        *_, state = run
    for earlier in transformer.layers[:layer]:
        state = earlier(state, dense_adjacency(machine.adjacency, state.dtype))
    maps = []
    for head in transformer.layers[layer].heads:
        rows = machine.tokens.index(*head.rows)
        weights = head.attention(head.Wq(state[rows]), head.Wk(state))
        maps.append(AttentionMap(_title(machine, head), rows, weights.numpy()))
    return maps


def _title(machine: Machine, head: Head) -> str:
    fields = machine.fields
    written = [name for name in fields.names if set(fields.index(name)) & set(head.targets)]
    shown = ", ".join(written[:4]) + (", ..." if len(written) > 4 else "")
    return f"{head.kind} head: {' and '.join(head.rows)} tokens get {shown}"


def draw_maps(
    maps: Sequence[AttentionMap], tokens: Sequence[str], ax: Any
) -> tuple[list[Any], list[Any]]:
    """Draw maps below one another, on new Axes if `ax` is None; return the Axes and the images.

    Raises
    ------
    ValueError
        If the number of Axes differs from that of the maps.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        heights = [len(each.rows) for each in maps]
        size = 2.5 + 0.24 * len(tokens), 1.5 + 0.7 * len(maps) + 0.24 * sum(heights)
        _, ax = plt.subplots(
            len(maps), figsize=np.clip(size, 4, 16), layout="constrained", squeeze=False,
            height_ratios=heights, sharex=True,
        )  # fmt: skip
    axes = list(np.ravel(np.asarray(ax, dtype=object)))
    if len(axes) != len(maps):
        raise ValueError(f"Got {len(axes)} Axes, but the layer has {len(maps)} heads.")
    images = []
    for each, (title, rows, weights) in zip(axes, maps, strict=True):
        limits = {"vmin": min(0, weights.min()), "vmax": max(1, weights.max())}
        images.append(
            each.imshow(weights, COLOUR_MAP, aspect="auto", interpolation="nearest", **limits)
        )
        label_ticks(each.yaxis, [tokens[row] for row in rows], fontsize="small")
        each.set_title(title, fontsize="medium")
    label_ticks(axes[-1].xaxis, list(tokens), rotation=90, fontsize="small")
    axes[-1].set_xlabel("Token attended to")
    axes[-1].figure.colorbar(images[-1], ax=axes, label="Attention weight")
    return axes, images


def token_names(machine: Machine, program: Program) -> list[str]:
    """Name all tokens: cells by label, instructions by number and label."""
    labels = {number: label for label, number in program.code_labels.items()}
    names = []
    for kind in machine.tokens.names:
        size = machine.tokens.size(kind)
        if kind == "memory":
            names += cell_names(program, size)
        elif kind == "program":
            names += [f"{i} {labels[i]}" if i in labels else str(i) for i in range(size)]
        else:
            names.append(kind)
    return names


def cell_names(program: Program, n_cells: int) -> list[str]:
    """Name cells by the label at or before them, as ``list`` and ``list+1``, others by address."""
    at = {address: label for label, address in program.labels.items()}
    names, start = [], None
    for address in range(n_cells):
        start = address if address in at else start
        if start is None or address >= len(program.cells):
            names.append(str(address))
        else:
            names.append(at[start] if start == address else f"{at[start]}+{address - start}")
    return names
