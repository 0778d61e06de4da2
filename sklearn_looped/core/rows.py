"""Choices of rows that draw nothing."""

import torch
from torch import Tensor


def evenly_spaced(n_rows: int, most: int) -> Tensor:
    """Numbers of at most so many of the rows.

    Examples
    --------
    >>> from sklearn_looped.core.rows import evenly_spaced
    >>> evenly_spaced(7, 3)
    tensor([0, 2, 4])
    """
    count = min(n_rows, most)
    return torch.arange(count) * n_rows // count
