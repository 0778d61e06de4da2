import json
import multiprocessing
import os
import random
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from sklearn_looped import LoopedICLRegressor
from sklearn_looped.learned.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.priors import LinearPrior, OwnTables
from sklearn_looped.learned.training.curve import HeldOutCurve, read_curve
from sklearn_looped.learned.training.held_out import score_by_loop, squared_error
from sklearn_looped.learned.training.metatrain import _built, meta_train
from sklearn_looped.learned.training.prompts import PromptStream
from sklearn_looped.learned.training.recipe import Recipe

NETWORK = NetworkConfig(n_features=3, width=32, n_heads=2, n_quantiles=7)
RECIPE = Recipe(
    n_steps=200, n_features=(1, 3), n_support=(6, 24), n_query=8, n_loops=(1, 3), rows_per_step=256
)  # fmt: skip


def run_to_the_end(folder):
    torch.set_num_threads(1)
    meta_train(NETWORK, LinearPrior(), RECIPE, folder=folder, save_every=0.0)


def steps_done(folder):
    path = folder / "state.safetensors"
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        return len(file.get_tensor("losses"))


@pytest.mark.parametrize(
    "mode", [torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)]
)
def test_a_run_does_not_see_the_callers_modes(mode):
    recipe = replace(RECIPE, n_steps=3)
    plain = meta_train(NETWORK, LinearPrior(), recipe)
    with mode():
        same = meta_train(NETWORK, LinearPrior(), recipe)
    assert same.losses == plain.losses


def test_threads_do_not_draw_each_others_weights():
    def weights(_):
        return torch.cat([p.flatten() for p in _built(NETWORK, RECIPE, None).parameters()])

    alone, state = weights(0), torch.get_rng_state()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert all(torch.equal(each, alone) for each in pool.map(weights, range(100)))
    finally:
        sys.setswitchinterval(interval)
    assert torch.equal(torch.get_rng_state(), state)


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
    run_to_the_end(killed)
    unbroken = tmp_path / "unbroken"
    run_to_the_end(unbroken)

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


def test_a_seed_repeats_a_run_and_another_does_not():
    recipe = replace(RECIPE, n_steps=5)
    one, same = (meta_train(NETWORK, LinearPrior(), recipe) for _ in range(2))
    other = meta_train(NETWORK, LinearPrior(), replace(recipe, seed=1))
    assert one.losses == same.losses
    assert one.losses != other.losses


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on one core
def test_workers_that_draw_prompts_ahead_change_nothing():
    recipe = replace(RECIPE, n_steps=5)
    alone, helped = (
        meta_train(NETWORK, LinearPrior(), recipe, n_workers=n_workers) for n_workers in (0, 2)
    )
    assert alone.losses == helped.losses


def test_a_state_from_before_a_field_existed_counts_as_one_of_its_default(tmp_path):
    recipe = replace(RECIPE, n_steps=2)
    first = meta_train(NETWORK, LinearPrior(), recipe, folder=tmp_path)
    path = tmp_path / "state.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    network = json.loads(metadata["network"])
    del network["injection"], metadata["digest"]  # which came later
    save_file(tensors, path, metadata | {"network": json.dumps(network)})
    assert meta_train(NETWORK, LinearPrior(), recipe, folder=tmp_path).losses == first.losses
    with pytest.raises(ValueError, match=r"another network \(differs in injection\)"):
        meta_train(replace(NETWORK, injection=False), LinearPrior(), recipe, folder=tmp_path)


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


def test_a_recipe_wider_than_the_network_is_refused():
    with pytest.raises(ValueError, match="up to 9 columns, but the network reads 3"):
        meta_train(NETWORK, LinearPrior(), replace(RECIPE, n_features=(1, 9)))


def test_a_loss_that_is_not_finite_stops_the_run():
    class Broken(LinearPrior):
        def sample(self, generator, n_tables, n_rows, n_features):
            X, y = super().sample(generator, n_tables, n_rows, n_features)
            return X, y * torch.nan

    with pytest.raises(FloatingPointError, match="at step 1"):
        meta_train(NETWORK, Broken(), RECIPE)


def test_meta_training_learns_linear_regression_and_more_loops_do_not_hurt():
    recipe = Recipe(
        n_steps=300, n_features=(2, 2), n_support=(6, 24), n_query=16, n_loops=(2, 6),
        rows_per_step=768, lr=3e-3, muon_lr=0.02,
    )  # fmt: skip
    network = NetworkConfig(n_features=2, width=32, n_heads=2, n_quantiles=7)
    run = meta_train(network, LinearPrior(), recipe)
    early, late = (sum(run.losses[part]) / 20 for part in (slice(20), slice(-20, None)))
    assert late < 0.35 * early

    class TwoColumns(LinearPrior):
        def sample(self, generator, n_tables, n_rows, n_features):
            return super().sample(generator, n_tables, n_rows, 2)

    scores = score_by_loop(run.network, TwoColumns(), n_loops=12)
    assert scores[5] > 0.8
    assert scores[5] > scores[0]
    assert scores[11] > scores[5] - 0.02


def test_prompts_are_in_canonical_form_and_depend_on_seed_and_step_alone():
    stream = PromptStream(LinearPrior(), RECIPE, start=0)
    prompt, target = stream.prompt(7)
    again, _ = PromptStream(LinearPrior(), RECIPE, start=7).prompt(7)
    assert torch.equal(prompt["X"], again["X"])
    assert target.y.shape[1] == RECIPE.n_query
    n_support = prompt["y"].shape[1]
    assert 6 <= n_support <= 24
    torch.testing.assert_close(prompt["y"].mean(1), torch.zeros(len(target.y)), atol=1e-5, rtol=0)
    support = prompt["X"][:, :n_support]
    torch.testing.assert_close(
        support.square().mean(1), torch.ones(len(target.y), support.shape[2])
    )


def test_prompts_of_a_network_that_does_not_centre_keep_their_zero_points():
    prompt, target = PromptStream(LinearPrior(), RECIPE, 0, centre=False).prompt(7)
    n_support = prompt["y"].shape[1]
    assert (prompt["y"].mean(1).abs() > 1e-3).all()
    # The target is still linear in the columns, without an intercept: more rows than columns.
    X, y = prompt["X"].double(), prompt["y"].double()
    w = torch.linalg.lstsq(X[:, :n_support], y[..., None]).solution
    residual = (X[:, n_support:] @ w).squeeze(-1) - target.y
    assert n_support > X.shape[2]
    assert residual.abs().median() < 1e-4


def test_sizes_cover_their_ranges_and_the_curriculum_grows_them():
    flat = Recipe(1000, n_features=(2, 9), n_support=(10, 99), n_loops=(3, 7))
    grown = replace(flat, curriculum=0.5)
    generator = torch.Generator().manual_seed(0)
    draws = [flat.draw_sizes(0, generator) for _ in range(3000)]
    assert [(min(d), max(d)) for d in zip(*draws, strict=True)] == [(2, 9), (10, 99), (3, 7)]
    early = [grown.draw_sizes(0, generator) for _ in range(500)]
    half = [grown.draw_sizes(250, generator) for _ in range(3000)]
    late = [grown.draw_sizes(500, generator) for _ in range(3000)]
    assert [max(d) for d in zip(*early, strict=True)] == [2, 10, 3]
    assert [max(d) for d in zip(*half, strict=True)] == [6, 55, 5]
    assert [max(d) for d in zip(*late, strict=True)] == [9, 99, 7]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_steps": 0}, "n_steps=0"),
        ({"n_support": (9, 4)}, r"n_support=\(9, 4\)"),
        ({"n_loops": (0, 4)}, r"n_loops=\(0, 4\)"),
        ({"decay": 1.5}, "decay=1.5"),
        ({"window": 0}, "window=0"),
        ({"n_steps": 10.0}, r"n_steps=10\.0"),
        ({"rows_per_step": "many"}, "rows_per_step='many'"),
        ({"n_loops": (1, 10**9)}, r"n_loops=\(1, 1000000000\)"),
        ({"n_features": (1, 2.5)}, r"n_features=\(1, 2\.5\)"),
    ],
)
def test_impossible_recipes_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**{"n_steps": 10, **fields})


def test_fine_tuning_on_own_tables_improves_on_them(tmp_path):
    """Weights of another function class know no waves; data sets of them teach."""

    def wave(seed):
        draw = np.random.default_rng(seed)
        X = draw.uniform(-3, 3, size=(400, 1))
        return X, np.sin(4 * X[:, 0] + draw.uniform(0, 6))

    start = load_checkpoint("relu-network")
    recipe = Recipe(
        40, n_features=(1, 1), n_support=(40, 40), n_query=24, n_loops=(4, 8), rows_per_step=512,
        lr=2e-4, muon_lr=2e-3,
    )  # fmt: skip
    prior = OwnTables([wave(seed) for seed in range(6)])
    tuned = meta_train(start.network.config, prior, recipe, start=start).network
    save_checkpoint(tuned, tmp_path / "waves.safetensors")
    scores = []
    for weights in ("relu-network", tmp_path / "waves.safetensors"):
        model = LoopedICLRegressor(weights, n_estimators=1)
        X, y = wave(99)
        scores.append(model.fit(X[:40], y[:40]).score(X[40:], y[40:]))
    assert 1 - scores[1] < 0.7 * (1 - scores[0])


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
    run = meta_train(
        NETWORK, LinearPrior(), recipe, folder=tmp_path, callbacks=[HeldOutCurve(path, score, 2)]
    )
    rows = read_curve(path)
    assert [row["step"] for row in rows] == [2, 4, 6, 7]
    assert rows[-1]["score"] == score(run.network)
    assert run.losses == meta_train(NETWORK, LinearPrior(), recipe).losses
