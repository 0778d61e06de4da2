"""Checks of the fields of a configuration: integers within limits, and boolean flags."""

from collections.abc import Mapping
from typing import Any

MAX_LOOPS = 1000  # of a prediction or a training step; states settle long before
MAX_VIEWS = 1000  # members of an ensemble


def check_whole(config: Any, limits: Mapping[str, tuple[int, int | None]]) -> None:
    """Raise unless the named fields are integers within their limits.

    Parameters
    ----------
    config : dataclass
    limits : mapping of str to tuple (lowest, highest)
        Lowest and highest value of each field; a highest value of None means no upper limit.

    Raises
    ------
    ValueError
        If a field is not such an integer. The message contains its name and value.

    Examples
    --------
    >>> from sklearn_looped.learned.fields import check_whole
    >>> from sklearn_looped.learned.model.config import NetworkConfig
    >>> check_whole(NetworkConfig(), {"n_loops": (1, 4)})
    Traceback (most recent call last):
    ...
    ValueError: Got n_loops=8, but expected an integer from 1 to 4.
    """
    for name, (lowest, highest) in limits.items():
        value = getattr(config, name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < lowest or (highest is not None and value > highest):
            upper = f" >= {lowest}" if highest is None else f" from {lowest} to {highest}"
            raise ValueError(f"Got {name}={_brief(value)}, but expected an integer{upper}.")


def check_flags(config: Any, names: tuple[str, ...]) -> None:
    """Raise unless the named fields are True or False: text such as "no" would count as True."""
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, bool):
            raise ValueError(f"Got {name}={_brief(value)}, but expected True or False.")


def _brief(value: Any) -> str:
    """Return a value as a short text on one line."""
    if isinstance(value, int) and value.bit_length() > 200:  # Python limits the digits of integers
        return f"a number of {value.bit_length()} bits"
    spelt = repr(value)
    return spelt if len(spelt) <= 60 else spelt[:60] + "..."
