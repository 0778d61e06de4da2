"""Docstrings of public names have the sections that numpydoc asks for."""

import importlib
import inspect
import re

import pytest
from test_docs import names_in_reference

# Parameters named, all of them, in their order and with a type; what is returned or yielded;
# sections that numpydoc knows, in its order.
CHECKS = {"GL06", "GL07", "GL08", "PR01", "PR02", "PR03", "PR10", "RT01", "YD01"}
USED = ("sklearn_looped", "sklearn_looped.estimators", "sklearn_looped.inspection")
# For those who write loops of their own: here the functions, not the methods of building blocks.
FUNCTIONS = (
    "sklearn_looped.bridge",
    "sklearn_looped.core",
    "sklearn_looped.learned",
    "sklearn_looped.programmed.algorithms.csgraph",
    "sklearn_looped.programmed.algorithms.linalg",
    "sklearn_looped.programmed.machines.programs",
)


def is_within(module, places):
    return any(f"{module}.".startswith(f"{place}.") for place in places)


def public_names():
    """Public functions, and public classes and their methods, with their full names."""
    for module, name in sorted(set(names_in_reference())):
        value = getattr(importlib.import_module(module), name)
        is_used = module == "sklearn_looped" or is_within(module, USED[1:])
        if inspect.isfunction(value) and (is_used or is_within(module, FUNCTIONS)):
            yield f"{module}.{name}", value
        if inspect.isclass(value) and is_used:
            yield f"{module}.{name}", value
            for method, function in inspect.getmembers(value, inspect.isfunction):
                is_ours = function.__module__.startswith("sklearn_looped.")
                if is_ours and not method.startswith("_"):
                    yield f"{module}.{name}.{method}", function


def raises_itself(function):
    return re.search(r"^ +raise \w", inspect.getsource(function), re.MULTILINE) is not None


def test_docstrings_have_the_sections_of_numpydoc():
    numpydoc = pytest.importorskip("numpydoc.validate", reason="needs numpydoc")
    faults = []
    for name, value in public_names():
        errors = numpydoc.validate(name)["errors"]
        faults += [(name, *error) for error in errors if error[0] in CHECKS]
        has_raises = "\nRaises\n------\n" in inspect.cleandoc(value.__doc__ or "")
        if inspect.isfunction(value) and raises_itself(value) and not has_raises:
            faults.append((name, "no section Raises, but it raises"))
    assert not faults
