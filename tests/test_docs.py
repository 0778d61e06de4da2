"""The documentation names every public name, and what its guide and limits show is what happens."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import sklearn_looped

DOCS = Path(__file__).parents[1] / "docs"
GUIDE = [*sorted((DOCS / "user_guide").glob("*.md")), DOCS / "limits.md"]
LINE = re.compile(r"^\.\. currentmodule:: (\S+)|^   (\w+)$|^\.\. py:data:: (\w+)", re.MULTILINE)


def names_in_reference():
    """Pairs (module, name) of the API pages."""
    for page in (DOCS / "api").glob("*.rst"):
        module = ""
        for new_module, entry, data in LINE.findall(page.read_text()):
            module = new_module or module
            if module and (entry or data):
                yield module, entry or data


def modules_with_public_names():
    """All that have an `__all__`."""
    for info in pkgutil.walk_packages(sklearn_looped.__path__, "sklearn_looped."):
        main = info.name.endswith("__main__")
        if not main and hasattr(importlib.import_module(info.name), "__all__"):
            yield info.name
    yield "sklearn_looped"


@pytest.mark.parametrize("name", sorted(modules_with_public_names()))
def test_every_public_name_is_in_the_reference(name):
    module = importlib.import_module(name)
    homes = {}
    for home, entry in names_in_reference():
        homes.setdefault(entry, []).append(home)

    def is_there(public):
        """Whether the same object is in the reference, here or where else it is exported."""
        found = (getattr(importlib.import_module(home), public) for home in homes.get(public, []))
        return any(value is getattr(module, public) for value in found)

    names = [public for public in module.__all__ if public != "__version__"]
    missing = [
        public
        for public in names
        if not inspect.ismodule(getattr(module, public)) and not is_there(public)
    ]
    assert not missing, f"add to docs/api/ under '.. currentmodule:: {name}': {missing}"


def test_the_reference_names_nothing_that_is_not_there():
    for module, name in names_in_reference():
        assert hasattr(importlib.import_module(module), name), f"{module} has no {name}"


@pytest.mark.parametrize("page", GUIDE, ids=lambda page: page.stem)
def test_the_code_of_the_guide_runs(page):
    text = re.sub(r"^```.*$", "", page.read_text(), flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    report = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)
    assert test.examples or page.stem == "index"
