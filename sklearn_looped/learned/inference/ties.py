"""Ties in the canonical form: signs and order of columns that correlations leave open.

Shapes: B tables, n rows, s support rows, d columns, G images.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_looped.core.arrays import Array
from sklearn_looped.learned.inference.standardise import TIE, Standardiser

MAX_IMAGES = 384  # signs and orders tried out: those of four columns
DIGITS = 6  # decimals of standardised cells beyond which they count as equal


@dataclass(frozen=True)
class Mirrors:
    """Signs and orders of columns that leave a support as it is, by table.

    Attributes
    ----------
    images : dict of int to (ndarray of shape (G, d), ndarray of shape (G, d))
        Of each table that has such: the column in each place, and its sign, G times.
    """

    images: dict[int, tuple[NDArray[np.intp], Array]]

    def first(self, X: Tensor) -> Tensor:
        """Replace each query (B, n, d) by the first of its mirror images.

        The support looks the same beside each of them, so that which one is given cannot matter.
        """
        if not self.images:
            return X
        X = X.clone()
        for table, (order, signs) in self.images.items():
            cells = X[table].numpy()
            images = signs[:, None] * cells[:, order].transpose(1, 0, 2)  # (G, n, d)
            keys = np.nan_to_num(images, nan=np.inf).round(DIGITS) + 0.0  # no -0
            ranks = np.lexsort(keys.transpose(2, 0, 1)[::-1], axis=0)
            X[table] = torch.from_numpy(images[ranks[-1], np.arange(len(cells))])
        return X


def settle(
    scale: Standardiser, X: Tensor, y: Tensor, weights: Tensor | None = None
) -> tuple[Standardiser, Mirrors]:
    """Choose what correlations and skewness leave open by what does not depend on it either.

    Further moments decide on the sign of the target and on signs and order of columns. What they
    leave open is tried out: of all images of the support that one is taken whose sorted rows come
    last. If several do, as in a factorial design, the table is its own mirror image.

    Parameters
    ----------
    scale : Standardiser
        Fitted to what follows.
    X : Tensor of shape (B, s, d)
        NaN marks a missing cell.
    y : Tensor of shape (B, s)
    weights : Tensor of shape (B, s), default=None
        How often each row counts. None: once.

    Returns
    -------
    scale : Standardiser
    mirrors : Mirrors
        Of the columns in the new order.
    """
    w = torch.ones_like(y) if weights is None else weights.to(y)
    Z, t, counts = (part.double().numpy() for part in (scale.features(X), scale.target(y), w))
    found = [_settled(*each) for each in zip(Z, t, counts, strict=True)]
    order = scale.order.gather(1, torch.from_numpy(np.array([each.order for each in found])))
    signs = torch.from_numpy(np.array([each.signs for each in found])).to(scale.scale)
    factor = torch.ones_like(signs).scatter_(1, order, signs)[:, None]
    turn = torch.tensor([[each.turn] for each in found]).to(scale.target_scale)
    settled = replace(
        scale, scale=scale.scale * factor, order=order, target_scale=scale.target_scale * turn
    )
    images = {i: each.images for i, each in enumerate(found) if each.images is not None}
    return settled, Mirrors(images)


class _Settled(NamedTuple):
    """Sign of a table's target, order and signs of its columns, and its mirror images."""

    turn: float
    order: NDArray[np.intp]
    signs: Array
    images: tuple[NDArray[np.intp], Array] | None = None


def _settled(Z: Array, t: Array, counts: Array) -> _Settled:
    """Settle one table's canonical cells (s, d) and target (s,), of rows that count so often."""
    moments = _Moments.of(np.nan_to_num(Z), t, counts / max(counts.sum(), 1e-300))
    turn = moments.target_sign()
    order, signs, groups, unsigned = moments.columns(turn)
    if not (groups or unsigned):
        return _Settled(turn, order, signs)
    best = _last_images(np.column_stack([signs * Z[:, order], turn * t, counts]), groups, unsigned)
    (first, first_signs), inverse = best[0], np.argsort(best[0][0])
    images = None
    if len(best) > 1:
        images = (
            np.array([inverse[place] for place, _ in best]),
            np.array([sign * first_signs[inverse[place]] for place, sign in best]),
        )
    return _Settled(turn, order[first], signs[first] * first_signs, images)


@dataclass(frozen=True)
class _Moments:
    """Moments of one table's standardised columns z and target t, (d,) each, and of the target."""

    skewness: float
    zt: Array
    ztt: Array
    zzt: Array
    zzz: Array
    zzzt: Array
    zttt: Array
    zzzz: Array

    @classmethod
    def of(cls, Z: Array, t: Array, share: Array) -> "_Moments":
        """Moments of cells Z (s, d), zero where missing, with shares of the rows (s,)."""
        Z2, Z3 = Z**2, Z**3
        first = share * t
        return cls(
            float(share @ t**3), first @ Z, (first * t) @ Z, first @ Z2, share @ Z3, first @ Z3,
            (first * t**2) @ Z, share @ Z2**2,
        )  # fmt: skip

    def target_sign(self) -> float:
        """-1 where the target is to be turned: it is not skewed, and other moments ask for it."""
        if abs(self.skewness) > TIE:
            return 1.0
        sums = [self.zzt.sum(), self.zt @ self.zzz, self.zt @ self.ztt]
        return -1.0 if _first_sign(np.array(sums)[:, None])[0] < 0 else 1.0

    def columns(
        self, turn: float
    ) -> tuple[NDArray[np.intp], Array, list[NDArray[np.intp]], list[int]]:
        """Order and signs of columns, groups of equal ones, and those without a sign.

        The last two by place in the order; constant columns are in neither.
        """
        known = np.abs(self.zt) > TIE
        other = _first_sign(np.stack([self.ztt, self.zzz, turn * self.zzzt, turn * self.zttt]))
        sign = np.where(known, turn, np.where(other == 0, 1, other))
        sizes = [np.abs(self.zt), np.abs(self.ztt), np.abs(self.zzz), turn * self.zzt, self.zzzz]
        keys = (np.stack(sizes) / TIE).round()
        order = np.lexsort(-keys[::-1])
        keys, varies = keys[:, order], self.zzzz[order] > 0
        new = np.append(True, (keys[:, 1:] != keys[:, :-1]).any(axis=0))
        groups = [g for g in np.split(np.arange(len(order)), np.flatnonzero(new)[1:])
                  if len(g) > 1 and varies[g[0]]]  # fmt: skip
        unsigned = np.flatnonzero(((other == 0) & ~known)[order] & varies)
        return order, sign[order], groups, unsigned.tolist()


def _first_sign(values: Array) -> Array:
    """Sign of the first value that is not about zero, (k, d) to (d,); 0 if there is none."""
    signs = np.where(np.abs(values) > TIE, np.sign(values), 0.0)
    return np.asarray(np.take_along_axis(signs, (signs != 0).argmax(axis=0)[None], axis=0)[0])


def _last_images(
    rows: Array, groups: list[NDArray[np.intp]], unsigned: list[int]
) -> list[tuple[NDArray[np.intp], Array]]:
    """Orders and signs of the columns (d,) under which the sorted rows (s, d + 2) come last."""
    d = rows.shape[1] - 2
    rows = np.nan_to_num(rows, nan=1e9).round(DIGITS)
    best: list[tuple[NDArray[np.intp], Array]] = [(np.arange(d), np.ones(d))]
    last = b""
    for order, signs in _images(d, groups, unsigned):
        image = rows.copy()
        image[:, :d] = signs * rows[:, order]
        image = np.where(image == -1e9, 1e9, image) + 0.0  # missing cells have no sign
        content = image[np.lexsort(image.T)].tobytes()
        if content > last:
            best, last = [], content
        if content == last:
            best.append((order, signs))
    return best


def _images(d: int, groups: list[Any], unsigned: list[int]) -> Iterator[tuple[Any, Array]]:
    """Yield all orders within groups, with all signs; nothing if there are too many."""
    n_orders = np.prod([float(np.prod(np.arange(1.0, len(g) + 1))) for g in groups])
    if n_orders * 2.0 ** len(unsigned) > MAX_IMAGES:
        return
    for places in itertools.product(*(itertools.permutations(g) for g in groups)):
        order = np.arange(d)
        for group, place in zip(groups, places, strict=True):
            order[group] = place
        for flips in itertools.product((1.0, -1.0), repeat=len(unsigned)):
            signs = np.ones(d)
            signs[unsigned] = flips
            yield order, signs
