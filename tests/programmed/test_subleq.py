"""SUBLEQ machines are exact: every state is the interpreter's."""

import itertools

import numpy as np
import pytest
import torch
from random_programs import random_subleq
from subleq_runs import KINDS, fitting

from sklearn_looped import SubleqMachine
from sklearn_looped.programmed.machines import programs
from sklearn_looped.programmed.machines.interpreter import interpret_subleq
from sklearn_looped.programmed.machines.paper_subleq import EPSILON, PaperSubleqMachine
from sklearn_looped.programmed.machines.subleq import assemble_subleq
from sklearn_looped.programmed.transformer.evaluation import EVALUATIONS


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_ten_random_programs_equal_the_interpreter_for_5000_steps(dtype):
    machine = SubleqMachine(30, 96, n_bits=16, dtype=dtype)
    assert machine.tokens.width == 128
    pc, value = machine.fields["pc"], machine.fields["value"]
    weights = 2.0 ** np.arange(16)
    weights[-1] *= -1
    programs = [random_subleq(seed, 30, 96, 16) for seed in range(10)]
    tapes = torch.stack([machine.load(program) for program in programs])
    codes = tapes[0, machine.tokens["program"], machine.fields["position"]].numpy()
    memory = np.array([program.cells for program in programs])
    steps = [interpret_subleq(program, 16) for program in programs]
    runs = [machine.transformer.run(part, 5000, evaluation="fast") for part in (tapes, tapes[0])]
    for states, alone in zip(*runs, strict=True):
        assert torch.equal(states[0], alone)
        view = states.numpy()
        # The state after a loop holds its program counter and the memory before its write.
        assert np.array_equal((view[:, 2:32, value] + 1) / 2 @ weights, memory)
        next_pc, cells = zip(*map(next, steps), strict=True)
        memory = np.array(cells)
        assert np.array_equal(view[:, 0, pc], codes[list(next_pc)])
        assert np.array_equal(view, np.rint(view))  # no residue
    for state, last in zip(states, cells, strict=True):
        assert machine.cells(machine.settle(state)) == list(last)


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
