"""The transformer block: every row attends to the support rows, then passes a feed-forward layer.

Shapes: B tables, n rows, s support rows, D width, h heads, c = D / h.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TYPICAL_SUPPORT = 64  # rows at which the logits' scale starts at one
UNSEEN = -1e4  # logit of a row that is left out: its weight underflows to zero
WORKSPACE = 2**24  # logits and hidden units that a block holds at a time: 64 MB in float32


class KeysValues(NamedTuple):
    """What rows attend to: the support at one block of one loop.

    Attributes
    ----------
    keys, values : Tensor of shape (B, h, s, c)
    weights : Tensor of shape (B, s) or None
        How often each support row counts; None: once.
    """

    keys: Tensor
    values: Tensor
    weights: Tensor | None = None

    def split(self, n_tables: int) -> list["KeysValues"]:
        """Cut into so many tables each; the last part may have fewer."""
        keys, values = self.keys.split(n_tables), self.values.split(n_tables)
        weights: Sequence[Tensor | None] = [None] * len(keys)
        if self.weights is not None:
            weights = self.weights.split(n_tables)
        return [KeysValues(*part) for part in zip(keys, values, weights, strict=True)]


def attention_weights(queries: Tensor, keys: Tensor, bias: Tensor | None = None) -> Tensor:
    """Softmax of the logits, (B, h, n, c) x (B, h, s, c) -> (B, h, n, s)."""
    logits = queries @ keys.transpose(-1, -2)
    return torch.softmax(logits if bias is None else logits + bias, -1)


def attend(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
    """Softmax attention without a further scale, (B, h, n, c) x (B, h, s, c) -> (B, h, n, c).

    `bias`, of a shape that broadcasts to (B, h, n, s), is added to the logits. Plain products while
    training on a CPU in bfloat16 (autocast), where the backward pass of torch's fused kernel is
    several times slower; else the fused kernel, which is several times faster forward. Both compute
    the same function.
    """
    on_cpu = queries.device.type == "cpu"
    if on_cpu and torch.is_grad_enabled() and torch.is_autocast_enabled("cpu"):
        return attention_weights(queries, keys, bias) @ values
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=1.0)


class SupportAttention(nn.Module):
    """Attention of rows to the support rows only.

    No positions and no attention between queries: the order of the support rows cannot matter and
    a query's result does not depend on the other queries. Logits grow with the logarithm of the
    number of support rows, by a learned factor a head, so that attention stays as sharp over a
    thousand rows as over the hundred seen in training. A row of weight w counts as w rows: log w
    is added to its logits.

    Parameters
    ----------
    width : int
        D, the size of a token.
    n_heads : int
        Attention heads; divides `width`.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.to_query = nn.Linear(width, width, bias=False)
        self.temperature = nn.Parameter(torch.full((n_heads,), 1 / math.log(TYPICAL_SUPPORT)))

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # (B, n, D) -> (B, h, n, c)

    def _queries(
        self, rows: Tensor, keys: Tensor, weights: Tensor | None, left_out: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return queries (B, h, n, c), scaled, and the bias of their logits, which broadcasts."""
        queries = self._split_heads(self.to_query(self.attention_norm(rows)))  # (B, h, n, c)
        n_support = keys.shape[-2]
        log_support = math.log(1 + n_support)
        bias, log_rows = None, torch.tensor(log_support, dtype=torch.float32, device=rows.device)
        if weights is not None:
            bias = weights.log()[:, None, None]
            log_rows = torch.log1p(weights.sum(1))[:, None, None, None]
        sharpness = self.temperature[:, None, None] * log_rows * keys.shape[-1] ** -0.5
        queries = queries * sharpness.to(queries.dtype)
        if left_out is not None and left_out < n_support:
            unseen = queries.new_zeros(rows.shape[1], n_support)
            unseen.diagonal(left_out).fill_(UNSEEN)
            bias = unseen if bias is None else bias + unseen
        return queries, bias

    def forward(self, rows: Tensor, keys_values: KeysValues, left_out: int | None = None) -> Tensor:
        """Let rows (B, n, D) attend to the support behind `keys_values`.

        Rows do not see each other, so that many of them pass some at a time. With `left_out` the
        rows are the support from that row on, then queries, and no support row sees itself.
        """
        n_tables, n_rows, width = rows.shape
        n_support = keys_values.keys.shape[-2]
        most = max(1, WORKSPACE // (self.n_heads * n_support + 4 * width))  # rows at a time
        if n_tables * n_rows <= most:
            return self._pass(rows, keys_values, left_out)
        if n_tables == 1:
            parts = [
                self._pass(part, keys_values, None if left_out is None else left_out + i * most)
                for i, part in enumerate(rows.split(most, 1))
            ]
            return torch.cat(parts, 1)
        n_together = max(1, most // n_rows)
        tables = zip(rows.split(n_together), keys_values.split(n_together), strict=True)
        return torch.cat([self.forward(part, support, left_out) for part, support in tables])

    def _pass(self, rows: Tensor, keys_values: KeysValues, left_out: int | None) -> Tensor:
        raise NotImplementedError


class Block(SupportAttention):
    """Pre-norm transformer block whose rows attend to the support rows only.

    Parameters
    ----------
    width : int
        D, the size of a token.
    n_heads : int
        Attention heads; divides `width`.
    feed_forward : int, default=4
        Hidden units of the feed-forward layer over `width`.
    """

    def __init__(self, width: int, n_heads: int, feed_forward: int = 4) -> None:
        super().__init__(width, n_heads)
        self.to_key_value = nn.Linear(width, 2 * width, bias=False)
        self.from_heads = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, feed_forward * width)
        self.down = nn.Linear(feed_forward * width, width, bias=False)
        for layer in (self.to_query, self.to_key_value, self.up):
            nn.init.normal_(layer.weight, std=width**-0.5)
        nn.init.normal_(self.from_heads.weight, std=0.5 * width**-0.5)
        nn.init.normal_(self.down.weight, std=0.5 * (feed_forward * width) ** -0.5)
        nn.init.zeros_(self.up.bias)

    def keys_values(self, support: Tensor, weights: Tensor | None = None) -> KeysValues:
        """Return the keys and values of support rows (B, s, D) with weights (B, s)."""
        both = self.to_key_value(self.attention_norm(support)).chunk(2, -1)
        keys, values = map(self._split_heads, both)
        if not torch.is_grad_enabled():  # kept head by head: one query reads them in half the time
            keys, values = keys.contiguous(), values.contiguous()
        return KeysValues(keys, values, weights)

    def attention(self, rows: Tensor, keys_values: KeysValues) -> Tensor:
        """Weights (B, h, n, s) with which `forward` sums the values; over s they sum to one."""
        keys, _, weights = keys_values
        queries, bias = self._queries(rows, keys, weights)
        return attention_weights(queries, keys, bias)

    def _pass(self, rows: Tensor, keys_values: KeysValues, left_out: int | None) -> Tensor:
        """Update rows: attention, then the feed-forward layer."""
        keys, values, weights = keys_values
        queries, bias = self._queries(rows, keys, weights, left_out)
        heads = attend(queries, keys, values, bias)
        rows = rows + self.from_heads(heads.transpose(1, 2).flatten(2))
        return rows + self.down(F.relu(self.up(self.feed_forward_norm(rows))))


def pass_and_keep(
    blocks: nn.ModuleList,
    rows: Tensor,
    n_support: int,
    weights: Tensor | None = None,
    added: Tensor | None = None,
) -> tuple[Tensor, list[KeysValues]]:
    """Pass rows, the support first, through blocks; return them and the support's memory.

    With `added` (B, s, D), which keys and values of the support rows contain beside their states,
    no row attends to itself.
    """
    memory = []
    for block in cast(Iterable[Block], blocks):
        support = rows[:, :n_support]
        memory.append(block.keys_values(support if added is None else support + added, weights))
        rows = block(rows, memory[-1], None if added is None else 0)
    return rows, memory


def pass_queries(
    blocks: nn.ModuleList,
    rows: Tensor,
    memory: list[KeysValues],
    weights: list[Tensor] | None = None,
) -> Tensor:
    """Pass queries through blocks, attending to a remembered support; note with what weights."""
    for block, keys_values in zip(cast(Iterable[Block], blocks), memory, strict=True):
        if weights is not None:
            weights.append(block.attention(rows, keys_values))
        rows = block(rows, keys_values)
    return rows
