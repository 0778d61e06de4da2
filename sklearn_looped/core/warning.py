"""Warnings that name the user's line, however deep they come from."""

import sys
import warnings

INSIDE = {"sklearn_looped", "sklearn"}  # packages whose lines are not the user's


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn as from the first line of the stack outside of this package and scikit-learn.

    Examples
    --------
    >>> import warnings
    >>> from sklearn_looped.core.warning import warn_user
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_user("Columns left out.")
    >>> str(caught[0].message)
    'Columns left out.'
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in INSIDE:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
