import copy
import errno
import importlib
import json
import os
import pickle
import re
import shutil
import struct
import tempfile
import zlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sklearn_looped.learned import checkpoints, tensor_files
from sklearn_looped.learned.checkpoints import (
    CheckpointError,
    load_checkpoint,
    registry,
    save_checkpoint,
)
from sklearn_looped.learned.model.config import LIMITS, NetworkConfig
from sklearn_looped.learned.priors import LinearPrior
from sklearn_looped.learned.tensor_files import tensor_digest
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.recipe import Recipe


@pytest.fixture
def path(tmp_path, tiny_network):
    path = tmp_path / "mine.safetensors"
    save_checkpoint(tiny_network, path, {"steps": 3})
    return path


def rewrite(path, **changes):
    """Write the file's tensors again under a changed header."""
    size = struct.unpack("<Q", path.read_bytes()[:8])[0]
    metadata = json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]
    save_file(load_file(path), path, {**metadata, **changes})


def test_round_trip_keeps_configuration_weights_and_facts(path, tiny_network):
    loaded = load_checkpoint(path)
    assert loaded.network.config == tiny_network.config
    assert loaded.training == {"steps": 3}
    weights = loaded.network.state_dict()
    assert all(torch.equal(t, weights[k]) for k, t in tiny_network.state_dict().items())
    assert not loaded.network.training
    assert not any(p.requires_grad for p in loaded.network.parameters())


def test_a_file_is_read_once_a_process_and_again_when_it_changes(path, tiny_network):
    first = load_checkpoint(path)
    assert load_checkpoint(path) is first
    with torch.no_grad():
        tiny_network.readout.output.bias += 1
    save_checkpoint(tiny_network, path)
    assert load_checkpoint(path).digest != first.digest


@pytest.mark.parametrize("name", ["tabular", "tabular-classifier"])
def test_loaded_weights_are_not_drawn_first(name, monkeypatch):
    """Without values to draw, torch would import its compiler, which takes longer than all else."""

    def refuse(*args, **kwargs):
        raise AssertionError("drew weights")

    known = load_checkpoint(name).network
    monkeypatch.setattr(torch.nn.init, "normal_", refuse)
    network = checkpoints._with_weights(known.config, known.state_dict())
    for found, expected in zip(network.parameters(), known.parameters(), strict=True):
        assert torch.equal(found, expected)


def test_half_precision_halves_the_file_and_loads_as_float32(path, tiny_network, tmp_path):
    half = tmp_path / "half.safetensors"
    save_checkpoint(tiny_network, half, half=True)
    assert half.stat().st_size < 0.6 * path.stat().st_size
    pairs = [load_checkpoint(file).network.state_dict().values() for file in (path, half)]
    for known, found in zip(*pairs, strict=True):
        torch.testing.assert_close(found, known, rtol=1e-3, atol=1e-6)
    again = pickle.loads(pickle.dumps(load_checkpoint(half)))
    assert again.digest == load_checkpoint(half).digest


def test_weights_that_float16_cannot_hold_are_not_saved_as_such(tiny_network, tmp_path):
    network = copy.deepcopy(tiny_network)
    next(network.parameters()).data.flatten()[0] = 1e5
    with pytest.raises(ValueError, match="the largest of float16"):
        save_checkpoint(network, tmp_path / "half.safetensors", half=True)
    assert not list(tmp_path.iterdir())


def test_every_shipped_file_matches_its_registered_hash_and_has_a_card():
    for name in registry():
        assert load_checkpoint(name).name == name
        card = (checkpoints.WEIGHTS_FOLDER / f"{name}.md").read_text()
        for heading in ("Prior:", "Recipe:", "Cost:", "Scores", "Limits", "Reproduce"):
            assert heading in card
        file = (checkpoints.WEIGHTS_FOLDER / f"{name}.safetensors").read_bytes()
        assert len(zlib.compress(file)) < 4_000_000  # as in the wheel


@pytest.mark.parametrize("keep", [0, 5, 100, 2000, -1])
def test_truncated_files_are_refused_by_path(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=re.escape(str(path)) + r" is damaged.*Get the file"):
        load_checkpoint(path)


def test_a_pickle_is_never_opened(path):
    path.write_bytes(pickle.dumps({"weights": 1}))
    with pytest.raises(CheckpointError, match="damaged or not a safetensors"):
        load_checkpoint(path)


def test_foreign_safetensors_are_refused(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of sklearn_looped"):
        load_checkpoint(path)


def test_newer_formats_ask_for_an_upgrade_whatever_else_they_hold(path):
    save_file({"x": torch.zeros(2)}, path, {"sklearn_looped": "99"})
    with pytest.raises(CheckpointError, match=r"format 99, but .* Upgrade sklearn_looped"):
        load_checkpoint(path)


def test_a_file_older_than_a_field_of_the_configuration_takes_its_default(path, tiny_network):
    config = {**tiny_network.config.__dict__}
    del config["n_gate_units"]
    text = json.dumps(config, sort_keys=True)
    rewrite(path, config=text, digest=tensor_digest(text, load_file(path)))
    assert load_checkpoint(path).network.config == tiny_network.config


def test_a_field_of_a_later_version_asks_for_that_version(path, tiny_network):
    text = json.dumps({**tiny_network.config.__dict__, "n_experts": 2}, sort_keys=True)
    rewrite(path, config=text, digest=tensor_digest(text, load_file(path)))
    with pytest.raises(CheckpointError, match=r"n_experts.*Use the version that wrote it"):
        load_checkpoint(path)


def test_weights_that_do_not_fit_their_configuration_are_refused(path, tiny_network):
    config = json.dumps({**tiny_network.config.__dict__, "width": 64}, sort_keys=True)
    digest = tensor_digest(config, load_file(path))
    rewrite(path, config=config, digest=digest)
    with pytest.raises(CheckpointError, match="does not describe a network"):
        load_checkpoint(path)


def test_a_shipped_file_that_was_exchanged_is_refused(tmp_path, path, monkeypatch):
    monkeypatch.setattr(checkpoints, "WEIGHTS_FOLDER", tmp_path)
    (tmp_path / "registry.json").write_text(json.dumps({"mine": "0" * 64}))
    with pytest.raises(CheckpointError, match="not the file that was shipped as 'mine'"):
        load_checkpoint("mine")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(CheckpointError, match=r"'tabluar'.*shipped weights are .*tabular"):
        load_checkpoint("tabluar")


def test_a_failed_write_leaves_the_old_file(path, tiny_network, monkeypatch):
    before = path.read_bytes()

    def full_disk(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tensor_files.os, "replace", full_disk)
    with pytest.raises(OSError, match=r"No space left.*untouched\. Free space"):
        save_checkpoint(tiny_network, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_have_the_mode_that_the_umask_asks_for(tmp_path, tiny_network, umask):
    previous = os.umask(umask)
    try:
        recipe = Recipe(1, n_features=(2, 2), n_support=(4, 4), n_query=2, rows_per_step=16)
        meta_train(NetworkConfig(2, 8, 2), LinearPrior(), recipe, folder=tmp_path / "run")
        save_checkpoint(tiny_network, tmp_path / "mine.safetensors")
    finally:
        os.umask(previous)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"state.safetensors", "mine.safetensors"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o666 & ~umask}


def test_no_file_of_the_users_is_taken_for_a_scratch_file(tmp_path, tiny_network):
    notes = [tmp_path / name for name in ("mine.partial", ".mine.safetensors.partial")]
    for note in notes:
        note.write_text("keep me")
    save_checkpoint(tiny_network, tmp_path / "mine.safetensors")
    tensor_files.remove_scratch(tmp_path / "mine.safetensors")
    assert [note.read_text() for note in notes] == ["keep me"] * 2


def test_what_a_killed_writer_left_is_removed(tmp_path, tiny_network, monkeypatch):
    path = tmp_path / "mine.safetensors"
    monkeypatch.setattr(tensor_files.os, "replace", lambda *_: None)  # killed before the move
    save_checkpoint(tiny_network, path)
    assert len(list(tmp_path.iterdir())) == 1
    tensor_files.remove_scratch(path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def unprivileged():
    """A folder of one's own, as a user who is not root."""
    for name in ("torch._dynamo", "torch.utils._device"):  # which only root may be able to import
        importlib.import_module(name)
    folder = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(folder, 65534, -1)
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o700)
    shutil.rmtree(folder)


def test_a_missing_right_is_not_taken_for_damage(tiny_network, unprivileged):
    path = unprivileged / "mine.safetensors"
    save_checkpoint(tiny_network, path)
    path.chmod(0)
    with pytest.raises(
        CheckpointError, match=r"Permission denied\)\. You have no permission to read"
    ):
        load_checkpoint(path)
    path.chmod(0o600)
    unprivileged.chmod(0o500)
    with pytest.raises(OSError, match=r"Permission denied.*no permission to write there"):
        save_checkpoint(tiny_network, path)
    recipe = Recipe(1, n_features=(2, 2), n_support=(4, 4), n_query=2, rows_per_step=16)
    with pytest.raises(OSError, match=r"Could not keep a run .*no permission to write there"):
        meta_train(NetworkConfig(2, 8, 2), LinearPrior(), recipe, folder=unprivileged)
    unprivileged.chmod(0)
    with pytest.raises(
        CheckpointError, match=r"Permission denied\)\. You have no permission to read"
    ):
        load_checkpoint(path)


@pytest.mark.parametrize("name", ["missing/mine.safetensors", "mine\0", "."])
def test_a_path_of_no_file_says_so(tmp_path, tiny_network, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"there is no such file|Is a directory"):
        load_checkpoint(name)


def test_a_missing_folder_is_named(tmp_path, tiny_network):
    with pytest.raises(OSError, match=r"There is no such folder: create it"):
        save_checkpoint(tiny_network, tmp_path / "none" / "mine.safetensors")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, 10**9) for name in LIMITS),
        *((name, 10**4000) for name in ("n_loops", "n_views")),
        ("n_loops", True), ("n_loops", "8"), ("n_views", 4.0), ("n_views", None),
        ("centre", "no"), ("injection", 0), ("n_loops", "x" * 10**6),
    ],
    ids=lambda value: str(value)[:12],
)  # fmt: skip
def test_a_configuration_beyond_the_limits_is_refused_by_name(path, tiny_network, field, value):
    config = json.dumps({**tiny_network.config.__dict__, field: value}, sort_keys=True)
    rewrite(path, config=config, digest=tensor_digest(config, load_file(path)))
    with pytest.raises(CheckpointError, match=f"Got {field}=") as caught:
        load_checkpoint(path)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "header",
    [
        "[" * 100_000,
        "[]",
        "8",
        "null",
        '"x"',
        "{",
        '{"n_loops": NaN}',
        f'{{"n_loops": {"9" * 5000}}}',
    ],
    ids=range(8),
)
def test_a_header_that_is_no_configuration_is_refused(path, header):
    rewrite(path, config=header, digest=tensor_digest(header, load_file(path)))
    with pytest.raises(CheckpointError, match="does not describe a network"):
        load_checkpoint(path)


def test_unpickled_shipped_weights_must_be_the_same(monkeypatch):
    data = pickle.dumps(load_checkpoint("tabular"))
    assert len(data) < 1000
    assert pickle.loads(data) is load_checkpoint("tabular")
    with pytest.raises(CheckpointError, match="Fit it again"):
        checkpoints._load_same("tabular", "0" * 64)
