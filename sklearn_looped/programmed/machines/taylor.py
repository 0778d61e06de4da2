"""Taylor series with interval coefficients: bounds that hold, rounding included.

A function written with numpy's arithmetic and elementary functions is called with a `Taylor`
object in place of an array and returns the interval of every Taylor coefficient of the result
(Moore 1966; Tucker 2011, Chapter 4). Intervals are rounded outward after every operation, by one
unit in the last place for arithmetic and by `ULPS` for numpy's elementary functions. Where an
interval holds numbers that a function is not defined for, so that nothing is known, bounds are
infinite or nan; on shorter intervals there may be some.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_looped.core.arrays import Array

ULPS = 8  # bound on the error of numpy's exp, log, sin, cos and tanh, in units in the last place


class Taylor(np.lib.mixins.NDArrayOperatorsMixin):
    r"""Intervals of the Taylor coefficients of a function, on many intervals at once.

    Parameters
    ----------
    low, high : ndarray of shape (n_coefficients, ...)
        Bounds of :math:`f^{(k)}(x) / k!`, k = 0, 1, ..., for all x of each interval.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.programmed.machines.taylor import Taylor
    >>> square = Taylor.variable([1.0], [2.0], order=2) ** 2
    >>> square.low.round(9).tolist(), square.high.round(9).tolist()
    ([[1.0], [2.0], [1.0]], [[4.0], [4.0], [1.0]])
    """

    def __init__(self, low: Array, high: Array) -> None:
        self.low, self.high = low, high

    @classmethod
    def variable(cls, low: ArrayLike, high: ArrayLike, order: int) -> "Taylor":
        """Return the function f(x) = x on the intervals from `low` to `high`."""
        ends = [np.asarray(end, dtype=float) for end in (low, high)]
        series = np.zeros((2, order + 1, *ends[0].shape))
        series[:, 0] = ends
        if order > 0:
            series[:, 1] = 1.0
        return cls(*series)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        function = _FUNCTIONS.get(ufunc)
        if function is None or method != "__call__" or options:
            known = ", ".join(sorted(each.__name__ for each in _FUNCTIONS))
            raise ValueError(
                f"Got numpy.{ufunc.__name__}, of which no bound is known; write the function "
                f"with {known}, or give curvature, a bound of its second derivative."
            )
        if ufunc is np.power:
            return _power(*inputs)
        shape = self.low.shape
        return function(*[each if isinstance(each, Taylor) else _constant(each, shape)
                          for each in inputs])  # fmt: skip

    def __len__(self) -> int:
        return len(self.low)

    def __getitem__(self, k: int) -> tuple[Array, Array]:
        """Return the interval of coefficient k."""
        return self.low[k], self.high[k]


def _constant(value: float, shape: tuple[int, ...]) -> Taylor:
    series = np.zeros((2, *shape))
    series[:, 0] = value
    return Taylor(*series)


# --- intervals -------------------------------------------------------------------------------

Interval = tuple[Array, Array]


def outward(low: Array, high: Array, ulps: int = 1) -> Interval:
    """Interval widened by so many units in the last place."""
    if ulps == 1:
        return np.nextafter(low, -np.inf), np.nextafter(high, np.inf)
    return low - ulps * np.spacing(np.abs(low)), high + ulps * np.spacing(np.abs(high))


def _plus(x: Interval, y: Interval) -> Interval:
    return outward(x[0] + y[0], x[1] + y[1])


def _minus(x: Interval, y: Interval) -> Interval:
    return outward(x[0] - y[1], x[1] - y[0])


def times(x: Interval, y: Interval) -> Interval:
    """Product of two intervals."""
    products = np.stack([x[0] * y[0], x[0] * y[1], x[1] * y[0], x[1] * y[1]])
    return outward(products.min(0), products.max(0))


def _over(x: Interval, y: Interval) -> Interval:
    unknown = (y[0] <= 0) & (y[1] >= 0)
    low, high = outward(1 / y[1], 1 / y[0])
    return times(x, (np.where(unknown, -np.inf, low), np.where(unknown, np.inf, high)))


def _positive(x: Taylor) -> Taylor:
    """Series whose first coefficient is nan where it may be 0 or less."""
    defined = x.low[0] > 0
    low, high = x.low.copy(), x.high.copy()
    low[0], high[0] = np.where(defined, low[0], np.nan), np.where(defined, high[0], np.nan)
    return Taylor(low, high)


def _scaled(x: Interval, factor: float) -> Interval:
    low, high = (x[0] * factor, x[1] * factor) if factor >= 0 else (x[1] * factor, x[0] * factor)
    return outward(low, high, 2)  # the factor may be rounded, too


# --- series ----------------------------------------------------------------------------------


def _series(
    first: Interval, following: Callable[[int, list[Interval]], Interval], n: int
) -> Taylor:
    """Series from coefficient 0 and the recurrence of the others."""
    coefficients = [first]
    for k in range(1, n):
        coefficients.append(following(k, coefficients))
    low, high = zip(*coefficients, strict=True)
    return Taylor(np.stack(low), np.stack(high))


def _convolve(x: Any, y: Any, pairs: range, k: int, weighted: bool = False) -> Interval:
    """Sum of x_i y_(k-i) over i in `pairs`, each times i if `weighted`."""
    zero = np.zeros_like(x[0][0])
    total = (zero, zero)
    for i in pairs:
        term = times(x[i], y[k - i])
        total = _plus(total, _scaled(term, i) if weighted else term)
    return total


def _add(x: Taylor, y: Taylor) -> Taylor:
    return Taylor(*outward(x.low + y.low, x.high + y.high))


def _subtract(x: Taylor, y: Taylor) -> Taylor:
    return Taylor(*outward(x.low - y.high, x.high - y.low))


def _negative(x: Taylor) -> Taylor:
    return Taylor(-x.high, -x.low)


def _multiply(x: Taylor, y: Taylor) -> Taylor:
    return _series(times(x[0], y[0]), lambda k, _: _convolve(x, y, range(k + 1), k), len(x))


def _divide(x: Taylor, y: Taylor) -> Taylor:
    def following(k: int, v: list[Interval]) -> Interval:
        return _over(_minus(x[k], _convolve(v, y, range(k), k)), y[0])

    return _series(_over(x[0], y[0]), following, len(x))


def _power(x: Any, p: Any) -> Taylor:
    if isinstance(p, Taylor):
        raise ValueError("Got an exponent that is not constant; write exp(exponent * log(base)).")
    if float(p).is_integer() and 0 <= p <= 64:
        result = _constant(1.0, x.low.shape)
        for _ in range(int(p)):
            result = _multiply(result, x)
        return _tightened_square(result, x) if p == 2 else result
    if float(p).is_integer() and p < 0:
        return _divide(_constant(1.0, x.low.shape), _power(x, -p))
    return _exp(_multiply(_constant(float(p), x.low.shape), _log(x)))


def _tightened_square(square: Taylor, x: Taylor) -> Taylor:
    low, high = x[0]
    least = np.where((low <= 0) & (high >= 0), 0.0, np.minimum(low * low, high * high))
    square.low[0] = np.maximum(square.low[0], np.nextafter(least, -np.inf))
    return square


def _chain(x: Taylor, first: Interval, outer: Callable[[list[Interval], int], Interval]) -> Taylor:
    """Series v with v' = w(v) x', from coefficient k - 1 of w, a function of v up to there."""
    inner: list[Interval] = []

    def following(k: int, v: list[Interval]) -> Interval:
        inner.append(outer(v, k - 1))
        return _scaled(_convolve(x, inner, range(1, k + 1), k, weighted=True), 1 / k)

    return _series(first, following, len(x))


def _monotone(function: np.ufunc, x: Taylor) -> Interval:
    return outward(function(x.low[0]), function(x.high[0]), ULPS)


def _exp(x: Taylor) -> Taylor:
    return _chain(x, _monotone(np.exp, x), lambda v, k: v[k])


def _log(x: Taylor) -> Taylor:
    x = _positive(x)

    def following(k: int, v: list[Interval]) -> Interval:
        mixed = _scaled(_convolve(v, x, range(1, k), k, weighted=True), 1 / k)
        return _over(_minus(x[k], mixed), x[0])

    return _series(_monotone(np.log, x), following, len(x))


def _sqrt(x: Taylor) -> Taylor:
    x = _positive(x)

    def following(k: int, v: list[Interval]) -> Interval:
        return _over(_minus(x[k], _convolve(v, v, range(1, k), k)), _scaled(v[0], 2.0))

    return _series(_monotone(np.sqrt, x), following, len(x))


def _wave(function: np.ufunc, x: Taylor) -> Interval:
    """Sine or cosine of an interval: the value in its middle, plus or minus half its length."""
    middle = (x.low[0] + x.high[0]) / 2
    half = np.nextafter(np.maximum(x.high[0] - middle, middle - x.low[0]), np.inf)
    value = function(middle)
    low, high = _plus(outward(value, value, ULPS), (-half, half))
    return np.maximum(low, -1.0), np.minimum(high, 1.0)


def _sine_and_cosine(x: Taylor) -> tuple[Taylor, Taylor]:
    sine, cosine = [_wave(np.sin, x)], [_wave(np.cos, x)]
    for k in range(1, len(x)):
        next_sine = _scaled(_convolve(x, cosine, range(1, k + 1), k, weighted=True), 1 / k)
        cosine.append(_scaled(_convolve(x, sine, range(1, k + 1), k, weighted=True), -1 / k))
        sine.append(next_sine)
    pairs = [[np.stack(end) for end in zip(*each, strict=True)] for each in (sine, cosine)]
    return Taylor(*pairs[0]), Taylor(*pairs[1])


def _tanh(x: Taylor) -> Taylor:
    def outer(v: list[Interval], k: int) -> Interval:  # 1 - v^2
        square = _convolve(v, v, range(k + 1), k)
        return _minus((np.full_like(square[0], k == 0), np.full_like(square[0], k == 0)), square)

    return _chain(x, _monotone(np.tanh, x), outer)


def logistic(x: Taylor) -> Taylor:
    """Series of the sigmoid 1 / (1 + exp(-x)), from v' = v (1 - v) x'."""

    def value(z: Array) -> Array:
        return 1 / (1 + np.exp(-z))

    first = outward(value(x.low[0]), value(x.high[0]), 2 * ULPS)
    return _chain(x, first, lambda v, k: _minus(v[k], _convolve(v, v, range(k + 1), k)))


_FUNCTIONS: dict[np.ufunc, Callable[..., Taylor]] = {
    np.add: _add,
    np.subtract: _subtract,
    np.multiply: _multiply,
    np.divide: _divide,
    np.negative: _negative,
    np.positive: lambda x: x,
    np.power: _power,
    np.square: lambda x: _power(x, 2),
    np.sqrt: _sqrt,
    np.exp: _exp,
    np.log: _log,
    np.sin: lambda x: _sine_and_cosine(x)[0],
    np.cos: lambda x: _sine_and_cosine(x)[1],
    np.tanh: _tanh,
}
