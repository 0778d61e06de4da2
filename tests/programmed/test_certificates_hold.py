"""A few cases of each kind of the benchmark that attacks the certificates."""

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
N_CASES = {"MLP": 2, "FLEQ": 5, "inv and solve": 5, "eigh_power": 4, "SUBLEQ, paper layout": 3}


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("programmed_certificates")


def test_no_certified_result_differs(benchmark):
    wrong, right = [], set()
    for kind in benchmark.KINDS:
        for seed in range(N_CASES.get(kind, 8)):
            outcome = benchmark.attack(kind, seed)
            if outcome is benchmark.Outcome.WRONG:
                wrong.append((kind, seed))
            elif outcome is benchmark.Outcome.RIGHT:
                right.add(kind)
    assert not wrong
    assert right == set(benchmark.KINDS)
