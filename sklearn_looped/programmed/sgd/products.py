"""Products of real numbers on a model token: gated units, linear attention, linearised softmax."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch

from sklearn_looped.programmed.certificate import required_temperature
from sklearn_looped.programmed.layers import FeedForward, Head, Layer, Unit
from sklearn_looped.programmed.layout import Layout
from sklearn_looped.programmed.primitives import linear_product, make_head, product

ProductKind = Literal["gated", "linear", "softmax"]
MODEL = "model"  # the kind of token that computes

# Linearised softmax: offsets and weights of the sixth-order central difference, its step, and
# the logit of the null token.
_STENCIL = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))
_STEP = 3e-3
_SINK = 40.0


class Product(NamedTuple):
    """Targets += ``scale * (left . right) * values``, all fields of the model token.

    A dot product has the model's indicator as its single value; a scaled copy has it as `right`.
    """

    left: tuple[str, ...]
    right: tuple[str, ...]
    copy: Mapping[str, str]
    scale: float = 1.0


def dot(left: Sequence[str], right: Sequence[str], target: str) -> Product:
    """Target += dot product of the fields `left` and `right`."""
    return Product(tuple(left), tuple(right), {MODEL: target})


def scaled_copy(factor: str, copy: Mapping[str, str], scale: float = 1.0) -> Product:
    """Targets += ``scale * factor`` times their source fields."""
    return Product((factor,), (MODEL,), copy, scale)


class Stage(NamedTuple):
    """What a layer does: heads, then products and units that see what the heads wrote."""

    heads: Sequence[Head] = ()
    products: Sequence[Product] = ()
    units: Sequence[Unit] = ()


def build_layers(layout: Layout, stages: Sequence[Stage], kind: ProductKind) -> list[Layer]:
    """Layers of the stages, with the products in the form of `kind`.

    Gated products are hidden units, so a stage is one layer. As attention heads they take a
    layer of their own behind the stage's heads.
    """
    layers = []
    for stage in stages:
        heads, units = list(stage.heads), list(stage.units)
        if kind == "gated":
            units = [u for p in stage.products for u in _gated_units(layout, p)] + units
        elif stage.products:
            if heads:
                layers.append(Layer(tuple(heads)))
            make = _linear_head if kind == "linear" else _softmax_heads
            heads = [head for p in stage.products for head in make(layout, p)]
        net = FeedForward(units, layout.width, (MODEL,), layout.at("one")) if units else None
        layers.append(Layer(tuple(heads), net))
    return layers


def error_bound(kind: ProductKind) -> float:
    r"""Error of one product of factors :math:`|left \cdot right| \le 4`, per unit of the value.

    0 for gated units and linear attention, which round as floating-point arithmetic does. The
    linearised softmax has the truncation error of its central difference,
    :math:`h^6 s^7 / 140`, and the rounding of logits of the sink's size, divided by the step h.
    """
    if kind != "softmax":
        return 0.0
    truncation = _STEP**6 * 4.0**7 / 140
    rounding = math.ulp(_SINK) * 2 * sum(abs(weight) for _, weight in _STENCIL) / _STEP
    return truncation + rounding


def _gated_units(layout: Layout, p: Product) -> list[Unit]:
    """Two units a product, exactly rounded: see `primitives.product`."""
    factors = [
        (left, source if p.right == (MODEL,) else right, target)
        for left, right in zip(layout.index(*p.left), layout.index(*p.right), strict=True)
        for source, target in layout.pairs(p.copy)
    ]
    return [
        unit
        for left, right, target in factors
        for unit in product({left: 1.0}, {right: 1.0}, target, p.scale)
    ]


def _linear_head(layout: Layout, p: Product) -> list[Head]:
    """Let the model attend to itself, without a softmax: see `primitives.linear_product`."""
    return [
        linear_product(layout, p.left, p.right, p.copy, rows=(MODEL,), keys=(MODEL,), scale=p.scale)
    ]


def _softmax_heads(layout: Layout, p: Product) -> list[Head]:
    r"""Six heads whose softmax over the model and the null token is linear for small logits.

    With the logit hs on itself and C on the null token, a head adds
    :math:`v e^C / h \cdot e^{hs} / (e^{hs} + e^C) \approx (v / h)\, e^{hs}`; the central
    difference of six such heads is s v (Giannou et al. 2023, Lemma 6, has the one-sided form).
    """
    far = required_temperature(1.0, torch.float64)
    one, model, null = layout.at("one"), layout.at(MODEL), layout.at("null")
    n = len(layout.index(*p.left))
    Wk = {(column, j): 1.0 for j, column in enumerate(layout.index(*p.right))}
    # Dimension n: model 0, null C, others -far. Dimension n + 1: all but the model read null.
    Wk |= {(one, n): -far, (model, n): far, (null, n): far + _SINK, (null, n + 1): far}
    heads = []
    for offset, weight in _STENCIL:
        for sign in (1.0, -1.0):
            shift = sign * offset * _STEP
            Wq = {(column, j): shift for j, column in enumerate(layout.index(*p.left))}
            Wq |= {(one, n): 1.0, (one, n + 1): 1.0, (model, n + 1): -1.0}
            heads.append(
                make_head(
                    layout,
                    "softmax",
                    Wq,
                    Wk,
                    layout.pairs(p.copy),
                    scale=p.scale * sign * weight * math.exp(_SINK) / _STEP,
                    rows=(MODEL,),
                    keys=(MODEL, "null"),
                )
            )
    return heads
