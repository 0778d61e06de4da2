"""A vector of length 1 by Newton steps, and the length it had."""

from functools import lru_cache

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.transformer.block import Block
from sklearn_looped.programmed.transformer.layers import Unit, make_layers
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import clear, products


def unit_vector(w: Array, n_loops: int) -> tuple[Array, float]:
    r"""Loops of :math:`v \leftarrow v (3 - v^\top v) / 2` from w, below length 1; w's length."""
    block = _block(len(w))
    end, _ = block.run(block.load(Layout(vector=1), vector={"v": w, "w": w}), n_loops)
    return end.read("vector", "v")[0], float(end.read("vector", "length")[0, 0])


@lru_cache(maxsize=8)
def _block(n: int) -> Block:
    """``v += (1 - v . v) v / 2`` and ``length = v . w``, by gated units in two layers."""
    fields = Layout(one=1, vector=1, v=n, w=n, missing=1, length=1)
    missing = Unit(fields.terms(vector=1.0), fields.terms(missing=1.0))
    squares = products(fields, "v", "v", "missing", -1.0)
    length = clear(fields, "length") + products(fields, "v", "w", "length")
    step = products(fields, "missing", "v", "v", 0.5) + clear(fields, "missing")
    parts = ((), [*squares, missing, *length]), ((), step)
    return Block(fields, make_layers(fields, ("vector",), *parts))
