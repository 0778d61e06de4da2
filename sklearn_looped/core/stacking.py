"""What the closed-form experts share: scale of the targets, and a mixture by leave-one-out.

Shapes: B tables, n rows, T targets, M members.
"""

import itertools
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_looped.core.kernel_ridge import mean_over_rows

SLACK = 0.5  # of the targets' range: how far beyond it a prediction may lie
SINGULAR = 1e-9  # of the sizes of members and targets: keeps equal and empty members at bay


class TargetScale(NamedTuple):
    """Standardisation of targets (B, n, T), and the range that predictions are kept in.

    Attributes
    ----------
    mean, spread : Tensor of shape (B, 1, T)
    lowest, highest : Tensor of shape (B, 1, T)
        Half the targets' range beyond it: what the rows do not bear out is not predicted.
    """

    mean: Tensor
    spread: Tensor
    lowest: Tensor
    highest: Tensor

    @classmethod
    def fit(cls, Y: Tensor, weights: Tensor) -> "TargetScale":
        """Fit to targets with weights (B, n)."""
        lowest, highest = Y.amin(1, keepdim=True), Y.amax(1, keepdim=True)
        mean = torch.where(lowest == highest, lowest, mean_over_rows(Y, weights))  # not rounded
        spread = mean_over_rows((Y - mean).square(), weights).sqrt()
        slack = SLACK * (highest - lowest)
        return cls(mean, spread, lowest - slack, highest + slack)

    def standardised(self, Y: Tensor) -> Tensor:
        """Mean 0 and standard deviation 1; constant targets become 0."""
        return (Y - self.mean) / torch.where(self.spread > 0, self.spread, 1)

    def restored(self, Z: Tensor) -> Tensor:
        """Undo `standardised` for predictions."""
        return (Z * self.spread + self.mean).clamp(self.lowest, self.highest)


def stacking_shares(gains: Tensor, Z: Tensor, weights: Tensor) -> Tensor:
    r"""Shares of a mixture of predictors that its leave-one-out error is least with.

    Stacked regression [1]_: the shares solve least squares of the targets on the members'
    leave-one-out predictions, are not negative, and add up to at most one; what is missing to one
    falls to the mean. Few members, so that every subset is solved for and the best one that is
    feasible taken; where no member is better than the mean, that is the empty one.

    Parameters
    ----------
    gains : Tensor of shape (B, n, T, M)
        The members' leave-one-out predictions, less those of the mean.
    Z : Tensor of shape (B, n, T)
        The targets, less the leave-one-out predictions of the mean.
    weights : Tensor of shape (B, n)
        How often each row counts.

    Returns
    -------
    Tensor of shape (B, T, M)

    References
    ----------
    .. [1] L. Breiman, "Stacked regressions", Machine Learning 24, 1996.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.core.stacking import stacking_shares
    >>> Z = torch.tensor([[[1.0], [-1.0]]], dtype=torch.float64)
    >>> shares = stacking_shares(torch.stack([-Z, Z / 2, Z], -1), Z, torch.ones_like(Z[..., 0]))
    >>> shares.round(decimals=3)
    tensor([[[0., 0., 1.]]], dtype=torch.float64)
    """
    share = weights / weights.sum(1, keepdim=True)
    gram = torch.einsum("bn,bntl,bntm->btlm", share, gains, gains)
    sides = torch.einsum("bn,bntm,bnt->btm", share, gains, Z)
    n_members = gains.shape[-1]
    subsets = list(itertools.product((0.0, 1.0), repeat=n_members))
    chosen = gram.new_tensor(subsets)  # (2^M, M)
    size = gram.diagonal(dim1=-2, dim2=-1).sum(-1) + mean_over_rows(Z.square(), weights)[:, 0]
    tiny = torch.finfo(gram.dtype).tiny
    size = SINGULAR * size + tiny
    ridge = torch.diag_embed(size[..., None, None] * chosen + (1 - chosen))
    within = gram[..., None, :, :] * chosen[:, None] * chosen[:, :, None] + ridge
    both = torch.stack([sides[..., None, :] * chosen, chosen.expand(*within.shape[:-1])], -1)
    free, ones = torch.linalg.solve(within, both).unbind(-1)  # (B, T, 2^M, M)
    # Where the sum is above one, the minimum with a sum of one is a step along `ones` away.
    excess = (free.sum(-1, keepdim=True) - 1).clamp(min=0)
    shares = free - excess * ones / ones.sum(-1, keepdim=True).clamp(min=tiny)
    falls = shares * (2 * sides[..., None, :] - (gram[..., None, :, :] @ shares[..., None])[..., 0])
    falls = torch.where((shares >= 0).all(-1), falls.sum(-1), -torch.inf)  # of the squared error
    best = falls.argmax(-1)[..., None, None].expand(*falls.shape[:2], 1, n_members)
    return shares.gather(2, best)[:, :, 0].abs()  # no -0
