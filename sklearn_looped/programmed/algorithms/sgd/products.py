"""Products of real numbers on a model token: gated units, linear attention, linearised softmax."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sklearn_looped.programmed.transformer.layers import Head, Layer, Unit, make_layer
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    AttentionKind,
    attention_product,
    product_error,
    products,
)

ProductKind = Literal["gated", "linear", "softmax"]
MODEL = "model"  # the kind of token that computes
MAX_FACTOR = 4.0  # of linearised products


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
    rows: tuple[str, ...] = (MODEL,)


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
                layers.append(make_layer(layout, heads))
            heads = [head for p in stage.products for head in _heads(layout, p, kind)]
        layers.append(make_layer(layout, heads, units, stage.rows))
    return layers


def queried(
    layout: Layout,
    left: Sequence[str],
    right: Sequence[str],
    copy: Mapping[str, str],
    kind: ProductKind,
) -> list[Head]:
    """Heads by which query tokens add products of their fields and those of the models."""
    attention: AttentionKind = "softmax" if kind == "softmax" else "linear"
    factors = (left, right, copy, ("query",), (MODEL,))
    return attention_product(attention, layout, *factors, bound=MAX_FACTOR)


def error_bound(kind: ProductKind) -> float:
    r"""Error of one product of factors up to `MAX_FACTOR`, per unit of the value.

    0 for gated units and linear attention, which round as floating-point arithmetic does. The
    linearised softmax has that of `primitives.product_error`.
    """
    return product_error(bound=MAX_FACTOR) if kind == "softmax" else 0.0


def check_factors(kind: ProductKind, *factors: ArrayLike) -> None:
    """Raise where factors went beyond what the error bound of linearised products is for."""
    if kind == "softmax" and not all((np.abs(each) <= MAX_FACTOR).all() for each in factors):
        raise ValueError(
            f"Got factors above {MAX_FACTOR:g}, for which linearised products are not declared: "
            "predictions, derivatives or step sizes; scale features and target, or take "
            "product='linear' or 'gated'."
        )


def _gated_units(layout: Layout, p: Product) -> list[Unit]:
    """Two units a product, exactly rounded: see `primitives.products`."""
    right = [*p.copy] if p.right == (MODEL,) else p.right
    return products(layout, p.left, right, [*p.copy.values()], p.scale)


def _heads(layout: Layout, p: Product, kind: AttentionKind) -> list[Head]:
    """Let the model attend to itself: see `primitives.attention_product`."""
    factors = (p.left, p.right, p.copy, (MODEL,), (MODEL,))
    return attention_product(kind, layout, *factors, scale=p.scale, bound=MAX_FACTOR)
