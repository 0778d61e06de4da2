"""Codes of positions: bits of -1 and +1, or an angle on the circle, which is two numbers wide."""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from sklearn_looped.programmed.transformer.layout import Layout, sign_code


class SignCode:
    """Binary codes: `sign_code` of a row's number, with scores that are integers.

    Parameters
    ----------
    n_bits : int

    Attributes
    ----------
    width, n_codes : int
        Columns of a code, and rows that codes name.
    null : float
        Score of the null token, between that of the token named and of any other.
    margin : float
        Smallest gap between the best score and the next one.

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.codes import SignCode
    >>> code = SignCode(3)
    >>> code.encode([5]).tolist(), code.decode(code.encode([5])).tolist()
    ([[1.0, -1.0, 1.0]], [5])
    """

    def __init__(self, n_bits: int) -> None:
        self.width, self.n_codes = n_bits, 2**n_bits
        self.null, self.margin = n_bits - 1.0, 1.0
        self._weights = 2.0 ** np.arange(n_bits)
        self._offset = int(self._weights.sum())

    def encode(self, rows: ArrayLike) -> NDArray[np.float64]:
        """Codes of rows."""
        return sign_code(rows, self.width)

    def decode(self, codes: NDArray) -> NDArray[np.intp]:
        """Rows that codes name; -1 where there is no pointer."""
        rows = ((codes @ self._weights).astype(np.intp) + self._offset) >> 1
        return np.where(codes[:, 0] != 0, rows, -1)

    def decoder(self) -> Callable[[NDArray], int]:
        """Return `decode` for one code."""
        weights, offset = self._weights, self._offset
        return lambda code: -1 if code[0] == 0 else (int(code @ weights) + offset) >> 1


class CircleCode:
    r"""Angles: row i is :math:`p_i = (\cos i\delta, \sin i\delta)`, :math:`\delta = 2\pi/n`.

    Two numbers, however many rows there are (De Luca & Fountoulakis 2024). The score of a pointer
    with its own token is 1, with its neighbours :math:`\cos\delta`, and the null token's lies half
    way. With the unit roundoff u the margin is

    .. math:: \tfrac12 (1 - \cos\delta) - (5.5 + 3 \sin\delta) u
        \approx (\pi / n)^2 - 5.5 u,

    so a dtype holds out up to :math:`n \approx \pi/\sqrt{5.5u}` rows; see `largest`. Of the 5.5,
    a pointer that `turn` moved on by one step has 2.6: numbers below 1 are rounded by u/2, and x is
    c x - s y with x, c, product and difference rounded, that is by 1.86 u in each coordinate at
    45 degrees; the key has 0.7, the two products of a score 1, their sum and the null's score 1/2
    each. Turning makes the terms in s, at most 2.7 u s. Errors along the circle do not count: they
    change a score in the second order.

    Parameters
    ----------
    n_codes : int
        The number n of rows on the circle.
    dtype : torch.dtype, default=torch.float64

    Attributes
    ----------
    width, n_codes, null, margin
        As of `SignCode`.

    Raises
    ------
    ValueError
        If the dtype cannot separate so many rows.

    References
    ----------
    A. B. de Luca, K. Fountoulakis, "Simulation of Graph Algorithms with Looped Transformers",
    ICML 2024.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.programmed.transformer.codes import CircleCode
    >>> code = CircleCode(4096)
    >>> code.width, code.decode(code.encode([7, 4095])).tolist()
    (2, [7, 4095])
    >>> CircleCode.largest(torch.float64), CircleCode.largest(torch.float32)
    (127134496, 5485)
    """

    width = 2

    def __init__(self, n_codes: int, dtype: torch.dtype = torch.float64) -> None:
        self.n_codes, self.step = n_codes, 2 * math.pi / n_codes
        self.null = 1 - math.sin(self.step / 2) ** 2  # half way between 1 and cos(step)
        self.margin = _circle_margin(n_codes, dtype)
        if not self.margin > 0:
            raise ValueError(
                f"Got {n_codes} positions on the circle, but {dtype} separates at most "
                f"{self.largest(dtype)}; use a wider dtype, or fewer tokens."
            )

    @staticmethod
    def largest(dtype: torch.dtype) -> int:
        """Largest number of rows that a dtype separates."""
        n_codes = math.floor(math.pi / math.asin(math.sqrt(2.75 * torch.finfo(dtype).eps)))
        while not _circle_margin(n_codes, dtype) > 0:
            n_codes -= 1
        return n_codes

    def encode(self, rows: ArrayLike) -> NDArray[np.float64]:
        """Codes of rows."""
        return circle_points(rows, self.n_codes)

    def decode(self, codes: NDArray) -> NDArray[np.intp]:
        """Rows that codes name; -1 where there is no pointer."""
        turns = np.arctan2(codes[:, 1], codes[:, 0]) / self.step
        rows = np.rint(turns).astype(np.intp) % self.n_codes
        return np.where(codes.any(1), rows, -1)

    def decoder(self) -> Callable[[NDArray], int]:
        """Return `decode` for one code."""

        def row(code: NDArray) -> int:
            x, y = code.tolist()
            return round(math.atan2(y, x) / self.step) % self.n_codes if x or y else -1

        return row


Code: TypeAlias = SignCode | CircleCode
"""What the field ``position`` of a token holds, and a pointer that names the token."""


def circle_points(rows: ArrayLike, n_codes: int) -> NDArray[np.float64]:
    """Points of rows on a circle of `n_codes`, rounded once, of shape (n, 2)."""
    angles = 8 * np.arctan(np.longdouble(1)) * np.asarray(rows) / n_codes
    return np.stack([np.cos(angles), np.sin(angles)], -1).astype(np.float64)


def _circle_margin(n_codes: int, dtype: torch.dtype) -> float:
    half, roundoff = math.pi / n_codes, torch.finfo(dtype).eps / 2
    return math.sin(half) ** 2 - (5.5 + 3 * math.sin(2 * half)) * roundoff


def code_of(fields: Layout) -> Code:
    """Code of a layout's field ``position``: its own, or else bits."""
    return SignCode(fields.size("position")) if fields.code is None else fields.code
