"""GPT-2's block: a token sees itself and the tokens before it.

Shapes: B sequences, n tokens, p tokens before them, D width, h heads, c = D / h.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sklearn_looped.learned.model.blocks import KeysValues, attend, draw_normal

STD = 0.02  # of the initial weights, as in GPT-2


class CausalBlock(nn.Module):
    """Pre-norm transformer block with causal attention and a GELU feed-forward layer.

    Parameters
    ----------
    width : int
        D, the size of a token.
    n_heads : int
        Attention heads; divides `width`.
    feed_forward : int, default=4
        Hidden units of the feed-forward layer over `width`.
    n_blocks : int, default=1
        Different blocks of the network; the more, the less each adds at first.

    References
    ----------
    A. Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, Section 2.3.
    """

    def __init__(self, width: int, n_heads: int, feed_forward: int = 4, n_blocks: int = 1) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.attention_norm = nn.LayerNorm(width)
        self.to_heads = nn.Linear(width, 3 * width)
        self.from_heads = nn.Linear(width, width)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, feed_forward * width)
        self.down = nn.Linear(feed_forward * width, width)
        small = STD / (2 * n_blocks) ** 0.5
        for layer in (self.to_heads, self.from_heads, self.up, self.down):
            draw_normal(layer.weight, small if layer in (self.from_heads, self.down) else STD)
            nn.init.zeros_(layer.bias)

    def _heads(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, scaled, keys and values (B, h, n, c) of tokens (B, n, D)."""
        parts = self.to_heads(self.attention_norm(rows)).chunk(3, -1)
        queries, keys, values = (p.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for p in parts)
        return queries * queries.shape[-1] ** -0.5, keys, values

    def _update(self, rows: Tensor, heads: Tensor) -> Tensor:
        rows = rows + self.from_heads(heads.transpose(1, 2).flatten(2))
        hidden = F.gelu(self.up(self.feed_forward_norm(rows)), approximate="tanh")
        return rows + self.down(hidden)

    def forward(self, rows: Tensor, weights: Tensor | None = None) -> tuple[Tensor, KeysValues]:
        """Update tokens (B, n, D), each of which sees itself and those before it.

        Parameters
        ----------
        rows : Tensor of shape (B, n, D)
        weights : Tensor of shape (B, n), default=None
            How much each token counts where it is attended to. None: once.

        Returns
        -------
        rows : Tensor of shape (B, n, D)
        keys_values : KeysValues
            What later tokens see of these.
        """
        queries, keys, values = self._heads(rows)
        later = torch.full((rows.shape[1],) * 2, -torch.inf, device=rows.device).triu(1)
        bias = later.to(queries.dtype)[None, None]
        if weights is not None:
            bias = bias + weights.log()[:, None, None]
        heads = attend(queries, keys, values, bias)
        return self._update(rows, heads), KeysValues(keys, values, weights)

    def alone(self, rows: Tensor, past: KeysValues) -> tuple[Tensor, KeysValues]:
        """Update tokens (B, n, D), each of which sees the p tokens of `past` and itself.

        They do not see one another: n different continuations of the same sequence.
        """
        queries, keys, values = self._heads(rows)
        logits = queries @ past.keys.mT  # (B, h, n, p)
        if past.weights is not None:
            logits = logits + past.weights.log()[:, None, None]
        own = (queries * keys).sum(-1, keepdim=True)
        shares = torch.softmax(torch.cat([logits, own], -1), -1)
        heads = shares[..., :-1] @ past.values + shares[..., -1:] * values
        return self._update(rows, heads), KeysValues(keys, values)
