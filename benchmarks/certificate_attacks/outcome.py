"""What one attack on a certificate found."""

from enum import Enum


class Outcome(Enum):
    """Result of one case.

    RIGHT: certified, and equal to the reference within the bound. REFUSED: a ValueError that was
    called for. WRONG: certified and not equal, or an error where the reference has a value.
    """

    RIGHT = "right"
    REFUSED = "refused"
    WRONG = "wrong"
