import subprocess
import sys
import types

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from sklearn_looped import LoopedICLRegressor
from sklearn_looped import __main__ as program
from sklearn_looped.cli import arguments, evaluate, models, tables
from sklearn_looped.cli.arguments import CsvFormat
from sklearn_looped.learned.inference.columns import kind_of
from sklearn_looped.learned.priors import PRIORS


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


def table_of(out):
    """Scores by model, and by loop, from what `evaluate` prints."""
    lines = out.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("model ")) + 1
    last = lines.index("", first)
    scores = {line[:20].strip(): float(line[20:29]) for line in lines[first:last]}
    return scores, [float(line.split()[1]) for line in lines[last + 2 :]]


def test_a_users_file_gives_a_table_a_curve_and_a_picture(csv, tmp_path, capsys, drawn):
    path = tmp_path / "new" / "loops.png"
    names = ["OLS", "boosting"]
    program.main(["evaluate", "--csv", str(csv), "--target", "price", "--picture", str(path),
                  "--baselines", *names])  # fmt: skip
    out = capsys.readouterr().out
    assert out.startswith("houses.csv: regression of price, 60 rows, 2 columns, 5 folds, ")
    assert "1 read as number: size\n1 read as nominal: kind\n" in out
    scores, by_loop = table_of(out)
    assert [*scores] == ["LoopedICLRegressor", *names]
    assert scores["OLS"] > 0.9
    assert scores["LoopedICLRegressor"] > 0.8
    assert len(by_loop) == 6
    assert by_loop[-1] == scores["LoopedICLRegressor"]

    assert path.read_bytes().startswith(b"\x89PNG")
    [display] = drawn
    assert "price" in display.ax_.get_ylabel()
    assert display.scores.shape == (6, 5)
    problem = tables.from_csv(csv, "price")
    train, test = problem.splits[1]
    model = LoopedICLRegressor(random_state=0).fit(problem.X.iloc[train], problem.y[train])
    errors = [
        np.sqrt(np.mean((problem.y[test] - stage) ** 2))
        for stage in model.staged_predict(problem.X.iloc[test])
    ]
    np.testing.assert_allclose(display.scores[:, 1], errors, rtol=1e-6)


def test_labels_are_classified_beside_baselines_of_their_own(csv, capsys):
    program.main(["--csv", str(csv), "--target", "kind", "--folds", "2", "--baselines", "boosting",
                  "LogisticRegression"])  # fmt: skip
    out = capsys.readouterr().out
    assert out.startswith("houses.csv: classification of kind, 60 rows, 2 columns, 2 folds, ")
    scores, by_loop = table_of(out)
    assert [*scores] == ["LoopedICLClassifier", "boosting", "LogisticRegression"]
    assert all(0 <= score <= 1 for score in [*scores.values(), *by_loop])


@pytest.mark.parametrize("kind", ["f", "O"])
def test_of_large_tables_each_fold_uses_some_rows_and_says_so(kind, rng):
    y = rng.integers(0, 4, 1000).astype(float)
    y = y if kind == "f" else y.astype(str).astype(object)
    problem = tables.Problem("big", "y", pd.DataFrame({"x": y}), y, tables._folds(y))
    assert tables.thinned(problem, 1000) is problem
    with pytest.warns(UserWarning, match="100 of 1000 rows, .*--max-rows 1000 uses all"):
        thinned = tables.thinned(problem, 100)
    for (train, test), whole in zip(thinned.splits, problem.splits, strict=True):
        assert (len(train), len(test)) == (80, 20)
        assert set(train) <= set(whole[0])
        assert set(test) <= set(whole[1])
        assert set(y[train]) == set(y)
    assert "5 folds of 100 rows, " in evaluate._headline(thinned, 1)


def test_every_baseline_takes_a_messy_table(rng):
    n = 40
    X = pd.DataFrame(
        {
            "id": np.arange(n),
            "when": pd.date_range("2024", periods=n).astype(str),
            "soil": rng.choice(["clay", "sand", None], n),
            "size": [None if i % 5 == 0 else str(i) for i in range(n)],
            "nothing": [None] * n,
        }
    )
    y = rng.normal(size=n)
    for task, target in (("regression", y), ("classification", np.where(y > 0, "a", "b"))):
        for model in models.baselines(task, None).values():
            table = models.for_baselines(X)
            assert len(model.fit(table[:30], target[:30]).predict(table[30:])) == 10
    with pytest.raises(ValueError, match="OLS is not a baseline for classification"):
        models.baselines("classification", ["OLS"])


def error_of(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        program.main([str(argument) for argument in arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_lightgbm_joins_the_baselines_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="LightGBM is not installed: pip install lightgbm"):
        models.baselines("regression", ["LightGBM"])
    assert "LightGBM" not in models.baselines("classification", None)
    made = []

    class Boosting(HistGradientBoostingRegressor):
        def __init__(self, random_state=None, verbose=0):
            made.append((random_state, verbose))
            super().__init__(max_iter=3, random_state=random_state)

    stub = types.SimpleNamespace(LGBMRegressor=Boosting, LGBMClassifier=None)
    monkeypatch.setitem(sys.modules, "lightgbm", stub)
    monkeypatch.setattr(models, "find_spec", lambda name: name)
    assert "LightGBM" in models.baselines("regression", None)
    model = models.baselines("regression", ["LightGBM"])["LightGBM"]
    X = models.for_baselines(pd.DataFrame({"a": [*range(40)], "b": ["x", "y"] * 20}))
    assert model.fit(X, X["a"]).score(X, X["a"]) > 0
    assert set(made) == {(0, -1)}


def test_a_missing_target_lists_the_columns(csv, capsys):
    message = error_of(["--csv", csv, "--target", "cost"], capsys)
    assert "no column 'cost'; its columns are size, kind, price" in message


def test_a_nominal_target_is_no_regression(csv, capsys):
    message = error_of(["--csv", csv, "--target", "kind", "--task", "regression"], capsys)
    assert "a regression target must be numbers" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty, but expected a header and at least 10 rows"),
        ("x,y\n", "has 0 rows with a target, but expected at least 10"),
        ("x,y\n1,2\n3,4\n", "has 2 rows with a target, but expected at least 10"),
        ("y\n" + "1\n2\n" * 10, "has no column but 'y'"),
        ("x,y\n1,2\n3,4,5,6\n", "Line 3 of"),
        ("x,y\n1,2\n3,4,5,6\n", "has 4 fields, but the header has 2 (more; read with ','"),
        ("x,y\n" + "1,2\n" * 11 + "3\n", "Line 13 of"),
        ('x,y\n"a\nb",2\n3,4,\n', "Line 4 of"),
        ("x,y\n" + "1,2,\n" * 12, "Line 2 of"),
        ("x,y,x\n1,2,3\n", "has several columns named 'x'"),
        ("x,y\n" + "1,a\n" * 12, "only one label, 'a'"),
        ("x,y\n" + "1,a\n" * 12 + "1,b\n", "label 'b' occurs in only one row"),
        ("x,y\n" + "\n".join(f"1,u{i}" for i in range(12)), "is not a column of labels"),
        ("x,y\n" + "\n".join(f"1,${i}.50" for i in range(12)), "not read, such as '$0.50'"),
        ("x,y\n" + "\n".join(f"1,2024-01-{i}" for i in range(10, 22)), "it was read as date"),
        ("x,y\n" + "1,\0\n" * 12, "contains zero bytes, so it is no text file"),
    ],
)
def test_files_that_cannot_serve_are_refused(tmp_path, capsys, content, message):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    error = error_of(["--csv", path, "--target", "y"], capsys)
    assert message in error
    assert len(error.splitlines()) == 1


def test_codes_keep_their_zeros_and_a_header_of_numbers_is_said(tmp_path):
    path = tmp_path / "codes.csv"
    path.write_text("code,y\n" + "\n".join(f"00{i % 3},{i}" for i in range(12)))
    X, _ = tables.read_csv(path, "y")
    assert X["code"].tolist() == ["000", "001", "002"] * 4
    path.write_text("\n".join(f"{i},{i + 1}" for i in range(12)))
    with pytest.warns(UserWarning, match="is its first line a row of the table"):
        assert tables.read_csv(path, "1")[0].shape == (11, 1)


def test_a_stop_from_the_keyboard_is_one_line(csv, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("sklearn_looped.cli.evaluate.report", stop)
    with pytest.raises(SystemExit) as ended:
        program.main(["--csv", str(csv), "--target", "price"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "python -m sklearn_looped evaluate: interrupted\n"


def test_an_error_without_a_message_is_one_line(csv, capsys, monkeypatch):
    def run_out(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr("sklearn_looped.cli.evaluate.report", run_out)
    assert "error: MemoryError" in error_of(["--csv", csv, "--target", "price"], capsys)


def test_separator_encoding_and_decimal_comma_are_found(tmp_path):
    rows = [f"{i},5;Köln;31.12.20{i};1.0{i},25" for i in range(10, 40)]
    path = tmp_path / "german.csv"
    path.write_text("\n".join(["Fläche;Ort;Tag;Preis", *rows, "1,0;Süd;01.01.2020;"]), "latin-1")
    with pytest.warns(UserWarning, match="cp1252|decimal comma|of 31 rows") as caught:
        X, y = tables.read_csv(path, "Preis")
    said = " ".join(str(each.message) for each in caught)
    assert "read as cp1252" in said
    assert "decimal comma" in said
    assert "1 of 31 rows" in said
    assert X["Fläche"].tolist() == [i + 0.5 for i in range(10, 40)]
    assert y.tolist() == [1000 + i + 0.25 for i in range(10, 40)]
    assert kind_of(X["Tag"]) == "date"
    form = CsvFormat(";", "latin-1", ("Ort",))
    with pytest.warns(UserWarning, match="decimal comma|of 31 rows"):
        assert list(tables.read_csv(path, "Preis", None, form)[0]) == ["Fläche", "Tag"]


@pytest.mark.parametrize(
    ("cells", "task", "kind"),
    [
        (["1", "2", "3"] * 5, None, "f"),
        (["1", "2", "3"] * 5, "classification", "O"),
        (["0", "1", "1"] * 5, None, "O"),
        (["0", "1", "1"] * 5, "regression", "f"),
        (["True", "False", "True"] * 5, None, "O"),
        (["a", "b", "b"] * 5, None, "O"),
    ],
)
def test_the_task_is_found_from_the_column_or_said(tmp_path, cells, task, kind):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "\n".join(f"{i},{cell}" for i, cell in enumerate(cells)))
    y = tables.read_csv(path, "y", task)[1]
    assert y.dtype.kind == kind
    assert set(map(str, y)) == ({cell + ".0" for cell in cells} if kind == "f" else set(cells))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--drop", "cost"], "no column 'cost'"),
        (["--drop", "price"], "is the target; remove it from --drop"),
        (["--sep", ";;"], "expected one character"),
        (["--encoding", "klingon"], "unknown encoding: klingon"),
        (["--folds", "1"], "expected an integer of at least 2"),
        (["--folds", "31"], "too few for 31 folds"),
        (["--baselines", "magic"], "invalid choice: 'magic'"),
        (["--baselines", "LogisticRegression"], "is not a baseline for regression"),
        (["--weights", "none.safetensors"], "there is no such file"),
        (["--weights", "tabular-classifier"], "are those of a classifier"),
    ],
)
def test_options_that_do_not_fit_the_file_are_refused(csv, capsys, arguments, message):
    assert message in error_of(["--csv", csv, "--target", "price", *arguments], capsys)


@pytest.mark.filterwarnings("default")
def test_a_note_is_written_once_and_no_control_code_at_all(csv, capsys):
    table = pd.read_csv(csv).assign(tag=[f"t{i}" for i in range(60)])
    table = table.rename(columns={"size": "si\x1b[31mze"})
    table.loc[5, "price"] = np.nan
    table.to_csv(csv, index=False)
    program.main(["--csv", str(csv), "--target", "price", "--folds", "2", "--baselines"])
    out, err = capsys.readouterr()
    assert r"1 read as number: si\x1b[31mze" in out
    assert "\x1b" not in out + err
    assert err.count("note: 1 of 60 rows") == 1
    assert err.count("note: Columns left out: 'tag'") == 1


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
    assert "OpenML task 7 is not available" in error_of(["--openml-task", 7], capsys)


@pytest.mark.openml
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # openml's own
def test_a_real_openml_task_runs_from_an_offline_cache(offline_openml, capsys):
    with offline_openml(560, 4727):
        program.main(["--openml-task", "4727"])
    out = capsys.readouterr().out
    assert out.startswith("bodyfat: regression of class, 252 rows, 14 columns, 5 folds")
    assert table_of(out)[0]["LoopedICLRegressor"] > 0.7
