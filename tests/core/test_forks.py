"""A process that is forked from one whose torch has threads predicts."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import multiprocessing, sys
import numpy as np, torch
from sklearn_looped import LoopedICLRegressor, ProgrammedKernelRegressor

X = np.random.default_rng(0).normal(size=(60, 4))
models = [LoopedICLRegressor(n_estimators=1), ProgrammedKernelRegressor()]
torch.set_num_threads(2)
expected = [model.fit(X, X[:, 0]).predict(X) for model in models]
torch.ones(10**6).exp().sum()  # the pool has worked in any case

def child():
    torch.ones(10**6).exp().sum()  # hangs where the child asks the pool
    for model, answer in zip(models, expected):
        np.testing.assert_allclose(model.predict(X), answer, rtol=1e-4, atol=1e-5)
        model.fit(X, X[:, 0])

process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(120)
if process.is_alive():
    process.kill()
sys.exit(process.exitcode != 0 or torch.get_num_threads() != 2)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_predicts():
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
