"""Primitives: one constructor per operation, as attention heads or as hidden units.

All layouts share three fields: ``one`` is 1 on every token, ``null`` is 1 on the null token only
(a sink whose values are 0), and ``position`` is the token's code of L entries -1 and +1 (0 on
tokens that nobody points to). Kinds of token that a primitive singles out have an indicator
field of the same name. Units carry no biases: a constant c is c times an indicator `on`, so
tokens without the indicator stay as they are.
"""

from sklearn_looped.programmed.primitives.heads import (
    argmin,
    beyond_logits,
    broadcast,
    linear_product,
    make_head,
    sigmoid,
)
from sklearn_looped.programmed.primitives.match import match_read, match_write
from sklearn_looped.programmed.primitives.units import (
    add,
    at_least,
    clear,
    code_sum,
    gate,
    greater,
    product,
    select,
)

__all__ = [
    "add",
    "argmin",
    "at_least",
    "beyond_logits",
    "broadcast",
    "clear",
    "code_sum",
    "gate",
    "greater",
    "linear_product",
    "make_head",
    "match_read",
    "match_write",
    "product",
    "select",
    "sigmoid",
]
