"""The command line: commands, help and wrong arguments."""

import subprocess
import sys

import pytest

from sklearn_looped import __main__ as program
from sklearn_looped.cli import arguments, evaluate
from sklearn_looped.learned.priors import PRIORS


def test_a_stop_from_the_keyboard_is_one_line(csv, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("sklearn_looped.cli.evaluate.report", stop)
    with pytest.raises(SystemExit) as ended:
        program.main(["--csv", str(csv), "--target", "price"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "python -m sklearn_looped evaluate: interrupted\n"


def test_an_error_without_a_message_is_one_line(csv, error_of, monkeypatch):
    def run_out(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr("sklearn_looped.cli.evaluate.report", run_out)
    assert "error: MemoryError" in error_of(["--csv", csv, "--target", "price"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--csv", "x.csv"],
        ["--target", "y"],
        ["--openml-task", "abc"],
        ["--loops"],
        ["evaluate"],
        ["demo", "--csv", "x.csv"],
        ["evaluate", "--openml-task", "7", "--picture", "loops.doc"],
        ["fit"],
        ["train", "w.safetensors"],
        ["run-program"],
    ],
)
def test_wrong_arguments_end_with_status_two(arguments, error_of):
    assert "error:" in error_of(arguments)


@pytest.mark.parametrize("command", [[], ["demo"], ["evaluate"], ["train"], ["run-program"]])
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as ended:
        program.main([*command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert f"python -m sklearn_looped {command[0] if command else 'COMMAND --help'}" in text
    assert "examples:" in text or not command


def test_help_and_mistyped_arguments_wait_for_no_heavy_import(tmp_path):
    mistyped = [
        ["--help"], ["train", "--help"], ["fit"], ["evaluate"], ["evaluate", "--csv", "none.csv"],
        ["evaluate", "--csv", __file__], ["run-program", "none.asm"],
        ["train", str(tmp_path / "w"), "--prior", "sines"],
        ["train", str(tmp_path / "w"), "--prior", "linear", "--drop", "x"],
        ["train", str(tmp_path / "w"), "--table", "none.csv", "y"],
    ]  # fmt: skip
    code = f"""
import sys
from sklearn_looped.__main__ import main
for argv in {mistyped!r}:
    try:
        main(argv)
    except SystemExit:
        continue
    raise AssertionError(argv)
heavy = {{"torch", "sklearn", "pandas", "numpy", "scipy", "skorch", "openml", "matplotlib"}}
sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_the_priors_of_train_are_those_there_are():
    assert set(arguments.PRIORS) == set(PRIORS)


@pytest.fixture
def asked(monkeypatch):
    """What was asked to be evaluated: problem and picture."""
    calls = []
    monkeypatch.setattr(evaluate, "report", lambda *arguments: calls.append(arguments))
    return calls


@pytest.mark.parametrize("arguments", [[], ["demo"]])
def test_without_a_command_the_demo_runs(arguments, asked):
    program.main(arguments)
    [(problem, picture)] = asked
    assert (problem.name, problem.X.shape, picture) == ("diabetes", (442, 10), None)


def test_options_without_a_command_are_those_of_evaluate(csv, asked):
    program.main(["--csv", str(csv), "--target", "price"])
    [(problem, *_)] = asked
    assert (problem.name, problem.target) == ("houses.csv", "price")
