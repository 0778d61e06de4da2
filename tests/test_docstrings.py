"""Docstrings of public names have the sections that numpydoc asks for."""

import importlib
import inspect
import re

import pytest
from test_docs import names_in_reference

# Parameters named, all of them, in their order and with a type; what is returned or yielded;
# sections that numpydoc knows, in its order. A protocol has no parameters: nothing makes one.
CHECKS = {"GL06", "GL07", "GL08", "PR01", "PR02", "PR03", "PR10", "RT01", "YD01"}


def public_names():
    """Everything in the reference, classes with their methods, by full name."""
    for module, name in sorted(set(names_in_reference())):
        value = getattr(importlib.import_module(module), name)
        yield f"{module}.{name}", value
        for method, function in inspect.getmembers(value, inspect.isroutine):
            is_ours = str(getattr(function, "__module__", "")).startswith("sklearn_looped.")
            if is_ours and inspect.isclass(value) and not method.startswith("_"):
                yield f"{module}.{name}.{method}", function


def raises_itself(function):
    return re.search(r"^ +raise \w", inspect.getsource(function), re.MULTILINE) is not None


def test_docstrings_have_the_sections_of_numpydoc():
    numpydoc = pytest.importorskip("numpydoc.validate", reason="needs numpydoc")
    faults = []
    for name, value in public_names():
        errors = numpydoc.validate(name)["errors"]
        checks = CHECKS - {"PR01"} if getattr(value, "_is_protocol", False) else CHECKS
        faults += [(name, *error) for error in errors if error[0] in checks]
        has_raises = "\nRaises\n------\n" in inspect.cleandoc(value.__doc__ or "")
        if inspect.isroutine(value) and raises_itself(value) and not has_raises:
            faults.append((name, "no section Raises, but it raises"))
    assert not faults
