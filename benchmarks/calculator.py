"""How exact is the calculator over all magnitudes of float64? Errors and faults by function.

Each value runs through the plain interpreter of many runs, which tests compare with the network at
every step; `--network` values of each function run through the network, too. A false fault is one
where Python's `math` has a value; silently wrong is a value where it has none, or one that is
farther off than the certified bound. ``python -m benchmarks calculator`` prints a table and writes
benchmarks/results/calculator.json.
"""

import argparse
import math
from collections import deque
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from benchmarks.common.report import report
from sklearn_looped import Calculator
from sklearn_looped.programmed.machines.interpret_many import interpret_many
from sklearn_looped.programmed.machines.programs.calculator import OPERATIONS

LARGEST = 1.7e308  # beyond, the result may be too close to the end of the range
SMALLEST = 5e-324  # an error of four of these is no relative error
ROUNDING = 1e-15  # of the reference
CHUNK = 5_000  # runs side by side
SPECIAL = (0.0, 1.0, -1.0, 0.5, 2.0, -3.0, math.pi, SMALLEST, 2.0**-1022, 1.7976931348623157e308)


def reference(operation: str, x: float, y: float) -> float:
    """Return the result of Python's math, nan where it is not defined or not finite."""
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
        return math.nan
    return value if math.isfinite(value) else math.nan


def draw(operation: str, n: int, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Operands of any size, of usual size, and special ones."""

    def some() -> NDArray:
        kind, sign = rng.random(n), rng.choice([-1.0, 1.0], n)
        values = np.ldexp(rng.uniform(1, 2, n), rng.integers(-1074, 1023, n)) * sign
        values = np.where(kind < 0.4, rng.uniform(-10, 10, n), values)
        if operation in ("exp", "power"):
            values = np.where((kind >= 0.4) & (kind < 0.6), rng.uniform(-750, 750, n), values)
        return np.where(kind < 0.1, rng.choice(SPECIAL, n) * sign, values)

    x, y = some(), some()
    if operation == "power":
        y = np.where(rng.random(n) < 0.4, rng.integers(-40, 40, n), y)
    return x, y


def interpret(calculator: Calculator, operation: str, x: NDArray, y: NDArray) -> NDArray:
    """Return the results of the interpreter, nan at a fault."""
    data = {"x": x, "y": y, "operation": np.full(len(x), float(OPERATIONS.index(operation)))}
    (last,) = deque(interpret_many(calculator.program, calculator.machine.functions, **data), 1)
    return np.where(last.faults, np.nan, last.values[:, calculator.program.labels["z"]])


def measure(
    calculator: Calculator, operation: str, n_values: int, n_network: int
) -> dict[str, Any]:
    """Row of the table."""
    rng = np.random.default_rng(OPERATIONS.index(operation))
    x, y = draw(operation, n_values, rng)
    parts = range(0, n_values, CHUNK)
    got = np.concatenate([
        interpret(calculator, operation, x[i : i + CHUNK], y[i : i + CHUNK])
        for i in tqdm(parts, desc=operation, disable=None)
    ])  # fmt: skip
    want = np.array(list(map(partial(reference, operation), x.tolist(), y.tolist())))
    both = ~np.isnan(want) & ~np.isnan(got)
    errors = np.maximum(0.0, np.abs(got - want)[both] - 4 * SMALLEST)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.where(errors == 0, 0.0, errors / np.abs(want[both]))
    bound = calculator.error_bounds[operation]
    wrong = (errors > bound + ROUNDING).sum() + (np.isnan(want) & ~np.isnan(got)).sum()
    apart = 0.0
    for i in np.flatnonzero(both)[:n_network]:
        network = calculator(operation, float(x[i]), float(y[i]))
        apart = max(apart, abs(network - got[i]) / abs(got[i]) if got[i] else abs(network))
    return {
        "function": operation, "values": n_values, "largest error": errors.max(),
        "bound": bound, "faults": int(np.isnan(got).sum()),
        "false faults": int((np.isnan(got) & (np.abs(want) < LARGEST)).sum()),
        "silently wrong": int(wrong),
        "network values": n_network, "network - interpreter": apart,
    }  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--values", type=int, default=100_000, help="of each function")
    parser.add_argument("--network", type=int, default=30, help="of them by the network")


def run(args: argparse.Namespace) -> None:
    calculator = Calculator()
    heads = [len(layer.heads) for layer in calculator.machine.transformer.layers]
    print(f"one network: heads by layer {heads}, width {calculator.machine.fields.width}\n")
    rows = [measure(calculator, name, args.values, args.network) for name in OPERATIONS]
    report(args, "calculator", rows)
