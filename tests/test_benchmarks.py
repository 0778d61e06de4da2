"""Benchmarks import and read what earlier runs wrote: hours of running are no place to notice."""

import importlib
import json
import pkgutil
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import benchmarks
from benchmarks import programmed_speed, universal
from benchmarks import rows as many_rows
from benchmarks.__main__ import main, parse, parser_of
from benchmarks.common import report
from benchmarks.common.openml_tasks import quiet, store
from benchmarks.common.options import as_typed
from benchmarks.common.report import RESULTS, Store, on_shared_folds
from benchmarks.common.weights import checkpoint
from benchmarks.openml_regression import sign_test
from benchmarks.parity_cases.case import Case, compare, difference
from benchmarks.registry import TIMES, question
from sklearn_looped import LoopedICLClassifier, UniversalMachine

DOCS = Path(__file__).parents[1] / "docs"
MODULES = sorted(info.name for info in pkgutil.walk_packages(benchmarks.__path__, "benchmarks."))


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports_and_is_registered_if_it_runs(name):
    module = importlib.import_module(name)
    assert module.__doc__
    assert hasattr(module, "run") is (name.removeprefix("benchmarks.") in TIMES)


@pytest.mark.parametrize("name", TIMES)
def test_every_benchmark_has_a_question_and_help(name):
    assert question(name)
    assert "--help" in parser_of(name).format_help()


def test_the_list_names_every_benchmark(capsys):
    main(["--list"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(TIMES)


def test_an_unknown_benchmark_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["openml_regresion"])
    assert ended.value.code == 2
    assert "invalid choice: 'openml_regresion'" in capsys.readouterr().err


def test_rows_that_are_there_are_not_computed_again(tmp_path):
    path = tmp_path / "rows.jsonl"
    Store(path, seed=0).add([{"task": 1, "r2": 0.5}, {"task": 1, "r2": 0.6}])
    Store(path, seed=1).add([{"task": 2, "r2": 0.7}])
    asked = []

    def job(task):
        asked.append(task)
        return [{"r2": 0.1 * task}]

    rows = Store(path, seed=0).complete([{"task": 1}, {"task": 2}], job)
    assert asked == [2]
    assert [row["r2"] for row in rows] == [0.5, 0.6, 0.2]
    assert Store(path, seed=0).rows == rows
    assert len(Store(path).rows) == 4
    assert Store(path, seed=0).missing([{"task": 1}, {"task": 3}]) == [{"task": 3}]


def test_rows_of_another_size_are_not_mixed_with_those_in_results(tmp_path):
    parser = parser_of("openml_regression")
    assert store(parser.parse_args([]), "openml_regression").rows
    with pytest.raises(SystemExit, match=r"at most 1,024 training rows.*--output"):
        store(parser.parse_args(["--rows", "300"]), "openml_regression")
    output = ["--rows", "300", "--output", str(tmp_path / "rows.jsonl")]
    assert store(parser.parse_args(output), "openml_regression").rows == []


def test_means_are_of_folds_that_all_methods_have_been_scored_on():
    scored = [("a", 0, "ours"), ("a", 0, "trees"), ("a", 1, "ours"), ("b", 0, "trees")]
    rows = pd.DataFrame(scored, columns=["dataset", "fold", "estimator"])
    assert on_shared_folds(rows, "estimator").index.tolist() == [0, 1]
    whole = pd.DataFrame(Store(RESULTS / "openml_regression.jsonl").rows)
    assert len(on_shared_folds(whole, "estimator")) == len(whole)


def test_a_sign_test_leaves_ties_out():
    assert sign_test(0, 0) == 1
    assert sign_test(5, 0) == sign_test(0, 5) == 2 / 2**5


def test_more_rows_than_a_function_has_are_refused(tmp_path):
    output = tmp_path / "rows.jsonl"
    with pytest.raises(SystemExit, match="at 100,000 rows at most"):
        main(["rows", "--sizes", "500", "200000", "--output", str(output)])
    assert not output.exists()


def test_rows_without_seconds_are_summarised(capsys):
    row = {"task": 1, "dataset": "iris", "n_train": 135, "estimator": "extra trees", "r2": 0.5}
    many_rows.summarise(pd.DataFrame([row]), ["dataset", "n_train"])
    assert "iris    135              0.5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["programmed_certificates", "--seed", "3"], "name it by --kind"),
        (
            ["openml_binary", "--protocol", "prompts", "--classifiers", "random forest"],
            "--protocol prompts has no classifier random forest",
        ),
        (["paper.decoder", "--figures", "lineal"], "no figure 'lineal'; there are linear"),
        (["paper.loops", "--figures", "lineal"], "no figure 'lineal'; there are"),
    ],
)
def test_options_that_do_not_go_together_are_refused(command, said):
    with pytest.raises(SystemExit, match=said):
        main(command)


@pytest.mark.parametrize(
    "command", ["paper.ouro --languages hop", "paper.openml_table --networks l"]
)
def test_names_that_are_not_known_are_refused(command, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(command.split())
    assert "invalid choice" in capsys.readouterr().err


@pytest.fixture
def results(monkeypatch, tmp_path):
    """Folder in place of results/; runs/ is beside it."""
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(report, "RUNS", tmp_path / "runs")
    return tmp_path / "results"


def seconds_of(path):
    return [row["s"] for row in json.loads(path.read_text())["rows"]]


def test_a_run_with_other_options_leaves_the_rows_in_results(results, capsys):
    def run(seconds, *options):
        report.write(parse("training_speed", options), "training_speed", [{"s": seconds}])
        return capsys.readouterr().out

    kept, tried = results / "training_speed.json", results.parent / "runs" / "training_speed.json"
    assert not run(1, "--steps", "5", "--repeats", "2")
    (line,) = run(2, "--repeats", "1").splitlines()
    assert "results/training_speed.json has the rows of --steps 5 --repeats 2" in line
    assert line.endswith("the rows of --repeats 1 are in runs/training_speed.json")
    assert "the rows of the default options are in runs/" in run(3)
    assert (seconds_of(kept), seconds_of(tried)) == ([1], [3])
    assert not run(4, "--repeats", "2", "--steps", "5")
    assert (seconds_of(kept), seconds_of(tried)) == ([4], [3])


def test_options_on_which_rows_do_not_depend_do_not_count(results):
    for seconds, options in enumerate(([], ["--jobs", "2"], ["--jobs", "2", "--odd", "1"])):
        report.write(parse("odd_tables", options), "odd_tables", [{"s": seconds}])
    assert seconds_of(results / "odd_tables.json") == [1]
    for seconds, options in enumerate(([], ["--parts", "rare"])):
        args = parse("classes", options)
        report.write(args, "classes_rare", [{"s": seconds}], chooses="parts")
    assert seconds_of(results / "classes_rare.json") == [1]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("parity", "parity_defaults"),
        ("peers_speed", "peers_speed-1"),
        ("programmed_certificates", "programmed_programs"),
        ("scaling", "scaling"),
        ("training_speed", "training_speed"),
        ("paper.condition_number", "paper_condition_number_ill-conditioned-linear"),
    ],
)
def test_a_documented_command_with_options_replaces_its_rows(name, file):
    text = "".join(page.read_text() for page in sorted(DOCS.glob("*.md")))
    (options,) = set(re.findall(rf"python -m benchmarks {name} (--[^`\n]*)", text))
    typed = as_typed(parse(name, options.split()).options)
    assert typed
    assert report.place(file, typed) == RESULTS / f"{file}.json"


def test_rows_of_former_weights_are_left_out_and_computed_anew(tmp_path, capsys):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(60, 2)))
    table["label"] = np.where(table[0] > 0, "a", "b")
    table.to_csv(tmp_path / "plane.csv", header=False, index=False)
    path, ours = tmp_path / "rows.jsonl", "LoopedICLClassifier"
    run = ["keel", "--data", str(tmp_path), "--folds", "1", "--output", str(path)]
    run += ["--estimators", ours, "KernelMachineClassifier"]
    main(run)
    today = {row["estimator"]: row for row in Store(path).rows}
    model = LoopedICLClassifier().fit(table[[0, 1]].rename(columns="c{}".format), table["label"])
    assert today[ours]["checkpoint"] == f"tabular-classifier {model.weights_digest_[:12]}"
    assert "checkpoint" not in today["KernelMachineClassifier"]

    former = today[ours] | {"checkpoint": "tabular-classifier 0123456789ab", "accuracy": -1.0}
    lines = map(json.dumps, (today["KernelMachineClassifier"], former))
    path.write_text("".join(f"{line}\n" for line in lines))
    capsys.readouterr()
    main(run)
    line = "rows.jsonl: rows of former weights (tabular-classifier 0123456789ab) are left out: 1"
    assert line in capsys.readouterr().out.splitlines()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["accuracy"] for row in rows[1:]] == [-1.0, today[ours]["accuracy"]]
    assert len(Store(path).rows) == 2
    Store(path).add([{"checkpoint": "withdrawn 0123456789ab"}])
    assert len(Store(path).rows) == 2
    assert Store(path, **checkpoint("tabular")).rows == []


def test_jobs_hide_warnings_of_baselines_and_show_our_own():
    def warn(module):
        warnings.warn_explicit(f"by {module}", UserWarning, f"{module}.py", 1, module)
        return []

    job = quiet(warn)
    with warnings.catch_warnings(record=True) as caught:
        for module in ("sklearn.linear_model", "benchmarks.keel", "sklearn_looped.core.loop"):
            job(module)
    assert [str(w.message) for w in caught] == ["by benchmarks.keel", "by sklearn_looped.core.loop"]


def test_steps_of_a_measurement_do_not_count_what_a_call_takes_to_begin(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("benchmarks.common.timing.time.process_time", lambda: clock[0])

    def run(n):
        clock[0] += 0.3 + 1e-4 * n  # a start longer than the first trials

    n = programmed_speed.sized(run)
    assert 0.9 * programmed_speed.SECONDS < 1e-4 * n < 1.1 * programmed_speed.SECONDS


def test_parity_counts_what_is_not_a_number_as_a_difference():
    nan, numbers = [np.array([1.0, np.nan]), 3], [np.array([1.0, 2.0]), 3]
    assert difference(numbers, numbers) == 0
    assert difference(nan, numbers) == difference(numbers, nan) == np.inf


def test_parity_counts_a_refusal_of_one_alone_as_a_difference():
    def refused(X):
        raise ValueError("the descent diverges")

    def outcome(ours, theirs):
        return compare(Case(ours, theirs, np.ones((2, 2)), 1e-12), np.random.default_rng(0))

    assert outcome(refused, refused) is None
    assert outcome(lambda X: [X], refused).difference == np.inf
    assert outcome(refused, lambda X: [X]).difference == np.inf
    assert outcome(refused, lambda X: [1e11 * X]) is None


@pytest.mark.parametrize(
    ("stored", "drawn"),
    [("openml_regression", "openml_ranks"), ("kept_apart", "kept_apart_ranks")],
)
def test_the_picture_of_ranks_is_drawn_from_the_rows(stored, drawn):
    rows = pd.DataFrame(Store(RESULTS / f"{stored}.jsonl").rows)
    r2 = rows.groupby(["dataset", "estimator"])["r2"].mean().unstack()
    ranks = r2.rank(axis=1, ascending=False).mean()
    picture = DOCS / "images" / f"{drawn}.svg"
    labels = re.findall(r"<!-- (.*?) -->", picture.read_text())
    for name, rank in ranks.items():
        assert {f"{name}  {rank:.2f}", f"{rank:.2f}  {name}"} & set(labels)


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.jsonl")), ids=lambda path: path.stem)
def test_rows_of_earlier_runs_are_read(path):
    rows = Store(path).rows
    assert rows
    for row in rows:
        models = [row[name] for name in ("estimator", "classifier", "model") if name in row]
        if models:  # only rows of ours depend on the shipped weights
            assert models[0].startswith("LoopedICL") == ("checkpoint" in row)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_special_transformers_of_universal_solve_its_problems():
    for case in universal.cases(UniversalMachine(universal.SIZE)):
        for got, answer in zip(case.special(), case.answer, strict=True):
            scale = np.abs(answer).max()
            np.testing.assert_allclose(got, answer, 0, 1e-12 * scale, err_msg=case.program)
