"""The universal machine of softmax attention and ReLU layers alone."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from sklearn_looped.programmed.machines.faults import MachineFaultError
from sklearn_looped.programmed.machines.interpreter import interpret_fleq
from sklearn_looped.programmed.machines.paper_universal import PaperUniversalMachine
from sklearn_looped.programmed.machines.universal_result import TwoLayers

A = np.array([[2.0, -1.0], [0.5, 3.0]])
SYMMETRIC = np.diag([3.0, -0.5]) + 0.05
X = np.random.default_rng(0).normal(size=(4, 2))
Y = np.stack([X @ [1.0, -2.0], X[:, 0]], axis=1)
TEXT = """
x:    .vector 1.7e308 -1.7e308 5e-324 0.1
y:    .vector -1e-308 2 -3 0.2
a:    .vector 1.5 -2 3 -4
b:    .vector 0.5 4 -1 1e-5
p:    .pointer x
c:    .word 0
faint: .word 5e-324
      move x, c
      move y, c
      load p, c
      increment p, p
      load p, c
      store x, p
      load p, c
      add x, a, c, #-1, go_on
      trap x
go_on: subtract y, x, c, faint, end
      transpose x, c
      sigmoid x, c
      exp_series #0.1, c
      inverse #1.5, c
      matmul a, b, c
      dot a, b, c
      multiply a, b, c
      scale b, a, c
      scale #0, b, c
"""


@pytest.fixture(scope="module")
def machine():
    return PaperUniversalMachine(size=2, n_memory=32, n_instructions=64)


def test_it_has_softmax_attention_and_relu_layers_alone(machine):
    layers = machine.transformer.layers
    assert {head.kind for layer in layers for head in layer.heads} == {"softmax"}
    assert all(layer.feed_forward.G is None for layer in layers)
    assert len(layers) == 3


def test_every_state_equals_the_interpreter(machine):
    """Exactly but for products and sigmoids, whatever numbers are behind closed gates."""
    program = machine.assemble(TEXT)
    steps = interpret_fleq(program, 4, machine.functions)
    for state in machine.transformer.run(machine.load(program), 40, evaluation="fast"):
        at = machine.pc(state)
        pc, memory = next(steps)
        assert at == pc
        cells = machine.cells(machine.settle(state))[: len(memory)]
        assert [cell.pointer for cell in cells] == [cell.pointer for cell in memory]
        got, want = ([cell.values for cell in each] for each in (cells, memory))
        atol = 4 * machine.certificate.error_bound if pc > 11 else 0
        np.testing.assert_allclose(got, want, rtol=1e-13, atol=atol)
    assert pc == program.halt


def test_dense_and_fast_give_the_same_bits(machine):
    tape = machine.load(machine.assemble(TEXT))
    runs = [machine.transformer.run(tape, 24, evaluation=each) for each in ("dense", "fast")]
    for dense, fast in zip(*runs, strict=True):
        assert torch.equal(dense.view(torch.int64), fast.view(torch.int64))


def test_programs_of_linear_algebra(machine):
    before = machine.transformer.fingerprint()
    bound = machine.certificate.error_bound
    np.testing.assert_allclose(machine.matmul(A, A).value, A @ A, rtol=0, atol=bound)
    np.testing.assert_array_equal(machine.transpose(A).value, A.T)
    np.testing.assert_allclose(machine.inv(A).value, np.linalg.inv(A), rtol=0, atol=1e-5)
    value = machine.power_iteration(SYMMETRIC, tol=1e-4).value.eigenvalue
    assert value == pytest.approx(np.linalg.eigvalsh(SYMMETRIC)[-1], abs=1e-7)
    assert machine.transformer.fingerprint() == before


def test_certificates_of_products_hold_for_small_and_large_limits(machine):
    cost, n_heads = machine.certificate.functions["matmul"], len(machine.block.layers[-1].heads)
    assert n_heads > 6 * (4 + 1 + 4)  # of the product, the dot product and the entries' products
    assert (cost.n_heads, cost.relative) == (6 * 4, False)
    error = np.abs(machine.matmul(A, A).value - A @ A).max()
    assert 0 < error <= cost.error_bound < machine.certificate.error_bound
    small = PaperUniversalMachine(size=1, n_memory=8, n_instructions=4, limit=2.0**-10)
    program = small.assemble("x: .word 0\n y: .word 0\n z: .word 0\n multiply x, y, z")
    for x, y in np.random.default_rng(0).uniform(-1, 1, (20, 2)) * [2.0**-10, 1e9]:
        product = small.run(program.with_data(x=x, y=y))["z"].values[0]
        assert abs(product - x * y) <= small.certificate.error_bound * abs(y)


def test_programs_of_learning(machine):
    w = np.zeros(2)
    for x, y in zip(X, Y[:, 0], strict=True):
        w -= 0.1 * (w @ x - y) * x
    got = machine.linear_sgd(X, Y[:, 0], rate=0.1).value
    np.testing.assert_allclose(got, w, rtol=0, atol=1e-8)
    W, V, b, c = A / 4, A.T / 3, np.array([0.1, -0.2]), np.zeros(2)
    trained = machine.backpropagation(X, Y, TwoLayers([W, V], [b, c]), rate=0.5).value
    for x, y in zip(X, Y, strict=True):
        a = expit(x @ W + b)
        top = 0.5 * (a @ V + c - y)
        below = V @ top * a * (1 - a)
        V, c = V - np.outer(a, top), c - top
        W, b = W - np.outer(x, below), b - below
    for got, want in zip((*trained.coefs, *trained.intercepts), (W, V, b, c), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("matmul a, b, c", 5.0),
        ("matmul b, a, c", 5.0),
        ("dot b, a, c", 5.0),
        ("multiply a, b, c", 5.0),
        ("multiply b, a, c", None),
        ("scale a, b, c", None),
        ("scale b, a, c", None),
        ("scale #-4.5, b, c", -4.5),
    ],
)
def test_factors_beyond_the_limit_are_faults(machine, text, value):
    data = "a: .vector 1 5 1 1\n b: .vector 4 -4 1 1\n c: .word 0\n"
    fault = machine.run(data + text, on_fault="return").fault
    assert (None if fault is None else fault.value) == value
    assert fault is None or "takes factors from -4 to 4 here" in fault.reason


def test_other_faults_and_bad_limits_raise(machine):
    with pytest.raises(MachineFaultError, match=r"inverse takes numbers from 1 to 2\.5"):
        machine.run("x: .word 9\n inverse x, x")
    with pytest.raises(MachineFaultError, match="beyond the range of float64"):
        machine.run("x: .word 1e300\n scale #0.5, x, x")
    for limit in (0.0, 1e-200, 2.0**21, np.nan):
        with pytest.raises(ValueError, match="'limit' parameter"):
            PaperUniversalMachine(limit=limit)
