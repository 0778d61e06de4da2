import re

import pytest

from sklearn_looped import __main__ as program
from sklearn_looped.cli.languages import LANGUAGES
from sklearn_looped.programmed.machines.fleq_assembler import MACROS as FLEQ_MACROS
from sklearn_looped.programmed.machines.fleq_assembler import OPERATIONS
from sklearn_looped.programmed.machines.programs import MULTIPLY, linear_sgd
from sklearn_looped.programmed.machines.subleq_assembler import MACROS as SUBLEQ_MACROS


@pytest.fixture
def assembly(tmp_path):
    def write(text):
        path = tmp_path / "program.asm"
        path.write_text(text)
        return str(path)

    return write


def memory_of(out):
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("memory after"))
    return dict(line.split(maxsplit=1) for line in lines[start + 1 :])


def test_the_result_is_printed_by_label(assembly, capsys):
    program.main(["run-program", assembly(MULTIPLY)])
    out = capsys.readouterr().out
    assert out.startswith("memory after 13 loops")
    assert memory_of(out) == {"x": "0", "y": "3", "product": "6", "#0": "0", "#1": "1", "#-1": "-1"}


def test_a_trace_names_the_cells_of_every_instruction(assembly, capsys):
    program.main(["run-program", assembly("x: .word 5\n subleq #2, x"), "--trace"])
    header, step, *_ = capsys.readouterr().out.splitlines()
    assert header.split() == ["step", "pc", "line", "instruction", "reads", "writes", "flag"]
    assert step.split()[:2] == ["1", "0"]
    assert "#2=2, x=5" in step
    assert "x=3" in step


def test_vectors_and_pointers_of_fleq(assembly, capsys):
    text = linear_sgd(2).replace("n:       .word 0", "n:       .word 2")
    program.main(["run-program", assembly(text), "--machine", "fleq"])
    memory = memory_of(capsys.readouterr().out)
    assert memory["xs"] == "0 -> samples"


def test_a_picture_is_written(assembly, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="the picture is drawn with matplotlib")
    path = tmp_path / "trace.svg"
    program.main(["run-program", assembly(MULTIPLY), "--picture", str(path)])
    assert "<svg" in path.read_text()[:500]


def test_a_program_that_does_not_halt_ends_with_status_one(assembly, capsys):
    with pytest.raises(SystemExit) as ended:
        program.main(["run-program", assembly("loop: jump loop"), "--max-loops", "7"])
    assert ended.value.code == 1
    captured = capsys.readouterr()
    assert "has not halted after 7 loops; raise --max-loops" in captured.err
    assert "memory after 7 loops" in captured.out


@pytest.mark.parametrize("text", ["loop: jump loop", "x: .word 5 ; \x1b[31m red\x1b[0m\n jump a"])
def test_escape_codes_do_not_reach_the_terminal(tmp_path, capsys, text):
    path = tmp_path / "red\x1b[31m.asm"
    path.write_text(text)
    for name in (path, tmp_path / "none\x1b[31m.asm"):
        with pytest.raises(SystemExit):
            program.main(["run-program", str(name), "--max-loops", "3"])
        captured = capsys.readouterr()
        assert "\x1b" not in captured.out + captured.err
    assert r"none\x1b[31m.asm" in captured.err


def test_a_byte_order_mark_is_no_part_of_the_program(tmp_path, capsys):
    path = tmp_path / "mark.asm"
    path.write_bytes(b"\xef\xbb\xbfx: .word 5\n clear x")
    program.main(["run-program", str(path)])
    assert memory_of(capsys.readouterr().out)["x"] == "0"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("x: .word 1\n multiply x, x", [], "Line 2: got unknown opcode 'multiply'"),
        ("x: .word 40000\n subleq x, x", [], "declare more bits"),
        ("x: .word 1\n subleq x, x", ["--max-loops", "0"], "an integer of at least 1"),
        ("x: .word 1\n subleq x, x", ["--bits", "99"], "expected an integer from 2 to 62"),
    ],
)
def test_what_cannot_run_is_one_line(assembly, capsys, text, options, message):
    with pytest.raises(SystemExit) as ended:
        program.main(["run-program", assembly(text), *options])
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert message in captured.err.splitlines()[-1]
    assert not captured.out


def test_step_by_step(assembly, capsys, monkeypatch):
    commands = iter(["", "nowhere", "loop", "2", "c"])
    monkeypatch.setattr("builtins.input", lambda _: next(commands))
    text = "x: .word 3\n subleq #1, x\n loop: subleq #0, x, end\n subleq #1, x\n jump loop"
    program.main(["run-program", assembly(text), "--step"])
    out = capsys.readouterr().out
    heads = [line for line in out.splitlines() if line.startswith("after")]
    assert heads == [
        "after 0 steps; next is 0: subleq #1, x, line 2",
        "after 1 steps; next is 1 at loop: subleq #0, x, end, line 3",
        "after 4 steps; next is 1 at loop: subleq #0, x, end, line 3",
        "after 6 steps; next is 3: subleq #0, #0, loop, line 5",
        "after 8 steps; next is 4 at end: the end",
    ]
    assert "  * x    2" in out
    assert "Got 'nowhere'; the labels of instructions are loop, end." in out


def test_help_describes_both_languages(capsys):
    with pytest.raises(SystemExit):
        program.main(["run-program", "--help"])
    out = capsys.readouterr().out
    heads = re.findall(r"^\.macro (.*?) *(?:;.*)?$", SUBLEQ_MACROS + FLEQ_MACROS, re.M)
    shown = [re.split("   |$", line.strip())[0] for line in LANGUAGES.splitlines()]
    assert LANGUAGES in out
    assert set(heads) <= set(shown)
    operands = {operation: len(names) for operation, names in OPERATIONS.items()}
    assert operands.items() <= {(line.split()[0], line.count(",") + 1) for line in shown if line}
