import itertools
import math
import pickle

import numpy as np
import pytest

from sklearn_looped import Calculator
from sklearn_looped.programmed.machines.calculator import calculator_functions
from sklearn_looped.programmed.machines.faults import MachineFaultError
from sklearn_looped.programmed.machines.fleq_assembler import as_cell
from sklearn_looped.programmed.machines.interpret_many import interpret_many
from sklearn_looped.programmed.machines.interpreter import interpret_fleq
from sklearn_looped.programmed.machines.programs.calculator import OPERATIONS

REFERENCE = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "power": math.pow,
    **{
        name: (lambda f: lambda x, _: f(x))(getattr(math, name))
        for name in ("sqrt", "log", "exp", "tanh", "sin", "cos")
    },
}
LARGEST, SMALLEST = 1.7976931348623157e308, 5e-324
SPECIAL = [0.0, 1.0, -1.0, 0.5, -3.0, math.pi, SMALLEST, -SMALLEST, 2.0**-1022, LARGEST, -LARGEST]


@pytest.fixture(scope="module")
def calculator():
    return Calculator()


def expected(operation, x, y):
    """Value where it is finite, or None."""
    try:
        value = REFERENCE[operation](x, y)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def interpreted(calculator, operation, x, y):
    """Results of the plain interpreter, nan at a fault."""
    x, y = np.atleast_1d(x).astype(float), np.atleast_1d(y).astype(float)
    numbers = np.full(len(x), float(OPERATIONS.index(operation)))
    steps = interpret_many(calculator.program, calculator_functions(), x=x, y=y, operation=numbers)
    *_, last = itertools.islice(steps, 1000)
    z = last.values[:, calculator.program.labels["z"]]
    assert ((last.pc == calculator.program.halt) | last.faults).all()
    return np.where(last.faults, np.nan, z)


def operands(operation, rng):
    sizes = np.ldexp(rng.uniform(1, 2, size=(12, 2)), rng.integers(-1074, 1023, size=(12, 2)))
    anywhere = sizes * rng.choice([-1.0, 1.0], size=(12, 2))
    usual = rng.uniform(-20, 20, size=(12, 2))
    wide = rng.uniform(-750, 750, size=(6, 2))
    whole = np.stack([rng.normal(size=8), rng.integers(-60, 60, size=8)], axis=1)
    special = itertools.product(SPECIAL, SPECIAL[:7] if operation == "power" else SPECIAL[1:3])
    return [*anywhere.tolist(), *usual.tolist(), *wide.tolist(), *whole.tolist(), *special]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_values_over_the_whole_range(calculator, operation):
    rng = np.random.default_rng(OPERATIONS.index(operation))
    bound, n_values = calculator.error_bounds[operation], 0
    pairs = np.array(operands(operation, rng))
    results = interpreted(calculator, operation, *pairs.T)
    for (x, y), got in zip(pairs.tolist(), results, strict=True):
        want = expected(operation, x, y)
        if want is None:
            assert math.isnan(got), (x, y)
        elif math.isnan(got):  # it is as close to the largest number as that
            assert abs(want) * (1 + bound) > LARGEST, (x, y)
        else:
            assert abs(got - want) <= (bound + 1e-15) * abs(want) + 4 * SMALLEST, (x, y)
            n_values += 1
    assert n_values > 20
    assert bound <= 1e-9


@pytest.mark.parametrize("x", [6381956970095103 * 2.0**797, 1e22, LARGEST, 1e300, 710.0, 11.0])
def test_angles_next_to_multiples_of_a_right_angle(calculator, x):
    """The first is the double next to such a multiple; its cosine is -4.7e-19."""
    for operation in ("sin", "cos"):
        want = expected(operation, x, 0.0)
        (got,) = interpreted(calculator, operation, x, 0.0)
        assert abs(got - want) <= calculator.error_bounds[operation] * abs(want)


def random_operands(n_runs):
    rng = np.random.default_rng(0)
    sizes = np.ldexp(rng.uniform(1, 2, n_runs), rng.integers(-1074, 1023, n_runs))
    usual, y = rng.uniform(-20, 20, n_runs), rng.uniform(-9, 9, n_runs)
    return np.where(rng.random(n_runs) < 0.5, usual, sizes), y


def test_many_runs_equal_the_interpreter_of_one_at_every_step(calculator):
    n_runs = 2 * len(OPERATIONS)
    x, y = random_operands(n_runs)
    data = {"x": x, "y": y, "operation": np.arange(n_runs) % len(OPERATIONS) * 1.0}
    rows = [{name: float(column[i]) for name, column in data.items()} for i in range(n_runs)]
    single = [
        interpret_fleq(calculator.program.with_data(**row), 1, calculator_functions())
        for row in rows
    ]
    for runs in interpret_many(calculator.program, calculator_functions(), **data):
        for i, (pc, memory) in enumerate(map(next, single)):
            if not runs.faults[i]:
                assert pc == runs.pc[i]
                assert [cell.values[0] for cell in memory] == runs.values[i].tolist()
                pointers = [-1 if cell.pointer is None else cell.pointer for cell in memory]
                assert pointers == runs.pointers[i].tolist()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_network_equals_many_runs_at_every_step(calculator, operation):
    """Memory is one step behind: a loop writes what the loop before it computed."""
    machine, number = calculator.machine, float(OPERATIONS.index(operation))
    program = calculator.program.with_data(x=2.375, y=-1.5, operation=number)
    steps = interpret_many(program, machine.functions, x=[2.375])
    states = machine.transformer.run(machine.load(program), 1000, evaluation="fast")
    before = [as_cell(cell).values[0] for cell in program.cells]
    for state, runs in zip(states, steps, strict=False):
        assert machine.pc(state) == runs.pc[0]
        memory = state.numpy()[machine.tokens["memory"], machine.fields.at("value")]
        np.testing.assert_allclose(memory[: len(before)], before, rtol=1e-12, atol=1e-15)
        before = runs.values[0].copy()
    assert runs.pc[0] == program.halt


def test_runs_need_data_of_one_length(calculator):
    for data in ({}, {"x": [1.0], "y": [1.0, 2.0]}):
        with pytest.raises(ValueError, match="one value for each run"):
            next(interpret_many(calculator.program, calculator_functions(), **data))


@pytest.mark.parametrize(
    ("operation", "x", "y", "value"),
    [
        ("sqrt", -4.0, 0.0, -4.0),
        ("divide", 5.0, 0.0, 0.0),
        ("log", 0.0, 0.0, 0.0),
        ("exp", 710.0, 0.0, 710.0),
        ("power", -2.0, 0.5, -2.0),
    ],
)
def test_what_is_not_defined_is_a_fault_that_names_the_value(calculator, operation, x, y, value):
    result = calculator.run(operation, x, y, on_fault="return")
    assert (result.fault.value, result.halted) == (value, False)
    assert result.fault.instruction.startswith("trap ")


def test_bad_input_and_overflow(calculator):
    with pytest.raises(MachineFaultError, match="beyond the range of float64"):
        calculator("multiply", 1e200, -1e200)
    with pytest.raises(ValueError, match="operation 'root', expected one of add"):
        calculator("root", 1.0)
    with pytest.raises(ValueError, match="expected finite numbers"):
        calculator("add", math.nan, 1.0)


def test_a_copy_calculates_alike(calculator):
    copy = pickle.loads(pickle.dumps(calculator))
    assert copy.error_bounds == calculator.error_bounds
    assert copy("divide", 5.0, -2.0) == calculator("divide", 5.0, -2.0) == -2.5


def test_one_network_of_three_layers(calculator):
    assert len(calculator.machine.transformer.layers) == 3
    costs = calculator.machine.certificate.functions
    assert set(costs) == set(calculator_functions())
    assert max(each.n_heads for each in costs.values()) <= 8
