"""Probabilities of classes from scores, calibrated by the log loss of leave-one-out scores.

Batched over tables. Shapes: B tables, n rows, q queries, C classes.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_looped.core.kernel_ridge import mean_over_rows

FLOORS = tuple(10 ** (k / 2 - 2) for k in range(4))  # scores below count as much
EXPONENTS = tuple(2 ** (k / 2 - 2) for k in range(13))
LEAST_ENTROPY = 1e-12
LEAST_PROBABILITY = 1e-9
MOST_EXPONENT = 3.0
EXPONENT_ROWS = 2  # rows that a deviation of an exponent by a factor of two from one weighs
POOL_ROWS = 80  # rows that equal shares of a pool count as
POOL_STEPS = 6
STEP_LENGTHS = (1.0, 0.3, 0.1)


class Calibration(NamedTuple):
    r"""Map from scores of classes, such as predicted indicators, to probabilities.

    .. math:: p_c \propto \max(f_c, \epsilon)^a

    with the floor and the exponent of a small grid that the log loss of the rows' leave-one-out
    scores is least with; :math:`2 (\log_2 a)^2` is added to its sum, against chance where rows are
    few. The classes' frequencies are mixed in with the weight of one row, so that no class that was
    seen has probability zero; others have.

    Attributes
    ----------
    floor, exponent : Tensor of shape (B,)
        :math:`\epsilon` and a.
    frequencies : Tensor of shape (B, C)
    total : Tensor of shape (B,)
        Sum of the rows' weights.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.core.calibration import Calibration
    >>> labels = torch.eye(2, dtype=torch.float64).repeat(1, 50, 1)
    >>> noise = torch.randn(1, 100, 2, dtype=torch.float64, generator=torch.manual_seed(0))
    >>> calibration = Calibration.fit(labels + noise, labels, torch.ones(1, 100).double())
    >>> calibration.probabilities(torch.tensor([[[0.9, 0.1]]]).double()).round(decimals=2)
    tensor([[[0.8200, 0.1800]]], dtype=torch.float64)
    """

    floor: Tensor
    exponent: Tensor
    frequencies: Tensor
    total: Tensor

    @classmethod
    def fit(cls, scores: Tensor, indicators: Tensor, weights: Tensor) -> "Calibration":
        """Fit to leave-one-out scores and indicators (B, n, C), and weights (B, n)."""
        frequencies = mean_over_rows(indicators, weights)[:, 0]
        absent = (frequencies == 0)[:, None]
        losses = []
        for floor in FLOORS:
            logs = scores.clamp(min=floor).log()
            right = (logs * indicators).sum(-1)
            logs = logs.masked_fill(absent, -torch.inf)
            for exponent in EXPONENTS:
                loss = torch.logsumexp(exponent * logs, -1) - exponent * right
                prior = EXPONENT_ROWS * math.log2(exponent) ** 2
                losses.append((weights * loss).sum(1) + prior)
        best = torch.stack(losses, 1).argmin(1)
        floors, exponents = scores.new_tensor(FLOORS), scores.new_tensor(EXPONENTS)
        n = len(EXPONENTS)
        return cls(floors[best // n], exponents[best % n], frequencies, weights.sum(1))

    def probabilities(self, scores: Tensor) -> Tensor:
        """Turn scores (B, q, C) into probabilities."""
        floor, exponent, total = (part[:, None, None] for part in (*self[:2], self.total))
        frequencies = self.frequencies[:, None]
        logits = exponent * torch.maximum(scores, floor).log()
        proba = torch.softmax(logits.masked_fill(frequencies == 0, -torch.inf), -1)
        return (total * proba + frequencies) / (total + 1)


def relative_log_loss(proba: Tensor, indicators: Tensor, weights: Tensor) -> Tensor:
    """Log loss of probabilities (B, n, C) over that of the classes' frequencies, (B,)."""
    tiny = torch.finfo(proba.dtype).tiny
    right = (proba * indicators).sum(-1, keepdim=True).clamp(min=tiny)
    frequencies = mean_over_rows(indicators, weights)[:, 0]
    entropy = torch.special.entr(frequencies).sum(1)
    loss = -mean_over_rows(right.log(), weights)[:, 0, 0]
    return torch.where(entropy > LEAST_ENTROPY, loss / entropy.clamp(min=LEAST_ENTROPY), 1)


def pooled(proba: Tensor, exponents: Tensor) -> Tensor:
    r"""Logits of the logarithmic pool :math:`\prod_e p_e^{b_e}` of experts, (B, n, C).

    Parameters
    ----------
    proba : Tensor of shape (B, n, E, C)
    exponents : Tensor broadcastable to (B, n, E)
    """
    return (exponents[..., None] * proba.clamp(min=LEAST_PROBABILITY).log()).sum(-2)


def pool_exponents(proba: Tensor, indicators: Tensor, weights: Tensor) -> Tensor:
    r"""Exponents (B, E) of the logarithmic pool of experts with the least log loss.

    Stacking by leave-one-out: the exponents are not negative, and may add up to more than one,
    since experts that agree on different grounds are surer together. A squared distance from equal
    shares, as much as one row weighs, is added to the log loss, which is convex: projected Newton
    steps, of lengths tried, descend it. The result is averaged with equal shares, which count as
    `POOL_ROWS` rows, so that few rows do not choose by chance.

    Parameters
    ----------
    proba : Tensor of shape (B, n, E, C)
        Leave-one-out probabilities; classes without rows have none.
    indicators : Tensor of shape (B, n, C)
    weights : Tensor of shape (B, n)
    """
    logs = proba.clamp(min=LEAST_PROBABILITY).log()
    right = (logs * indicators[:, :, None]).sum(-1)  # (B, n, E)
    absent = (indicators.sum(1) == 0)[:, None]
    n_experts = proba.shape[2]
    start = logs.new_full((len(logs), n_experts), 1 / n_experts)
    identity = 2 * torch.eye(n_experts, dtype=logs.dtype, device=logs.device)

    def logits(b: Tensor) -> Tensor:
        return torch.einsum("bnec,be->bnc", logs, b).masked_fill(absent, -torch.inf)

    def loss(b: Tensor) -> Tensor:
        each = torch.logsumexp(logits(b), -1) - (right * b[:, None]).sum(-1)
        return (weights * each).sum(1) + (b - start).square().sum(1)

    b, known = start, loss(start)
    for _ in range(POOL_STEPS):
        p = torch.softmax(logits(b), -1)
        mean = torch.einsum("bnec,bnc->bne", logs, p)
        slope = torch.einsum("bn,bne->be", weights, mean - right) + 2 * (b - start)
        deviation = logs - mean[..., None]
        curve = torch.einsum("bn,bnec,bnc,bnfc->bef", weights, deviation, p, deviation) + identity
        free = ((b > 0) | (slope < 0)).to(b)
        kept = free[:, :, None] * free[:, None]
        step = torch.linalg.solve(curve * kept + torch.diag_embed(1 - free), slope * free)
        for length in STEP_LENGTHS:
            tried = (b - length * step).clamp(0, MOST_EXPONENT)
            found = loss(tried)
            b = torch.where((found < known)[:, None], tried, b)
            known = torch.minimum(found, known)
            step = torch.where((found <= known)[:, None], 0, step)
    total = weights.sum(1, keepdim=True)
    return (total * b + POOL_ROWS * start) / (total + POOL_ROWS)
