import numpy as np
import pandas as pd
import pytest

from sklearn_looped import __main__ as program
from sklearn_looped.cli import evaluate, tables


@pytest.fixture
def csv(tmp_path, rng):
    n = 60
    table = pd.DataFrame({"size": rng.normal(size=n), "kind": rng.choice(list("abc"), n)})
    table["price"] = 2 * table["size"] + (table["kind"] == "a") + 0.1 * rng.normal(size=n)
    table.loc[3, "size"] = np.nan
    path = tmp_path / "houses.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def drawn(monkeypatch):
    """The displays of pictures that were written."""
    pytest.importorskip("matplotlib", reason="pictures are drawn with matplotlib")
    displays = []
    plot = evaluate.LoopCurveDisplay.plot
    monkeypatch.setattr(
        evaluate.LoopCurveDisplay, "plot", lambda self, ax: displays.append(plot(self, ax))
    )
    return displays


def test_a_users_file_gives_a_table_a_curve_and_a_picture(csv, tmp_path, capsys, drawn):
    path = tmp_path / "new" / "loops.png"
    program.main(["evaluate", "--csv", str(csv), "--target", "price", "--picture", str(path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("houses.csv: 60 rows, 2 columns, 5 folds")
    scores = {line[:20].strip(): float(line[20:28]) for line in lines[2:7]}
    assert set(scores) == {"LoopedICLRegressor", "OLS", "LassoCV", "RidgeCV", "random forest"}
    assert scores["OLS"] > 0.9
    assert scores["LoopedICLRegressor"] > 0.8
    by_loop = [float(line.split()[1]) for line in lines[9:]]
    assert len(by_loop) == 8
    assert by_loop[-1] == scores["LoopedICLRegressor"]

    assert path.read_bytes().startswith(b"\x89PNG")
    [display] = drawn
    assert "price" in display.ax_.get_ylabel()
    assert display.scores.shape == (8, 5)
    problem = tables.from_csv(csv, "price")
    train, test = problem.splits[1]
    model = evaluate.LoopedICLRegressor(random_state=0).fit(problem.X.iloc[train], problem.y[train])
    errors = [
        np.sqrt(np.mean((problem.y[test] - stage) ** 2))
        for stage in model.staged_predict(problem.X.iloc[test])
    ]
    np.testing.assert_allclose(display.scores[:, 1], errors, rtol=1e-6)


def error_of(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        program.main([str(argument) for argument in arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_a_missing_target_lists_the_columns(csv, capsys):
    message = error_of(["--csv", csv, "--target", "cost"], capsys)
    assert "no column 'cost'; its columns are size, kind, price" in message


def test_a_nominal_target_is_refused(csv, capsys):
    message = error_of(["--csv", csv, "--target", "kind"], capsys)
    assert "a regression target must be numbers" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty, but a header and at least 10 rows are needed"),
        ("x,y\n", "must be numbers"),
        ("x,y\n1,2\n3,4\n", "has 2 rows with a target, but at least 10 are needed"),
        ("y\n" + "1\n2\n" * 10, "has no column but 'y'"),
        ("x,y\n1,2\n3,4,5,6\n", "no CSV file that pandas can read"),
    ],
)
def test_files_that_cannot_serve_are_refused(tmp_path, capsys, content, message):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    assert message in error_of(["--csv", path, "--target", "y"], capsys)


def test_a_file_that_is_not_there_is_refused(tmp_path, capsys):
    message = error_of(["--csv", tmp_path / "none.csv", "--target", "y"], capsys)
    assert "No such file" in message


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
def test_wrong_arguments_end_with_status_two(arguments, capsys):
    assert "error:" in error_of(arguments, capsys)


@pytest.mark.parametrize("command", [[], ["demo"], ["evaluate"], ["train"], ["run-program"]])
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as ended:
        program.main([*command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert f"python -m sklearn_looped {command[0] if command else 'COMMAND --help'}" in text
    assert "examples:" in text or not command


@pytest.fixture
def asked(monkeypatch):
    """What was asked to be evaluated: problem and picture."""
    calls = []
    monkeypatch.setattr(evaluate, "_report", lambda *arguments: calls.append(arguments))
    return calls


@pytest.mark.parametrize("arguments", [[], ["demo"]])
def test_without_a_command_the_demo_runs(arguments, asked):
    program.main(arguments)
    [(problem, picture)] = asked
    assert (problem.name, problem.X.shape, picture) == ("diabetes", (442, 10), None)


def test_options_without_a_command_are_those_of_evaluate(csv, asked):
    program.main(["--csv", str(csv), "--target", "price"])
    [(problem, _)] = asked
    assert (problem.name, problem.target) == ("houses.csv", "price")


def test_a_picture_without_matplotlib_is_refused_before_work(csv, monkeypatch, capsys):
    monkeypatch.setattr("sklearn_looped.cli.arguments.find_spec", lambda name: None)
    message = error_of(
        ["evaluate", "--csv", csv, "--target", "price", "--picture", "a.png"], capsys
    )
    assert "a picture needs matplotlib: pip install matplotlib" in message


def test_an_openml_task_is_read_with_its_splits(monkeypatch):
    import openml

    class Dataset:
        name = "toy"

        def get_data(self, target):
            X = pd.DataFrame({"a": np.arange(20.0), "b": pd.Categorical(list("xy") * 10)})
            return X, pd.Series(np.arange(20.0), name=target), [False, True], ["a", "b"]

    class Task:
        target_name = "y"

        def get_dataset(self):
            return Dataset()

        def get_split_dimensions(self):
            return 1, 10, 1

        def get_train_test_split_indices(self, fold):
            test = np.arange(2 * fold, 2 * fold + 2)
            return np.setdiff1d(np.arange(20), test), test

    monkeypatch.setattr(openml.tasks, "get_task", lambda *a, **k: Task())
    problem = tables.from_openml(7)
    assert problem.name == "toy"
    assert len(problem.splits) == 5
    assert problem.splits[1][1].tolist() == [2, 3]


def test_an_openml_task_that_cannot_be_had_is_one_line(monkeypatch, capsys):
    import openml

    def unreachable(*args, **kwargs):
        raise openml.exceptions.OpenMLServerException("no such task")

    monkeypatch.setattr(openml.tasks, "get_task", unreachable)
    assert "OpenML task 7 could not be had" in error_of(["--openml-task", 7], capsys)


@pytest.mark.openml
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # openml's own
def test_a_real_openml_task_runs_from_an_offline_cache(offline_openml, capsys):
    with offline_openml(560, 4727):
        program.main(["--openml-task", "4727"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("bodyfat: 252 rows, 14 columns, 5 folds")
    assert float(lines[2][20:28]) > 0.7
