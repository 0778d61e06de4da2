"""SUBLEQ by a network of constant width with graph heads, against the interpreter."""

import numpy as np
import pytest
import torch
from random_programs import random_subleq

from sklearn_looped.programmed.machines import programs
from sklearn_looped.programmed.machines.graph_subleq import GraphSubleqMachine
from sklearn_looped.programmed.machines.interpreter import interpret_subleq

N_STEPS = 60


def steps_agree(machine, program, graph=None, evaluation="fast"):
    options = {"evaluation": evaluation, "adjacency": machine.adjacency}
    states = machine.transformer.run(machine.load(program), N_STEPS, **options)
    for state, (pc, cells) in zip(states, interpret_subleq(program, graph=graph), strict=False):
        assert (machine.pc(state), machine.cells(machine.settle(state))) == (pc, cells)


@pytest.mark.parametrize(
    "name", ["ADD", "MULTIPLY", "FACTORIAL", "FIBONACCI", "SQUARE_ROOT", "SORT"]
)
def test_programs_run_as_interpreted(name):
    program = GraphSubleqMachine.assemble(getattr(programs, name))
    machine = GraphSubleqMachine(len(program.cells), len(program.instructions))
    steps_agree(machine, program)
    assert machine.run(program).halted


def test_single_precision_has_room_for_small_cells():
    program = GraphSubleqMachine.assemble(programs.SORT)
    room = len(program.cells), len(program.instructions)
    steps_agree(GraphSubleqMachine(*room, n_bits=8, dtype="float32"), program)
    with pytest.raises(ValueError, match="float32 is exact only to"):
        GraphSubleqMachine(*room, n_bits=16, dtype="float32")
    with pytest.raises(ValueError, match="float32 separates at most 5485"):
        GraphSubleqMachine(4, 6000, n_bits=4, dtype="float32")


@pytest.mark.parametrize("evaluation", ["fast", "dense"])
def test_random_programs(evaluation):
    for seed in range(5):
        program = random_subleq(seed, 6, 9, 8)
        machine = GraphSubleqMachine(6, 9, n_bits=40)
        steps_agree(machine, program, evaluation=evaluation)


def test_triangles_of_a_graph():
    graph = (np.random.default_rng(1).random((6, 6)) < 0.5).astype(int)
    program = GraphSubleqMachine.assemble(programs.TRIANGLES).with_data(n=6)
    room = len(program.cells), len(program.instructions)
    machine = GraphSubleqMachine(*room, graph=graph)
    before = machine.transformer.fingerprint()
    result = machine.run(program, trace=True)
    assert result["count"] == np.trace(graph @ graph @ graph)
    assert result.trace["instruction"].str.startswith("edge").any()
    steps_agree(machine, program, graph)
    other = GraphSubleqMachine(*room, graph=np.ones((4, 4), int))
    assert other.run(program.with_data(n=4))["count"] == 64
    assert other.transformer.fingerprint() == before
    text = machine.disassemble(machine.load(program))
    assert machine.run(text).block("m1", 1) == [result["count"]]


def test_dense_and_fast_read_the_graph_alike():
    graph = np.random.default_rng(0).integers(-2, 5, (5, 5))
    machine = GraphSubleqMachine(8, 6, graph=graph)
    program = machine.assemble("x: .word 3\n y: .word 4\n z: .word 1\n edge x, y\n edge x, z")
    options = {"adjacency": machine.adjacency}
    dense, fast = (
        [
            s.clone()
            for s in machine.transformer.run(machine.load(program), 5, **options, evaluation=e)
        ]
        for e in ("dense", "fast")
    )
    assert all(torch.equal(a, b) for a, b in zip(dense, fast, strict=True))
    result = machine.run(program)
    assert (result["y"], result["z"]) == (graph[3, 4], graph[3, 1])


def test_width_does_not_grow():
    sizes = [(4, 4), (500, 300)]
    assert len({GraphSubleqMachine(*size).fields.width for size in sizes}) == 1
    assert len({len(GraphSubleqMachine(*size).block.layers) for size in sizes}) == 1


@pytest.mark.parametrize("number", [-1, 3, 300])
def test_a_number_of_no_node_is_a_fault(number):
    machine = GraphSubleqMachine(8, 6, graph=np.eye(3))
    program = machine.assemble(f"x: .word {number}\n y: .word 2\n edge x, y")
    fault = machine.run(program, on_fault="return").fault
    assert (fault.value, fault.step) == (number, 1)
    assert "numbers of nodes, from 0 to 2" in fault.reason


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (np.ones((2, 3)), "square matrix"),
        (np.ones((9, 9)), "at most 8 nodes"),
        ([[0.5]], "expected integers"),
        ([[1e9]], "expected integers"),
        ([[np.nan]], "expected integers"),
        (np.ma.masked_equal([[0, 5], [1, 0]], 5), "1 masked entries"),
    ],
)
def test_graphs_that_cells_cannot_hold(graph, message):
    with pytest.raises(ValueError, match=message):
        GraphSubleqMachine(8, 6, graph=graph)


def test_sizes_are_checked_before_they_are_used_and_may_be_those_of_numpy():
    for sizes, n_bits in (((8.0, 6), 16), ((0, 6), 16), (("8", 6), 16), ((8, 6), "16")):
        with pytest.raises(ValueError, match="expected an integer"):
            GraphSubleqMachine(*sizes, n_bits=n_bits)
    machine = GraphSubleqMachine(*np.array([8, 6]), n_bits=np.int64(16))
    assert machine.transformer.fingerprint() == GraphSubleqMachine(8, 6).transformer.fingerprint()


def test_edge_needs_a_graph():
    machine = GraphSubleqMachine(8, 6)
    with pytest.raises(ValueError, match="the machine has no graph"):
        machine.run("x: .word 0\n edge x, x")
