"""Folders of meta-training runs: kills, stops, and states that are refused."""

import json
import multiprocessing
import os
import random
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from small_run import NETWORK, RECIPE, steps_done

from sklearn_looped.learned.checkpoints import CheckpointError
from sklearn_looped.learned.priors import LinearPrior, SyntheticTables
from sklearn_looped.learned.training.curve import HeldOutCurve, read_curve
from sklearn_looped.learned.training.held_out import score_by_loop, squared_error
from sklearn_looped.learned.training.metatrain import meta_train


def run_to_the_end(folder, save_every=0.0):
    torch.set_num_threads(1)
    meta_train(NETWORK, LinearPrior(), RECIPE, folder=folder, save_every=save_every)


def test_a_run_killed_three_times_ends_as_an_unbroken_one(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sklearn_looped.learned.training.metatrain", "torch._dynamo"])
    killed, moments = tmp_path / "killed", random.Random(0)
    for _ in range(3):
        begun = steps_done(killed)
        process = context.Process(target=run_to_the_end, args=(killed,))
        process.start()
        while process.is_alive() and steps_done(killed) == begun:
            process.join(timeout=0.02)
        process.join(timeout=moments.uniform(0, 0.08))
        process.kill()
        process.join()
        assert steps_done(killed) > begun  # what a kill loses is less than what was done
    assert steps_done(killed) < RECIPE.n_steps
    unbroken = tmp_path / "unbroken"
    for folder in (killed, unbroken):
        run_to_the_end(folder, save_every=30.0)

    with (
        safe_open(unbroken / "state.safetensors", "pt") as one,
        safe_open(killed / "state.safetensors", "pt") as other,
    ):
        assert set(one.keys()) == set(other.keys())
        for name in set(one.keys()) - {"cost"}:
            assert torch.equal(one.get_tensor(name), other.get_tensor(name)), name


def test_a_finished_run_returns_at_once_with_its_whole_curve(tmp_path):
    recipe = replace(RECIPE, n_steps=5)
    first = meta_train(NETWORK, LinearPrior(), recipe, folder=tmp_path)
    again = meta_train(NETWORK, LinearPrior(), recipe, folder=tmp_path)
    assert again.losses == first.losses
    assert len(first.losses) == 5
    assert again.seconds == first.seconds
    weights = again.network.state_dict()
    assert all(torch.equal(t, weights[k]) for k, t in first.network.state_dict().items())


def test_a_run_stopped_from_the_keyboard_is_not_taken_for_finished(tmp_path):
    class Stopped(LinearPrior):
        def sample(self, generator, n_tables, n_rows, n_features):
            if steps_done(tmp_path) == 3:
                raise KeyboardInterrupt
            return super().sample(generator, n_tables, n_rows, n_features)

    Stopped.__qualname__ = "LinearPrior"
    recipe = replace(RECIPE, n_steps=6)
    with pytest.raises(
        KeyboardInterrupt, match=r"3 of 6 steps; the state after step 3 is in .*state"
    ):
        meta_train(NETWORK, Stopped(), recipe, folder=tmp_path, save_every=0.0)
    resumed = meta_train(NETWORK, LinearPrior(), recipe, folder=tmp_path)
    assert resumed.losses == meta_train(NETWORK, LinearPrior(), recipe).losses


@pytest.mark.parametrize(
    ("part", "field", "change"),
    [
        ("network", "injection", {"network": replace(NETWORK, injection=False)}),
        ("prior", "skewed", {"prior": SyntheticTables(skewed=True)}),
        ("recipe", "seed", {"recipe": replace(RECIPE, n_steps=2, seed=1)}),
    ],
)
def test_a_state_from_before_a_field_existed_counts_as_one_of_its_default(
    tmp_path, part, field, change
):
    run = {"network": NETWORK, "prior": SyntheticTables(), "recipe": replace(RECIPE, n_steps=2)}
    first = meta_train(**run, folder=tmp_path)
    path = tmp_path / "state.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    fields = json.loads(metadata[part])
    del fields[field], metadata["digest"]  # which came later
    save_file(tensors, path, metadata | {part: json.dumps(fields)})
    assert meta_train(**run, folder=tmp_path).losses == first.losses
    with pytest.raises(ValueError, match=rf"another {part} \(differs in {field}\)"):
        meta_train(**run | change, folder=tmp_path)


def test_the_state_of_another_run_is_refused_by_name(tmp_path):
    meta_train(NETWORK, LinearPrior(), replace(RECIPE, n_steps=2), folder=tmp_path)
    with pytest.raises(ValueError, match=r"another recipe \(differs in n_steps, lr\)"):
        meta_train(NETWORK, LinearPrior(), replace(RECIPE, n_steps=3, lr=0.1), folder=tmp_path)
    with pytest.raises(ValueError, match=r"another prior \(differs in noise\)"):
        meta_train(NETWORK, LinearPrior(noise=1.0), replace(RECIPE, n_steps=2), folder=tmp_path)
    with pytest.raises(ValueError, match=r"another network \(differs in n_loops\)"):
        meta_train(
            replace(NETWORK, n_loops=3), LinearPrior(), replace(RECIPE, n_steps=2), folder=tmp_path
        )


def test_a_prior_that_cannot_be_told_from_others_is_refused_before_any_work(tmp_path):
    class Weighted(LinearPrior):
        def sample(self, generator, n_tables, n_rows, n_features):
            drawn.append(n_tables)
            return super().sample(generator, n_tables, n_rows, n_features)

    prior, drawn, recipe = Weighted(), [], replace(RECIPE, n_steps=1)
    object.__setattr__(prior, "weights", torch.ones(2))
    with pytest.raises(ValueError, match=r"Tensor is not JSON serializable\)\. Begin its name"):
        meta_train(NETWORK, prior, recipe, folder=tmp_path)
    assert not drawn
    assert len(meta_train(NETWORK, prior, recipe).losses) == 1


@pytest.mark.parametrize("pool", [None, ThreadPoolExecutor])
def test_a_second_run_in_a_folder_is_refused_and_told_who_holds_it(tmp_path, pool):
    refusals = []

    class Nosy(LinearPrior):
        def sample(self, generator, n_tables, n_rows, n_features):
            try:
                if pool is None:  # in the thread that holds it
                    second()
                else:
                    with pool() as threads:
                        threads.submit(second).result()
            except BlockingIOError as error:
                refusals.append(str(error))
            return super().sample(generator, n_tables, n_rows, n_features)

    def second():
        meta_train(NETWORK, LinearPrior(), recipe, folder=tmp_path)

    recipe = replace(RECIPE, n_steps=2)
    Nosy.__qualname__ = "LinearPrior"
    meta_train(NETWORK, Nosy(), recipe, folder=tmp_path)
    assert len(refusals) == 2
    message = (
        rf"Another training holds the folder {tmp_path} \(process {os.getpid()} on .*, since 20"
    )
    assert all(re.match(message, refusal) for refusal in refusals)
    assert (
        len(meta_train(NETWORK, LinearPrior(), recipe, folder=tmp_path).losses) == 2
    )  # free again


def test_a_run_that_fails_lets_go_of_its_folder(tmp_path):
    class Broken(LinearPrior):
        def sample(self, generator, n_tables, n_rows, n_features):
            raise InterruptedError

    recipe = replace(RECIPE, n_steps=2)
    with pytest.raises(InterruptedError):
        meta_train(NETWORK, Broken(), recipe, folder=tmp_path)
    assert len(meta_train(NETWORK, LinearPrior(), recipe, folder=tmp_path).losses) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header, state: header.pop("recipe"), "no state of a meta-training run"),
        (lambda header, state: header.update(network="[1]"), "no state of a meta-training run"),
        (lambda header, state: header.update(network="[" * 99_999), "no state of a meta-training"),
        (lambda header, state: state.pop("cost"), r"no whole state of a run \('cost'\)"),
        (lambda header, state: state.update(losses=torch.zeros(10**6)), "1000000 of 2 steps"),
        (lambda header, state: state.update(cost=torch.tensor([torch.inf, 0])), "inf tables"),
        (lambda header, state: state.update(cost=torch.tensor([1, torch.nan])), "nan s"),
        (lambda header, state: state.pop("module.embed_target.bias"), "no whole state.*embed_targ"),
        (lambda header, state: state.update({"muon.x.y": torch.zeros(1)}), "no whole state of"),
    ],
)
def test_a_state_without_sense_is_refused_by_name(tmp_path, change, message):
    recipe = replace(RECIPE, n_steps=2)
    meta_train(NETWORK, LinearPrior(), recipe, folder=tmp_path)
    path = tmp_path / "state.safetensors"
    with safe_open(path, "pt") as file:
        header = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del header["digest"]  # as states from before it have none
    change(header, tensors)
    save_file(tensors, path, header)
    with pytest.raises(CheckpointError, match=message):
        meta_train(NETWORK, LinearPrior(), recipe, folder=tmp_path)


def test_a_damaged_state_is_refused_by_name(tmp_path):
    recipe = replace(RECIPE, n_steps=2)
    meta_train(NETWORK, LinearPrior(), recipe, folder=tmp_path)
    state = tmp_path / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"state\.safetensors is damaged .*Delete it"):
        meta_train(NETWORK, LinearPrior(), recipe, folder=tmp_path)


def test_a_curve_goes_on_where_the_killed_run_goes_on(tmp_path):
    def score(network):
        return score_by_loop(network, LinearPrior(), 2, 4, sizes=((8, 2),), score=squared_error)[-1]

    class Stopped(LinearPrior):
        def sample(self, generator, n_tables, n_rows, n_features):
            if len(read_curve(path)) == 3:
                raise KeyboardInterrupt
            return super().sample(generator, n_tables, n_rows, n_features)

    Stopped.__qualname__ = "LinearPrior"
    path, recipe = tmp_path / "curve.jsonl", replace(RECIPE, n_steps=7)
    with pytest.raises(KeyboardInterrupt):
        meta_train(
            NETWORK, Stopped(), recipe, folder=tmp_path, callbacks=[HeldOutCurve(path, score, 2)]
        )  # nothing is saved within 30 seconds, so that the run begins anew
    path.write_text(path.read_text() + '{"step": 7, "cpu_')  # as on a full disk
    assert [row["step"] for row in read_curve(path)] == [2, 4, 6]
    run = meta_train(
        NETWORK, LinearPrior(), recipe, folder=tmp_path, callbacks=[HeldOutCurve(path, score, 2)]
    )
    rows = read_curve(path)
    assert [row["step"] for row in rows] == [2, 4, 6, 7]
    assert rows[-1]["score"] == score(run.network)
    assert run.losses == meta_train(NETWORK, LinearPrior(), recipe).losses


@pytest.mark.parametrize("stop_at", [2, 4])
def test_a_score_that_was_stopped_is_taken_when_the_run_goes_on(tmp_path, stop_at):
    def stopped(network):
        if len(read_curve(path)) == stop_at // 2 - 1:
            raise KeyboardInterrupt
        return 1.0

    path, recipe = tmp_path / "curve.jsonl", replace(RECIPE, n_steps=4)
    options = {"folder": tmp_path, "save_every": 0.0}
    before = stop_at - 1
    with pytest.raises(KeyboardInterrupt, match=f"after {before} of 4.*after step {before} is in"):
        meta_train(
            NETWORK, LinearPrior(), recipe, callbacks=[HeldOutCurve(path, stopped, 2)], **options
        )
    curve = HeldOutCurve(path, lambda network: 1.0, 2)
    run = meta_train(NETWORK, LinearPrior(), recipe, callbacks=[curve], **options)
    assert [row["step"] for row in read_curve(path)] == [2, 4]
    assert run.losses == meta_train(NETWORK, LinearPrior(), recipe).losses
