import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from random_programs import random_subleq
from sklearn.exceptions import ConvergenceWarning
from subleq_runs import KINDS, fitting, run_both

from sklearn_looped import SubleqMachine
from sklearn_looped.programmed.machines import programs
from sklearn_looped.programmed.machines.faults import MachineFaultError
from sklearn_looped.programmed.machines.interpreter import interpret_subleq
from sklearn_looped.programmed.machines.paper_subleq import EPSILON, PaperSubleqMachine
from sklearn_looped.programmed.machines.subleq import assemble_subleq
from sklearn_looped.programmed.transformer.evaluation import EVALUATIONS

# --- exactness ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_ten_random_programs_equal_the_interpreter_for_5000_steps(dtype):
    machine = SubleqMachine(30, 96, n_bits=16, dtype=dtype)
    assert machine.tokens.width == 128
    pc, value = machine.fields["pc"], machine.fields["value"]
    weights = 2.0 ** np.arange(16)
    weights[-1] *= -1
    for seed in range(10):
        program = random_subleq(seed, 30, 96, 16)
        tape = machine.load(program)
        codes = tape[machine.tokens["program"], machine.fields["position"]].numpy()
        memory = np.array(program.cells)
        steps = interpret_subleq(program, 16)
        for state in machine.transformer.run(tape, 5000, evaluation="fast"):
            view = state.numpy()
            # The state after a loop holds its program counter and the memory before its write.
            assert np.array_equal((view[2:32, value] + 1) / 2 @ weights, memory)
            next_pc, cells = next(steps)
            memory = np.array(cells)
            assert np.array_equal(view[0, pc], codes[next_pc])
            assert np.abs(view - np.rint(view)).max() == 0.0  # the residue
        assert machine.cells(machine.settle(state)) == cells


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_dense_states_of_128_tokens_have_the_bits_of_fast_ones(dtype):
    machine = SubleqMachine(30, 96, n_bits=16, dtype=dtype)
    tape = machine.load(random_subleq(0, 30, 96, 16))
    runs = (machine.transformer.run(tape, 40, evaluation=e) for e in EVALUATIONS)
    for dense, fast in zip(*runs, strict=True):
        assert torch.equal(dense, fast)


@pytest.mark.parametrize("evaluation", EVALUATIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("cells", ["bits", "integer"])
def test_every_state_equals_the_interpreter(evaluation, dtype, cells):
    machine = SubleqMachine(10, 18, n_bits=20, cells=cells, dtype=dtype)
    program = random_subleq(1, 10, 18, 4)
    steps = interpret_subleq(program, 20 if cells == "bits" else None)
    for state in machine.transformer.run(machine.load(program), 40, evaluation=evaluation):
        assert (machine.pc(state), machine.cells(machine.settle(state))) == next(steps)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_evaluations_give_the_same_bits(seed, dtype, kind):
    rng = np.random.default_rng(seed)
    n_memory, n_instructions = rng.integers(1, 30, size=2).tolist()
    machine = kind(n_memory, n_instructions, n_bits=8, dtype=dtype)
    tape = machine.load(random_subleq(seed, n_memory, n_instructions, 3))
    runs = [machine.transformer.run(tape, 25, evaluation=e) for e in EVALUATIONS]
    integer = torch.int64 if dtype == "float64" else torch.int32
    for dense, *others in zip(*runs, strict=True):
        for other in others:
            assert torch.equal(dense.view(integer), other.view(integer))


@pytest.mark.parametrize("evaluation", EVALUATIONS)
@pytest.mark.parametrize(
    ("n_bits", "options"),
    [
        (2, {}),
        (50, {}),
        (21, {"dtype": "float32"}),
        (51, {"cells": "integer"}),
        (21, {"cells": "integer", "dtype": "float32"}),
    ],
    ids=str,
)
def test_largest_and_smallest_integers_of_the_widest_cells(n_bits, options, evaluation):
    machine = SubleqMachine(5, 5, n_bits=n_bits, **options)
    half = 1 << (n_bits - 1)
    edges = {-half, 1 - half, -1, 0, 1, half - 1}
    for a, b in itertools.product(edges, edges):
        if "cells" in options and not -half <= b - a < half:
            continue  # out of range
        program = assemble_subleq(
            f"x: .word {a}\n y: .word {b}\n z: .word 0\n"
            "subleq x, y, skip\n subleq #-1, z\n skip: clear z"
        )
        steps = interpret_subleq(program, n_bits)
        for state in machine.transformer.run(machine.load(program), 3, evaluation=evaluation):
            assert (machine.pc(state), machine.cells(machine.settle(state))) == next(steps)


@pytest.mark.parametrize(
    ("dtype", "n_bits"), [("float64", 2), ("float64", 16), ("float64", 51), ("float32", 21)]
)
def test_the_paper_machine_equals_the_interpreter_in_every_bit(dtype, n_bits):
    machine = PaperSubleqMachine(10, 18, n_bits=n_bits, dtype=dtype)
    assert len(machine.transformer.layers) == 10
    program = random_subleq(3, 10, 18, n_bits)
    tape = machine.load(program)
    steps = interpret_subleq(program, n_bits)
    for dense, state in zip(
        machine.transformer.run(tape, 60),
        machine.transformer.run(tape, 60, evaluation="fast"),
        strict=True,
    ):
        assert (machine.pc(state), machine.cells(state)) == next(steps)
        assert torch.equal(dense, state)


@pytest.mark.parametrize(
    ("text", "data", "label", "expected"),
    [
        ("x: .word 1\n clear x", {}, "x", 0),
        (programs.FACTORIAL, {"n": 5}, "result", 120),
        (programs.SQUARE_ROOT, {"x": 50}, "root", 7),
        (programs.SORT, {"list": [3, -2, 0, 1]}, "list", -2),
    ],
)
def test_the_paper_machine_runs_the_programs(text, data, label, expected):
    program = assemble_subleq(text).with_data(**data)
    for dtype in ("float64", "float32"):
        assert fitting(program, PaperSubleqMachine, dtype=dtype).run(program)[label] == expected


def test_weights_do_not_depend_on_the_program():
    machine = SubleqMachine(12, 40, n_bits=16)
    before = machine.transformer.fingerprint()
    for text, label, expected in (
        (programs.MULTIPLY, "product", 6),
        (programs.SQUARE_ROOT, "root", 7),
        (programs.FIBONACCI, "a", 55),
    ):
        assert machine.run(text)[label] == expected
        assert machine.transformer.fingerprint() == before
    assert SubleqMachine(12, 40, n_bits=16).transformer.fingerprint() == before
    assert SubleqMachine(12, 40, n_bits=15).transformer.fingerprint() != before


def test_the_paper_machine_corrects_errors_up_to_its_epsilon():
    machine = PaperSubleqMachine(10, 18, n_bits=8)
    exact = machine.load(random_subleq(3, 10, 18, 8))
    noise = np.random.default_rng(0).uniform(-1, 1, size=(10, 8))
    correct = machine.transformer.layers[-1]
    for size, removed in ((EPSILON, True), (2.5 * EPSILON, False)):
        state = exact.clone()
        state[machine.tokens["memory"], machine.fields["value"]] += torch.tensor(size * noise)
        error = (correct(state) - exact).abs().max()
        assert (error <= 4 * torch.finfo(torch.float64).eps) == removed


def test_fingerprints_cover_weights_and_temperatures():
    machine = SubleqMachine(4, 4)
    assert SubleqMachine(4, 4, temperature=2048.0).transformer.fingerprint() != (
        before := machine.transformer.fingerprint()
    )
    machine.transformer.layers[1].feed_forward.W2.values[0] += 1
    assert machine.transformer.fingerprint() != before


# --- running --------------------------------------------------------------------------------


def test_bits_wrap_around_as_twos_complement():
    assert run_both("x: .word -7\n subleq #2, x", n_bits=8)["x"] == -9
    machine = SubleqMachine(4, 4, n_bits=4, overflow="wrap")
    assert machine.run("x: .word -7\n subleq #2, x")["x"] == 7


@pytest.mark.parametrize("evaluation", EVALUATIONS)
@pytest.mark.parametrize("cells", ["bits", "integer"])
def test_overflow_traps_for_all_operands(cells, evaluation):
    machine = SubleqMachine(4, 2, n_bits=3, cells=cells)
    for a, b in itertools.product(range(-4, 4), repeat=2):
        program = assemble_subleq(f"a: .word {a}\n b: .word {b}\n subleq a, b")
        result = machine.run(program, evaluation=evaluation, on_fault="return")
        if -4 <= b - a <= 3:
            assert (result.fault, result["b"], result.halted) == (None, b - a, True)
        else:
            assert (result.fault.value, result.fault.pc, result.fault.step) == (b - a, 0, 1)
            assert (result["a"], result["b"], result.pc, result.halted) == (a, b, 0, False)
            with pytest.raises(MachineFaultError, match=r"subleq a, b, line 3.*from -4 to 3"):
                machine.run(program, state=result.state, evaluation=evaluation)


def test_a_fault_keeps_the_memory_before_its_instruction_and_the_trace():
    text = "x: .word 5\n loop: subleq #-1, x\n subleq #0, #0, loop"
    result = SubleqMachine(6, 4, n_bits=4).run(text, trace=True, on_fault="return")
    assert (result["x"], result.fault.step, result.n_loops) == (7, 5, 5)
    assert result.trace["step"].tolist() == [1, 2, 3, 4]
    error = MachineFaultError(result.fault)
    assert pickle.loads(pickle.dumps(error)).fault == result.fault


def test_no_halt_warns_with_the_count_and_keeps_the_state():
    text = "x: .word 0\n loop: subleq #-1, x\n jump loop"
    machine = SubleqMachine(4, 4)
    with pytest.warns(ConvergenceWarning, match="n_loops=100 loops"):
        first = machine.run(text, max_loops=100)
    assert (first["x"], first.halted, first.n_loops) == (50, False, 100)
    with pytest.warns(ConvergenceWarning):
        assert machine.run(text, max_loops=20, state=first.state)["x"] == 60


def test_breakpoints_stop_before_the_instruction_and_can_be_continued():
    program = assemble_subleq(programs.FIBONACCI)
    machine = fitting(program)
    stop = machine.run(program, breakpoints=["loop"])
    assert (stop.pc, stop.n_loops) == (program.code_labels["loop"], 0)  # before the first one
    seen = [stop["a"]]
    while not stop.halted:
        assert stop.pc in (program.code_labels["loop"], program.halt)
        stop = machine.run(program, state=stop.state, breakpoints=["loop"])
        seen.append(stop["a"])
    assert seen == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 55]


def test_trace_lists_every_instruction():
    text = "x: .word 5\n y: .word 3\n subleq x, y, done\n clear x\n done: halt"
    trace = fitting(assemble_subleq(text)).run(text, trace=True).trace
    assert trace["step"].tolist() == [1, 2]
    assert trace["pc"].tolist() == [0, 2]
    assert trace["flag"].tolist() == [True, True]  # -2 and 0
    first = trace.iloc[0]
    assert (first["instruction"], first["line"]) == ("subleq x, y, done", 3)
    assert (first["reads"], first["writes"], first["flag"]) == ({0: 5, 1: 3}, {1: -2}, True)


def test_macros_take_operands_with_offsets():
    text = "list: .word 1, 2, 3\n.macro second p\n clear p+1\n.end\n second list\n second list+1"
    program = assemble_subleq(text)
    assert fitting(program).run(program).block("list", 3) == [1, 0, 0]


def test_runs_of_wrong_parameters_and_results_of_wrong_labels_raise():
    machine = SubleqMachine(4, 4)
    result = machine.run("x: .word 1\n clear x")
    for options, message in (
        ({"max_loops": 0}, "max_loops=0, expected an integer of at least 1"),
        ({"evaluation": "quick"}, "evaluation='quick', expected one of"),
        (
            {"state": result.state[1:]},
            r"state of shape \(9, .* are \(10, .* continue with the machine",
        ),
        ({"state": result.state.float()}, r"torch.float32, but .* torch.float64"),
    ):
        with pytest.raises(ValueError, match=message):
            machine.run("x: .word 1\n clear x", **options)
    with pytest.raises(ValueError, match="label 'y' of no cell; known are x, #0, #-1"):
        result["y"]
    with pytest.raises(ValueError, match="n_cells=5 behind 'x', expected 1 to 4"):
        result.block("x", 5)


def test_an_empty_program_halts_at_once():
    result = SubleqMachine(2, 1).run("")
    assert (result.n_loops, result.halted, result.pc) == (0, True, 0)


def test_disassembled_text_assembles_to_the_same_tape():
    for text in (programs.FACTORIAL, programs.SORT):
        program = assemble_subleq(text)
        machine = fitting(program)
        tape = machine.load(program)
        again = assemble_subleq(machine.disassemble(tape))
        assert again.instructions == program.instructions
        assert torch.equal(machine.load(again), tape)


# --- bad input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_memory": 0}, "n_memory=0"),
        ({"n_bits": 63}, "n_bits=63, expected an integer from 2 to 62"),
        ({"n_memory": 4.5}, "n_memory=4.5, expected an integer"),
        ({"temperature": math.nan}, "temperature=nan, expected above 0"),
        ({"temperature": -1.0}, "temperature=-1.0, expected above 0"),
        ({"temperature": math.inf}, "temperature=inf, expected above 0"),
        ({"cells": "words"}, "cells='words'"),
        ({"dtype": "float16"}, "dtype='float16'"),
        ({"overflow": "ignore"}, "overflow='ignore'"),
        ({"overflow": "wrap", "cells": "integer"}, "use cells='bits'"),
        ({"temperature": 256.0}, r"margin is 256, .* takes 745\.25"),
        ({"n_bits": 22, "dtype": "float32"}, "float32 is exact only to 16777216"),
        ({"n_bits": 24, "dtype": "float32", "cells": "integer"}, "only to 16777216"),
        ({"n_bits": 51}, "float64 is exact only to 9007199254740992"),
        ({"kind": PaperSubleqMachine, "temperature": 372.0}, r"margin is 744, .* takes 745\.25"),
        ({"kind": PaperSubleqMachine, "n_bits": 52}, "float64 is exact only to 9007199254740992"),
    ],
)
def test_machines_that_cannot_be_exact_raise(options, message):
    sizes = {"n_memory": 6, "n_instructions": 8, **options}
    kind = sizes.pop("kind", SubleqMachine)
    with pytest.raises(ValueError, match=message):
        kind(**sizes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("add2 x, y", "Line 1: got unknown opcode 'add2'; did you mean 'add'. Known are subleq"),
        ("x: .word 1\nx: .word 2", "Line 2: label 'x' is defined twice, first in line 1"),
        ("x: .word 1\nx: clear x", "Line 2: label 'x' is defined twice"),
        ("subleq #1, y", "Line 1: label 'y' names no cell; known are #1"),
        ("subleq #1, #2, there", "Line 1: label 'there' names no instruction; known are end"),
        ("subleq #1", "Line 1: subleq takes 2 or 3 operands, got 1"),
        ("subleq #a, #b", "Line 1: got constant '#a'"),
        ("x: .word 1.5", "Line 1: .word takes integers"),
        ("add #1", "Line 1: macro 'add' takes 2 operands, got 1"),
        (".macro f x\nf x\n.end\nf #1", "Line 4: macro 'f' never ends"),
        ("a b c ! d: e", "Line 1"),
        ("x: .word", "Line 1: .word takes values"),
        ("end: clear #1", "Line 1: label 'end' is taken by the end of file"),
        (".macro", "Line 1: got macro ''"),
        (".macro add x\n.end", "Line 1: got macro 'add', expected a new name"),
        (".macro f\n.macro g\n.end", "Line 2: got macro 'g', .* before closed by .end"),
        (".macro f\n halt", "Line 1: macro 'f' has no .end"),
        (".end", "Line 1: got .end without .macro"),
    ],
)
def test_bad_programs_raise_with_the_line(text, message):
    with pytest.raises(ValueError, match=message):
        assemble_subleq(text)


def test_programs_that_do_not_fit_raise():
    machine = SubleqMachine(3, 3, n_bits=8)
    with pytest.raises(ValueError, match="program of 5 instructions, but the machine has 3"):
        machine.run("x: .word 1\n add x, x\n clear x")
    with pytest.raises(ValueError, match="program of 4 cells, but the machine has 3"):
        machine.run("x: .word 1, 2")
    with pytest.raises(ValueError, match=r"Got 128 in cell 0, .* n_bits=8 hold integers from -128"):
        machine.run("x: .word 128")
    with pytest.raises(ValueError, match="unknown label 'z'"):
        assemble_subleq("x: .word 1").with_data(z=3)
    with pytest.raises(ValueError, match=r"4 values for 'x', beyond the memory"):
        assemble_subleq("x: .word 1").with_data(x=[1, 2, 3, 4])
    for point in ("there", 1):
        with pytest.raises(ValueError, match=f"breakpoint {point!r}, expected 0 to"):
            machine.run("x: .word 1", breakpoints=[point])
    outside = assemble_subleq("x: .word 1\n subleq x+9, x")
    with pytest.raises(ValueError, match="address 9 in instruction 0, expected 0 to 2"):
        machine.load(outside)
