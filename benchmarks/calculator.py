"""Calculator: relative error and faults by function, over all magnitudes of float64.

Each value runs through the plain interpreter, which the network equals at every step; `--network`
values of each function run through the network, too, and are compared with it.
"""

import argparse
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from sklearn_looped import Calculator
from sklearn_looped.programmed.machines.calculator import calculator_functions
from sklearn_looped.programmed.machines.interpreter import interpret_fleq
from sklearn_looped.programmed.machines.programs.calculator import OPERATIONS

RESULTS = Path(__file__).parent / "results" / "calculator.json"
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
        "function": operation, "values": n_values, "largest_relative_error": worst,
        "bound": calculator.error_bounds[operation], "faults": faults, "wrong_faults": wrong,
        "network_values": n_network, "network_minus_interpreter": apart,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=int, default=10_000, help="of each function")
    parser.add_argument("--network", type=int, default=10, help="of them by the network")
    args = parser.parse_args()
    calculator = Calculator()
    rows = [measure(calculator, name, args.values, args.network) for name in OPERATIONS]
    heads = [len(layer.heads) for layer in calculator.machine.transformer.layers]
    print(f"one network: heads by layer {heads}, width {calculator.machine.fields.width}\n")
    print("function     values  largest error    bound  faults  wrong  network - interpreter")
    for row in rows:
        print(
            f"{row['function']:<10} {row['values']:>8} {row['largest_relative_error']:>14.2e} "
            f"{row['bound']:>8.1e} {row['faults']:>7} {row['wrong_faults']:>6} "
            f"{row['network_minus_interpreter']:>22.1e}"
        )
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
