import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from train_together import NETWORK, RECIPE, single_precision

from sklearn_looped.core.processes import Processes
from sklearn_looped.learned.priors import LinearPrior
from sklearn_looped.learned.training import trainer
from sklearn_looped.learned.training.metatrain import meta_train

TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
ACCELERATE = [
    "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
]  # fmt: skip
LAUNCHER = ACCELERATE if importlib.util.find_spec("accelerate") else TORCHRUN


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory, worker_id):
    """What two processes wrote, and what they showed: one run for all workers of the tests."""
    root = tmp_path_factory.getbasetemp()
    folder = (root if worker_id == "master" else root.parent) / "two_processes"
    with FileLock(f"{folder}.lock"):
        if not (folder / "shown.txt").exists():
            (folder / "shown.txt").write_text(trained_together(folder))
    shown = (folder / "shown.txt").read_text()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)], shown


def trained_together(folder):
    """Train with two processes, which write to the folder; return what they show."""
    folder.mkdir(exist_ok=True)
    script = Path(__file__).with_name("train_together.py")
    done = subprocess.run(
        [sys.executable, "-m", *LAUNCHER, str(script), str(folder)],
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def one_process():
    with pytest.MonkeyPatch.context() as patch:
        results = {"bfloat16": meta_train(NETWORK, LinearPrior(), RECIPE)}
        patch.setattr(trainer, "training_dtype", single_precision)
        return results | {"float32": meta_train(NETWORK, LinearPrior(), RECIPE)}


@pytest.mark.parametrize(("precision", "rtol"), [("float32", 1e-4), ("bfloat16", 2e-3)])
def test_two_processes_have_the_losses_of_one(two_processes, one_process, precision, rtol):
    (first, second), _ = two_processes
    assert first[precision] == second[precision]
    np.testing.assert_allclose(first[precision], one_process[precision].losses, rtol=rtol)
    assert first["n_tables"] == one_process["float32"].n_tables


def test_all_processes_end_with_the_same_weights_also_those_of_an_exit_gate(two_processes):
    (first, second), _ = two_processes
    assert first["digests"] == second["digests"]


def test_recipes_that_follow_one_another_have_one_curve(two_processes):
    (first, _), _ = two_processes
    seconds = [row["cpu_seconds"] for row in first["curve"]]
    assert [row["step"] for row in first["curve"]] == [12, 12 + 3, 12 + 3 + 2]
    assert seconds == sorted(seconds)


def test_a_broken_run_of_two_processes_goes_on(two_processes):
    (first, second), _ = two_processes
    assert first["resumed"] == second["resumed"]
    np.testing.assert_allclose(first["resumed"], first["float32"], rtol=1e-6)


def test_processes_that_do_not_share_the_folder_are_refused(two_processes):
    (first, second), _ = two_processes
    assert "runs of 12, 0 steps" in first["refused"]
    assert "runs of 12, 0 steps" in second["refused"]


def test_only_the_first_process_shows_progress(two_processes):
    _, shown = two_processes
    begun = [line for line in shown.splitlines() if line.startswith("meta-training:   0%")]
    assert len(begun) == 5  # one of the run with verbose=1, four of the pretraining


def test_shares_are_disjoint_and_whole():
    tables = torch.arange(7)
    shares = [Processes(rank, 3).share(tables) for rank in range(3)]
    assert [len(share) for share in shares] == [3, 2, 2]
    assert torch.equal(torch.cat(shares), tables)


def test_a_process_without_a_table_is_refused(monkeypatch):
    monkeypatch.setattr(Processes, "joined", lambda: Processes(0, 9))
    recipe = replace(RECIPE, rows_per_step=256)
    with pytest.raises(ValueError, match=r"9 processes, .* no more than 8 table.*rows_per_step"):
        meta_train(NETWORK, LinearPrior(), recipe)


def test_a_process_may_train_by_itself(monkeypatch):
    monkeypatch.setattr(Processes, "joined", lambda: Processes(0, 9))
    recipe = replace(RECIPE, n_steps=1)
    assert len(meta_train(NETWORK, LinearPrior(), recipe, distributed=False).losses) == 1
