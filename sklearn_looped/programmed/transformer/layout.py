"""Layout: names for the fields of a token (columns) and for the kinds of token (rows)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

if TYPE_CHECKING:
    from sklearn_looped.programmed.transformer.codes import Code


class Layout:
    """Named, consecutive, non-overlapping ranges of one axis of the state.

    The state of a programmed transformer is a matrix of shape (n_tokens, width). One layout
    names its columns, the *fields* of a token (the residual stream); another names its rows, the
    *kinds* of token.

    Parameters
    ----------
    **widths : int
        Width of each field, or number of tokens of each kind, in order.

    Attributes
    ----------
    dtype : torch.dtype
        Data type of the state, and of weights that are made for it; float64 unless `astype` says
        otherwise.
    code : Code or None
        Code of the field ``position`` and of pointers; None: bits. See `with_code`.
    width : int
        Sum of all widths.
    names : tuple of str
        The names, in order.

    Raises
    ------
    ValueError
        If a width is negative.

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> fields = Layout(one=1, position=3, value=1)
    >>> fields.width, fields["position"], fields.at("position", 2)
    (5, slice(1, 4, None), 3)
    >>> fields.terms(one=-2.0, value=1.0)
    {0: -2.0, 4: 1.0}
    """

    dtype: torch.dtype = torch.float64
    code: "Code | None" = None

    def __init__(self, **widths: int) -> None:
        for name, width in widths.items():
            if width < 0:
                raise ValueError(f"Got width {width} of field {name!r}, expected 0 or more.")
        ends = np.cumsum([*widths.values()]).tolist()
        self._slices = {
            name: slice(end - width, end)
            for (name, width), end in zip(widths.items(), ends, strict=True)
        }
        self.width: int = ends[-1] if ends else 0
        self.names = tuple(widths)

    def __getitem__(self, name: str) -> slice:
        """Range of one field."""
        if name not in self._slices:
            known = ", ".join(self.names)
            raise ValueError(f"Got unknown field {name!r}, but the layout has: {known}.")
        return self._slices[name]

    def __contains__(self, name: str) -> bool:
        return name in self._slices

    def extend(self, **widths: int) -> "Layout":
        """Layout with more fields behind the present ones; a name taken twice raises."""
        taken = [name for name in widths if name in self]
        if taken:
            raise ValueError(f"Got field {taken[0]!r} twice; fields must not overlap, rename one.")
        layout = Layout(**{name: self.size(name) for name in self.names}, **widths)
        layout.dtype, layout.code = self.dtype, self.code
        return layout

    def astype(self, dtype: torch.dtype) -> "Layout":
        """Return the same layout for states of another data type."""
        layout = self.extend()
        layout.dtype = dtype
        return layout

    def with_code(self, code: "Code") -> "Layout":
        """Return the same layout with positions and pointers of another code."""
        layout = self.extend()
        layout.code = code
        return layout

    def size(self, name: str) -> int:
        """Width of one field."""
        return self[name].stop - self[name].start

    def at(self, name: str, i: int = 0) -> int:
        """Index of entry `i` of a field; entries outside of the field raise."""
        if not 0 <= i < self.size(name):
            raise ValueError(
                f"Got entry {i} of field {name!r}, but it has {self.size(name)} entries."
            )
        return self[name].start + i

    def index(self, *names: str) -> list[int]:
        """Return the indices of all entries of the named fields, in the order of the names."""
        return [i for name in names for i in range(self[name].start, self[name].stop)]

    def columns(self, names: str | Sequence[str]) -> list[int]:
        """Return the indices of one field or of several."""
        return self.index(*([names] if isinstance(names, str) else names))

    def pairs(self, copy: Mapping[str, str]) -> list[tuple[int, int]]:
        """Entry by entry (source, target) for a mapping of source fields to target fields."""
        for source, target in copy.items():
            if self.size(source) != self.size(target):
                raise ValueError(
                    f"Got {source!r} of width {self.size(source)} for {target!r} of width "
                    f"{self.size(target)}, but a copy needs equal widths."
                )
        if len(set(copy.values())) < len(copy):
            raise ValueError(f"Got two fields for one target in {dict(copy)}; targets overlap.")
        return list(zip(self.index(*copy), self.index(*copy.values()), strict=True))

    def terms(self, **coefficients: float) -> dict[int, float]:
        """Linear combination of fields of width 1, as {index: coefficient}."""
        for name in coefficients:
            if self.size(name) != 1:
                raise ValueError(
                    f"Got field {name!r} of width {self.size(name)}, but a term has width 1."
                )
        return {self.at(name): value for name, value in coefficients.items()}

    def pack(self, n_tokens: int, **values: ArrayLike) -> Tensor:
        """Tokens with the given fields, all other fields 0.

        Parameters
        ----------
        n_tokens : int
            Number of rows.
        **values : array-like of shape (n_tokens, width of the field), or broadcast to it
            Contents of the named fields.

        Returns
        -------
        state : Tensor of shape (n_tokens, width)
        """
        state = np.zeros((n_tokens, self.width))
        for name, value in values.items():
            state[:, self[name]] = value
        state += 0.0  # no negative zeros in a state
        return torch.as_tensor(state, dtype=self.dtype, device="cpu")


def n_code_bits(n_tokens: int) -> int:
    """Bits of a position code for `n_tokens` tokens, ceil(log2 n), at least 2."""
    return max(2, (int(n_tokens) - 1).bit_length())  # numpy's integers count no bits


def sign_code(values: ArrayLike, n_bits: int) -> NDArray[np.float64]:
    r"""Binary code in :math:`\{-1, +1\}`, least significant bit first.

    The codes of Giannou et al. 2023, Section 3: :math:`p_i^\top p_i = L` and
    :math:`p_i^\top p_j \le L - 2` for :math:`i \ne j`, with L bits. Negative integers are taken
    in two's complement.

    Parameters
    ----------
    values : array-like of int, of any shape
        What to encode, modulo 2**n_bits.
    n_bits : int
        Number of bits, at most 62.

    Returns
    -------
    code : ndarray of shape (\*values.shape, n_bits)

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.layout import sign_code, sign_value
    >>> sign_code(6, 4).tolist()
    [-1.0, 1.0, 1.0, -1.0]
    >>> sign_value(sign_code([-3, 6], 4), signed=True).tolist()
    [-3, 6]
    """
    bits = np.asarray(values, dtype=np.int64)[..., None] >> np.arange(n_bits) & 1
    return (2 * bits - 1).astype(np.float64)


def sign_value(code: ArrayLike, *, signed: bool = False) -> NDArray[np.int64]:
    """Integers of codes of shape (..., n_bits); the inverse of `sign_code`.

    Raises
    ------
    ValueError
        If an entry is neither -1 nor +1: the state is no longer exact.
    """
    code = np.asarray(code)
    if not (np.abs(code) == 1).all():
        raise ValueError(f"Got a code with entries other than -1 and +1: {code.tolist()}.")
    n_bits = code.shape[-1]
    weights = 1 << np.arange(n_bits, dtype=np.int64)
    value = (code > 0) @ weights
    return np.where(signed & (code[..., -1] > 0), value - (1 << n_bits), value)
