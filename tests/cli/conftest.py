import numpy as np
import pandas as pd
import pytest

from sklearn_looped import __main__ as program


@pytest.fixture
def csv(tmp_path, rng):
    n = 60
    table = pd.DataFrame({"size": rng.normal(size=n), "kind": rng.choice(list("abc"), n)})
    table["price"] = 2 * table["size"] + (table["kind"] == "a") + 0.1 * rng.normal(size=n)
    table.loc[3, "size"] = np.nan
    path = tmp_path / "houses.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def error_of(capsys):
    """Last line of the error that a command line with such arguments ends with."""

    def run(arguments):
        with pytest.raises(SystemExit) as ended:
            program.main([str(argument) for argument in arguments])
        assert ended.value.code == 2
        return capsys.readouterr().err.splitlines()[-1]

    return run
