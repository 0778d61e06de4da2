import pytest


@pytest.fixture(autouse=True)
def close_figures():
    plt = pytest.importorskip("matplotlib.pyplot", reason="displays are drawn with matplotlib")
    plt.switch_backend("Agg")
    yield
    plt.close("all")


@pytest.fixture
def axes():
    """Axes of a figure of one's own."""
    import matplotlib.pyplot as plt

    return lambda n=1: plt.subplots(n)[1]


@pytest.fixture
def no_matplotlib(monkeypatch):
    """Importing matplotlib fails, as where it is not installed."""
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
