import itertools

import numpy as np
import pytest
import torch

from sklearn_looped import FleqMachine, SigmoidSum
from sklearn_looped.programmed.machines.faults import MachineFaultError
from sklearn_looped.programmed.machines.functions import (
    Composition,
    MatrixProduct,
    Transposition,
)
from sklearn_looped.programmed.machines.interpreter import interpret_fleq
from sklearn_looped.programmed.machines.sigmoid_sum import ReluSum
from sklearn_looped.programmed.transformer.evaluation import EVALUATIONS

SQUARE = SigmoidSum.fit(lambda x: x * x, (-1.0, 1.0), 1e-3)
DECAY = SigmoidSum.fit(lambda x: np.exp(-x), (-0.1, 1.1), 1e-4)
ROOT = ReluSum.fit(np.sqrt, (0.25, 4.0), 1e-2)
FUNCTIONS = {
    "square": SQUARE,
    "decay": DECAY,
    "root": ROOT,
    "bell": Composition(SQUARE, DECAY),
    "flat": Composition(DECAY, ROOT),
    "matmul": MatrixProduct(2, 3, 1),
    "transpose": Transposition(2, 3),
}
TEXT = """
x:    .vector 0.5
s:    .word 0
d:    .word 0
r:    .word 0
b:    .word 0
f:    .word 0
A:    .vector 1 2 3 4 5 6
v:    .vector 1 -1 2
Av:   .word 0
At:   .word 0
      square x, s
      decay s, d
      root x, r
      bell x, b
      flat d, f, s, end         ; s > 0: no jump
      matmul A, v, Av
      transpose A, At
"""


def machine_of(text, functions=FUNCTIONS, n_entries=6, **options):
    machine = FleqMachine(24, 24, n_entries, functions=functions, **options)
    return machine, machine.assemble(text)


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_every_state_equals_the_interpreter(evaluation):
    machine, program = machine_of(TEXT)
    steps = interpret_fleq(program, 6, FUNCTIONS)
    for state in machine.transformer.run(machine.load(program), 8, evaluation=evaluation):
        pc, memory = next(steps)
        assert machine.pc(state) == pc
        cells = machine.cells(machine.settle(state))[: len(memory)]
        for cell, expected in zip(cells, memory, strict=True):
            np.testing.assert_allclose(cell.values, expected.values, rtol=0, atol=1e-10)
    assert pc == program.halt


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_all_evaluations_give_the_same_bits(dtype):
    machine, program = machine_of(TEXT, dtype=dtype)
    runs = [
        machine.transformer.run(machine.load(program), 8, evaluation=each) for each in EVALUATIONS
    ]
    integer = torch.int64 if dtype == "float64" else torch.int32
    for dense, *others in zip(*runs, strict=True):
        for other in others:
            assert torch.equal(dense.view(integer), other.view(integer))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_results_are_within_the_certified_error(dtype):
    machine, program = machine_of(TEXT, dtype=dtype)
    result = machine.run(program)
    bound = {name: each.error_bound for name, each in machine.certificate.functions.items()}
    values = {label: result[label].values for label in ("s", "d", "r", "b", "f", "Av", "At")}
    s, d = values["s"][0], values["d"][0]
    assert abs(s - 0.25) <= bound["square"]
    assert abs(d - np.exp(-s)) <= bound["decay"]
    assert abs(values["r"][0] - np.sqrt(0.5)) <= bound["root"]
    assert abs(values["b"][0] - np.exp(-0.25)) <= bound["bell"]
    assert abs(values["f"][0] - np.sqrt(np.exp(-d))) <= bound["flat"]
    assert values["Av"] == (5.0, 11.0, 0.0, 0.0, 0.0, 0.0)
    assert values["At"] == (1.0, 4.0, 2.0, 5.0, 3.0, 6.0)
    assert machine.certificate.error_bound == max(bound.values())


def test_a_bound_relative_to_the_terms_is_none_of_the_absolute_ones():
    certificate = FleqMachine(8, 4, 4, functions={"matmul": MatrixProduct(2, 2, 2)}).certificate
    assert certificate.functions["matmul"].error_bound > certificate.error_bound == 0


def test_layers_heads_and_width_are_in_the_certificate():
    machine, _ = machine_of(TEXT)
    costs = machine.certificate.functions
    assert {name: each.n_layers for name, each in costs.items()} == {
        "square": 1, "decay": 1, "root": 0, "bell": 2, "flat": 1, "matmul": 1, "transpose": 1,
    }  # fmt: skip
    assert costs["bell"].n_heads == costs["square"].n_heads + costs["decay"].n_heads
    assert (costs["root"].n_heads, costs["matmul"].n_heads, costs["transpose"].n_heads) == (0, 2, 1)
    plain = FleqMachine(24, 24, 6)
    assert len(plain.transformer.layers) == 3
    assert len(machine.transformer.layers) == 4
    # Functions share the heads of a layer: as many as the longest sum, and those of the matrices.
    grown = len(machine.transformer.layers[2].heads) - len(plain.transformer.layers[2].heads)
    assert grown == max(SQUARE.n_terms, DECAY.n_terms) + 3


@pytest.mark.parametrize("evaluation", EVALUATIONS)
@pytest.mark.parametrize("name", ["square", "root", "bell"])
def test_operands_outside_of_the_domain_trap(name, evaluation):
    low, high = FUNCTIONS[name].domain
    machine, program = machine_of(f"x: .word 0\n y: .word 7\n {name} x, y, #0, end\n halt")
    for x in (low, high, (low + high) / 2):
        result = machine.run(program.with_data(x=x), evaluation=evaluation)
        assert abs(result["y"].values[0] - FUNCTIONS[name](x)) < 1e-10
    outside = [np.nextafter(low, -9), np.nextafter(high, 9), 1e3, -1e3, 1.7e308, -1.7e308]
    for x in map(float, outside):
        result = machine.run(program.with_data(x=x), evaluation=evaluation, on_fault="return")
        assert (result.fault.value, result.fault.pc, result.fault.step) == (x, 0, 1)
        assert (result["y"].values[0], result["x"].values[0]) == (7.0, x)
        assert not result.halted
        again = machine.run(program, state=result.state, on_fault="return").fault
        assert (again.value, again.pc) == (x, 0)


def test_a_domain_that_ends_at_zero_traps_the_smallest_numbers():
    functions = {"half": ReluSum.fit(lambda x: x / 2, (0.0, 1.0), 1e-3)}
    for dtype, smallest in (("float64", 5e-324), ("float32", 2.0**-149)):
        machine, program = machine_of("x: .word 0\n half x, x", functions, 1, dtype=dtype)
        assert machine.run(program.with_data(x=smallest)).halted
        fault = machine.run(program.with_data(x=-smallest), on_fault="return").fault
        assert fault.value == -smallest


def test_the_network_itself_halts_at_a_fault():
    machine, program = machine_of("x: .word 2\n add x, x, x\n square x, x\n trap x")
    steps = interpret_fleq(program, 6, FUNCTIONS)
    states = machine.transformer.run(machine.load(program), 5, evaluation="fast")
    for state, (pc, memory) in zip(states, steps, strict=False):
        assert machine.pc(state) == pc == 1
        assert machine.cells(machine.settle(state))[0] == memory[0]


def test_faults_name_instruction_line_step_and_value():
    machine, program = machine_of("x: .word 2\n add x, x, x\n square x, x\n trap x")
    with pytest.raises(MachineFaultError) as raised:
        machine.run(program)
    expected = "Got 4.0 at instruction 1 (square x, x, line 3), step 2: square takes numbers"
    assert str(raised.value).startswith(expected)
    fault = machine.run("x: .word -3\n trap x", on_fault="return").fault
    assert (fault.value, fault.reason) == (-3.0, "the program traps")
    overflow = machine.run("x: .word 1e200\n multiply x, x, x", on_fault="return")
    assert overflow.fault.reason == "the result is beyond the range of float64"
    assert overflow["x"].values[0] == 1e200
    with pytest.raises(ValueError, match="on_fault='ignore'"):
        machine.run(program, on_fault="ignore")


def test_disassembled_text_has_the_functions():
    machine, program = machine_of(TEXT)
    tape = machine.load(program)
    again = machine.assemble(machine.disassemble(tape))
    assert torch.equal(machine.load(again), tape)


def test_programs_do_not_change_the_weights_and_functions_do():
    machine, program = machine_of(TEXT)
    before = machine.transformer.fingerprint()
    machine.run(program)
    assert machine.transformer.fingerprint() == before
    other = FleqMachine(24, 24, 6, functions={**FUNCTIONS, "decay": SQUARE})
    assert other.transformer.fingerprint() != before


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({"square": np.square}, "Got ufunc for function 'square', expected a SigmoidSum"),
        ({"add": SQUARE}, "Got function 'add', expected letters"),
        ({"halt": SQUARE}, "Got function 'halt'"),
        ({"x y": SQUARE}, "Got function 'x y'"),
        ({"matmul": MatrixProduct(3, 3, 3)}, "matrices with 9 entries, but n_entries=6"),
    ],
)
def test_bad_functions_raise(functions, message):
    with pytest.raises(ValueError, match=message):
        FleqMachine(8, 8, 6, functions=functions)


def test_bad_uses_raise():
    machine, program = machine_of(TEXT)
    with pytest.raises(ValueError, match="Line 1: square takes 2 operands, or 4"):
        machine.assemble("square #1, #2, #3")
    with pytest.raises(ValueError, match=r"unknown opcode 'sqrt'.*Known are move.*transpose"):
        machine.assemble("sqrt #1, #2")
    with pytest.raises(ValueError, match="operation 'square' in instruction 0"):
        FleqMachine(24, 24, 6).run(program)
    with pytest.raises(ValueError, match=r"stage 1, but the next is known from -0\.1"):
        Composition(ROOT, DECAY)
    with pytest.raises(ValueError, match="stages other than"):
        Composition()
    with pytest.raises(ValueError, match="n_inner=0, expected an integer of at least 1"):
        MatrixProduct(2, 0, 2)
    with pytest.raises(ValueError, match=r"n_columns=1\.5"):
        Transposition(2, 1.5)


@pytest.mark.parametrize("seed", range(3))
def test_random_programs_with_functions_equal_the_interpreter(seed):
    rng = np.random.default_rng(seed)
    names = ["square", "decay", "root", "bell", "matmul", "transpose", "sigmoid", "subtract"]
    cells = [f"m{i}: .vector " + " ".join(map(str, rng.uniform(0.3, 0.9, 6))) for i in range(6)]
    code = []
    for name in rng.choice(names, size=12):
        n_operands = 3 if name in ("matmul", "subtract") else 2
        operands = [f"m{i}" for i in rng.integers(6, size=n_operands)]
        code.append(f"{name} {', '.join(operands)}, m{rng.integers(6)}, start")
    machine, program = machine_of("\n".join([*cells, "start:", *code]))
    states = machine.transformer.run(machine.load(program), 40, evaluation="fast")
    for state, (pc, memory) in zip(states, interpret_fleq(program, 6, FUNCTIONS), strict=False):
        assert machine.pc(state) == pc
        got = machine.cells(machine.settle(state))
        for cell, expected in itertools.islice(zip(got, memory, strict=False), 6):
            np.testing.assert_allclose(cell.values, expected.values, rtol=1e-10, atol=1e-10)
