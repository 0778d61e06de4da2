import itertools

import numpy as np
import pytest
import torch
from random_programs import random_fleq
from sklearn.exceptions import ConvergenceWarning

from sklearn_looped import FleqMachine
from sklearn_looped.programmed.machines import programs
from sklearn_looped.programmed.machines.faults import MachineFaultError
from sklearn_looped.programmed.machines.fleq_assembler import Cell, assemble_fleq
from sklearn_looped.programmed.machines.interpreter import interpret_fleq
from sklearn_looped.programmed.transformer.evaluation import EVALUATIONS


def run_both(text, n_entries=1, **data):
    """Result of the machine, after it was compared with the interpreter's."""
    program = assemble_fleq(text).with_data(**data)
    machine = FleqMachine(len(program.cells), len(program.instructions), n_entries)
    result = machine.run(program)
    steps = itertools.islice(interpret_fleq(program, n_entries), result.n_loops - 1, None)
    pc, memory = next(steps)
    assert result.halted
    assert result.pc == pc
    assert_same(result.cells, memory)
    return result


def assert_same(cells, memory):
    """Cells are equal but for the last bits of a sigmoid."""
    assert [cell.pointer for cell in cells] == [cell.pointer for cell in memory]
    expected = [cell.values for cell in memory]
    np.testing.assert_allclose([cell.values for cell in cells], expected, rtol=1e-14, atol=1e-15)


def scalars(cells):
    return [cell.values[0] for cell in cells]


# --- programs against plain Python ----------------------------------------------------------


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0, 4.0, 5.0], [0.5, -1.0, 0.0, 7.0, 7.0]])
def test_reverse(values):
    assert scalars(run_both(programs.REVERSE, list=values).block("copy", 5)) == values[::-1]


@pytest.mark.parametrize(("key", "index"), [(5, 0), (3, 1), (8, 2), (1, 3), (4, -1)])
def test_linear_search(key, index):
    result = run_both(programs.SEARCH, list=[5, 3, 8, 1], key=key)
    assert result["index"].values[0] == index


@pytest.mark.parametrize("seed", range(4))
def test_bubble_sort(seed):
    values = np.random.default_rng(seed).integers(-3, 4, size=4).astype(float).tolist()
    result = run_both(programs.BUBBLE_SORT, list=values)
    assert scalars(result.block("list", 4)) == sorted(values)


def test_linear_sgd_is_stochastic_gradient_descent():
    rng = np.random.default_rng(0)
    X, n_epochs, rate = rng.normal(size=(12, 3)), 3, 0.05
    y = X @ [1.0, -2.0, 0.5] + 0.1 * rng.normal(size=12)
    result = run_both(
        programs.linear_sgd(12),
        3,
        samples=list(X),
        targets=y.tolist(),
        n=12,
        epochs=n_epochs,
        rate=rate,
    )
    w = np.zeros(3)
    for i in [*range(12)] * n_epochs:
        w -= rate * (w @ X[i] - y[i]) * X[i]
    np.testing.assert_allclose(result["w"].values, w, rtol=0, atol=1e-15)


# --- exactness ------------------------------------------------------------------------------


@pytest.mark.parametrize("evaluation", EVALUATIONS)
@pytest.mark.parametrize("seed", range(3))
def test_every_state_equals_the_interpreter(seed, evaluation):
    machine = FleqMachine(12, 20, 3)
    program = random_fleq(seed, 12, 20, 3)
    steps = interpret_fleq(program, 3)
    for state in machine.transformer.run(machine.load(program), 30, evaluation=evaluation):
        pc, memory = next(steps)
        assert machine.pc(state) == pc
        assert_same(machine.cells(machine.settle(state)), memory)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", range(4))
def test_all_evaluations_give_the_same_bits(seed, dtype):
    rng = np.random.default_rng(seed)
    n_memory, n_instructions = rng.integers(8, 30, size=2).tolist()
    machine = FleqMachine(n_memory, n_instructions, 5, dtype=dtype)
    tape = machine.load(random_fleq(seed, n_memory, n_instructions, 5))
    runs = [machine.transformer.run(tape, 25, evaluation=e) for e in EVALUATIONS]
    integer = torch.int64 if dtype == "float64" else torch.int32
    for dense, *others in zip(*runs, strict=True):
        for other in others:
            assert torch.equal(dense.view(integer), other.view(integer))


FLAGS = [-1.7e308, -1e100, -5e-324, 0.0, 5e-324, 1e-310, 2.0**-1022, 1e-155, 1e-31, 2.0**-100]


@pytest.mark.parametrize("flag", [*FLAGS, 1e-30, 1e-16, 1e-9, 0.7, 1e100, 1.7e308])
def test_branches_compare_real_flags_with_zero(flag):
    text = "f: .word 0\n x: .word 1\n branch f, end\n move #2, x"
    assert run_both(text, f=flag)["x"].values[0] == (1 if flag <= 0 else 2)


def test_results_overwrite_exactly():
    text = "x: .word 0.3\n y: .word 1e17\n move x, y"
    assert run_both(text)["y"] == Cell((0.3,))


def test_weights_do_not_depend_on_the_program():
    machine = FleqMachine(24, 48, 12)
    before = machine.transformer.fingerprint()
    machine.run(programs.REVERSE)
    machine.run(programs.BUBBLE_SORT)
    assert machine.transformer.fingerprint() == before


# --- running --------------------------------------------------------------------------------


def test_trace_lists_reads_writes_and_flag():
    text = "p: .pointer x\n x: .word 7, 0\n load p, x+1\n increment p, p\n store #1, p, #0, end"
    program = assemble_fleq(text)
    machine = FleqMachine(len(program.cells), len(program.instructions))
    trace = machine.run(program, trace=True).trace
    assert trace["instruction"].tolist() == [
        "load p, x+1",
        "increment p, p",
        "store #1, p, #0, end",
    ]
    assert trace["line"].tolist() == [3, 4, 5]
    assert trace["reads"][0] == {0: Cell((0.0,), 1), 1: Cell((7.0,))}
    assert trace["writes"].tolist() == [
        {2: Cell((7.0,))},
        {0: Cell((0.0,), 2)},
        {2: Cell((1.0,))},
    ]
    assert trace["flag"].tolist() == [False, False, True]


def test_no_halt_warns_and_breakpoints_stop():
    text = "x: .word 0\n loop: add x, #1, x\n jump loop"
    machine = FleqMachine(4, 4)
    with pytest.warns(ConvergenceWarning, match="n_loops=11 loops"):
        assert machine.run(text, max_loops=11)["x"].values[0] == 6
    stop = machine.run(text, breakpoints=[1])
    assert (stop.pc, stop.halted, stop["x"].values[0]) == (1, False, 1)


@pytest.mark.parametrize("text", [programs.BUBBLE_SORT, programs.REVERSE])
def test_disassembled_text_assembles_to_the_same_tape(text):
    program = assemble_fleq(text)
    machine = FleqMachine(len(program.cells), len(program.instructions), 2)
    tape = machine.load(program)
    again = assemble_fleq(machine.disassemble(tape))
    assert again.instructions == program.instructions
    assert torch.equal(machine.load(again), tape)


# --- bad input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_entries": 0}, "n_entries=0"),
        ({"n_instructions": -1}, "n_instructions=-1"),
        ({"dtype": "half"}, "dtype='half'"),
    ],
)
def test_bad_machines_raise(options, message):
    with pytest.raises(ValueError, match=message):
        FleqMachine(**{"n_memory": 6, "n_instructions": 8, **options})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mul #1, #2, #3", "Line 1: got unknown opcode 'mul'; known are move, add"),
        ("x: .word 1\nx: .word 2", "Line 2: label 'x' is defined twice"),
        ("p: .pointer q", "Line 1: label 'q' names no cell"),
        ("add #1, #2", "Line 1: add takes 3 operands, or 5 with flag and target, got 2"),
        ("x: .vector 1 b", "Line 1: .vector takes numbers"),
        ("branch #0, there", "Line 1: label 'there' names no instruction"),
        ("p: .pointer", "Line 1: .pointer takes values"),
        ("p: .pointer ,", r"Line 1: .pointer takes label \[numbers\]"),
        ("x: .vector ,", "Line 1: .vector takes numbers"),
    ],
)
def test_bad_programs_raise_with_the_line(text, message):
    with pytest.raises(ValueError, match=message):
        assemble_fleq(text)


def test_programs_that_do_not_fit_raise():
    machine = FleqMachine(3, 3, 2)
    with pytest.raises(ValueError, match="program of 5 instructions"):
        machine.run("halt\n halt\n halt\n halt")
    with pytest.raises(ValueError, match="at most 2 finite numbers"):
        machine.run("x: .vector 1 2 3")
    with pytest.raises(ValueError, match="at most 2 finite numbers"):
        machine.run("x: .vector nan")
    with pytest.raises(ValueError, match="address 8 in the pointer of cell 0, expected 0 to 3"):
        machine.run("x: .pointer x+8")
    with pytest.raises(ValueError, match="address 5 in instruction 0, expected 0 to 2"):
        machine.run("x: .word 1\n move x+5, x")


def test_overflow_raises():
    text = "x: .word 1e200\n multiply x, x, x\n add x, x, x"
    with pytest.raises(ValueError, match="beyond the range of float64"):
        FleqMachine(4, 4).run(text)


def test_pointers_go_as_far_as_the_place_behind_the_memory():
    machine = FleqMachine(3, 5)
    program = machine.assemble("p: .pointer p+2\n increment p, p\n load p, p+2")
    result = machine.run(program, breakpoints=[1], trace=True)
    assert result["p"].pointer == 3
    again = machine.assemble(machine.disassemble(result.state))
    assert machine.load(again)[:, machine.fields["pointer"]].equal(
        result.state[:, machine.fields["pointer"]]
    )
    last = machine.run(program, state=result.state, trace=True)
    assert last.cells[2] == Cell((0.0,))  # an empty place
    assert last.trace["reads"].tolist() == [{0: Cell((0.0,), 3)}]


@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "p: .pointer p+3\n increment p, p",
            "Got 4 at .* a pointer to this address, expected 0 to 3",
        ),
        ("p: .pointer p+3\n store p, p", "Got 3 at .* a store to this address, expected 0 to 2"),
        ("p: .word 1\n store p, p", "store by way of a cell without a pointer"),
        ("p: .word 1\n increment p, p", "pointer by way of a cell without a pointer"),
    ],
)
def test_pointers_out_of_range_raise(text, message, trace):
    with pytest.raises(ValueError, match=message):
        FleqMachine(3, 2).run(text, trace=trace)


@pytest.mark.parametrize("evaluation", EVALUATIONS)
@pytest.mark.parametrize("flag", [0.0, 2.0**-149, 2.0**-126, 2.0**-40, 1.0, 2.0**127])
def test_single_precision_flags_down_to_the_smallest(flag, evaluation):
    machine = FleqMachine(4, 4, dtype="float32")
    text = f"f: .word {flag!r}\n x: .word 1\n branch f, end\n move f, x"
    assert machine.run(text, evaluation=evaluation)["x"].values == (flag if flag > 0 else 1.0,)


@pytest.mark.parametrize(("dtype", "largest"), [("float64", 1.7e308), ("float32", 3e38)])
def test_operands_at_the_end_of_the_range(dtype, largest):
    machine = FleqMachine(8, 8, dtype=dtype)
    stored = float(np.dtype(dtype).type(largest))
    data = f"x: .word {largest}\n y: .word -{largest}\n z: .word 0\n"
    for code, expected in (("subtract x, x, z", 0.0), ("add x, y, z", 0.0), ("move y, z", -stored)):
        assert machine.run(data + code)["z"].values == (expected,)
    for code in ("add x, x, z", "subtract x, y, z", "multiply x, x, z"):
        with pytest.raises(ValueError, match=f"beyond the range of {dtype}"):
            machine.run(data + code)


def test_sieve_finds_the_primes():
    result = run_both(programs.sieve(12), n=12)
    marks = scalars(result.block("prime", 13))
    assert [i for i, mark in enumerate(marks) if mark] == [2, 3, 5, 7, 11]


def test_the_interpreter_of_another_language_reverses_a_string():
    text = programs.brainfuck(">,[>,]<[.<]", [ord(c) for c in "loop"], 6, 4)
    program = assemble_fleq(text)
    _, memory = next(step for step in interpret_fleq(program) if step[0] == program.halt)
    outputs = memory[program.labels["outputs"] :]
    assert "".join(chr(int(cell.values[0])) for cell in outputs[:4]) == "pool"
    assert scalars(run_both(programs.brainfuck("++[>+++<-]>.")).block("outputs", 1)) == [6.0]
    with pytest.raises(ValueError, match="brackets do not match"):
        programs.brainfuck("][")
    for text, place in (("+<", -1.0), (">>+", 2.0)):
        with pytest.raises(MachineFaultError, match=f"Got {place} .*trap place"):
            run_both(programs.brainfuck(text, n_tape=2))


def test_data_of_a_program_are_numbers_vectors_cells_or_lists_of_them():
    program = FleqMachine.assemble("x: .word 1, 2\n p: .word 0\n move x, p")
    cell = Cell((5.0,), 1)
    assert program.with_data(p=cell).cells[2] is cell
    given = program.with_data(x=[cell, np.array([3.0, 4.0])]).cells
    assert (given[0], list(given[1])) == (cell, [3.0, 4.0])
