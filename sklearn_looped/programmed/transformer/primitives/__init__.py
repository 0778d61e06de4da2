"""Primitives: one constructor per operation, as attention heads or as hidden units.

All layouts share three fields: ``one`` is 1 on every token, ``null`` is 1 on the null token only
(a sink whose values are 0), and ``position`` is the token's code of L entries -1 and +1 (0 on
tokens that nobody points to). Kinds of token that a primitive singles out have an indicator
field of the same name. Units carry no biases: a constant c is c times an indicator `on`, so
tokens without the indicator stay as they are.
"""

from sklearn_looped.programmed.transformer.primitives.heads import (
    argmin,
    average,
    beyond_logits,
    broadcast,
    dot,
    make_head,
    masked_head,
    sigmoid,
)
from sklearn_looped.programmed.transformer.primitives.match import match_read, match_write
from sklearn_looped.programmed.transformer.primitives.products import (
    AttentionKind,
    attention_product,
    linear_product,
    linearised_softmax,
    product_error,
    softmax_product,
)
from sklearn_looped.programmed.transformer.primitives.relu_only import gated, turn
from sklearn_looped.programmed.transformer.primitives.units import (
    add,
    at_least,
    clear,
    code_sum,
    gate,
    greater,
    product,
    products,
    select,
)
