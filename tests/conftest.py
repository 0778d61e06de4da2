import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes

from sklearn_looped.learned.network import LoopedNetwork, NetworkConfig


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
