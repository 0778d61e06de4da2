"""Properties of the assemblers, and texts that they must not take silently."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_programs import random_subleq

from sklearn_looped import FleqMachine, SubleqMachine
from sklearn_looped.programmed.machines.fleq_assembler import assemble_fleq, write_fleq
from sklearn_looped.programmed.machines.interpreter import interpret_subleq
from sklearn_looped.programmed.machines.subleq_assembler import (
    Instruction,
    assemble_subleq,
    write_subleq,
)

SEEDS = st.integers(0, 2**16)


@given(SEEDS, st.integers(2, 12), st.integers(2, 12))
def test_disassembled_programs_assemble_to_themselves(seed, n_memory, n_instructions):
    *code, _ = random_subleq(seed, n_memory, n_instructions, 8).instructions
    cells = (*range(n_memory), 0, -1)
    end = Instruction(n_memory, n_memory + 1, n_instructions - 1)
    again = assemble_subleq(write_subleq([*code, end], cells))
    assert (again.instructions, again.cells) == ((*code, end), cells)


@given(SEEDS, st.integers(2, 12), st.integers(3, 16), st.integers(2, 16), st.booleans())
def test_subleq_machines_of_any_size_equal_the_interpreter(seed, memory, code, n_bits, wide):
    machine = SubleqMachine(memory, code, n_bits=n_bits, dtype="float64" if wide else "float32")
    program = random_subleq(seed, memory, code, n_bits)
    steps = interpret_subleq(program, n_bits)
    for state in machine.transformer.run(machine.load(program), 20, evaluation="fast"):
        assert (machine.pc(state), machine.cells(machine.settle(state))) == next(steps)


@pytest.mark.parametrize("assemble", [assemble_subleq, assemble_fleq])
@pytest.mark.parametrize("text", ["! add x, y", ", x", "x: = 5", "loop: + 1"])
def test_operands_without_an_operation_are_refused(assemble, text):
    with pytest.raises(ValueError, match=r"Line 2: got .* expected 'label: operation operands'"):
        assemble("y: .word 1\n" + text)


def test_offsets_of_thousands_of_digits_are_refused_with_the_line():
    with pytest.raises(ValueError, match=r"Line 2: label .* names no cell"):
        assemble_subleq(f"x: .word 1\n clear x+{'9' * 5000}")


def test_macros_that_multiply_are_stopped():
    lines = [".macro m0", "clear #0", ".end"]
    for i in range(1, 15):
        lines += [f".macro m{i}", *[f"m{i - 1}"] * 10, ".end"]
    with pytest.raises(ValueError, match="macros more than 100000 times"):
        assemble_subleq("\n".join([*lines, "m14"]))


def test_cells_beyond_the_range_of_float32_are_refused():
    assert FleqMachine(4, 4).run("x: .word 1e300")["x"].values == (1e300,)
    with pytest.raises(ValueError, match=r"\(1e\+300,\) in cell 0, .* finite numbers of .*float32"):
        FleqMachine(4, 4, dtype="float32").run("x: .word 1e300")


def test_round_trip_of_fleq_data():
    text = "x: .vector 1 -2.5\n p: .pointer x 3 4\n load p, x\n store x, p, x, end"
    program = assemble_fleq(text)
    again = assemble_fleq(write_fleq(program.instructions, program.cells))
    assert (again.instructions, again.cells) == (program.instructions, program.cells)


ODD = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1b", "\x07", "\u202e", "\u200b"]


@pytest.mark.parametrize("character", ODD)
def test_only_line_ends_end_a_comment(character):
    program = assemble_subleq(
        f"x: .word 5 ; harmless{character} clear x\r\n\ty: .word 6\r add x, y"
    )
    assert (program.labels["y"], len(program.instructions)) == (1, 4)
    assert assemble_fleq(f"x: .word 5 ; harmless{character} move #0, x").halt == 0


@pytest.mark.parametrize("assemble", [assemble_subleq, assemble_fleq])
@pytest.mark.parametrize("character", ODD)
def test_control_characters_outside_of_comments_are_refused_and_not_shown(assemble, character):
    with pytest.raises(ValueError, match=r"Line 2: got the character .* remove it") as error:
        assemble(f"x: .word 5\n y{character}: .word 6")
    assert str(error.value).isascii()
    assert str(error.value).isprintable()
