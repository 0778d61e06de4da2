"""The command `evaluate`: tables, baselines, options, notes and OpenML tasks."""

import sys
import types

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from sklearn_looped import LoopedICLRegressor
from sklearn_looped import __main__ as program
from sklearn_looped.cli import evaluate, models, tables


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
def test_options_that_do_not_fit_the_file_are_refused(csv, error_of, arguments, message):
    assert message in error_of(["--csv", csv, "--target", "price", *arguments])


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


def test_a_picture_without_matplotlib_is_refused_before_work(csv, monkeypatch, error_of):
    monkeypatch.setattr("sklearn_looped.cli.arguments.find_spec", lambda name: None)
    message = error_of(["evaluate", "--csv", csv, "--target", "price", "--picture", "a.png"])
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


def test_an_openml_task_that_cannot_be_had_is_one_line(monkeypatch, error_of):
    import openml

    def unreachable(*args, **kwargs):
        raise openml.exceptions.OpenMLServerException("no such task")

    monkeypatch.setattr(openml.tasks, "get_task", unreachable)
    assert "OpenML task 7 is not available" in error_of(["--openml-task", 7])


@pytest.mark.openml
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # openml's own
def test_a_real_openml_task_runs_from_an_offline_cache(offline_openml, capsys):
    with offline_openml(560, 4727):
        program.main(["--openml-task", "4727"])
    out = capsys.readouterr().out
    assert out.startswith("bodyfat: regression of class, 252 rows, 14 columns, 5 folds")
    assert table_of(out)[0]["LoopedICLRegressor"] > 0.7
