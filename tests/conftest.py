import os
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from sklearn.datasets import load_diabetes

from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.network import LoopedNetwork

# Fixtures have no doctests, and files of one name cannot be imported side by side to look for them.
collect_ignore_glob = ["**/conftest.py", "conftest.py"]

# The same examples in every run, and few: a fit takes a tenth of a second.
settings.register_profile("few", derandomize=True, database=None, deadline=None, max_examples=15)
settings.load_profile("few")

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    if find_spec("matplotlib") is None:
        skip = pytest.mark.skip(reason="examples of displays are drawn with matplotlib")
        for item in items:
            if isinstance(item, pytest.DoctestItem) and "inspection" in item.path.parts:
                item.add_marker(skip)


@pytest.fixture
def diabetes():
    return load_diabetes(return_X_y=True)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def tiny_network():
    """Random weights large enough that every part of the network matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = LoopedNetwork(NetworkConfig(n_features=6, width=32, n_heads=4, n_loops=3))
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return network.requires_grad_(False)


@pytest.fixture
def offline_openml(tmp_path, monkeypatch):
    """Serve one data set and task from an offline cache; a request to the network fails."""
    import openml

    cache = os.environ.get("SKLEARN_LOOPED_TEST_OPENML")
    if not cache:
        pytest.skip("needs SKLEARN_LOOPED_TEST_OPENML, the folder of an OpenML cache")

    def refuse(self, address):
        raise AssertionError(f"asked the network for {address}")

    def serve(data_id, task_id):
        copy = tmp_path / "cache"  # openml writes beside the data
        for part in Path(cache).glob("**/*"):
            if part.is_file() and {str(data_id), str(task_id)} & set(part.parts):
                target = copy / part.relative_to(cache)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(part, target)
        if not copy.exists():
            pytest.skip(f"{cache} holds neither data set {data_id} nor task {task_id}")
        monkeypatch.setattr(socket.socket, "connect", refuse)
        return openml.config.overwrite_config_context({"cachedir": str(copy)})

    return serve
