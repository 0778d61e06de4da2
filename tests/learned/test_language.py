from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.paper.ouro import BUDGETS
from sklearn_looped import LoopedICLRegressor
from sklearn_looped.core.device import seeded_generator
from sklearn_looped.core.processes import Processes
from sklearn_looped.learned.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from sklearn_looped.learned.model.language import SHARING, LanguageConfig, LoopCache
from sklearn_looped.learned.model.readout import TokenLoss, TokenTarget
from sklearn_looped.learned.priors.sequences import Facts, ModularArithmetic, Relations
from sklearn_looped.learned.training.gate_losses import GateLoss, OuroLoss
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.recipe import Recipe

LANGUAGE = ModularArithmetic(modulus=3, n_operations=2)
CONFIG = LanguageConfig(LANGUAGE.n_tokens, LANGUAGE.length, width=8, n_heads=2, n_loops=3)
RECIPE = Recipe(
    4, n_query=1, n_loops=(3, 3), rows_per_step=8 * LANGUAGE.length, loss="ouro", optimizer="adam"
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = replace(CONFIG, n_loop_blocks=2).build()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p) * 0.4)
    return model


def evaluated(tokens, p):
    """Value of a tree in prefix notation, and its operations, by recursion."""

    def read(rest):
        token, *rest = rest
        if token < p:
            return token, 0, rest
        a, m, rest = read(rest)
        b, n, rest = read(rest)
        return (a + b, a - b, a * b)[token - p] % p, m + n + 1, rest

    value, n_operations, rest = read([t for t in tokens if t < p + 3])
    assert not rest
    return value, n_operations


def test_trees_are_whole_and_their_values_right():
    language = ModularArithmetic(modulus=5, n_operations=4)
    tokens, counted, difficulty = language.sample(seeded_generator(0), 300)
    assert (counted.sum(1) == 1).all()
    assert counted[:, -1].all()
    for sequence, n_operations in zip(tokens.tolist(), difficulty.tolist(), strict=True):
        assert evaluated(sequence[:-1], 5) == (sequence[-1], n_operations)
    assert set(difficulty.tolist()) == {1, 2, 3, 4}


def test_facts_are_the_same_in_every_draw_and_names_differ():
    facts = Facts(n_people=50, n_attributes=2, n_values=4, name_length=2)
    everyone = facts.of(torch.arange(50)).tokens
    assert len(everyone[:, :2].unique(dim=0)) == 50
    assert everyone.max() < facts.n_tokens
    known = {tuple(row) for row in everyone.tolist()}
    assert {tuple(row) for row in facts.sample(seeded_generator(1), 99).tokens.tolist()} <= known
    with pytest.raises(ValueError, match="only 16 names"):
        Facts(n_people=50, name_length=1)


def test_questions_of_testing_are_not_drawn_in_training():
    training = Relations(n_entities=6, n_relations=2, n_hops=3)
    testing = replace(training, testing=True)
    drawn = [each.sample(seeded_generator(2), 2000) for each in (training, testing)]
    asked, kept = ({tuple(row) for row in each.tokens.tolist()} for each in drawn)
    assert not asked & kept
    assert set(drawn[1].difficulty.tolist()) == {2, 3}
    facts = {row[-3:-1]: row[-1] for row in asked if row[1] == training.n_tokens - 1}
    assert len(facts) == 12  # all of one hop
    for row in asked | kept:
        entity, *path = [token for token in row[:-1] if token < training.n_tokens - 1]
        for relation in path:
            entity = facts[entity, relation]
        assert entity == row[-1]


@torch.no_grad()
def test_a_full_cache_continues_as_the_whole_sequence(model):
    tokens, *_ = LANGUAGE.sample(seeded_generator(0), 5)
    whole = model.trajectory(tokens, 3)
    caches = {}
    for sharing in SHARING:
        _, cache = model.read(tokens[:, :-2], 3, sharing)
        step, cache = model.extend(tokens[:, -2:-1], cache, 3)
        step, caches[sharing] = model.extend(tokens[:, -1:], cache, 3)
        exact = torch.allclose(step.output[:, :, 0], whole.output[:, :, -1], atol=1e-4)
        assert exact is (sharing == "full")
    assert caches["full"].n_bytes == 3 * caches["last"].n_bytes == 3 * caches["average"].n_bytes
    assert {cache.n_tokens for cache in caches.values()} == {tokens.shape[1]}
    one = model.read(tokens[:, :-1], 1, "full")[1]
    for sharing in SHARING[1:]:  # with one loop there is nothing to share
        step, _ = model.extend(tokens[:, -1:], LoopCache.of(one.loops, sharing), 1)
        torch.testing.assert_close(
            step.output[0, :, 0], model.trajectory(tokens, 1).output[0, :, -1]
        )


@pytest.mark.parametrize("name", ["facts", "Mano", "hops"])
def test_shapes_dtypes_and_devices_without_data(name):
    budget = BUDGETS["night"][name]
    n, V, B = budget.language.length - 1, budget.language.n_tokens, 4
    for config in budget.configs().values():
        L = config.n_loops
        with torch.device("meta"):
            model = config.build()
        # Outside of the context: what were made on the CPU would be refused.
        tokens = torch.zeros(B, n, dtype=torch.long, device="meta")
        steps = model.trajectory(tokens, L)
        assert steps.output.shape == (L, B, n, V)
        assert steps.exit.shape == (L, B, n)
        assert steps.output.dtype == steps.exit.dtype == torch.float32
        target = TokenTarget(tokens, torch.ones(B, n, device="meta"))
        for loss in (OuroLoss(TokenLoss().of_each, 0.1), GateLoss(TokenLoss().of_each, 0.1, 50.0)):
            loss(steps, target).backward(retain_graph=True)
        assert all(p.grad.shape == p.shape for p in model.parameters())
        for sharing in SHARING:
            _, cache = model.read(tokens[:, :-1], L, sharing)
            step, cache = model.extend(tokens[:, -1:], cache, L)
            assert step.output.shape == (L, B, 1, V)
            assert cache.n_tokens == n
            assert {kv.keys.device.type for loop in cache.loops for kv in loop} == {"meta"}


def test_stage_one_then_stage_two_which_leaves_the_model_as_it_is(tmp_path):
    first = meta_train(CONFIG, LANGUAGE, RECIPE, folder=tmp_path / "one")
    again = meta_train(CONFIG, LANGUAGE, RECIPE, folder=tmp_path / "one")
    assert again.losses == first.losses
    assert first.n_tables == 4 * 8
    save_checkpoint(first.network, tmp_path / "first.safetensors")
    start = load_checkpoint(tmp_path / "first.safetensors")
    assert start.network.config == CONFIG
    recipe = replace(RECIPE, loss="gate", gamma=0.005, k=50.0, lr=0.1)
    second = meta_train(CONFIG, LANGUAGE, recipe, start=start).network.state_dict()
    changed = {k for k, t in first.network.state_dict().items() if not torch.equal(t, second[k])}
    assert changed == {"gate.weight", "gate.bias"}
    with pytest.raises(CheckpointError, match="those of a language model"):
        LoopedICLRegressor(weights=tmp_path / "first.safetensors").fit([[0.0]], [0.0])


def test_processes_share_sequences_whose_number_follows_from_their_length(monkeypatch):
    monkeypatch.setattr(Processes, "joined", lambda: Processes(0, 9))
    monkeypatch.setattr(Processes, "average", lambda *_: None)
    monkeypatch.setattr(Processes, "gather", lambda self, value: [value])
    roomy = replace(RECIPE, rows_per_step=9 * LANGUAGE.length)
    assert len(meta_train(CONFIG, LANGUAGE, roomy).losses) == RECIPE.n_steps
    tight = replace(RECIPE, n_support=(2, 2))
    with pytest.raises(ValueError, match=r"9 processes, .* no more than 8 table"):
        meta_train(CONFIG, LANGUAGE, tight)


@torch.no_grad()
def test_only_counted_tokens_are_scored_and_beta_weighs_the_entropy(model):
    tokens, counted, _ = LANGUAGE.sample(seeded_generator(0), 5)
    steps = model.trajectory(tokens[:, :-1], 3)
    target = TokenTarget(tokens[:, 1:], counted[:, 1:])
    by_loop = torch.stack(
        [torch.nn.functional.cross_entropy(each[:, -1], tokens[:, -1]) for each in steps.output]
    )
    torch.testing.assert_close(TokenLoss()(steps.output, target), by_loop.mean())
    torch.testing.assert_close(model(tokens[:, :-1], 3, window=2), steps.output[1:])
    other = target._replace(tokens=torch.where(target.counted == 0, 0, target.tokens))
    for loss in (OuroLoss(TokenLoss().of_each, 0.1), GateLoss(TokenLoss().of_each, 0.005, 50.0)):
        assert loss(steps, target) == loss(steps, other)
    losses = [OuroLoss(TokenLoss().of_each, beta)(steps, target) for beta in (0.0, 1.0, 2.0)]
    torch.testing.assert_close(losses[0] - losses[1], losses[1] - losses[2])
    assert losses[0] > losses[1]


def test_impossible_sequences_and_caches_are_refused(model):
    tokens = torch.zeros(1, CONFIG.length + 1, dtype=torch.long)
    with pytest.raises(ValueError, match=r"positions for 7\. Shorten it"):
        model.trajectory(tokens, 1)
    with pytest.raises(ValueError, match="expected one of full, last, first, average"):
        model.read(tokens[:, :3], 1, "middle")
    with pytest.raises(ValueError, match="Got width=9"):
        replace(CONFIG, width=9)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("loss", ["window", "ouro", "gate"])
def test_every_loss_trains_on_a_gpu_as_on_the_cpu(tmp_path, loss):
    recipe = replace(RECIPE, loss=loss, gamma=0.1, k=50.0)
    on_cpu = meta_train(CONFIG, LANGUAGE, recipe, device="cpu")
    half = replace(recipe, n_steps=2)
    meta_train(CONFIG, LANGUAGE, half, device="cuda", folder=tmp_path)
    resumed = meta_train(CONFIG, LANGUAGE, recipe, device="cuda", folder=tmp_path)
    assert np.isfinite(resumed.losses).all()
    assert {p.device.type for p in resumed.network.parameters()} == {"cpu"}
    whole = meta_train(CONFIG, LANGUAGE, recipe, device="cuda")
    # Products are in bfloat16; the same weights and sequences all the same.
    np.testing.assert_allclose(whole.losses, on_cpu.losses, rtol=0.02)
