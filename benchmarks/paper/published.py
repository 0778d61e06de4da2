"""The looped network of Yang et al. 2024 in the configuration that its authors published.

Written anew from the paper and the published code's shapes, to compare costs: a GPT-2 block of
width 256 and 8 heads, causal, with learned positions. A prompt x1, y1, ..., xn, yn is 2 n tokens;
the prediction of y_i is read at x_i, so that a prompt holds one query for each number of examples.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

N_POSITIONS = 203  # of at most 101 points


class PublishedNetwork(nn.Module):
    """One causal pre-norm block, applied to its output plus the prompt.

    Parameters
    ----------
    n_features : int
        Coordinates of a token; a target sits in the first.
    width, n_heads : int, default=256, 8
        Of the block.
    """

    def __init__(self, n_features: int, width: int = 256, n_heads: int = 8) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.read_in, self.read_out = nn.Linear(n_features, width), nn.Linear(width, 1)
        self.positions = nn.Embedding(N_POSITIONS, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.to_heads, self.from_heads = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def block(self, tokens: Tensor) -> Tensor:
        """Pass tokens (B, m, D) once; positions and the last norm belong to every pass."""
        tokens = tokens + self.positions.weight[: tokens.shape[1]]
        heads = self.to_heads(self.norms[0](tokens)).unflatten(-1, (3, self.n_heads, -1))
        queries, keys, values = heads.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        tokens = tokens + self.from_heads(mixed.transpose(1, 2).flatten(2))
        wide = F.gelu(self.up(self.norms[1](tokens)), approximate="tanh")
        return self.norms[2](tokens + self.down(wide))

    def forward(self, X: Tensor, y: Tensor, n_loops: int, window: int = 1) -> Iterator[Tensor]:
        """Yield the predictions (B, n) of the last `window` loops; others keep no gradient."""
        targets = F.pad(y[..., None], (0, X.shape[2] - 1))
        prompt = self.read_in(torch.stack([X, targets], 2).flatten(1, 2))
        state = torch.zeros_like(prompt)
        for loop in range(n_loops):
            with torch.set_grad_enabled(torch.is_grad_enabled() and loop >= n_loops - window):
                state = self.block(state + prompt)
            if loop >= n_loops - window:
                yield self.read_out(state[:, ::2]).squeeze(-1)


def published_loss(
    network: PublishedNetwork, X: Tensor, y: Tensor, n_loops: int, window: int
) -> Tensor:
    """Squared error over all numbers of examples and the last loops (Eq. 1)."""
    found = torch.stack(list(network(X, y, n_loops, window)))
    return (found - y).square().mean()
