from dataclasses import replace
from math import isinf

import numpy as np
import pytest
import torch

from sklearn_looped import LoopedICLRegressor
from sklearn_looped.core.device import seeded_generator
from sklearn_looped.learned.checkpoints import load_checkpoint, save_checkpoint
from sklearn_looped.learned.inference.batch import SupportBatch
from sklearn_looped.learned.model.causal import CausalConfig
from sklearn_looped.learned.priors import LinearPrior
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.recipe import Curriculum, Recipe

SMALL = CausalConfig(n_features=3, width=16, n_heads=2, n_loops=4, max_examples=8, target_scale=2.0)
RECIPE = Curriculum(
    6, n_features=(1, 3), n_support=(4, 8), n_loops=(2, 4), window=2, n_grad_loops=2, lr=1e-3,
    n_prompts=4, every=(2, 2, 2),
)  # fmt: skip


def large_weights(config):
    """Build a network whose outputs differ clearly between loops, rows and orders."""
    torch.manual_seed(0)
    network = config.build()
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn_like(p) * 0.3)
    return network.eval()


@pytest.fixture
def prompt():
    return LinearPrior().sample(seeded_generator(0), 2, 9, 3)


@pytest.mark.parametrize(
    ("config", "n_parameters"),
    [(CausalConfig(), 847_873), (CausalConfig(n_loop_blocks=12, n_loops=1), 9_535_233)],
)
def test_the_papers_networks_have_the_papers_weights_and_shapes(config, n_parameters):
    recipe = Curriculum(500_000)
    d, k, b = recipe.draw_sizes(499_999, torch.Generator())
    assert (d, k, b) == (20, 40, 30)
    with torch.device("meta"):
        network = config.build()
    # Outside of the context: what were made on the CPU would be refused.
    X = torch.empty(recipe.n_tables(k), k + 1, d, device="meta")
    y = X[:, :-1, 0]
    loops, window = (b, recipe.window) if config.n_loops > 1 else (1, 1)
    output = network(X, y, loops, window, recipe.n_grad_loops)
    memory = network.encode_support(X[:, :-1], y, config.n_loops, weights=torch.ones_like(y))
    steps = [step.output for step in network.predict_queries(X, memory)]
    assert {step.shape for step in steps} == {(64, 41, 1)}
    assert len(steps) == config.n_loops
    assert sum(p.numel() for p in network.parameters()) == n_parameters
    assert output.shape == (window, 64, 41, 1)
    assert output.dtype == torch.float32
    assert isinf(recipe.max_norm)
    assert [recipe.learning_rate(step) for step in (0, 499_999)] == [1.0, 1.0]


def test_the_network_begins_as_that_of_the_papers_code():
    torch.manual_seed(0)
    network = CausalConfig().build()
    for layer in (network.read_in, network.read_out):  # torch's own, not GPT-2's .02
        highest = layer.in_features**-0.5
        assert 0.9 * highest < layer.weight.abs().max() <= highest
    block = network.loop[0]
    for weight, std in (
        (network.positions, 0.02), (block.to_heads.weight, 0.02), (block.down.weight, 0.02 / 2**0.5)
    ):  # fmt: skip
        assert weight.std().item() == pytest.approx(std, rel=0.05)


@torch.no_grad()
def test_a_prediction_sees_the_rows_before_it_and_no_other(prompt):
    X, y = prompt
    network = large_weights(SMALL)
    before = network(X, y[:, :-1], 4)
    X, y = X.clone(), y.clone()
    X[:, 6:], y[:, 5:] = 9.0, 9.0  # x of row 5 stays
    after = network(X, y[:, :-1], 4)
    torch.testing.assert_close(after[:, :, :6], before[:, :, :6])
    assert (after[:, :, 6:] - before[:, :, 6:]).abs().min() > 1e-4


@torch.no_grad()
@pytest.mark.parametrize("injection", [True, False])
def test_remembered_rows_give_the_predictions_of_the_whole_prompt(prompt, injection):
    X, y = prompt
    network = large_weights(replace(SMALL, injection=injection, n_loop_blocks=2))
    order = torch.rand(8, generator=torch.Generator().manual_seed(0)).argsort()
    memory = network.encode_support(X[:, :8], y[:, :8] / 2, 4)
    queries = torch.cat([X[:, 8:], X[:, :3]], 1)
    steps = list(network.predict_queries(queries, memory))
    for q in range(4):
        whole = torch.cat([X[:, order], queries[:, q : q + 1]], 1)
        wanted = network(whole, y[:, order], 4, window=4)[:, :, -1, 0] / 2
        found = torch.stack([step.output[:, q, 0] for step in steps])
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_queries_leave_and_padding_is_not_seen(prompt):
    X, y = prompt
    network = large_weights(SMALL)
    memory = network.encode_support(X[:, :6], y[:, :6], 3)
    whole = [step.output for step in network.predict_queries(X[:, 6:], memory)]
    run = network.predict_queries(X[:, 6:], memory)
    next(run)
    left = run.send(torch.tensor([True, False, True])).output
    torch.testing.assert_close(left, whole[1][:, [0, 2]])
    [shown] = network.predict_queries(X[:, 6:], memory, shown=[2])
    torch.testing.assert_close(shown.output, whole[1])
    tables = [SupportBatch(X[:, :n], y[:, :n], None, None) for n in (8, 6)]
    joined = SupportBatch.joined(tables).remember(network, 3)
    *_, last = network.predict_queries(X[[0, 1, 0, 1], 6:], joined)
    torch.testing.assert_close(last.output[2:], whole[-1])


def test_meta_training_scores_every_prefix_and_goes_on_where_it_stopped(tmp_path):
    whole = meta_train(SMALL, LinearPrior(), RECIPE)
    meta_train(SMALL, LinearPrior(), replace(RECIPE, n_steps=3), folder=tmp_path)
    resumed = meta_train(SMALL, LinearPrior(), RECIPE, folder=tmp_path)
    assert resumed.losses == whole.losses
    assert whole.n_tables == 6 * 4
    torch.manual_seed(0)
    start = SMALL.build()
    X, y = LinearPrior().sample(seeded_generator(0, 0), 4, 5, 1)
    with torch.no_grad():
        error = (start(X, y[:, :-1], 2, window=2)[..., 0] - y).square().mean()
    np.testing.assert_allclose(whole.losses[0], error, rtol=0.02)  # products are in bfloat16


def test_the_regressor_predicts_with_a_decoder(tmp_path, prompt):
    network = large_weights(SMALL)
    save_checkpoint(network, tmp_path / "decoder.safetensors")
    checkpoint = load_checkpoint(tmp_path / "decoder.safetensors")
    assert checkpoint.network.config == SMALL
    X, y = (part[0].numpy() for part in prompt)
    queries = prompt[0][1].numpy()  # rows of `fit` would be answered by their targets
    model = LoopedICLRegressor(weights=tmp_path / "decoder.safetensors").fit(X[:8], y[:8])
    prediction = model.predict(queries)
    encoded = model.predictor_.encoder.transform(queries)
    member = model.predictor_.memories.members[0][0][0]
    cells, _ = member.reader.queries(torch.tensor(member.view.query(encoded))[None])
    with torch.no_grad():
        memory = network.encode_support(member.support.cells, member.support.y, 4)
        *_, last = network.predict_queries(cells, memory)
    wanted = member.reader.scale.undo_target(last.output[..., 0].double())[0]
    np.testing.assert_allclose(prediction, wanted, rtol=1e-4)
    assert len(list(model.staged_predict(queries))) == 4
    with pytest.raises(ValueError, match="predict a mean only"):
        model.predict(queries, return_std=True)
    with pytest.raises(ValueError, match=r"positions for 8\. Set max_support=8"):
        model.fit(np.tile(X, (2, 1)) + np.arange(18)[:, None], np.tile(y, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_gate_units": 4}, "Got n_gate_units=4"),
        ({"experts": True}, "a causal decoder has none"),
        ({"feedback": True}, "a causal decoder has none"),
        ({"target_scale": 0.0}, "Got target_scale=0.0"),
    ],
)
def test_what_a_decoder_lacks_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


def test_a_recipe_of_more_rows_than_positions_is_refused():
    with pytest.raises(ValueError, match="positions for 8"):
        meta_train(SMALL, LinearPrior(), replace(RECIPE, n_support=(4, 9)))
    late = Recipe(20, n_features=(1, 3), n_support=(4, 8), late_support=(4, 9))
    with pytest.raises(ValueError, match=r"up to 9 known rows.*positions for 8"):
        meta_train(SMALL, LinearPrior(), late)


def test_a_negative_number_of_workers_is_refused_before_any_work(tmp_path):
    with pytest.raises(ValueError, match=r"Got n_workers=-1, but expected at least 0"):
        meta_train(SMALL, LinearPrior(), RECIPE, n_workers=-1, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_workers_are_refused_where_prompts_are_drawn_on_the_device():
    with pytest.raises(ValueError, match=r"Got n_workers=2.*Leave n_workers at 0"):
        meta_train(SMALL, LinearPrior(), RECIPE, n_workers=2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_papers_budget_trains_on_a_gpu():
    config = CausalConfig(n_loops=15)
    recipe = replace(Curriculum(3, every=(1, 1, 1)), n_loops=(15, 15))
    run = meta_train(config, LinearPrior(), recipe, device="cuda", compile=True)
    assert np.isfinite(run.losses).all()
