import json
import pickle
import re
import struct

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
from sklearn_looped.learned.tensor_files import tensor_digest


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


def test_every_shipped_file_matches_its_registered_hash_and_has_a_card():
    for name in registry():
        assert load_checkpoint(name).name == name
        card = (checkpoints.WEIGHTS_FOLDER / f"{name}.md").read_text()
        for heading in ("Prior:", "Recipe:", "Cost:", "Scores", "Limits", "Reproduce"):
            assert heading in card
        assert (checkpoints.WEIGHTS_FOLDER / f"{name}.safetensors").stat().st_size < 4_000_000


@pytest.mark.parametrize("keep", [0, 5, 100, 2000, -1])
def test_truncated_files_are_refused_by_path(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=re.escape(str(path)) + r" is damaged.*Get the file"):
        load_checkpoint(path)


def test_a_pickle_is_never_opened(path):
    path.write_bytes(pickle.dumps({"weights": 1}))
    with pytest.raises(CheckpointError, match="damaged or no safetensors"):
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
        raise OSError("No space left on device")

    monkeypatch.setattr(tensor_files, "save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tiny_network, path)
    assert path.read_bytes() == before


def test_unpickled_shipped_weights_must_be_the_same(monkeypatch):
    data = pickle.dumps(load_checkpoint("tabular"))
    assert len(data) < 1000
    assert pickle.loads(data) is load_checkpoint("tabular")
    with pytest.raises(CheckpointError, match="Fit it again"):
        checkpoints._load_same("tabular", "0" * 64)
