"""The readout: from a query's state to a predictive distribution of its standardised target."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor, nn

from sklearn_looped.learned.model.opinions import N_EXPERTS, Opinions


def quantile_levels(n_quantiles: int) -> Tensor:
    """Levels of the predicted quantiles: the midpoints of `n_quantiles` equal parts of (0, 1).

    Examples
    --------
    >>> from sklearn_looped.learned.model.readout import quantile_levels
    >>> quantile_levels(4)
    tensor([0.1250, 0.3750, 0.6250, 0.8750])
    """
    return (torch.arange(n_quantiles, dtype=torch.float32, device="cpu") + 0.5) / n_quantiles


def interpolate_quantiles(known: NDArray[Any], wanted: NDArray[np.float64]) -> NDArray[Any]:
    """Quantiles at wanted levels, (..., n_quantiles) -> (..., n_wanted).

    Linear between known ones. Beyond the outermost the tail of a normal distribution through that
    and the median goes on, so that every level has a value of its own where the quantiles differ.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.learned.model.readout import interpolate_quantiles
    >>> interpolate_quantiles(np.array([[0.0, 4.0]]), np.array([0.25, 0.375, 0.75]))
    array([[0., 1., 4.]])
    >>> interpolate_quantiles(np.array([[0.0, 4.0]]), np.array([0.01, 0.99])).round(2)
    array([[-4.9,  8.9]])
    """
    levels = quantile_levels(known.shape[-1]).double().numpy()
    place = np.interp(wanted, levels, range(len(levels)))
    below, above = np.floor(place).astype(int), np.ceil(place).astype(int)
    found = known[..., below] + (place - below) * (known[..., above] - known[..., below])
    beyond = ndtri(wanted) - ndtri(wanted.clip(levels[0], levels[-1]))
    low, high = tail_scales(known)
    return found + beyond * np.where(beyond < 0, low[..., None], high[..., None])


def deviation_of(quantiles: NDArray[Any]) -> NDArray[Any]:
    """Return the standard deviation over the last axis; scaled first, against overflow."""
    exponents = np.frexp(np.abs(quantiles).max(axis=-1))[1]
    scaled = np.ldexp(quantiles, -exponents[..., None])
    return np.ldexp(scaled.std(axis=-1), exponents)


def tail_scales(known: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return standard deviations of the normal tails below and above known quantiles, (...)."""
    if known.shape[-1] < 2:
        zero = np.zeros(known.shape[:-1])
        return zero, zero
    levels = quantile_levels(known.shape[-1]).double().numpy()
    median = np.moveaxis(known, -1, 0)[[(len(levels) - 1) // 2, len(levels) // 2]].mean(axis=0)
    outer = ndtri(levels[-1])
    return (median - known[..., 0]) / outer, (known[..., -1] - median) / outer


class Readout(nn.Module):
    """Norm and a two-layer network from a state to a prediction.

    The prediction is the mean and then quantiles of the target, or the logits of classes.

    Parameters
    ----------
    width : int
        D, the size of a token.
    n_outputs : int
        Numbers predicted.
    """

    def __init__(self, width: int, n_outputs: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, bias=False)
        self.hidden = nn.Linear(width, width // 2)
        self.output = nn.Linear(width // 2, n_outputs)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, state: Tensor) -> Tensor:
        """Map states (..., D) to (..., n_outputs)."""
        return self.output(F.relu(self.hidden(self.norm(state))))


class ExpertReadout(nn.Module):
    r"""From a query's state and the experts' opinions to a prediction: theirs plus a correction.

    .. math:: \hat y = \sum_e w_e p_e + s\, c, \qquad
        w = \mathrm{softmax}_e(-a \log s_e + g_e), \quad s = \min_e s_e,

    where expert e predicts :math:`p_e` with leave-one-out error :math:`s_e`, and the network says
    c, for the mean and for each quantile, and g. The prediction passes by the network, which
    would not carry it precisely; what is added has the size of the experts' errors: that of the
    target where they know nothing, next to nothing where they are right.

    Parameters
    ----------
    width : int
        D, the size of a token.
    n_outputs : int
        Numbers predicted: the mean, and quantiles at `quantile_levels`.
    """

    def __init__(self, width: int, n_outputs: int) -> None:
        super().__init__()
        self.correction = Readout(width, n_outputs + N_EXPERTS)
        self.sharpness = nn.Parameter(torch.tensor(8.0))  # a

    def forward(self, state: Tensor, opinions: Opinions) -> Tensor:
        """Map states (B, q, D) and opinions of q rows to (B, q, 1 + n_quantiles)."""
        raw = self.correction(state).to(opinions.error.dtype)
        correction, preference = raw[..., :-N_EXPERTS], raw[..., -N_EXPERTS:]
        expected = self.mixture(opinions, preference)[..., None]
        return expected + opinions.unit()[:, None, None] * correction

    def alone(self, opinions: Opinions) -> Tensor:
        """Predictions (B, q, 1) of the experts alone."""
        return self.mixture(opinions)[..., None]

    def mixture(self, opinions: Opinions, preference: Tensor | float = 0.0) -> Tensor:
        """Predictions (B, q) of the experts alone, given the network's preference (B, q, E)."""
        trust = torch.softmax(preference - self.sharpness * opinions.error.log()[:, None], -1)
        return (trust * opinions.prediction).sum(-1)


class ExitGate(nn.Module):
    r"""Probability that a query's loop ends here, from its state and its last two predictions.

    The gate of Ouro [1]_, :math:`\lambda_t = \sigma(g(h_t))`, as a two-layer network that also
    sees the last change of the prediction, its predicted spread, and the share of the trained
    loops that have passed.

    Parameters
    ----------
    width : int
        D, the size of a token.
    n_units : int
        Hidden units.

    References
    ----------
    .. [1] R.-J. Zhu et al., "Scaling Latent Reasoning via Looped Language Models", 2025,
       Section 3.
    """

    def __init__(self, width: int, n_units: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width + 3, n_units)
        self.output = nn.Linear(n_units, 1)

    def forward(self, state: Tensor, output: Tensor, last: Tensor, progress: float) -> Tensor:
        """Map states (..., D) and readouts (..., 1 + n_quantiles) to logits (...)."""
        change = (output[..., :1] - last[..., :1]).abs()
        spread = output[..., -1:] - output[..., 1:2] if output.shape[-1] > 1 else output.abs()
        features = torch.cat([state, change, spread, torch.full_like(change, progress)], -1)
        return self.output(F.relu(self.hidden(features))).squeeze(-1)


FAR = 4.0  # units of the target
UNKNOWN = -1  # the code of a class that the support lacks


class Target(NamedTuple):
    """What predictions of B tables are scored against.

    Attributes
    ----------
    y : Tensor of shape (B, q)
        Targets in canonical form.
    signal : Tensor of shape (B, q)
        Targets without their noise, where the prior knows them; else as `y`.
    unit : Tensor of shape (B, 1)
        Errors of size `unit` count alike in all tables.
    """

    y: Tensor
    signal: Tensor
    unit: Tensor

    @classmethod
    def of(cls, y: Tensor, signal: Tensor | None = None, unit: Tensor | None = None) -> "Target":
        """Target whose signal is y itself and whose unit is 1 unless given."""
        unit = torch.ones_like(y[:, :1]) if unit is None else unit
        return cls(y, y if signal is None else signal, unit)

    def map(self, function: Callable[[Tensor], Tensor]) -> "Target":
        """Apply a function to all parts."""
        return Target(*(function(part) for part in self))

    def mean(self, scores: Tensor) -> Tensor:
        """Mean of scores (..., B, q) over what is scored: all queries."""
        return scores.mean()


class DistributionLoss(nn.Module):
    """Squared error of the mean plus twice the pinball loss of the quantiles, averaged.

    Both are proper scores: their minimisers are the conditional mean and quantiles; but the squared
    error is linear beyond `FAR` (Huber's loss). The mean is scored against the signal, whose
    conditional mean is the same but varies less.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.model.readout import DistributionLoss, Target
    >>> DistributionLoss()(torch.zeros(2, 5, 1 + 3), Target.of(torch.zeros(2, 5)))
    tensor(0.)
    """

    def forward(self, output: Tensor, target: Target) -> Tensor:
        """Score outputs (..., B, q, 1 + n_quantiles)."""
        return self.of_each(output, target).mean()

    def of_each(self, output: Tensor, target: Target) -> Tensor:
        """Score each output by itself, (..., B, q)."""
        error = (output[..., 0] - target.signal) / target.unit
        zero = torch.zeros_like(error)
        # Huber's loss: no single query may decide a step.
        squared = 2 * F.huber_loss(error, zero, reduction="none", delta=FAR)
        excess = target.y[..., None] - output[..., 1:]
        levels = quantile_levels(excess.shape[-1]).to(excess)
        pinball = torch.maximum(levels * excess, (levels - 1) * excess).mean(-1)
        return squared + 2 * pinball / target.unit


class SquaredLoss(nn.Module):
    """Mean squared error, of a network that predicts a mean and no quantiles.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.model.readout import SquaredLoss, Target
    >>> SquaredLoss()(torch.full((2, 1, 3, 1), 2.0), Target.of(torch.zeros(1, 3)))
    tensor(4.)
    """

    def forward(self, output: Tensor, target: Target) -> Tensor:
        """Score outputs (..., B, q, 1)."""
        return (output[..., 0] - target.y).square().mean()


class ClassLoss(nn.Module):
    """Log loss of logits; queries whose class the support lacks, of code -1, do not count.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.model.readout import ClassLoss, Target
    >>> ClassLoss()(torch.zeros(1, 3, 2), Target.of(torch.tensor([[0.0, 1.0, -1.0]])))
    tensor(0.6931)
    """

    def forward(self, output: Tensor, target: Target) -> Tensor:
        """Score logits (..., B, q, C) against codes y (B, q)."""
        codes = target.y.long().expand(output.shape[:-1])
        each = F.cross_entropy(
            output.flatten(0, -2), codes.flatten(), ignore_index=UNKNOWN, reduction="none"
        )
        return (each.view(codes.shape) / target.unit).sum() / (codes != UNKNOWN).sum().clamp(min=1)


class TokenTarget(NamedTuple):
    """What a language model's predictions of B sequences are scored against.

    Attributes
    ----------
    tokens : Tensor of shape (B, n)
        The token behind each token.
    counted : Tensor of shape (B, n)
        1 where it is to be predicted, else 0.
    """

    tokens: Tensor
    counted: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> "TokenTarget":
        """Apply a function to all parts."""
        return TokenTarget(*(function(part) for part in self))

    def mean(self, scores: Tensor) -> Tensor:
        """Mean of scores (..., B, n) over the tokens that are to be predicted."""
        return (scores * self.counted).sum((-2, -1)).mean() / self.counted.sum()


class TokenLoss(nn.Module):
    """Log loss of the logits of tokens, in nats.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.model.readout import TokenLoss, TokenTarget
    >>> target = TokenTarget(torch.zeros(1, 3, dtype=torch.long), torch.tensor([[0.0, 1, 1]]))
    >>> TokenLoss()(torch.zeros(1, 1, 3, 2), target)
    tensor(0.6931)
    """

    def forward(self, output: Tensor, target: TokenTarget) -> Tensor:
        """Score logits (..., B, n, V)."""
        return target.mean(self.of_each(output, target))

    def of_each(self, output: Tensor, target: TokenTarget) -> Tensor:
        """Score each token by itself, (..., B, n)."""
        tokens = target.tokens.expand(output.shape[:-1])
        return F.cross_entropy(output.flatten(0, -2), tokens.flatten(), reduction="none").view(
            tokens.shape
        )
