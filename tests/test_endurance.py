"""Kills, full disks, threads, long use and mutated input; in full by ``-m endurance``.

A full check prints its outcome, which ``-rP`` shows. Mutations are seeded: a run repeats the last
one. Kills and limits on the size of files are the kernel's own; as root, a tmpfs is filled too, and
the process that tries read-only folders gives up root's right to write to them.
"""

import errno
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from endurance_checks.files import mutated_files, read_mutants
from endurance_checks.kills import killed_training
from endurance_checks.programs import mutated_programs
from endurance_checks.service import many_fits, threads
from endurance_checks.storage import file_size_limit, full_disk, read_only, train, write_on

from sklearn_looped import LoopedICLRegressor
from sklearn_looped.learned.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from sklearn_looped.learned.training import on_demand

FULL = {
    "kills": lambda folder: killed_training(20, 400, folder),
    "full disk": full_disk,
    "read-only folders": read_only,
    "threads": lambda folder: threads(8, 25),
    "many fits": lambda folder: many_fits(1000),
    "programs": lambda folder: mutated_programs(10_000),
    "weights": lambda folder: mutated_files("weights", 10_000, folder),
    "run states": lambda folder: mutated_files("run states", 1_000, folder),
}


@pytest.mark.endurance
@pytest.mark.parametrize("check", FULL)
def test_every_promise_is_kept_at_length(check, tmp_path):
    row = FULL[check](tmp_path / "check")
    print(f"{check}, {row['trials']} trials: {row['outcome']}")
    assert row["broken"] == 0, row["notes"]


@pytest.mark.parametrize(("kind", "n_files"), [("weights", 210), ("run states", 60)])
def test_mutated_files_are_refused_by_name_or_hold_the_same_numbers(tmp_path, kind, n_files):
    counts = read_mutants(kind, tmp_path, range(n_files))
    assert {what for what, _ in counts} <= {"refused by name", "the same numbers"}
    assert counts["refused by name", ""] > 0.9 * n_files


def test_mutated_programs_assemble_or_are_refused_with_their_line():
    row = mutated_programs(500)
    assert row["notes"] == {}


def test_threads_predict_what_one_thread_does():
    assert threads(8, 2)["broken"] == 0


def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path):
    train(tmp_path / "unbroken")
    assert write_on(tmp_path / "limited", file_size_limit, tmp_path / "unbroken") == []


@pytest.fixture
def read_only_cache(tmp_path, monkeypatch):
    """A cache whose weights are read and trained as ever, until `close` makes it read-only."""
    monkeypatch.setenv("SKLEARN_LOOPED_CACHE", str(tmp_path))
    network, recipe = on_demand.configuration("linear", 2, 20)
    short = replace(recipe, n_steps=2, rows_per_step=100)
    monkeypatch.setattr(on_demand, "configuration", lambda prior, d, n: (network, short))

    def refuse(path, *args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    def close():
        for name in ("mkdir", "touch"):
            monkeypatch.setattr(Path, name, refuse)

    return close


def test_weights_in_a_read_only_cache_are_read(read_only_cache, rng):
    X = rng.normal(size=(20, 2))
    model = LoopedICLRegressor(weights=None, prior="linear")
    before = model.fit(X, X[:, 0]).predict(X)
    read_only_cache()
    assert np.array_equal(model.fit(X, X[:, 0]).predict(X), before)


def test_a_cache_that_cannot_be_written_to_names_the_way_out(read_only_cache, rng):
    read_only_cache()
    X = rng.normal(size=(20, 2))
    with pytest.raises(OSError, match=r"Read-only file system.*SKLEARN_LOOPED_CACHE"):
        LoopedICLRegressor(weights=None, prior="linear").fit(X, X[:, 0])


def test_a_chosen_cache_needs_no_home(tmp_path, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setenv("SKLEARN_LOOPED_CACHE", str(tmp_path))
    assert on_demand.cache_folder() == tmp_path


def test_loading_weights_leaves_torchs_generator_alone(tmp_path, tiny_network):
    path = tmp_path / "mine.safetensors"
    save_checkpoint(tiny_network, path)
    before = torch.get_rng_state()
    data = pickle.dumps(load_checkpoint(path))
    assert pickle.loads(data).network.config == tiny_network.config
    assert torch.equal(torch.get_rng_state(), before)


def test_loaded_weights_do_not_follow_their_file(tmp_path, tiny_network):
    path = tmp_path / "mine.safetensors"
    save_checkpoint(tiny_network, path)
    loaded = load_checkpoint(path).network.state_dict()
    with path.open("r+b") as file:  # in place, as a copy over it does
        file.write(bytes(path.stat().st_size))
    assert all(torch.equal(t, loaded[k]) for k, t in tiny_network.state_dict().items())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, tiny_network, value):
    path = tmp_path / "mine.safetensors"
    tiny_network.readout.output.bias[0] = value
    save_checkpoint(tiny_network, path)
    with pytest.raises(CheckpointError, match=r"'readout.output.bias' .* not finite.*Train again"):
        load_checkpoint(path)
