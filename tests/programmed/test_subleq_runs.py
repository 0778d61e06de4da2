"""Runs of SUBLEQ machines: faults, breakpoints, traces, and input that is refused."""

import itertools
import math
import pickle

import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from subleq_runs import fitting, run_both

from sklearn_looped import SubleqMachine
from sklearn_looped.programmed.machines import programs
from sklearn_looped.programmed.machines.faults import MachineFaultError
from sklearn_looped.programmed.machines.paper_subleq import PaperSubleqMachine
from sklearn_looped.programmed.machines.subleq import assemble_subleq
from sklearn_looped.programmed.transformer.evaluation import EVALUATIONS


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
