import subprocess
import sys

import pytest

import sklearn_looped
from sklearn_looped import inspection


def test_importing_the_package_does_not_import_torch():
    code = (
        "import sys, sklearn_looped, sklearn_looped.inspection; "
        "print(bool({'torch', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "False"


def test_every_public_name_is_there_and_documented():
    for name in sklearn_looped.__all__:
        assert hasattr(sklearn_looped, name)
        if name != "__version__":
            assert getattr(sklearn_looped, name).__doc__
    assert {*dir(sklearn_looped), "__version__"} == set(sklearn_looped.__all__)


def test_folders_of_the_programmed_half_are_there_unasked():
    code = "from sklearn_looped.programmed import csgraph, linalg; linalg.inv, csgraph.dijkstra"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_display_is_there_and_documented():
    assert set(inspection.__all__) == set(dir(inspection))
    for name in inspection.__all__:
        assert getattr(inspection, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"No .* attribute LoopDisplay"):
        inspection.LoopDisplay  # noqa: B018
    with pytest.raises(AttributeError, match=r"No .* attribute LoopyRegressor"):
        sklearn_looped.LoopyRegressor  # noqa: B018
