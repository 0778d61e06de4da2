"""The prior of classes: what the `tabular-classifier` weights learn from.

Shapes: B tables, n rows, d columns, C classes.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sklearn_looped.learned.priors.mechanisms import (
    chance,
    log_uniform,
    lookup,
    standard,
    trees,
    uniform,
)
from sklearn_looped.learned.priors.tables import FUNCTIONS, SyntheticTables

MAX_CLASSES = 10
RULES = (*FUNCTIONS, trees, lookup)  # those of rules count more than for numbers


def _shares(generator: Generator, n_parts: Tensor, most: int) -> Tensor:
    """Shares (B, most) of `n_parts` (B, 1) parts, equal in a third of the tables."""
    power = (3 * uniform(generator, len(n_parts), 1) - 1).clamp(min=0)
    sizes = (-torch.rand(len(n_parts), most, generator=generator).clamp(min=1e-3).log()) ** power
    sizes = sizes * (torch.arange(most) < n_parts)
    return sizes / sizes.sum(1, keepdim=True)


def _by_thresholds(generator: Generator, y: Tensor, n_classes: Tensor) -> Tensor:
    """Classes (B, n) from parts of the range of y, at random quantiles.

    A class is one part in 60 % of the tables, else one or two.
    """
    ordered = torch.rand(len(y), 1, generator=generator) < 0.6
    more = (n_classes * (1 + uniform(generator, len(y), 1))).ceil().long()
    n_parts = torch.where(ordered, n_classes, more)
    ends = _shares(generator, n_parts, 2 * MAX_CLASSES).cumsum(1)[:, :-1]
    place = (ends * y.shape[1]).long().clamp(max=y.shape[1] - 1)
    edges = y.sort(1).values.gather(1, place)
    beyond = torch.arange(edges.shape[1]) >= n_parts - 1
    part = (y[..., None] >= edges.masked_fill(beyond, torch.inf)[:, None]).sum(-1)
    return part % n_classes


def _by_largest(generator: Generator, X: Tensor, y: Tensor, n_classes: Tensor) -> Tensor:
    """Take the class whose latent, a function of the columns, is largest; y is the first one's."""
    inputs = standard(X.nan_to_num()).clamp(-6, 6)
    kinds = torch.randint(len(RULES), (int(n_classes.max()) - 1,), generator=generator)
    latents = [y, *(RULES[kind](generator, inputs) for kind in kinds.tolist())]
    logits = torch.stack([standard(latent) for latent in latents], -1)  # (B, n, C)
    offset = torch.randn(len(y), 1, logits.shape[-1], generator=generator)
    logits = logits + offset * uniform(generator, len(y), 1, 1)
    noisy = torch.rand(len(y), 1, 1, generator=generator) < 0.5
    noise = -(-torch.rand(logits.shape, generator=generator).clamp(1e-6, 1 - 1e-6).log()).log()
    logits = logits + noisy * log_uniform(generator, len(y), 1, 1, low=0.02, high=0.6) * noise
    beyond = torch.arange(logits.shape[-1]) >= n_classes[..., None]
    return logits.masked_fill(beyond, -torch.inf).argmax(-1)


def _by_clusters(generator: Generator, X: Tensor, n_classes: Tensor) -> tuple[Tensor, Tensor]:
    """Columns (B, n, d) moved by the row's cluster, of which each class has one to three."""
    n_tables, n_rows, d = X.shape
    shares = _shares(generator, n_classes, MAX_CLASSES)
    label = torch.multinomial(shares, n_rows, replacement=True, generator=generator)
    each = torch.randint(1, 4, (n_tables, 1), generator=generator)
    own = (uniform(generator, n_tables, n_rows) * each).long()
    cluster = label * 3 + own
    size = log_uniform(generator, n_tables, 1, 1, low=0.4, high=4.0)
    centres = size * torch.randn(n_tables, 3 * MAX_CLASSES, d, generator=generator)
    told = torch.rand(n_tables, 1, d, generator=generator) < uniform(
        generator, n_tables, 1, 1, low=0.1
    )
    spread = log_uniform(generator, n_tables, 3 * MAX_CLASSES, 1, low=0.5, high=2.0)
    place = cluster[..., None]
    moved = X * spread.gather(1, place) + (centres * told).gather(1, place.expand(-1, -1, d))
    return moved, label


def _mistaken(generator: Generator, label: Tensor, n_classes: Tensor) -> Tensor:
    """Replace up to 30 % of the labels by random ones, in a quarter of the tables."""
    rate = uniform(generator, len(label), 1, high=0.3)
    rate = rate * (torch.rand(len(label), 1, generator=generator) < 0.25)
    other = (torch.rand(label.shape, generator=generator) * n_classes).long()
    return torch.where(torch.rand(label.shape, generator=generator) < rate, other, label)


@dataclass(frozen=True)
class ClassTables(SyntheticTables):
    """Tables of `SyntheticTables` with labels of two to ten classes in place of the target.

    A third of the tables have two classes. Half of the groups cut the target at random quantiles,
    so that classes are ordered parts of its range, or several parts each; in 30 % the class is
    that of the largest of several functions of the columns, rules among them; in 20 % the columns
    cluster by class. Three quarters of the tables leave out the target's noise. Classes are alike
    in size in a third of the tables and very unlike in others. Some labels are mistaken.

    Parameters
    ----------
    causal, skewed
        As in `SyntheticTables`.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.priors import ClassTables
    >>> X, y = ClassTables().sample(torch.Generator().manual_seed(0), 8, 100, 5)
    >>> X.shape, int(y.min()), int(y.max()) < 10
    (torch.Size([8, 100, 5]), 0, True)
    """

    def _sample_group(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        X, y, signal = super()._sample_group(generator, n_tables, n_rows, n_features)
        y = torch.where(torch.rand(n_tables, 1, generator=generator) < 0.75, signal, y)
        n_classes = torch.randint(2, MAX_CLASSES + 1, (n_tables, 1), generator=generator)
        two = torch.rand(n_tables, 1, generator=generator) < 1 / 3
        n_classes = torch.where(two, 2, n_classes)
        if chance(generator, 0.5):
            label = _by_thresholds(generator, y, n_classes)
        elif chance(generator, 0.6):
            label = _by_largest(generator, X, y, n_classes)
        else:
            X, label = _by_clusters(
                generator, standard(X.nan_to_num()).where(~X.isnan(), X), n_classes
            )
        label = _mistaken(generator, label, n_classes).float()
        return X, label, label
