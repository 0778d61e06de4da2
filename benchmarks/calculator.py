"""How exact is the calculator over all magnitudes of float64? Errors and faults by function.

Each value runs through the plain interpreter, which the network equals at every step; `--network`
values of each function run through the network, too, and are compared with it. A wrong fault is
one where Python's `math` has a value, or a value where it has none. ``python -m benchmarks
calculator`` prints a table and writes benchmarks/results/calculator.json.
"""

import argparse
import itertools
import math
from typing import Any

import numpy as np

from benchmarks.common.report import report
from sklearn_looped import Calculator
from sklearn_looped.programmed.machines.calculator import calculator_functions
from sklearn_looped.programmed.machines.interpreter import interpret_fleq
from sklearn_looped.programmed.machines.programs.calculator import OPERATIONS

LARGEST = 1.7e308  # beyond, the result may be too close to the end of the range
SMALLEST = 5e-324  # an error of four of these is no relative error
SPECIAL = (0.0, 1.0, -1.0, 0.5, 2.0, -3.0, math.pi, SMALLEST, 2.0**-1022, 1.7976931348623157e308)


def reference(operation: str, x: float, y: float) -> float | None:
    """Return the result of Python's math, None where it is not defined or not finite."""
    try:
        match operation:
            case "add":
                value = x + y
            case "subtract":
                value = x - y
            case "multiply":
                value = x * y
            case "divide":
                value = x / y
            case "power":
                value = math.pow(x, y)
            case _:
                value = getattr(math, operation)(x)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def interpret(calculator: Calculator, operation: str, x: float, y: float) -> float | None:
    """Return the result of the interpreter, None at a fault."""
    number = float(OPERATIONS.index(operation))
    program = calculator.program.with_data(x=x, y=y, operation=number)
    last = -1
    for pc, memory in itertools.islice(interpret_fleq(program, 1, calculator_functions()), 2000):
        value = memory[program.labels["z"]].values[0]
        if not math.isfinite(value) or (pc == last and pc != program.halt):
            return None
        if pc == program.halt:
            return value
        last = pc
    raise RuntimeError(f"{operation}({x!r}, {y!r}) does not end")


def draw(operation: str, rng: np.random.Generator) -> tuple[float, float]:
    """Operands of any size, of usual size, and special ones."""

    def one() -> float:
        kind = rng.random()
        if kind < 0.1:
            return float(rng.choice(SPECIAL)) * float(rng.choice([-1, 1]))
        if kind < 0.4:
            return float(rng.uniform(-10, 10))
        if kind < 0.6 and operation in ("exp", "power"):
            return float(rng.uniform(-750, 750))
        size = np.ldexp(rng.uniform(1, 2), rng.integers(-1074, 1023))
        return float(size * rng.choice([-1, 1]))

    x, y = one(), one()
    if operation == "power" and rng.random() < 0.4:
        y = float(rng.integers(-40, 40))
    return x, y


def measure(
    calculator: Calculator, operation: str, n_values: int, n_network: int
) -> dict[str, Any]:
    """Row of the table."""
    rng = np.random.default_rng(OPERATIONS.index(operation))
    worst, faults, wrong, apart = 0.0, 0, 0, 0.0
    for number in range(n_values):
        x, y = draw(operation, rng)
        want, got = reference(operation, x, y), interpret(calculator, operation, x, y)
        faults += got is None
        if want is None or got is None:
            wrong += want is not None and abs(want) < LARGEST  # a value that faults
            wrong += got is not None  # a fault that has a value
            continue
        error = max(0.0, abs(got - want) - 4 * SMALLEST)
        worst = max(worst, error / abs(want) if want else math.inf * bool(error))
        if number < n_network:
            network = calculator(operation, x, y)
            apart = max(apart, abs(network - got) / abs(got) if got else abs(network))
    return {
        "function": operation, "values": n_values, "largest error": worst,
        "bound": calculator.error_bounds[operation], "faults": faults, "wrong": wrong,
        "network values": n_network, "network - interpreter": apart,
    }  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--values", type=int, default=2_000, help="of each function")
    parser.add_argument("--network", type=int, default=3, help="of them by the network")


def run(args: argparse.Namespace) -> None:
    calculator = Calculator()
    heads = [len(layer.heads) for layer in calculator.machine.transformer.layers]
    print(f"one network: heads by layer {heads}, width {calculator.machine.fields.width}\n")
    rows = [measure(calculator, name, args.values, args.network) for name in OPERATIONS]
    report("calculator", rows)
