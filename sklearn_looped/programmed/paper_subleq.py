"""x."""

import torch

from sklearn_looped.programmed.layers import Layer
from sklearn_looped.programmed.layout import Layout


def paper_fields(n_code: int, n_bits: int) -> Layout:
    raise NotImplementedError


def paper_layers(
    fields: Layout, tokens: Layout, dtype: torch.dtype, temperature: float | None
) -> tuple[list[Layer], float]:
    raise NotImplementedError
