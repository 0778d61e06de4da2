"""Benchmarks import and read what earlier runs wrote: hours of running are no place to notice."""

import importlib
import pkgutil
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import benchmarks
from benchmarks import programmed_speed, universal
from benchmarks.__main__ import main, parser_of
from benchmarks.common.openml_tasks import quiet, store
from benchmarks.common.report import RESULTS, Store
from benchmarks.parity_cases.case import difference
from benchmarks.registry import TIMES, question
from sklearn_looped import UniversalMachine

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


def test_the_picture_of_ranks_is_drawn_from_the_rows():
    rows = pd.DataFrame(Store(RESULTS / "openml_regression.jsonl").rows)
    r2 = rows.groupby(["dataset", "estimator"])["r2"].mean().unstack()
    ranks = r2.rank(axis=1, ascending=False).mean()
    picture = Path(__file__).parents[1] / "docs" / "images" / "openml_ranks.svg"
    labels = re.findall(r"<!-- (.*?) -->", picture.read_text())
    for name, rank in ranks.items():
        assert {f"{name}  {rank:.2f}", f"{rank:.2f}  {name}"} & set(labels)


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.jsonl")), ids=lambda path: path.stem)
def test_rows_of_earlier_runs_are_read(path):
    assert Store(path).rows


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_special_transformers_of_universal_solve_its_problems():
    for case in universal.cases(UniversalMachine(universal.SIZE)):
        for got, answer in zip(case.special(), case.answer, strict=True):
            scale = np.abs(answer).max()
            np.testing.assert_allclose(got, answer, 0, 1e-12 * scale, err_msg=case.program)
