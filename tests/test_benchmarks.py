"""The scripts of benchmarks/ find what they import: runs of minutes are no place to notice."""

import importlib
from pathlib import Path

import pytest

PAPER = Path(__file__).parents[1] / "benchmarks" / "paper"


@pytest.mark.parametrize("script", sorted(path.stem for path in PAPER.glob("*.py")))
def test_scripts_of_the_paper_import(script, monkeypatch):
    monkeypatch.syspath_prepend(PAPER)
    assert importlib.import_module(script).__doc__
