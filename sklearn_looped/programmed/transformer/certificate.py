"""Certificate: why a programmed transformer's result is exact, checked before it runs."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from sklearn_looped.programmed.transformer.layers import FeedForward, Layer
from sklearn_looped.programmed.transformer.layout import Layout


def logit_threshold(dtype: torch.dtype) -> float:
    r"""Logit gap from which on a softmax row is exactly one-hot.

    :math:`e^{-g}` rounds to 0 once it is below half of the smallest subnormal number, for any
    number of keys. The bound is rounded up to the next quarter.

    Parameters
    ----------
    dtype : torch.dtype

    Returns
    -------
    gap : float

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.programmed.transformer.certificate import logit_threshold
    >>> logit_threshold(torch.float64), logit_threshold(torch.float32)
    (745.25, 104.0)
    """
    info = torch.finfo(dtype)
    smallest_subnormal = math.log(info.tiny) + math.log(info.eps)
    return math.ceil(4 * (math.log(2) - smallest_subnormal)) / 4


def required_temperature(margin: float, dtype: torch.dtype) -> float:
    """Smallest power of two that lifts a score margin above `logit_threshold`.

    A power of two keeps ``temperature * score`` exact.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.programmed.transformer.certificate import required_temperature
    >>> required_temperature(1.0, torch.float64), required_temperature(1.0, torch.float32)
    (1024.0, 128.0)
    """
    return 2.0 ** math.ceil(math.log2(logit_threshold(dtype) / margin))


def integer_limit(dtype: torch.dtype) -> int:
    """Largest integer below which all integers are exact: 2**53 or 2**24.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.programmed.transformer.certificate import integer_limit
    >>> integer_limit(torch.float64) == 2**53
    True
    """
    return round(2 / torch.finfo(dtype).eps)


class FunctionCost(NamedTuple):
    """What a function of one's own takes in a machine, and how exact it is.

    Parameters
    ----------
    n_layers, n_heads : int
        Layers behind the one that reads the operands, and heads in them.
    width : int
        Columns for its registers.
    error_bound : float
        Bound of the absolute error, rounding included.
    relative : bool, default=False
        Whether the bound is to be multiplied by the sum of the absolute terms, as for a matrix
        product.
    """

    n_layers: int
    n_heads: int
    width: int
    error_bound: float
    relative: bool = False


@dataclass(frozen=True)
class Certificate:
    """The numbers that make a looped transformer exact.

    Parameters
    ----------
    dtype : str
        Data type of weights and state.
    logit_margin : float
        Smallest gap of temperature * score over all hard heads; infinite without such heads.
    logit_threshold : float
        Gap from which on the softmax is one-hot in this dtype.
    largest_integer : int
        Largest sum that a hidden unit can reach, counted in multiples of its finest weight where
        that is below 1: codes are weighted by halves.
    integer_limit : int
        Largest integer that the dtype holds exactly.
    error_bound : float, default=0.0
        Bound on the error that a loop leaves, of an approximated product or of a read that is not
        one-hot; 0 where every state is exact.
    functions : mapping of str to FunctionCost
        Instructions of a machine that compute a function of one's own.

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.certificate import Certificate
    >>> Certificate("float32", 128.0, 104.0, 2**25, 2**24).check()
    Traceback (most recent call last):
    ...
    ValueError: Got integers up to 33554432, but float32 is exact only to 16777216; declare ...
    """

    dtype: str
    logit_margin: float
    logit_threshold: float
    largest_integer: int
    integer_limit: int
    error_bound: float = 0.0
    functions: Mapping[str, FunctionCost] = field(default_factory=dict)

    def check(self) -> "Certificate":
        """Return the certificate, or raise what cannot be exact.

        Raises
        ------
        ValueError
            If the margin is below its threshold or an integer beyond its limit.
        """
        if not self.logit_margin >= self.logit_threshold:  # a margin of nan is no margin
            advice = "widen the gap of the scores"
            if self.logit_margin > 0:
                factor = self.logit_threshold / self.logit_margin
                advice = f"raise the temperature by a factor of {factor:.3g}"
            raise ValueError(
                f"Got a temperature below the bound: the logit margin is {self.logit_margin:g}, "
                f"but an exact read in {self.dtype} takes {self.logit_threshold:g}; {advice}."
            )
        if self.largest_integer > self.integer_limit:
            raise ValueError(
                f"Got integers up to {self.largest_integer}, but {self.dtype} is exact only to "
                f"{self.integer_limit}; declare fewer bits or use a wider dtype."
            )
        return self


def certify(
    layers: Iterable[Layer],
    layout: Layout,
    bounds: Mapping[str, float],
    *,
    error_bound: float = 0.0,
) -> Certificate:
    """Compute and check the certificate of a loop body from its weights.

    Integers: a hidden unit, or its gate, sums weight * field. The weights that primitives put on
    codes are multiples of 1/2, so every partial sum, in any order, is a multiple of the finest
    weight and at most the sum of all absolute values: exact as long as their ratio is below the
    limit. Units of opposite output follow each other, with outputs that are powers of two, so what
    they add up to is exact as well.

    Parameters
    ----------
    layers : iterable of Layer
        The loop body.
    layout : Layout
        Fields of a token, and the data type of weights and state.
    bounds : mapping of str to float
        Largest absolute value of every field that holds integers. Fields left out hold real
        numbers: units that touch them round as floating-point arithmetic does.
    error_bound : float, default=0.0
        See `Certificate`.

    Returns
    -------
    certificate : Certificate

    Raises
    ------
    ValueError
        If the loop body cannot be exact, with the numbers.
    """
    unbounded = math.nan  # a real number
    limits = torch.full((layout.width,), unbounded, dtype=torch.float64, device="cpu")
    for name, bound in bounds.items():
        limits[layout[name]] = bound
    layers, dtype = list(layers), layout.dtype
    margins = [
        h.temperature * h.margin for layer in layers for h in layer.heads if h.margin is not None
    ]
    nets = [layer.feed_forward for layer in layers if layer.feed_forward is not None]
    return Certificate(
        dtype=str(dtype).removeprefix("torch."),
        logit_margin=min(margins, default=math.inf),
        logit_threshold=logit_threshold(dtype),
        largest_integer=max((_largest_integer(net, limits) for net in nets), default=0),
        integer_limit=integer_limit(dtype),
        error_bound=error_bound,
    ).check()


def _largest_integer(net: FeedForward, limits: torch.Tensor) -> int:
    """Interval bound on units and gates: the largest sum of |weight| * |field| of integers."""
    largest = 0
    for projection in (net.W1, *([] if net.G is None else [net.G])):
        weight = projection.weight.double().abs()  # (d, m)
        products = weight * limits[:, None]  # nan where a real enters
        products[weight == 0] = 0.0
        sums = products.sum(0)
        smallest = torch.where(weight == 0, 1.0, weight).amin(0)  # 1 or the smallest fraction
        units = sums / 2.0 ** smallest.log2().floor().clamp(max=0)
        if (~sums.isnan()).any():
            largest = max(largest, int(units[~sums.isnan()].max()))
    return largest
