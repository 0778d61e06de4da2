"""The two stages of Ouro: losses that train an exit gate, with the network or after it.

Shapes: L loops, B tables, q queries; or B sequences of q tokens.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sklearn_looped.learned.model.memory import Step
from sklearn_looped.learned.model.readout import Target

# Outputs (L, B, q, n_outputs) and their target to scores (L, B, q).
Scores = Callable[[Tensor, Any], Tensor]


def exit_distribution(exits: Tensor) -> Tensor:
    r"""Probability to leave after each loop, from the gate's logits.

    .. math:: p_t = \lambda_t \prod_{j<t} (1 - \lambda_j), \qquad
        p_L = \prod_{j<L} (1 - \lambda_j).

    Parameters
    ----------
    exits : Tensor of shape (L, ...)

    Returns
    -------
    Tensor of shape (L, ...)

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


def signal_error(output: Tensor, target: Target) -> Tensor:
    """Squared error of the mean against the noise-free target, where the prior knows it.

    Parameters
    ----------
    output : Tensor of shape (L, B, q, n_outputs)
    target : Target

    Returns
    -------
    Tensor of shape (L, B, q)
    """
    return (output[..., 0] - target.signal).square()


class OuroLoss(nn.Module):
    r"""Stage I: the expected loss under the exit distribution less beta times its entropy.

    .. math:: \sum_t p_t L_t - \beta H(p).

    Parameters
    ----------
    scores : callable
        Loss of each prediction, such as `DistributionLoss().of_each` or `TokenLoss().of_each`.
    beta : float
        Weight of the entropy, ``Recipe.beta``.

    References
    ----------
    R.-J. Zhu et al., "Scaling Latent Reasoning via Looped Language Models", 2025, Section 3.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.training.gate_losses import OuroLoss
    >>> from sklearn_looped.learned.model.memory import Step
    >>> from sklearn_looped.learned.model.readout import DistributionLoss, Target
    >>> even = Step(torch.zeros(2, 1, 3, 4), torch.zeros(2, 1, 3))  # log 2 of entropy
    >>> OuroLoss(DistributionLoss().of_each, 0.05)(even, Target.of(torch.zeros(1, 3)))
    tensor(-0.0347)
    """

    def __init__(self, scores: Scores, beta: float) -> None:
        super().__init__()
        self.scores, self.beta = scores, beta

    def forward(self, steps: Step, target: Any) -> Tensor:
        """Score steps of outputs (L, B, q, n_outputs) and exits (L, B, q)."""
        assert steps.exit is not None
        p = exit_distribution(steps.exit)
        entropy = -(p * p.clamp(min=1e-9).log()).sum(0)
        expected = (p * self.scores(steps.output, target)).sum(0)
        return target.mean(expected - self.beta * entropy)


class GateLoss(nn.Module):
    r"""Stage II: cross-entropy of the gate with whether the last loop was worth its while.

    With the loss :math:`e_t` of loop t, a query should have gone on to loop t by
    :math:`w_t = \sigma(k (e_{t-1} - e_t - \gamma))`; the gate's :math:`1 - \lambda_t` is trained
    towards it. Ouro counts a loop that did harm as one that changed nothing; here it counts as
    what it is. Gradients do not reach the network.

    Parameters
    ----------
    scores : callable
        Loss of each prediction: `signal_error`, of which the noise is left out, or
        `TokenLoss().of_each`.
    gamma, k : float
        Least improvement that is worth a loop, and how sharply it is told, ``Recipe.gamma`` and
        ``Recipe.k``.

    References
    ----------
    R.-J. Zhu et al., "Scaling Latent Reasoning via Looped Language Models", 2025, Section 3.
    """

    def __init__(self, scores: Scores, gamma: float, k: float) -> None:
        super().__init__()
        self.scores, self.gamma, self.k = scores, gamma, k

    def forward(self, steps: Step, target: Any) -> Tensor:
        """Score steps of outputs (L, B, q, n_outputs) and exits (L, B, q)."""
        assert steps.exit is not None
        error = self.scores(steps.output.detach(), target)
        go_on = torch.sigmoid(self.k * (error[:-1] - error[1:] - self.gamma))
        return target.mean(
            F.binary_cross_entropy_with_logits(steps.exit[1:], 1 - go_on, reduction="none")
        )
