"""Weights of AlgoFormer's constructions: a block before the loop, the loop body, one after it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.descent import Step, descent_layers
from sklearn_looped.programmed.transformer.block import Block
from sklearn_looped.programmed.transformer.codes import CircleCode
from sklearn_looped.programmed.transformer.layers import Layer, Terms, Unit, make_layer, make_layers
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    broadcast,
    clear,
    gate,
    match_read,
    products,
    turn,
)


class AlgoFormerBlocks(NamedTuple):
    """The three blocks; they share one layout, and so one tape.

    Attributes
    ----------
    before : Block
        Once a prediction: each token reads the `order` tokens before it, computes their
        representation x, and learns whether it is an example, with its target as residual, or
        the token that is predicted now.
    loop : Block
        The loop: gradient steps on x and the residuals.
    after : Block
        Once a prediction: the token that is predicted now gets its value, and the phase moves on.
    """

    before: Block
    loop: Block
    after: Block


def algoformer_blocks(
    n_values: int,
    *,
    order: int,
    n_codes: int,
    n_phases: int,
    weights: Sequence[Array],
    slope: float,
    activation: float,
    step: Step,
) -> AlgoFormerBlocks:
    """Weights for sequences of vectors; they depend on the declared sizes and on Phi alone.

    Parameters
    ----------
    n_values : int
        Entries of a token's value.
    order : int
        q, the tokens before that a token reads.
    n_codes : int
        Positions on the circle, `order` more than there are rows.
    n_phases : int
        Predictions that follow one another.
    weights : sequence of ndarray of shape (m_in, m_out)
        Layers of the representation Phi; none: the identity.
    slope : float
        Of Phi's leaky ReLUs below 0.
    activation : float
        Slope below 0 of a leaky ReLU of the targets, which is inverted before the loop and
        applied after it; 1: there is none.
    step : Step
        What the loop repeats.

    Returns
    -------
    blocks : AlgoFormerBlocks
    """
    circle = CircleCode(n_codes)
    windows = [f"window{lag}" for lag in range(order)]
    m = weights[-1].shape[1] if weights else order * n_values
    fields = Layout(one=1, scratch=1, null=1, token=1, position=2).with_code(circle)
    fields = fields.extend(value=n_values, known=1, asked=1, scale=1, current=n_phases)
    fields = fields.extend(code=n_phases, phase=n_phases, before=1, match=1, now=1)
    fields = fields.extend(**{f"pointer{lag}": 2 for lag in range(order)})
    fields = fields.extend(**dict.fromkeys(windows, n_values))
    fields = fields.extend(**hidden_fields(weights), x=m, **({"key": m} if step.growth else {}))
    fields = fields.extend(
        support=1, **dict.fromkeys(("residual", "velocity", "prediction"), n_values)
    )
    phi = representation_units(fields, windows, weights, slope)
    token = ("token",)
    loop = descent_layers(fields, [step], np.eye(m), token, token)
    return AlgoFormerBlocks(
        Block(fields, _read(fields, order, circle.step) + _prepare(fields, phi, activation)),
        Block(fields, loop),
        Block(fields, [_write(fields, activation)]),
    )


def hidden_fields(weights: Sequence[Array]) -> dict[str, int]:
    """Widths of the fields of a representation's layers, by name."""
    return {f"hidden{i}": W.shape[1] for i, W in enumerate(weights)}


def representation_units(
    fields: Layout, source: str | Sequence[str], weights: Sequence[Array], slope: float
) -> list[list[Unit]]:
    r"""Hidden units, layer by layer, of :math:`x = c\,\Phi(s)` with a leaky ReLU network.

    Two units a neuron: :math:`\mathrm{relu}(z) - a\,\mathrm{relu}(-z)`; at last gated products
    with the field ``scale``, c. Where there is a field ``key``, it becomes x on the support.

    Parameters
    ----------
    fields : Layout
        With the fields of `hidden_fields`, ``scale`` and ``x``; ``support`` where there is a key.
    source : str or sequence of str
        Fields of s.
    weights, slope
        As in `algoformer_blocks`.

    Returns
    -------
    units : list of list of Unit
        A list a layer.
    """
    layers = []
    for name, W in zip(hidden_fields(weights), weights, strict=True):
        columns, units = fields.columns(source), []
        for target, w in zip(fields.index(name), W.T, strict=True):
            z = dict(zip(columns, w.tolist(), strict=True))
            units += _leaky(z, target, slope)
        layers.append(units)
        source = name
    layers.append(products(fields, source, "scale", "x"))
    if "key" in fields:
        support, pairs = fields.at("support"), fields.pairs({"x": "key"})
        layers.append([unit for x, key in pairs for unit in gate(support, {x: 1.0}, key)])
    return layers


def _leaky(z: Terms, target: int, slope: float, on: Terms | None = None) -> list[Unit]:
    """Target += leaky ReLU of z, times the gate `on` if there is one."""
    negative = {i: -value for i, value in z.items()}
    return [Unit(z, {target: 1.0}, on), Unit(negative, {target: -slope}, on)]


def _read(fields: Layout, order: int, angle: float) -> list[Layer]:
    """Forget the last prediction, learn the phase, turn the position, read what is there."""
    rows = ("token",)
    kept = fields.names[: fields.names.index("code") + 1]  # what the host has loaded
    phase = broadcast(fields, "scratch", {"current": "phase"}, rows)
    units = products(fields, "code", "phase", "match")
    heads = []
    for lag in range(order):
        units += turn(fields, "position", f"pointer{lag}", -(lag + 1) * angle)
        copy = {"value": f"window{lag}"} | ({"known": "before"} if lag == order - 1 else {})
        heads.append(match_read(fields, f"pointer{lag}", copy, rows, rows))
    forget = clear(fields, *(name for name in fields.names if name not in kept))
    return make_layers(fields, rows, ((), forget), ([phase], units), (heads, ()))


def _prepare(fields: Layout, phi: list[list[Unit]], activation: float) -> list[Layer]:
    """Compute indicators, then the examples' residuals, beside the layers of the representation."""
    ands = {"support": {"known": 1.0, "before": 1.0, "match": 1.0, "one": -2.0},
            "now": {"asked": 1.0, "match": 1.0, "one": -1.0}}  # fmt: skip
    indicators = [Unit(fields.terms(**z), fields.terms(**{to: 1.0})) for to, z in ands.items()]
    on, targets = fields.terms(support=1.0), []
    for value, residual in fields.pairs({"value": "residual"}):
        targets += _leaky({value: 1.0}, residual, 1 / activation, on)
    beside = [indicators, targets] + [[]] * (len(phi) - 2)
    phi = phi + [[]] * (2 - len(phi))
    stages = [a + b for a, b in zip(phi, beside, strict=True)]
    return make_layers(fields, ("token",), *(((), units) for units in stages))


def _write(fields: Layout, activation: float) -> Layer:
    """Value += activation of the prediction where it is asked for now; the next phase."""
    units = []
    for prediction, value in fields.pairs({"prediction": "value"}):
        units += _leaky({prediction: 1.0}, value, activation, fields.terms(now=1.0))
    phases = fields.index("current")
    for i, phase in enumerate(phases):
        units.append(Unit({phase: 1.0}, dict.fromkeys(phases[i + 1 : i + 2], 1.0) | {phase: -1.0}))
    return make_layer(fields, units=units, rows=("scratch", "token"))
