"""What tokens are made of: the cells of rows, and what a loop left over on support rows.

Shapes: B tables, n rows, s support rows, d columns.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

CLIP = 8.0  # standard deviations: beyond this a cell or target is an outlier, not information
N_LEFT_OVER = 3  # numbers of `left_over_features`
N_CHANNELS = 3  # numbers of a cell without bases and gate


def cell_features(X: Tensor, n_features: int, n_bases: int, gate: Tensor | None) -> Tensor:
    """Numbers (B, n, n_channels * n_features) of rows (B, n, d); NaN marks a missing cell.

    Of each cell itself, its hyperbolic tangent, whether it is missing, its product with the gate
    (B, d) of its column where there is one, and radial basis functions.
    """
    missing = X.isnan()
    cells = torch.where(missing, 0, X).clamp(-CLIP, CLIP)
    channels = [cells, torch.tanh(cells), missing.to(X.dtype)]
    if gate is not None:
        channels.append(cells * gate[:, None])
    if n_bases:
        centres = torch.linspace(-2, 2, n_bases, dtype=X.dtype, device=X.device)
        bumps = torch.exp(-2 * (cells[..., None] - centres).square()) * ~missing[..., None]
        channels += bumps.unbind(-1)
    stacked = torch.stack(channels, -2)  # (B, n, n_channels, d)
    # The root keeps the token's size the same for one column and for all of them.
    d = X.shape[-1]
    padded = F.pad(stacked * math.sqrt(n_features / d), (0, n_features - d))
    return padded.flatten(-2)


def left_over_features(left_over: Tensor, unit: Tensor) -> Tensor:
    """Residuals (B, s): in units of the target, in those of the experts' error, and squashed."""
    relative = left_over / unit
    features = torch.stack([left_over, relative, torch.tanh(relative)], -1)
    return features.clamp(-CLIP, CLIP)
