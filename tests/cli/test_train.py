import json
import re

import numpy as np
import pandas as pd
import pytest

from sklearn_looped import LoopedICLRegressor
from sklearn_looped import __main__ as program
from sklearn_looped.learned.checkpoints import load_checkpoint, save_checkpoint
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.tensor_files import read_tensors


@pytest.fixture
def tables(tmp_path, rng):
    paths = []
    for name, n_rows in (("a", 40), ("b", 24)):
        table = pd.DataFrame(
            {"size": rng.normal(size=n_rows), "kind": rng.choice(list("abc"), n_rows)}
        )
        table["price"] = 2 * table["size"] + (table["kind"] == "a")
        paths.append(tmp_path / f"{name}.csv")
        table.to_csv(paths[-1], index=False)
    return paths


@pytest.fixture
def start(tmp_path):
    """A small network to begin from."""
    path = tmp_path / "start.safetensors"
    save_checkpoint(LoopedNetwork(NetworkConfig(n_features=4, width=16, n_heads=2)), path)
    return path


def train(*arguments):
    program.main(["train", *map(str, arguments)])


def test_weights_of_a_prior_load_by_path_and_a_stopped_run_goes_on(tmp_path, diabetes, capsys):
    X, y = diabetes
    path, folder = tmp_path / "linear.safetensors", tmp_path / "run"
    run = (path, "--prior", "linear", "--columns", 2, "--rows", 64, "--steps", 2, "--seed", 3)
    train(*run, "--folder", folder)
    out = capsys.readouterr().out
    assert f"{path}: 2 steps" in out
    assert f"LoopedICLRegressor(weights={str(path)!r})" in out
    checkpoint = load_checkpoint(path)
    assert checkpoint.network.config.n_features == 2
    assert (checkpoint.training["recipe"]["n_steps"], checkpoint.training["recipe"]["seed"]) == (
        2,
        3,
    )
    model = LoopedICLRegressor(weights=path).fit(X[:30, :2], y[:30])
    assert np.isfinite(model.predict(X[30:40, :2])).all()

    path.unlink()
    train(*run, "--folder", folder)  # a finished run returns at once, with the same weights
    assert load_checkpoint(path).digest == checkpoint.digest


def test_tables_of_ones_own_begin_from_weights(tmp_path, tables, start, capsys):
    path = tmp_path / "mine.safetensors"
    pairs = [part for table in tables for part in ("--table", table, "price")]
    train(path, *pairs, "--start", start, "--steps", 2)
    mine = load_checkpoint(path)
    assert mine.network.config == load_checkpoint(start).network.config
    assert mine.digest != load_checkpoint(start).digest
    assert mine.training["prior"].startswith("OwnTables(2 data sets")
    # The shorter table has 24 rows: 5 are held out, 4 are queries, 15 the largest support.
    assert mine.training["recipe"]["n_support"] == [8, 15]
    assert mine.training["recipe"]["n_query"] == 4
    out = capsys.readouterr().out
    for table, n_rows in zip(tables, (8, 5), strict=True):
        assert re.search(rf"{table}: R2 on {n_rows} held-out rows .*, with {start} ", out)


def test_labels_train_a_classifier_that_is_scored_on_held_out_rows(tmp_path, tables, capsys):
    start, path = tmp_path / "start.safetensors", tmp_path / "mine.safetensors"
    config = NetworkConfig(n_features=4, width=16, n_heads=2, n_classes=10)
    save_checkpoint(LoopedNetwork(config), start)
    train(path, "--table", tables[0], "kind", "--start", start, "--steps", 2, "--drop", "price")
    out = capsys.readouterr().out
    assert re.search(r"accuracy on 8 held-out rows [01]\.\d+, with ", out)
    assert f"use it: LoopedICLClassifier(weights={str(path)!r})" in out
    assert load_checkpoint(path).network.config.classifies
    assert load_checkpoint(path).training["prior"].startswith("OwnTables(1 data sets")


def test_a_file_that_exists_is_kept_unless_forced_and_a_finished_run_goes_on(
    tmp_path, capsys, error_of
):
    path, folder = tmp_path / "w.safetensors", tmp_path / "run"
    run = ("--prior", "linear", "--columns", 2, "--rows", 64, "--folder", folder)
    train(path, *run, "--steps", 2)
    assert "fresh tables with 64 support rows" in capsys.readouterr().out
    assert "exists; choose another name, or overwrite it with --force" in error_of(
        ["train", path, *run, "--steps", 3]
    )
    train(path, *run, "--steps", 3, "--force")
    assert f"{path}: 3 steps" in capsys.readouterr().out
    assert load_checkpoint(path).training["recipe"]["n_steps"] == 3
    state, _ = read_tensors(folder / "state.safetensors", "")
    assert json.loads(state["recipe"])["n_steps"] == 3
    assert "another recipe (differs in n_steps)" in error_of(
        ["train", path, *run, "--steps", 2, "--force"]
    )


def test_wrong_arguments_are_one_line_before_any_work(tmp_path, tables, error_of, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("trained")

    monkeypatch.setattr("sklearn_looped.learned.training.metatrain.meta_train", refuse)
    out, table = tmp_path / "w.safetensors", ("--table", tables[0], "price")
    cases = [
        ((out,), "one of the arguments --prior --table is required"),
        ((out, "--prior", "sines"), "invalid choice: 'sines'"),
        ((out, "--prior", "linear", *table), "not allowed with argument"),
        ((tmp_path / "no" / "w", "--prior", "linear"), "there is no folder"),
        ((tmp_path, "--prior", "linear"), "is a folder, but expected a file"),
        ((out, "--prior", "linear", "--steps", "0"), "an integer of at least 1"),
        ((out, "--prior", "linear", "--columns", "33"), "a network reads at most 32"),
        ((out, "--prior", "linear", "--device", "tpu"), "tpu"),
        ((out, "--prior", "linear", "--start", "none"), "there is no such file"),
        ((out, "--prior", "linear", "--start", "tabular-classifier"), "are those of a classifier"),
        ((out, *table, "--columns", "3"), "--columns and --rows need --prior"),
        ((out, "--table", tables[0], "cost"), "no column 'cost'"),
        ((out, "--prior", "linear", "--drop", "x"), "--drop need --table"),
        (
            (out, *table, "--table", tables[1], "kind"),
            "Some targets are numbers and some are labels",
        ),
        ((out, "--table", tables[0], "kind", "--start", "tabular"), "are those of a regressor"),
        ((out, "--table", tmp_path / "none.csv", "y"), "No such file"),
    ]
    for arguments, message in cases:
        assert message in error_of(["train", *arguments])


def test_a_stop_from_the_keyboard_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt("Stopped after 1 of 2 steps.")

    monkeypatch.setattr("sklearn_looped.learned.training.metatrain.meta_train", stop)
    path = tmp_path / "w.safetensors"
    with pytest.raises(SystemExit) as ended:
        train(path, "--prior", "linear", "--folder", tmp_path / "run")
    assert ended.value.code == 130
    said = capsys.readouterr().err
    assert f"Stopped after 1 of 2 steps. {path} is not written. Run the same command again." in said
    assert not path.exists()
