import re
from pathlib import Path

import pytest

import sklearn_looped

HALVES = "learned programmed"
UNSEEN = {  # package -> packages that none of its files may import
    "core": f"{HALVES} bridge estimators inspection cli",
    "learned": "programmed bridge estimators inspection cli",
    "learned/model": "learned.inference learned.training learned.priors learned.checkpoints",
    "learned/priors": "learned.inference learned.training learned.checkpoints",
    "learned/inference": "learned.training",
    "programmed": "learned bridge estimators inspection cli",
    "programmed/transformer": "programmed.machines programmed.algorithms",
    "programmed/machines": "programmed.algorithms",
    "programmed/algorithms": "programmed.machines",
    "bridge": "estimators inspection cli",
    "estimators": "inspection cli",
}
UNTRAINED = "estimators inspection"  # who predicts from shipped weights imports no training


@pytest.mark.parametrize(("package", "unseen"), UNSEEN.items())
def test_imports_point_down_only(package, unseen):
    folder = Path(sklearn_looped.__file__).parent / package
    files = list(folder.rglob("*.py"))
    assert files
    for file in files:
        imports = re.findall(
            r"^\s*(?:from|import) sklearn_looped\.([\w.]+)", file.read_text(), re.M
        )
        for name in imports:
            assert not any(f"{name}.".startswith(f"{each}.") for each in unseen.split()), file


@pytest.mark.parametrize("package", UNTRAINED.split())
def test_training_is_imported_only_where_it_is_asked_for(package):
    folder = Path(sklearn_looped.__file__).parent / package
    files = list(folder.rglob("*.py"))
    assert files
    for file in files:
        at_the_top = r"^(?:from|import) sklearn_looped\.learned\.training"
        assert not re.search(at_the_top, file.read_text(), re.M), file
