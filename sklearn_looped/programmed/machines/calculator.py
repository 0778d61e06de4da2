"""A calculator on a looped transformer: elementary functions over the whole range of float64."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

from sklearn_looped.programmed.machines.fleq import FleqMachine
from sklearn_looped.programmed.machines.fleq_assembler import OPERATIONS as BUILT_IN
from sklearn_looped.programmed.machines.fleq_assembler import assemble_fleq
from sklearn_looped.programmed.machines.programs.calculator import CALCULATOR, OPERATIONS
from sklearn_looped.programmed.machines.run_result import RunResult
from sklearn_looped.programmed.machines.sigmoid_sum import SigmoidSum

UNIT = 2.0**-53
TANH = (1 / 3, -2 / 15, 17 / 315, -62 / 2835, 1382 / 155925, -21844 / 6081075, 929569 / 638512875)


class Calculator:
    r"""Elementary functions of every finite float64 whose result is finite, by one program.

    One frozen `FleqMachine` runs `programs.CALCULATOR`; operation and operands are data. The
    program reduces the range of operands: powers of two, multiples of :math:`\pi / 2` by the digits
    of :math:`2 / \pi`. Sums of at most six sigmoids approximate what is left of a function behind
    its first terms, Newton's steps refine the inverse and the inverse square root (Giannou et al.
    2023, Theorem 4, have four operations on an interval).

    Parameters
    ----------
    machine : FleqMachine or None, default=None
        The machine that runs the program. It must have the `calculator_functions` and room for the
        program, as a `UniversalMachine` of the default size has. None: one of the size of the
        program.

    Attributes
    ----------
    machine : FleqMachine
        Its certificate holds layers, heads, width and error of the sums.
    program : Program
        The calculator's program.
    error_bounds : dict of str to float
        Bound of the relative error of each operation; results below 2**-1022 may be off by four
        units of 2**-1074 more, and those closer to the largest number than the bound may be
        faults.

    References
    ----------
    A. Giannou et al., "Looped Transformers as Programmable Computers", ICML 2023, Theorem 4.

    M. Payne and R. Hanek, "Radian Reduction for Trigonometric Functions", SIGNUM Newsletter, 1983.

    Examples
    --------
    >>> from sklearn_looped import Calculator
    >>> calculator = Calculator()
    >>> calculator("divide", 5.0, -2.0), calculator("add", 2.0, 2.0)
    (-2.5, 4.0)
    >>> abs(calculator("sin", 1e300) + 0.8178819121159085) < 1e-9
    True
    >>> calculator("sqrt", -4.0)
    Traceback (most recent call last):
    ...
    sklearn_looped.programmed.machines.faults.MachineFaultError: Got -4.0 at ...
    """

    def __init__(self, machine: FleqMachine | None = None) -> None:
        functions = calculator_functions()
        self.program = assemble_fleq(CALCULATOR, {**BUILT_IN, **dict.fromkeys(functions, "ac")})
        size = len(self.program.cells), len(self.program.instructions)
        self.machine = FleqMachine(*size, functions=functions) if machine is None else machine
        self.error_bounds = _error_bounds(functions)

    def run(
        self,
        operation: str,
        x: float,
        y: float = 0.0,
        *,
        on_fault: Literal["raise", "return"] = "raise",
        **options: Any,
    ) -> RunResult:
        """Run the program; the result is in cell z.

        Parameters
        ----------
        operation : str
            One of `OPERATIONS`: add, subtract, multiply, divide, power of x and y; sqrt, log, exp,
            tanh, sin, cos of x.
        x, y : float
            Operands.
        on_fault : {"raise", "return"}, default="raise"
            What to do where there is no finite result, see `FleqMachine.run`.
        **options
            Further parameters of `FleqMachine.run`.

        Returns
        -------
        result : RunResult

        Raises
        ------
        MachineFaultError
            Where the operation is not defined or its result is not finite, unless it is to be
            returned.
        ValueError
            If the operation is unknown, an operand is not finite, or the machine is too small or
            lacks a function.
        """
        if operation not in OPERATIONS:
            raise ValueError(
                f"Got operation {operation!r}, expected one of {', '.join(OPERATIONS)}."
            )
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError(f"Got operands {x} and {y}, expected finite numbers.")
        number = float(OPERATIONS.index(operation))
        program = self.program.with_data(x=float(x), y=float(y), operation=number)
        return self.machine.run(program, on_fault=on_fault, **options)

    def __call__(self, operation: str, x: float, y: float = 0.0) -> float:
        """Return the result of an operation; raises where it is not defined or not finite."""
        return self.run(operation, x, y)["z"].values[0]


def polynomial(coefficients: Sequence[float]) -> Callable[[Any], Any]:
    """Polynomial in numpy's arithmetic, from its coefficients, constant first.

    Examples
    --------
    >>> from sklearn_looped.programmed.machines.calculator import polynomial
    >>> polynomial([1.0, 2.0])(3.0)
    7.0
    """

    def value(x: Any) -> Any:
        total = x * 0.0 + coefficients[-1]
        for coefficient in coefficients[-2::-1]:
            total = total * x + coefficient
        return total

    return value


@cache
def calculator_functions() -> dict[str, SigmoidSum]:
    """Fit the sums of sigmoids of the calculator, once.

    The series are cut where the next term is below 1e-13 on the interval.

    Examples
    --------
    >>> from sklearn_looped.programmed.machines.calculator import calculator_functions
    >>> max(each.n_terms for each in calculator_functions().values()) <= 8
    True
    """
    factorial = math.factorial
    wanted: dict[str, tuple[Callable[[Any], Any], tuple[float, float], float]] = {
        "inverse": (lambda x: 1 / x, (1.0, 2.5), 1e-3),
        "inverse_root": (lambda x: x**-0.5, (1.0, 4.0), 1e-3),
        "exp_series": (polynomial([1 / factorial(k + 3) for k in range(12)]), (-0.35, 0.35), 1e-9),
        "log_series": (polynomial([2 / (2 * k + 5) for k in range(9)]), (0.0, 0.03), 1e-9),
        "tanh_series": (polynomial(TANH), (0.0, 0.0365), 1e-9),
        "sin_series": (
            polynomial([(-1) ** k / factorial(2 * k + 3) for k in range(8)]), (0.0, 0.63), 1e-10
        ),
        "cos_series": (
            polynomial([(-1) ** k / factorial(2 * k + 4) for k in range(8)]), (0.0, 0.63), 1e-10
        ),
    }  # fmt: skip
    return {name: SigmoidSum.fit(*arguments) for name, arguments in wanted.items()}


def _error_bounds(functions: Mapping[str, SigmoidSum]) -> dict[str, float]:
    """Relative errors that follow from those of the sums; roundings are counted generously."""
    error = {name: function.error_bound + 1e-13 for name, function in functions.items()}
    inverse = (2.5 * error["inverse"]) ** 8  # three Newton steps square the relative error
    root = 2 * error["inverse_root"]
    for _ in range(3):
        root = 1.5 * root**2 + 0.5 * root**3
    # exp(r) >= 0.7 for |r| <= 0.35; x / log 2 is off by 2 units of at most 1100.
    exp = 0.35**3 * error["exp_series"] / 0.7 + 16 * UNIT
    log = 0.1716**4 / 2 * error["log_series"] + inverse + 32 * UNIT
    wave = 0.63 * max(error["sin_series"], error["cos_series"]) + 2.0**-31 + 16 * UNIT
    return {
        "add": UNIT,
        "subtract": UNIT,
        "multiply": UNIT,
        "divide": inverse + 8 * UNIT,
        "sqrt": root + 16 * UNIT,
        "log": log,
        "power": exp + 1100 * math.log(2) * (log + 8 * UNIT),
        "exp": exp,
        # (1 - q) / (1 + q) with q <= 0.69 multiplies an error of q by at most 2.6.
        "tanh": max(0.04 * error["tanh_series"], 2.6 * exp + inverse) + 16 * UNIT,
        "sin": wave,
        "cos": wave,
    }
