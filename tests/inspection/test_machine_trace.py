from itertools import islice

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from sklearn_looped import FleqMachine, SubleqMachine
from sklearn_looped.inspection import MachineTraceDisplay
from sklearn_looped.programmed.machines.interpreter import interpret_fleq, interpret_subleq
from sklearn_looped.programmed.machines.programs import MULTIPLY, linear_sgd


@pytest.fixture
def subleq():
    return SubleqMachine(n_memory=8, n_instructions=8)


def test_memory_and_counter_are_those_of_the_interpreter(subleq, axes):
    program = subleq.assemble(MULTIPLY)
    ax = axes(2)
    display = MachineTraceDisplay.from_machine(subleq, program, ax=ax)
    assert display.counter_ax_ is ax[0]
    assert display.ax_ is ax[1]
    n_steps = len(display.counter)
    steps = [(pc, list(memory)) for pc, memory in islice(interpret_subleq(program, 16), n_steps)]
    memory = np.array([program.cells, *(memory for _, memory in steps)])
    counter = [0, *(pc for pc, _ in steps[:-1])]
    np.testing.assert_array_equal(display.memory, memory)
    np.testing.assert_array_equal(display.counter, counter)
    np.testing.assert_array_equal(display.image_.get_array(), memory.T)
    np.testing.assert_array_equal(display.counter_line_.get_ydata(), counter)
    assert display.cell_names == ["x", "y", "product", "#0", "#1", "#-1"]
    numbers = {t.get_position(): t.get_text() for t in display.ax_.texts}
    assert len(numbers) == 6 + n_steps
    for step, address in enumerate(display.written, 1):
        assert numbers[step, address] == str(memory[step, address])


@pytest.mark.parametrize("entry", [0, 1])
def test_an_entry_of_vectors_is_that_of_the_interpreter(entry):
    machine = FleqMachine(n_memory=24, n_instructions=24, n_entries=2)
    data = {"samples": [(1.0, 0.5), (0.0, 1.0)], "targets": [3.0, 5.0], "n": 2, "rate": 0.25}
    program = machine.assemble(linear_sgd(2)).with_data(**data)
    display = MachineTraceDisplay.from_machine(machine, program, entry=entry)
    twin = islice(interpret_fleq(program, 2), len(display.counter))
    expected = [[cell.values[entry] for cell in memory] for _, memory in twin]
    np.testing.assert_array_equal(display.memory[1:], expected)
    assert "samples+1" in display.cell_names
    whole = MachineTraceDisplay.from_machine(machine, program)
    expected = np.array([[cell.values for cell in memory] for _, memory in
                         islice(interpret_fleq(program, 2), len(display.counter))])  # fmt: skip
    shown = np.arange(2) < whole.entries[:, None]
    np.testing.assert_array_equal(whole.memory[1:], expected[:, shown])
    assert not expected[:, ~shown].any()  # what has no row is always 0
    assert whole.entries[program.labels["samples"]] == 2
    assert whole.entries[program.labels["n"]] == 1
    labels = [label.get_text() for label in whole.ax_.get_yticklabels()]
    assert labels == whole.cell_names


def test_a_long_run_has_marks_in_place_of_numbers(subleq):
    program = subleq.assemble(MULTIPLY).with_data(x=6, y=7)
    display = MachineTraceDisplay.from_trace(subleq.run(program, trace=True).trace, program)
    assert not display.ax_.texts
    [marks] = display.ax_.lines
    np.testing.assert_array_equal(marks.get_ydata(), display.written)
    assert display.memory[-1, 2] == 42


def test_a_single_instruction_has_a_whole_axis(subleq):
    display = MachineTraceDisplay.from_machine(subleq, "x: .word 5\n clear x")
    assert display.counter_ax_.get_ylim() == (-0.5, 0.5)
    assert all(float(tick).is_integer() for tick in display.counter_ax_.get_yticks())
    assert len(display.ax_.texts) == 4  # three cells before, one number after


def test_numbers_too_long_for_the_picture_have_marks_in_their_place(axes):
    machine = SubleqMachine(8, 12, n_bits=48)
    program = machine.assemble(MULTIPLY).with_data(x=3, y=10**13)
    trace = machine.run(program, trace=True).trace
    assert not MachineTraceDisplay.from_trace(trace, program, ax=axes(2)).ax_.texts


def test_small_numbers_have_colours_of_their_own_and_vectors_name_their_entry():
    machine = FleqMachine(n_memory=8, n_instructions=4, n_entries=2)
    text = "x: .vector 0.001 0.002\n y: .vector 0 0.004\n add x, y, y"
    display = MachineTraceDisplay.from_machine(machine, text, entry=0)
    assert display.colorbar_.ax.get_ylabel() == "Contents, entry 0 of 0 to 1"
    norm = (
        MachineTraceDisplay(memory=[[0.001, 0.002], [0.001, 0.004]], counter=[0], written=[1])
        .plot()
        .image_.norm
    )
    assert norm(0.004) - norm(0.001) == 1


@pytest.mark.parametrize(("step", "layer"), [(1, 0), (2, 1), (4, 0)])
def test_attention_is_what_the_layer_computes(subleq, step, layer):
    program = subleq.assemble(MULTIPLY)
    display = MachineTraceDisplay.from_machine(subleq, program).plot_attention(
        step=step, layer=layer
    )
    state = subleq.load(program)
    for _ in range(step - 1):
        state = subleq.transformer(state)
    for earlier in subleq.transformer.layers[:layer]:
        state = earlier(state)
    heads = subleq.transformer.layers[layer].heads
    assert len(heads) == len(display.attention_) == len(display.attention_images_)
    for head, weights, image in zip(
        heads, display.attention_, display.attention_images_, strict=True
    ):
        rows = subleq.tokens.index(*head.rows)
        assert_close(torch.tensor(weights) @ head.Wv(state), head(state)[rows], rtol=0, atol=0)
        np.testing.assert_array_equal(weights.sum(axis=1), 1)
        np.testing.assert_array_equal(image.get_array(), weights)


def test_the_fetch_attends_to_the_instruction_of_the_step(subleq):
    display = MachineTraceDisplay.from_machine(subleq, MULTIPLY)
    for step, number in enumerate(display.counter[:4], 1):
        display.plot_attention(step=step)
        [fetched] = display.attention_[1].argmax(axis=1)
        assert fetched == subleq.tokens["program"].start + number


def test_wrong_arguments_are_refused(subleq, axes):
    program = subleq.assemble(MULTIPLY)
    with pytest.raises(TypeError, match="Got str, but expected a SubleqMachine or a FleqMachine"):
        MachineTraceDisplay.from_machine("subleq", program)
    with pytest.raises(ValueError, match="Run a program of at least one instruction"):
        MachineTraceDisplay.from_trace(subleq.run(program).trace, program)
    with pytest.raises(ValueError, match="at least one instruction"):
        MachineTraceDisplay.from_machine(subleq, "x: .word 1")
    with pytest.raises(ValueError, match="entry == 1, must be <= 0"):
        MachineTraceDisplay.from_machine(subleq, program, entry=1)
    with pytest.raises(ValueError, match="Got 1 Axes, but expected two"):
        MachineTraceDisplay.from_machine(subleq, program, ax=axes())
    display = MachineTraceDisplay.from_machine(subleq, program)
    with pytest.raises(ValueError, match="step == 14, must be <= 13"):
        display.plot_attention(step=14)
    with pytest.raises(ValueError, match="layer == 2, must be <= 1"):
        display.plot_attention(layer=2)
    with pytest.raises(ValueError, match="Got 1 Axes, but the layer has 2 heads"):
        display.plot_attention(ax=axes())
    trace = subleq.run(program, trace=True).trace
    with pytest.raises(ValueError, match="Create it with from_machine"):
        MachineTraceDisplay.from_trace(trace, program).plot_attention()
    with pytest.raises(ValueError, match="expected memory of shape"):
        MachineTraceDisplay(memory=[[1]], counter=[0], written=[0])
    with pytest.raises(ValueError, match="Got 3 entries of cells for 2 rows"):
        MachineTraceDisplay(memory=[[1, 2]], counter=[], written=[], entries=[1, 2])
    with pytest.raises(ValueError, match="Got 1 names for 2 cells"):
        MachineTraceDisplay(memory=[[1, 2]], counter=[], written=[], cell_names=["x"])


def test_without_matplotlib_nothing_runs(no_matplotlib):
    with pytest.raises(ImportError, match=r"MachineTraceDisplay\.from_machine requires matplotlib"):
        MachineTraceDisplay.from_machine(None, MULTIPLY)
