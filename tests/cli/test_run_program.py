import pytest

from sklearn_looped import __main__ as program
from sklearn_looped.programmed.machines.programs import MULTIPLY, linear_sgd


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
