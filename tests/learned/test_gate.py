from dataclasses import replace

import pytest
import torch

from sklearn_looped.learned.checkpoints import load_checkpoint, save_checkpoint
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.memory import Step
from sklearn_looped.learned.model.readout import DistributionLoss, Target
from sklearn_looped.learned.priors import LinearPrior, SyntheticTables
from sklearn_looped.learned.training.gate_losses import (
    GateLoss,
    OuroLoss,
    exit_distribution,
    signal_error,
)
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.prompts import PromptStream
from sklearn_looped.learned.training.recipe import Recipe

GATE_LOSS = GateLoss(signal_error, gamma=0.002, k=500.0)
NETWORK = NetworkConfig(n_features=3, width=32, n_heads=2, n_quantiles=7)
RECIPE = Recipe(
    n_steps=40, n_features=(1, 3), n_support=(6, 24), n_query=8, n_loops=(3, 3), rows_per_step=256
)  # fmt: skip


def test_the_exit_distribution_is_one(rng):
    p = exit_distribution(torch.tensor(rng.normal(size=(5, 7))))
    assert (p > 0).all()
    torch.testing.assert_close(p.sum(0), torch.ones(7, dtype=p.dtype))


def test_ouros_loss_is_that_of_the_loop_a_sure_gate_takes(rng):
    output = torch.tensor(rng.normal(size=(3, 2, 4, 8)))
    target = Target.of(torch.tensor(rng.normal(size=(2, 4))))
    sure = torch.full((3, 2, 4), -50.0, dtype=torch.float64)
    sure[1] = 50.0
    loss = OuroLoss(DistributionLoss().of_each, 0.05)(Step(output, sure), target)
    torch.testing.assert_close(loss, DistributionLoss()(output[1], target))


def test_the_gates_loss_is_least_where_it_goes_on_while_it_pays():
    target = Target.of(torch.zeros(1, 2))
    output = torch.tensor([1.0, 0.5, 0.1, 0.1, 0.1])[:, None, None, None].expand(5, 1, 2, 4)
    pays = torch.tensor([0.0, -5, -5, 5, 5])[:, None, None].expand(5, 1, 2)
    losses = [float(GATE_LOSS(Step(output, s * pays), target)) for s in (1, 0, -1)]
    assert losses == sorted(losses)


@torch.no_grad()
def gate_loss(network, recipe):
    """Loss of a gate on prompts that no run of this length draws."""
    stream = PromptStream(SyntheticTables(), recipe, 0)
    prompts = [stream.prompt(step) for step in range(1000, 1010)]
    steps = [(network.trajectory(p["X"], p["y"], 3), target) for p, target in prompts]
    return float(sum(GATE_LOSS(step, target) for step, target in steps)) / len(steps)


def test_gate_training_leaves_the_network_as_it_is(tmp_path):
    base = meta_train(NETWORK, LinearPrior(), RECIPE).network
    save_checkpoint(base, tmp_path / "base.safetensors")
    start = load_checkpoint(tmp_path / "base.safetensors")
    gated = replace(NETWORK, n_gate_units=4)
    recipe = replace(RECIPE, loss="gate", n_steps=150, lr=1e-2)
    run = meta_train(gated, SyntheticTables(), recipe, start=start, folder=tmp_path / "gate")
    weights = base.state_dict()
    for name, tensor in run.network.state_dict().items():
        if not name.startswith("gate."):
            assert torch.equal(tensor, weights[name])
    untrained = replace(recipe, n_steps=1, lr=0.0, muon_lr=0.0)
    same = meta_train(gated, SyntheticTables(), untrained, start=start).network
    assert gate_loss(run.network, recipe) < gate_loss(same, recipe) - 0.01
    other = replace(recipe, lr=2e-2)
    with pytest.raises(ValueError, match=r"another recipe \(differs in lr\)"):
        meta_train(gated, SyntheticTables(), other, start=start, folder=tmp_path / "gate")


def test_means_and_gates_are_scored_against_the_target_without_noise():
    _, target = PromptStream(SyntheticTables(), RECIPE, 0).prompt(0)
    assert not torch.equal(target.y, target.signal)
    exact = torch.cat([target.signal[..., None], target.y[..., None].expand(-1, -1, 3)], -1)
    assert DistributionLoss()(exact, target) == 0
    steps = Step(exact.expand(2, *exact.shape), torch.full((2, *target.y.shape), 5.0))
    other = target._replace(y=target.y + 1)
    assert GATE_LOSS(steps, target) == GATE_LOSS(steps, other)


def test_network_and_gate_learn_together():
    gated = replace(NETWORK, n_gate_units=4)
    run = meta_train(gated, LinearPrior(), replace(RECIPE, loss="ouro", n_steps=100))
    assert sum(run.losses[-20:]) < 0.8 * sum(run.losses[:20])


@pytest.mark.parametrize("loss", ["gate", "ouro"])
def test_losses_of_a_gate_need_one(loss):
    with pytest.raises(ValueError, match="n_gate_units=0"):
        meta_train(NETWORK, LinearPrior(), replace(RECIPE, loss=loss))
    classifier = replace(NETWORK, n_classes=2, n_gate_units=4)
    with pytest.raises(ValueError, match="n_classes=2"):
        meta_train(classifier, LinearPrior(), replace(RECIPE, loss=loss))


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="expected one of window, ouro, gate"):
        replace(RECIPE, loss="doors")
