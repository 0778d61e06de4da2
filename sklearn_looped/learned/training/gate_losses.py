"""The two stages of Ouro: losses that train an exit gate, with the network or after it.

Shapes: L loops, B tables, q queries.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sklearn_looped.learned.model.network import Step
from sklearn_looped.learned.model.readout import DistributionLoss, Target

ENTROPY_WEIGHT = 0.05  # beta of Ouro's stage I, its later value
LEAST_IMPROVEMENT = 0.002  # gamma of stage II, in variances of the target
SHARPNESS = 500.0  # k of stage II; Ouro's 50 leaves changes of these targets undecided


def exit_distribution(exits: Tensor) -> Tensor:
    r"""Probability to leave after each loop, (L, ...), from the gate's logits (L, ...).

    .. math:: p_t = \lambda_t \prod_{j<t} (1 - \lambda_j), \qquad
        p_L = \prod_{j<L} (1 - \lambda_j).

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.training.gate_losses import exit_distribution
    >>> exit_distribution(torch.zeros(3, 1)).squeeze(1)
    tensor([0.5000, 0.2500, 0.2500])
    """
    leave = torch.sigmoid(exits)
    inside = torch.cumprod(1 - leave, 0)
    before = torch.cat([torch.ones_like(inside[:1]), inside[:-1]])
    return torch.cat([leave[:-1] * before[:-1], before[-1:]])


class OuroLoss(nn.Module):
    r"""Stage I: the expected loss under the exit distribution less beta times its entropy.

    .. math:: \sum_t p_t L_t - \beta H(p).

    References
    ----------
    R.-J. Zhu et al., "Scaling Latent Reasoning via Looped Language Models", 2025, Section 3.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.training.gate_losses import OuroLoss
    >>> from sklearn_looped.learned.model.network import Step
    >>> from sklearn_looped.learned.model.readout import Target
    >>> even = Step(torch.zeros(2, 1, 3, 4), torch.zeros(2, 1, 3))  # log 2 of entropy
    >>> OuroLoss()(even, Target.of(torch.zeros(1, 3)))
    tensor(-0.0347)
    """

    def forward(self, steps: Step, target: Target) -> Tensor:
        """Score steps of outputs (L, B, q, 1 + n_quantiles) and exits (L, B, q)."""
        assert steps.exit is not None
        p = exit_distribution(steps.exit)
        loss = DistributionLoss().of_each(steps.output, target)
        entropy = -(p * p.clamp(min=1e-9).log()).sum(0)
        return ((p * loss).sum(0) - ENTROPY_WEIGHT * entropy).mean()


class GateLoss(nn.Module):
    r"""Stage II: cross-entropy of the gate with whether the last loop was worth its while.

    With the squared error :math:`e_t` of loop t, a query should have gone on to loop t by
    :math:`w_t = \sigma(k (e_{t-1} - e_t - \gamma))`; the gate's :math:`1 - \lambda_t` is trained
    towards it. Ouro takes one noisy label's loss; here the target is the noise-free one, where
    the prior knows it. Gradients do not reach the network.

    References
    ----------
    R.-J. Zhu et al., "Scaling Latent Reasoning via Looped Language Models", 2025, Section 3.
    """

    def forward(self, steps: Step, target: Target) -> Tensor:
        """Score steps of outputs (L, B, q, 1 + n_quantiles) and exits (L, B, q)."""
        assert steps.exit is not None
        error = (steps.output[..., 0].detach() - target.signal).square()
        improvement = error[:-1] - error[1:]
        go_on = torch.sigmoid(SHARPNESS * (improvement - LEAST_IMPROVEMENT))
        return F.binary_cross_entropy_with_logits(steps.exit[1:], 1 - go_on)
