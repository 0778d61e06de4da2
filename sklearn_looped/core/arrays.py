"""Arrays of numbers: a name of their type, and what they must not hide."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
"""Arrays of float64."""


def refuse_masked(**given: Any) -> None:
    """Refuse arguments with masked entries, which numpy and scikit-learn read as if they were not.

    Raises
    ------
    ValueError
        If there are such.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.core.arrays import refuse_masked
    >>> refuse_masked(X=[1.0, 2.0], y=np.ma.masked_equal([1.0, 2.0], 2.0))
    Traceback (most recent call last):
    ...
    ValueError: y has 1 masked entries, but none may be missing. Remove those rows.
    """
    for name, values in given.items():
        if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
            raise ValueError(
                f"{name} has {np.ma.count_masked(values)} masked entries, but none may be missing. "
                "Remove those rows."
            )
