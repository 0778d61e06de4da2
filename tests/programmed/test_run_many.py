"""Programs side by side end as each would by itself, in every bit."""

from pathlib import Path

import pytest
import torch
from random_programs import random_subleq

from sklearn_looped import FleqMachine, SubleqMachine
from sklearn_looped.programmed.machines.graph_subleq import GraphSubleqMachine
from sklearn_looped.programmed.machines.many import run_many
from sklearn_looped.programmed.machines.programs import LINEAR_SGD, MULTIPLY


def assert_same(one, other):
    assert torch.equal(one.state, other.state)
    assert (one.n_loops, one.cells, one.pc) == (other.n_loops, other.cells, other.pc)
    assert (one.halted, one.fault, one.labels) == (other.halted, other.fault, other.labels)


def test_programs_that_halt_at_different_times():
    machine = SubleqMachine(8, 20)
    program = machine.assemble(MULTIPLY)
    programs = [program.with_data(x=x, y=y) for x, y in [(3, 4), (0, 9), (25, 2), (1, 1), (7, 30)]]
    results = run_many(machine, [*programs, MULTIPLY])
    assert [result["product"] for result in results[:5]] == [12, 0, 50, 1, 210]
    assert len({result.n_loops for result in results}) > 3
    for program, result in zip([*programs, MULTIPLY], results, strict=True):
        assert_same(result, machine.run(program))
    assert run_many(machine, []) == []


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("options", [{}, {"overflow": "wrap"}, {"cells": "integer"}])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_faults_and_caps(options, dtype):
    machine = SubleqMachine(8, 20, n_bits=5, dtype=dtype, **options)
    programs = [random_subleq(seed, 8, 20, 5) for seed in range(12)]
    for max_loops in (1, 40):
        results = run_many(machine, programs, max_loops)
        if max_loops == 40:
            assert any(result.fault for result in results) == ("overflow" not in options)
        for program, result in zip(programs, results, strict=True):
            assert_same(result, machine.run(program, max_loops, on_fault="return"))


def test_programs_that_go_on_are_counted():
    machine = SubleqMachine(4, 4)
    endless = "x: .word 0\n loop: subleq x, x, loop"
    with pytest.warns(match="1 of 2 programs have not halted after 9 loops"):
        endless, ended = run_many(machine, [endless, "x: .word 1\n subleq x, x"], 9)
    assert (endless.n_loops, endless.halted, ended.n_loops, ended.halted) == (9, False, 1, True)


def test_tapes_by_the_definition_are_those_of_the_fast_evaluation():
    machine = SubleqMachine(6, 12, n_bits=8)
    tapes = torch.stack([machine.load(random_subleq(seed, 6, 12, 8)) for seed in range(3)])
    for dense, fast in zip(
        machine.transformer.run(tapes, 15),
        machine.transformer.run(tapes.mT.contiguous().mT, 15, evaluation="fast"),
        strict=True,
    ):
        assert torch.equal(dense, fast)


def test_other_machines_and_single_programs_are_refused():
    machine = FleqMachine(60, 66, 2)
    tapes = torch.stack([machine.load(machine.assemble("x: .word 1\n move x, x"))] * 2)
    with pytest.raises(ValueError, match="2 tapes, but a head of this transformer is no match"):
        machine.transformer.run(tapes, 1, evaluation="fast")
    with pytest.raises(ValueError, match="run_many takes a SubleqMachine"):
        run_many(machine, [LINEAR_SGD])
    with pytest.raises(ValueError, match="run_many takes a SubleqMachine"):
        run_many(GraphSubleqMachine(4, 4), ["x: .word 1\n subleq x, x"])
    machine = SubleqMachine(8, 20)
    for alone in (MULTIPLY, machine.assemble(MULTIPLY)):
        with pytest.raises(ValueError, match="single program, but run_many takes several"):
            run_many(machine, alone)


@pytest.mark.parametrize("program", [None, b"clear x", Path("program.asm")])
def test_what_is_no_program_is_refused(program):
    machine = SubleqMachine(4, 6)
    for run in (machine.run, lambda given: run_many(machine, [given])):
        with pytest.raises(TypeError, match="but expected a Program or the text of one"):
            run(program)
