"""A complete calculator, for `FleqMachine`: every finite float64 whose result is finite.

The program reduces the range, by powers of two and by multiples of pi / 2; on what is left, sums of
sigmoids approximate the part of each function that is not a short polynomial, and Newton's steps
refine the inverse and the inverse square root. See `sklearn_looped.programmed.machines.calculator`.
"""

import math

from sklearn_looped.programmed.machines.programs.calculator_text import (
    ARITHMETIC,
    CIRCLE,
    DATA,
    EXPONENTIALS,
    MACROS,
    RETURNS,
    SCALED,
)  # fmt: skip

OPERATIONS = (
    "add", "subtract", "multiply", "divide", "sqrt", "log", "power", "exp", "tanh", "sin", "cos"
)  # fmt: skip
INTEGER = 1.5 * 2.0**52  # x + INTEGER - INTEGER is x rounded to an integer
DIGITS = 52  # of 2 / pi, to the base of 2**24
TERMS = 9  # digits that one reduction multiplies by
LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")  # times an integer below 2**20 is exact
LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")


def two_over_pi() -> list[int]:
    """Return digits of 2 / pi to the base of 2**24, by Machin's formula in integers.

    Returns
    -------
    digits : list of int

    Examples
    --------
    >>> from sklearn_looped.programmed.machines.programs.calculator import two_over_pi
    >>> two_over_pi()[:2]
    [10680707, 7228996]
    """
    one = 1 << (24 * DIGITS + 64)

    def arctan_of_inverse(n: int) -> int:
        total, power, k = 0, one // n, 1
        while power:
            total += power // k if k % 4 == 1 else -(power // k)
            power //= n * n
            k += 2
        return total

    pi = 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))
    fraction = (2 * one << (24 * DIGITS)) // pi
    return [(fraction >> 24 * (DIGITS - 1 - i)) & (2**24 - 1) for i in range(DIGITS)]


def _below(value: float) -> str:
    """Constant such that x - constant <= 0 where x < value."""
    return f"#{math.nextafter(value, 0)!r}"


def _split() -> str:
    """U <- u / 2**e in [1, 2), for u > 0."""
    lines = ["split: move #0, e", f"subtract u, {_below(1.0)}, t", "branch t, small"]
    for k in (512, 256, 128, 64, 32, 16, 8, 4, 2, 1):
        lines += [
            f"subtract u, {_below(2.0**k)}, t", f"branch t, down{k}",
            f"multiply u, #{2.0**-k!r}, u", f"add e, #{k}, e", f"down{k}:",
        ]  # fmt: skip
    lines += ["jump parted", "small: subtract u, #1e-290, t", "branch t, tiny", "jump normal"]
    lines += [f"tiny: multiply u, #{2.0**100!r}, u", "subtract e, #100, e", "normal:"]
    for k in (512, 256, 128, 64, 32, 16, 8, 4, 2, 1):
        lines += [  # u < 2**(1 - k)
            f"subtract #{2.0 ** (1 - k)!r}, u, t", f"branch t, up{k}",
            f"multiply u, #{2.0**k!r}, u", f"subtract e, #{k}, e", f"up{k}:",
        ]  # fmt: skip
    return "\n".join(lines)


def _rescale() -> str:
    """Z <- z * 2**n; n an integer of at most 2047."""
    lines = ["rescale: branch n, lower"]
    for i, k in enumerate((512, 512, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1)):
        lines += [
            f"subtract n, #{k - 0.5}, t", f"branch t, raise{i}",
            f"multiply z, #{2.0**k!r}, z", f"subtract n, #{k}, n", f"raise{i}:",
        ]  # fmt: skip
    lines += ["jump scaled", "lower:"]
    for i, k in enumerate((512, 512, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1)):
        lines += [
            f"add n, #{k - 0.5}, t", f"branch t, divide{i}", f"jump leave{i}",
            f"divide{i}: multiply z, #{2.0**-k!r}, z", f"add n, #{k}, n", f"leave{i}:",
        ]  # fmt: skip
    return "\n".join(lines)


def _dispatch() -> str:
    """Go to the label of the operation."""
    lines = []
    for number, name in enumerate(OPERATIONS):
        lines += [f"subtract operation, #{number}, t", f"branch t, do_{name}"]
    return "\n".join([*lines, "trap operation"])


CONSTANTS = {
    "INTEGER": INTEGER,
    "TWO_THIRDS": 2 / 3,
    "TWO_64": 2.0**64,
    "BELOW_1": math.nextafter(1.0, 0),
    "TWO_53": math.nextafter(2.0**53, 0),
    "TWO_52": 2.0**52,
    "TWO_26": math.nextafter(2.0**26, 0),
    "2_TO_MINUS_24": 2.0**-24,
    "2_TO_MINUS_26": 2.0**-26,
    "2_TO_48": 2.0**48,
    "ROOT_2": math.sqrt(2),
    "LN2_HIGH": LN2_HIGH,
    "LN2_LOW": LN2_LOW,
    "LN2": math.log(2),
    "LOG2_E": 1 / math.log(2),
    "LARGEST": math.log(1.7976931348623157e308),
    "LIFT": 2.0**600,
    "QUARTER": math.pi / 4,
    "HALF_PI": math.pi / 2,
    "TERMS": float(TERMS),
}


def _with_constants(text: str) -> str:
    for name in sorted(CONSTANTS, key=len, reverse=True):
        for sign in ("", "-"):
            text = text.replace(f"#{sign}{name}", f"#{sign}{CONSTANTS[name]!r}")
    return text


CALCULATOR = "\n".join([
    _with_constants(MACROS), DATA, f"table: .word {', '.join(map(str, [0, 0, 0, *two_over_pi()]))}",
    _dispatch(), *map(_with_constants, (ARITHMETIC, EXPONENTIALS, CIRCLE)),
    _split(), RETURNS, _rescale(), SCALED,
])  # fmt: skip
