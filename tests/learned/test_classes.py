from dataclasses import replace

import numpy as np
import pytest
import torch

from sklearn_looped.core.processes import Processes
from sklearn_looped.learned.inference.class_codes import (
    class_order,
    class_probabilities,
    codebook,
)
from sklearn_looped.learned.inference.class_experts import ClassExperts
from sklearn_looped.learned.inference.class_members import ClassMember
from sklearn_looped.learned.inference.class_reader import ClassReader, indicators
from sklearn_looped.learned.inference.support import Support
from sklearn_looped.learned.inference.views import fit_views
from sklearn_looped.learned.model.class_opinions import (
    N_CLASS_FEATURES,
    ClassOpinions,
    class_left_over,
    class_opinion_features,
)
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.model.readout import ClassLoss
from sklearn_looped.learned.priors import ClassTables
from sklearn_looped.learned.training.class_prompts import codes_of, read_classes
from sklearn_looped.learned.training.held_out import log_loss, score_by_loop
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.prompts import PromptStream
from sklearn_looped.learned.training.recipe import Recipe
from sklearn_looped.learned.training.trainer import Trainer

NETWORK = NetworkConfig(
    n_features=4, width=16, n_heads=2, n_classes=5, experts=True, feed_forward=2
)
RECIPE = Recipe(3, (2, 4), (24, 32), n_query=8, n_loops=(2, 3), window=2, rows_per_step=256)


class FiveClasses:
    """Tables of two to five classes."""

    def sample(self, generator, n_tables, n_rows, n_features):
        X, y = ClassTables().sample(generator, n_tables, n_rows, n_features)
        return X, y % 5


@pytest.fixture
def table(rng):
    X = torch.tensor(rng.normal(size=(2, 50, 4)))
    codes = (X[..., 0] + 0.3 * torch.tensor(rng.normal(size=(2, 50))) > 0).long()
    codes = codes + (X[..., 1] > 0.8).long()
    return X, codes


def untrained(config=NETWORK):
    torch.manual_seed(0)
    return LoopedNetwork(config).eval()


def test_an_untrained_network_predicts_the_pool_of_the_experts(table):
    X, codes = table
    prompt, _ = read_classes(X, codes, 40, NETWORK)
    opinions = ClassOpinions(*(prompt[name] for name in ClassOpinions._fields))
    with torch.no_grad():
        output = untrained()(prompt["X"], prompt["y"], 2, opinions=opinions)[-1]
    logs = opinions.proba[:, 40:].clamp(min=1e-9).log()
    expected = torch.einsum("be,bqec->bqc", opinions.exponents, logs)[
        ..., opinions.frequencies[0] > 0
    ]
    torch.testing.assert_close(torch.softmax(output[..., :3], -1), torch.softmax(expected, -1))
    assert (output[..., 3:] == -torch.inf).all()


def test_opinions_of_a_support_row_do_not_know_its_label(table):
    X, codes = table
    Y = indicators(codes, 3)
    experts = ClassExperts.fit(X, Y)
    score = (experts.support.proba * Y[:, :, None]).sum(-1)
    other = Y.clone()
    other[0, 7] = Y[0, 7].roll(1)
    moved = ClassExperts.fit(X, other).support.proba[0, 7]
    assert (moved - experts.support.proba[0, 7]).abs().max() < 0.2
    right = experts.of_queries(X).proba.mul(Y[:, :, None]).sum(-1)
    assert (right.mean(1) > score.mean(1)).all()
    assert (experts.support.error < 1).all()


def test_features_treat_classes_alike_and_left_over_is_of_the_label(table):
    X, codes = table
    prompt, _ = read_classes(X, codes, 40, NETWORK)
    opinions = ClassOpinions(*(prompt[name] for name in ClassOpinions._fields))
    known = class_opinion_features(opinions)
    assert known.shape[-1] == N_CLASS_FEATURES
    assert known.isfinite().all()
    order = torch.tensor([4, 2, 0, 1, 3])
    proba, frequencies = opinions.proba[..., order], opinions.frequencies[..., order]
    mixed = opinions._replace(proba=proba, frequencies=frequencies)
    torch.testing.assert_close(class_opinion_features(mixed), known)
    left_over = class_left_over(opinions.rows(slice(40)).pool(), prompt["y"])
    torch.testing.assert_close(left_over.sum(-1), torch.zeros(2, 40), atol=1e-5, rtol=0)
    assert (left_over.gather(2, prompt["y"].long()[..., None]) >= 0).all()


def test_losses_count_in_units_of_the_experts_loss(table):
    X, codes = table
    prompt, target = read_classes(X, codes, 40, NETWORK)
    expected = prompt["error"][:, -1:].square().clamp(min=0.1)
    torch.testing.assert_close(target.unit, expected)
    logits = torch.randn(2, 10, 5)
    by_table = log_loss(target.y, logits) / target.unit[:, 0]
    torch.testing.assert_close(ClassLoss()(logits[None], target), by_table.mean())


def test_groups_have_the_sums_of_their_classes(table):
    X, codes = table
    reader = ClassReader.fit(X[:1, :40], indicators(codes[:1, :40], 3), config=NETWORK)
    _, opinions = reader.queries(X[:1, 40:])
    grouped = opinions.grouped(torch.tensor([[4, 0, 4], [1, 2, 3]]), 5)
    both = opinions.proba[0][..., [0, 2]].sum(-1)
    torch.testing.assert_close(grouped.proba[0, ..., 4], both)
    torch.testing.assert_close(grouped.proba[1, ..., 1:4], opinions.proba[0])
    torch.testing.assert_close(grouped.proba.sum(-1), torch.ones(2, 10, 3))
    assert grouped.frequencies[0, 1:4].tolist() == [0, 0, 0]


@pytest.mark.parametrize("n_classes", [2, 10, 11, 50, 101])
def test_codes_tell_every_class_and_use_all_groups_alike(n_classes):
    codes = codebook(n_classes, 10, seed=3)
    assert len({tuple(column) for column in codes.T}) == n_classes
    assert len(codes) == (1 if n_classes <= 10 else 2 if n_classes <= 100 else 3)
    assert not np.array_equal(codes, codebook(n_classes, 10, seed=4))
    assert np.array_equal(codes, codebook(n_classes, 10, seed=3))


def test_classes_have_the_probabilities_that_all_passes_agree_on(rng):
    truth = torch.tensor(rng.dirichlet(np.full(30, 0.3), 7))
    codes = torch.tensor(codebook(30, 10, seed=0))
    groups = torch.stack([truth @ torch.eye(10).double()[code] for code in codes])
    same = class_probabilities(groups.log(), codes, truth)
    torch.testing.assert_close(same, truth)
    guess = torch.full_like(truth, 1 / 30)
    found = class_probabilities(groups.log(), codes, guess)
    for group, code in zip(groups, codes, strict=True):
        torch.testing.assert_close(found @ torch.eye(10).double()[code], group, atol=1e-6, rtol=0)
    one = torch.arange(30)[None]
    torch.testing.assert_close(class_probabilities(truth.log()[None], one, guess), truth)


def test_the_order_of_classes_depends_on_rows_alone(rng):
    X, label = rng.normal(size=(60, 3)), np.repeat([0, 1, 2], [25, 10, 25])
    Y, names = np.eye(3)[label], np.array([2, 0, 1])
    order = class_order(X, Y, None)
    assert order[2] == 1
    assert np.array_equal(names[order], class_order(-7 * X + 1, Y[:, np.argsort(names)], None))


@pytest.mark.parametrize("max_rows", [3, 40, 64])
def test_subsamples_are_stratified_and_keep_rows_of_rare_classes(rng, max_rows):
    X, label = rng.normal(size=(400, 2)), np.repeat([0, 1, 2], [300, 96, 4])
    support = Support(X, np.eye(3)[label], None)
    views = fit_views(support, 4, None, max_rows, np.random.RandomState(0), by_class=True)
    for view in views:
        shown = view.support(support)
        assert len(np.unique(view.rows)) == len(shown.X) == max_rows
        rare, others = shown.Y[:, 2].sum(), shown.Y[:, :2].sum(0)
        assert rare == min(4, max(1, max_rows // 12))
        np.testing.assert_allclose(others, np.array([300, 96]) * (max_rows - rare) / 396, atol=1.1)


def test_codes_are_drawn_at_random_and_too_many_classes_refused():
    y = torch.tensor([[0.0, 2.0, 2.0], [1.0, 1.0, 5.0]])
    assert codes_of(y, 4).tolist() == [[0, 1, 1], [0, 0, 1]]
    drawn = codes_of(y.repeat(200, 1), 4, torch.Generator().manual_seed(0))
    assert (drawn[::2, 1] == drawn[::2, 2]).all()
    assert (drawn[::2, 0] != drawn[::2, 1]).all()
    counts = torch.bincount(drawn[:, 0], minlength=4)
    assert counts.min() > 60
    with pytest.raises(ValueError, match=r"tables of 5 classes, but the network tells 4"):
        codes_of(torch.arange(5.0)[None], 4)


def test_queries_of_a_class_that_the_support_lacks_do_not_count():
    codes = torch.tensor([[0, 1, 0, 1, 0, 2]])
    _, target = read_classes(torch.randn(1, 6, 2), codes, 4, NETWORK)
    assert target.y.tolist() == [[0, -1]]
    logits = torch.tensor([[[2.0, 0.0], [5.0, 0.0]]])
    expected = torch.log_softmax(logits[0, 0], -1)[0]
    torch.testing.assert_close(log_loss(target.y, logits), -expected[None])


def test_the_losses_of_two_processes_add_up_to_that_of_one():
    recipe = replace(RECIPE, n_support=(4, 4), rows_per_step=60)  # five tables; few classes known
    module, losses = untrained(), []
    for processes in (Processes(), Processes(0, 2), Processes(1, 2)):
        trainer = Trainer(
            module, recipe=recipe, processes=processes, criterion=ClassLoss, device="cpu"
        ).initialize()
        shared = PromptStream(FiveClasses(), recipe, 0, processes=processes, classifier=NETWORK)
        prompt, target = shared.prompt(0)
        losses.append(trainer.share(prompt) * trainer.get_loss(trainer.infer(prompt), target))
    torch.testing.assert_close(losses[1] + losses[2], losses[0])


def test_a_prompt_of_labels_goes_through_training_and_silence(monkeypatch):
    stream = PromptStream(FiveClasses(), RECIPE, 0, classifier=NETWORK)
    prompt, target = stream.prompt(0)
    again, _ = stream.prompt(0)
    assert all(torch.equal(prompt[name], again[name]) for name in prompt)
    assert set(target.y.unique().tolist()) <= {-1.0, 0.0, 1.0, 2.0, 3.0, 4.0}
    monkeypatch.setattr("sklearn_looped.learned.training.prompts.ALL_SILENT", 1.0)
    silent, _ = stream.prompt(0)
    torch.testing.assert_close(silent["error"], torch.ones_like(silent["error"]))
    torch.testing.assert_close(
        silent["proba"], silent["frequencies"][:, None, None].expand_as(silent["proba"])
    )
    run = meta_train(NETWORK, FiveClasses(), RECIPE)
    assert np.isfinite(run.losses).all()
    assert np.isfinite(score_by_loop(run.network, FiveClasses(), 2, 4, ((24, 3),), log_loss)).all()


def test_members_from_few_rows_count_less_for_each_transformation_of_the_columns(rng):
    config = NetworkConfig(width=16, n_heads=2, n_classes=5, experts=True, feed_forward=2)

    def lead(n_rows):
        X = rng.normal(size=(n_rows, 3))
        Y = np.eye(2)[(X[:, 0] + rng.normal(size=n_rows) > 0).astype(int)]
        support = Support(X, Y, None)
        views = fit_views(support, 4, None, 1024, np.random.RandomState(0), by_class=True)
        members = ClassMember.fit_each([(view, support) for view in views], config)
        found = [float(member.importance()[0]) * member.error**4 for member in members]
        return np.array(found) / found[0]

    np.testing.assert_allclose(lead(40), [1, 0.5**0.5, 0.5**0.5, 0.5])
    np.testing.assert_allclose(lead(80), 1)
