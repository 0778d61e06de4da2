"""Programs of the SUBLEQ machine against plain Python, and its macros."""

import itertools

import numpy as np
import pytest
from subleq_runs import KINDS, fitting, run_both

from sklearn_looped.programmed.machines import programs
from sklearn_looped.programmed.machines.interpreter import interpret_subleq
from sklearn_looped.programmed.machines.subleq import assemble_subleq


@pytest.mark.parametrize(("x", "y"), [(0, 0), (2, 3), (-7, 3), (100, -250)])
def test_add(x, y):
    assert run_both(programs.ADD, x=x, y=y)["y"] == x + y


@pytest.mark.parametrize(("x", "y"), [(0, 9), (1, 0), (6, 7), (13, -11)])
def test_multiply(x, y):
    assert run_both(programs.MULTIPLY, x=x, y=y)["product"] == x * y


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (2, 2), (5, 120), (7, 5040)])
def test_factorial(n, expected):
    assert run_both(programs.FACTORIAL, n=n)["result"] == expected


def test_fibonacci():
    results = [run_both(programs.FIBONACCI, n=n)["a"] for n in range(13)]
    assert results == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144]


@pytest.mark.parametrize("x", [0, 1, 2, 3, 4, 8, 9, 15, 16, 50])
def test_square_root(x):
    assert run_both(programs.SQUARE_ROOT, x=x)["root"] == int(np.sqrt(x))


@pytest.mark.parametrize("values", [*itertools.permutations([1, 2, 3, 4])][::5])
def test_sort(values):
    assert run_both(programs.SORT, list=values).block("list", 4) == [1, 2, 3, 4]


@pytest.mark.parametrize("n_bits", [2, 3, 16])
@pytest.mark.parametrize("seed", range(4))
def test_sort_over_the_whole_range(n_bits, seed):
    half = 1 << (n_bits - 1)
    edges = np.unique([-half, 1 - half, -1, 0, 1, half - 2, half - 1]).tolist()
    values = np.random.default_rng(seed).choice(edges, size=4).tolist()
    program = assemble_subleq(programs.SORT).with_data(list=values)
    assert fitting(program, n_bits=n_bits).run(program).block("list", 4) == sorted(values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("move x, x", 5), ("add x, x", 10), ("clear x", 0), ("move #0, x", 0), ("subleq x, x", 0)],
)
@pytest.mark.parametrize("kind", KINDS)
def test_macros_take_one_operand_twice(text, expected, kind):
    result = kind(8, 12).run(f"x: .word 5\n {text}")
    assert (result["x"], result.halted) == (expected, True)
    assert "#0" not in result.labels or result["#0"] == 0


WORDS = [0, 1, 255, 65536, 2**31, 2**32 - 1, 4_000_000_007, 65_537]


@pytest.mark.parametrize("x", WORDS)
def test_integers_of_32_bits(x):
    for y in WORDS:
        quotient, rest = divmod(x, y) if y else (2**32 - 1, x)
        for text, expected in (
            (programs.WIDE_ADD, {"y": x + y}),
            (programs.WIDE_MULTIPLY, {"product": x * y}),
            (programs.WIDE_DIVIDE, {"x": quotient, "rest": rest}),
        ):
            words = {"x": list(x.to_bytes(4, "little")), "y": list(y.to_bytes(4, "little"))}
            program = assemble_subleq(text).with_data(**words)
            steps = interpret_subleq(program, 16)
            memory = next(memory for pc, memory in steps if pc == program.halt)
            for label, number in expected.items():
                cells = memory[program.labels[label] :][:4]
                assert int.from_bytes(bytes(cells), "little") == number % 2**32


def test_integers_of_32_bits_on_the_machine():
    words = {"x": list((99_999).to_bytes(4, "little")), "y": list((77_777).to_bytes(4, "little"))}
    product = run_both(programs.WIDE_MULTIPLY, **words).block("product", 4)
    assert int.from_bytes(bytes(product), "little") == 99_999 * 77_777 % 2**32


@pytest.mark.parametrize(
    ("text", "inputs", "outputs"),
    [
        (",[.,]", [3, 1, 2], [3, 1, 2, 0]),
        ("+++++[>+++[>++<-]<-]>>.", [], [30, 0, 0, 0]),
        (",>,<[>[>+>+<<-]>>[<<+>>-]<<<-]>>.", [2, 7], [14, 0, 0, 0]),
        ("[.]+.> a comment [[-]]<[>+<-]>.", [], [1, 1, 0, 0]),
    ],
)
def test_another_language_without_pointers(text, inputs, outputs):
    options = {"n_tape": 5, "n_outputs": 4}
    program = assemble_subleq(programs.subleq_brainfuck(text, inputs, **options))
    memory = next(memory for pc, memory in interpret_subleq(program) if pc == program.halt)
    start = program.labels["outputs"]
    assert memory[start : start + 4] == outputs


def test_another_language_on_the_machine():
    text = programs.subleq_brainfuck("++[>+<-]>.", n_tape=2, n_outputs=1)
    assert run_both(text).block("outputs", 1) == [2]
    with pytest.raises(ValueError, match="brackets do not match"):
        programs.subleq_brainfuck("[[]")
