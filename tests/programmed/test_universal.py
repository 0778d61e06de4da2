"""One frozen network, six programs: against numpy, scikit-learn, and the plain interpreter."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import SGDRegressor
from sklearn.neural_network import MLPRegressor

from sklearn_looped import Calculator, UniversalMachine
from sklearn_looped.programmed.algorithms.mlp import initial_network
from sklearn_looped.programmed.machines.faults import MachineFaultError
from sklearn_looped.programmed.machines.interpreter import interpret_fleq
from sklearn_looped.programmed.machines.universal_result import TwoLayers

A = np.array([[2.0, -1.0, 0.5], [0.5, 3.0, 1.0], [1.0, 0.5, -2.0]])
SYMMETRIC = np.diag([3.0, -0.5, 1.0]) + 0.05
X = np.random.default_rng(0).normal(size=(6, 3))
Y = np.stack([X @ [1.0, -2.0, 0.5], X[:, 0]], axis=1)
NAMES = ("matmul", "transpose", "inv", "power_iteration", "linear_sgd", "backpropagation")


def start(n):
    """Weights of a network of n inputs and two hidden units and outputs."""
    network = initial_network((n, 2, 2), np.random.RandomState(0))
    return TwoLayers(list(network.coefs), list(network.intercepts))


def compute(machine, name):
    """Run a program on a problem of the machine's size."""
    n = machine.size
    match name:
        case "matmul":
            return machine.matmul(A[:n, :n], A[:n, :2])
        case "transpose":
            return machine.transpose(A[:2, :n])
        case "inv":
            return machine.inv(A[:n, :n])
        case "power_iteration":
            return machine.power_iteration(SYMMETRIC[:n, :n])
        case "linear_sgd":
            return machine.linear_sgd(X[:, :n], Y[:, 0], rate=0.05, epochs=3)
    return machine.backpropagation(X[:, :n], Y, start(n), rate=0.5, epochs=2)


class Recording(UniversalMachine):
    """Keeps the program that was run last."""

    def run(self, program, max_loops=1000, **options):
        self.program = program
        return super().run(program, max_loops, **options)


@pytest.fixture(scope="module")
def machine():
    """One that is large enough for the calculator."""
    return Recording(size=3, n_memory=180, n_instructions=600)


@pytest.fixture(scope="module")
def small():
    return Recording(size=2, n_memory=48, n_instructions=64)


def expected(name):
    """The same by numpy or scikit-learn."""
    match name:
        case "matmul":
            return [A @ A[:, :2]]
        case "transpose":
            return [A[:2].T]
        case "inv":
            return [np.linalg.inv(A)]
        case "power_iteration":
            values, vectors = np.linalg.eigh(SYMMETRIC)
            return [values[2], vectors[:, 2] * np.sign(vectors[0, 2])]
    options = {"learning_rate": "constant", "shuffle": False, "tol": None}
    if name == "linear_sgd":
        model = SGDRegressor(penalty=None, eta0=0.05, max_iter=3, fit_intercept=False, **options)
        return [model.fit(X, Y[:, 0]).coef_]
    model = MLPRegressor(
        hidden_layer_sizes=(2,), activation="logistic", solver="sgd", alpha=0, batch_size=1,
        learning_rate_init=0.5, max_iter=2, shuffle=False, random_state=0, momentum=0,
        nesterovs_momentum=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, Y)
    return [*model.coefs_, *model.intercepts_]


def values_of(result):
    value = result.value
    if isinstance(value, TwoLayers):
        return [*value.coefs, *value.intercepts]
    return list(value) if isinstance(value, tuple) else [value]


def test_six_programs_and_a_calculator_on_one_network(machine):
    before = machine.transformer.fingerprint()
    for name in NAMES:
        result = compute(machine, name)
        assert result.run.halted
        for got, want in zip(values_of(result), expected(name), strict=True):
            np.testing.assert_allclose(got, want, rtol=0, atol=2e-12, err_msg=name)
    calculator = Calculator(machine)
    assert calculator("divide", 5.0, -2.0) == -2.5
    assert calculator("exp", 1.5) == pytest.approx(np.exp(1.5), rel=calculator.error_bounds["exp"])
    with pytest.raises(MachineFaultError, match=r"Got -4\.0"):
        calculator("sqrt", -4.0)
    assert machine.transformer.fingerprint() == before
    assert len(machine.transformer.layers) == 3
    assert UniversalMachine(3, 180, 600).transformer.fingerprint() == before


@pytest.mark.parametrize("name", NAMES)
def test_every_state_equals_the_interpreter(small, name):
    compute(small, name)
    program = small.program
    steps = interpret_fleq(program, 4, small.functions)
    approximate = name in ("power_iteration", "backpropagation")  # their sigmoids differ in a bit
    for state in small.transformer.run(small.load(program), 600, evaluation="fast"):
        pc, memory = next(steps)
        assert small.pc(state) == pc
        got = [cell.values for cell in small.cells(small.settle(state))[: len(memory)]]
        rtol, atol = (1e-11, 1e-13) if approximate else (0, 0)
        np.testing.assert_allclose(got, [c.values for c in memory], rtol=rtol, atol=atol)
        if pc == program.halt:
            break
    assert pc == program.halt


@pytest.mark.parametrize("name", NAMES)
def test_dense_and_fast_give_the_same_bits(small, name):
    compute(small, name)
    tape = small.load(small.program)
    runs = [small.transformer.run(tape, 12, evaluation=each) for each in ("dense", "fast")]
    for dense, fast in zip(*runs, strict=True):
        assert torch.equal(dense.view(torch.int64), fast.view(torch.int64))


@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
def test_inverses_of_any_size_and_magnitude(small, scale):
    rng = np.random.default_rng(0)
    for n in (1, 2):
        a = scale * rng.normal(size=(n, n))
        got, want = small.inv(a).value, np.linalg.inv(a)
        error = np.abs(got - want).max() / np.abs(want).max()
        assert error <= 1e-14 * np.linalg.cond(a)


def test_eigenvalues_of_a_matrix_that_is_not_symmetric_and_of_a_negative_one(small):
    a = np.array([[1.0, 2.0], [0.5, -4.0]])
    value, vector = small.power_iteration(a).value
    values = np.linalg.eigvals(a)
    assert value == pytest.approx(values[np.argmax(np.abs(values))], rel=1e-12)
    np.testing.assert_allclose(a @ vector, value * vector, rtol=0, atol=1e-11)
    assert small.power_iteration(np.zeros((2, 2))).value.eigenvalue == 0


def test_random_programs_equal_the_interpreter(small):
    rng = np.random.default_rng(1)
    names = ["matmul", "transpose", "inverse", "inverse_root", "exp_series", "subtract", "sigmoid"]
    entries = rng.uniform(1.0, 1.1, size=(6, 4)) * 0.3
    text = [f"m{i}: .vector {' '.join(map(str, row))}" for i, row in enumerate(entries)]
    for name in rng.choice(names, size=24):
        a, b = rng.integers(6, size=2)
        source = {"inverse": "#1.7", "inverse_root": "#3.1", "exp_series": "#-0.2"}.get(name)
        first = source or f"m{a}"
        operands = [first, f"m{b}"] if name in ("matmul", "subtract") else [first]
        text.append(f"{name} {', '.join(operands)}, m{rng.integers(6)}")
    program = small.assemble("\n".join(text))
    states = small.transformer.run(small.load(program), 24, evaluation="fast")
    steps = interpret_fleq(program, 4, small.functions)
    for state, (pc, memory) in zip(states, steps, strict=False):
        assert small.pc(state) == pc
        got = [cell.values for cell in small.cells(small.settle(state))[: len(memory)]]
        np.testing.assert_allclose(got, [c.values for c in memory], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda m: m.inv([[1.0, 2.0], [2.0, 4.0]], max_rounds=30), r"\(trap size, line \d+\)"),
        (lambda m: m.inv([[0.0]]), r"Got 0\.0 at .*trap size"),
        (lambda m: m.power_iteration([[0.0, 1.0], [-1.0, 0.0]], max_rounds=9), "trap error"),
        (lambda m: m.linear_sgd(1e100 * X[:, :2], Y[:, 0], epochs=9), "beyond the range"),
    ],
)
def test_what_has_no_result_is_a_fault(small, run, message):
    with pytest.raises(MachineFaultError, match=message):
        run(small)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda m: UniversalMachine(0), "Got size=0, expected an integer"),
        (lambda m: m.inv(np.eye(3)), "Got 3 x 3 numbers for a cell of 2 x 2; declare a Univ"),
        (lambda m: m.cell(np.ones((1, 1, 1))), "Got 1 x 1 x 1 numbers for a cell of 2 x 2"),
        (lambda m: m.inv(A[:2, :1]), "expected a square one"),
        (lambda m: m.inv([[np.nan]]), "contains NaN"),
        (lambda m: m.matmul(A[:2, :2], A[:1]), "whose inner sizes differ"),
        (lambda m: m.linear_sgd(np.ones((40, 2)), np.ones(40)), "but the machine has 48"),
        (lambda m: m.linear_sgd(np.ones((2, 10)), np.ones(2)), "at most 4 finite numbers"),
        (
            lambda m: m.backpropagation(X[:, :2], Y, start(1)),
            "shapes .* for 2 inputs and 2",
        ),
        (lambda m: Calculator(m)("add", 1.0, 2.0), "but the machine has 64; declare a larger"),
    ],
)
def test_bad_input_raises_before_it_runs(small, run, message):
    with pytest.raises(ValueError, match=message):
        run(small)


def test_cells_of_numbers_vectors_and_matrices(small):
    for value in (np.array(2.5), np.array([1.0, 2.0]), A[:2, :2]):
        np.testing.assert_array_equal(small.matrix(small.cell(value), value.shape), value)


def test_the_largest_eigenvalue_is_found_where_plain_starts_are_orthogonal(small):
    """To (1, 1), (1, 2) or (2, 1), from which A is multiplied by its smaller eigenvalue."""
    for a, largest in (
        ([[7.0, -4.0], [-4.0, 13.0]], 15.0),
        ([[13.0, -4.0], [-4.0, 7.0]], 15.0),
        ([[2.0, -1.0], [-1.0, 2.0]], 3.0),
    ):
        value, vector = small.power_iteration(a).value
        assert value == pytest.approx(largest, rel=1e-12)
        np.testing.assert_allclose(a @ vector, value * vector, rtol=0, atol=1e-10)


@pytest.mark.parametrize("scale", [2.0**-1000, 1e-200, 1e-165, 1e-160, 1e160, 1e250])
def test_matrices_in_any_units(small, scale):
    a = np.array([[1.0, 0.0], [0.5, 0.1]])
    value = small.power_iteration(a * scale).value.eigenvalue
    assert value / scale == pytest.approx(1.0, rel=1e-12)
    np.testing.assert_allclose(small.inv(a * scale).value * scale, np.linalg.inv(a), rtol=1e-14)


def test_results_beyond_float64_raise(small):
    with pytest.raises(ValueError, match="beyond the range of float64"):
        small.inv([[1e-310]])
    with pytest.raises(ValueError, match="beyond the range of float64"):
        small.power_iteration(np.full((2, 2), 1.5e308))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("inv", {"max_rounds": 0}),
        ("inv", {"max_rounds": 0.5}),
        ("power_iteration", {"tol": -1.0}),
        ("power_iteration", {"tol": np.nan}),
        ("power_iteration", {"max_rounds": np.nan}),
        *[("linear_sgd", {"epochs": n}) for n in (0, -3, 1.5)],
        ("linear_sgd", {"rate": np.nan}),
        ("backpropagation", {"epochs": 0}),
        ("backpropagation", {"rate": -0.1}),
        ("transpose", {"max_loops": 1.5}),
    ],
)
def test_numbers_out_of_their_range_raise(small, name, options):
    further = {"linear_sgd": (Y[:, 0],), "backpropagation": (Y, start(2))}.get(name, ())
    with pytest.raises(ValueError, match=next(iter(options))):
        getattr(small, name)(X[:2, :2] if not further else X[:, :2], *further, **options)
