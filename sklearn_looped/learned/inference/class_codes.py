"""Codes of classes: which of a network's codes stands for which class, in one pass or several.

Shapes: P passes, G codes of the network, C classes, n rows, d columns, q queries.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sklearn_looped.core.arrays import Array

DIGITS = 6  # of the key that orders classes of one frequency
ROUNDS = 8  # of scaling to the passes' probabilities, where there are several


def class_order(X: Array, Y: Array, weights: Array | None) -> NDArray[np.intp]:
    """Order of the classes that does not depend on their names: frequent ones first, (C,).

    Classes of one frequency are sorted by the mean square of their rows' standardised cells.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        NaN for missing cells.
    Y : ndarray of shape (n, C)
        Indicators.
    weights : ndarray of shape (n,) or None
    """
    w = np.ones(len(X)) if weights is None else weights
    size = np.abs(X).max(axis=0, initial=0, where=~np.isnan(X))
    Z = np.nan_to_num(np.ldexp(X, -np.frexp(size)[1]))
    Z = Z - np.average(Z, axis=0, weights=w)
    spread = np.sqrt(np.average(Z**2, axis=0, weights=w))
    sizes = ((Z / np.where(spread > 0, spread, 1)) ** 2).sum(axis=1)
    counts = w @ Y
    means = ((w * sizes) @ Y / np.where(counts > 0, counts, 1)).round(DIGITS)
    return np.lexsort((means, -counts.round(DIGITS)))


def n_passes(n_classes: int, n_codes: int) -> int:
    """Count the passes that so many classes take."""
    passes = 1
    while n_codes**passes < n_classes:
        passes += 1
    return passes


def codebook(n_classes: int, n_codes: int, seed: int) -> NDArray[np.intp]:
    """Codes (P, C) of classes, other ones for every seed.

    Up to `n_codes` classes have a code each, in one pass. More share codes: each pass tells
    `n_codes` groups of classes apart, and the groups of all passes tell every class.

    Examples
    --------
    >>> from sklearn_looped.learned.inference.class_codes import codebook
    >>> codebook(3, 10, seed=0).shape, codebook(50, 10, seed=0).shape
    ((1, 3), (2, 50))
    """
    rng = np.random.RandomState(seed)
    number = np.arange(n_classes) if n_classes <= n_codes else rng.permutation(n_classes)
    places = range(n_passes(n_classes, n_codes))
    digits = [number // n_codes**place % n_codes for place in places]
    return np.array([rng.permutation(n_codes)[digit] for digit in digits])


def class_probabilities(log_proba: Tensor, codes: Tensor, base: Tensor) -> Tensor:
    """Probabilities of classes (q, C) from those of their codes in all passes.

    Of all distributions that give the codes their probabilities the one closest to `base`, by
    iterative proportional fitting: exact for one pass.

    Parameters
    ----------
    log_proba : Tensor of shape (P, q, G)
        Logarithms of the codes' probabilities.
    codes : Tensor of shape (P, C)
    base : Tensor of shape (q, C)
        Probabilities before the passes are known.
    """
    members = F.one_hot(codes, log_proba.shape[-1]).to(base)  # (P, C, G)
    logs = base.log()
    for _ in range(1 if len(codes) == 1 else ROUNDS):
        for wanted, code, member in zip(log_proba, codes, members, strict=True):
            present = logs.exp() @ member
            logs = logs + wanted[:, code] - present.log()[:, code]
            logs = torch.where(base > 0, logs, -torch.inf)
            logs = logs - torch.logsumexp(logs, -1, keepdim=True)
    return logs.exp()
