"""Sizes and data types of machines."""

from numbers import Integral

import torch

DTYPES = {"float64": torch.float64, "float32": torch.float32}


def check_sizes(**sizes: int) -> None:
    """Raise unless all sizes of a machine are integers of at least 1."""
    for name, value in sizes.items():
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"Got {name}={value}, expected an integer of at least 1.")


def check_dtype(dtype: str) -> None:
    """Raise unless a machine's data type is one of the two."""
    if dtype not in DTYPES:
        raise ValueError(f"Got dtype={dtype!r}, expected one of {tuple(DTYPES)}.")
