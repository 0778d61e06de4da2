"""Experts in the token: what they say of rows, and how the network takes it."""

from dataclasses import replace

import pytest
import torch

from sklearn_looped.learned.inference.experts import Experts, silenced
from sklearn_looped.learned.inference.reader import Reader
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.model.opinions import N_EXPERTS, N_OPINION_FEATURES, opinion_features
from sklearn_looped.learned.priors import ClassTables, SyntheticTables
from sklearn_looped.learned.training.held_out import score_by_loop
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.prompts import PromptStream
from sklearn_looped.learned.training.recipe import Recipe

CONFIG = NetworkConfig(n_features=3, width=32, n_heads=4, n_loops=3, experts=True)


@pytest.fixture
def table():
    """Two tables of 30 support rows and 7 queries; the second column decides."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(2, 37, 5, generator=generator, dtype=torch.float64)
    y = torch.sin(2 * X[..., 1]) + 0.1 * torch.randn(2, 37, generator=generator)
    return X, y


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = LoopedNetwork(CONFIG)
        torch.nn.init.normal_(network.readout.correction.output.weight, std=0.3)
    return network.requires_grad_(False)


def test_columns_come_by_their_weight_and_no_more_than_are_read(table):
    X, y = table
    experts = Experts.fit(X[:, :30], y[:, :30], max_columns=3)
    assert experts.columns.shape == (2, 3)
    assert (experts.columns[:, 0] == 1).all()
    torch.testing.assert_close(experts.read(X)[..., 0], X[..., 1])
    assert (experts.support.gate.diff(dim=1) <= 0).all()
    torch.testing.assert_close(experts.support.gate.square().mean(1), torch.ones(2).double())


def test_opinions_of_a_support_row_do_not_know_its_target(table):
    X, y = table
    opinions = Experts.fit(X[:, :30], y[:, :30]).support
    model = Experts.fit(X[:, :30], y[:, :30]).models[0]
    alone = y[:, :30, None] - opinions.prediction
    fitted = y[:, :30, None] - model.predict(X[:, :30])[0]
    # What is left over by an expert that knows the row is less, for each row.
    assert (alone[..., 0].abs() >= fitted[..., 0].abs() - 1e-9).all()
    features = opinion_features(opinions, y[:, :30])
    assert features.shape == (2, 30, N_OPINION_FEATURES)


def test_queries_are_judged_as_rows_left_out_are():
    generator = torch.Generator().manual_seed(1)
    X = torch.rand(2, 200, 3, generator=generator, dtype=torch.float64)
    y = torch.sin(6 * X[..., 1]) + 0.1 * torch.randn(2, 200, generator=generator)
    y = y / y[:, :120].std(1, keepdim=True)
    experts = Experts.fit(X[:, :120], y[:, :120])
    asked = experts.of_queries(X[:, 120:])
    error = (asked.prediction - y[:, 120:, None]).square().mean(1).sqrt()
    torch.testing.assert_close(error, experts.support.error, rtol=0.25, atol=0)
    assert (error[:, 1] < 0.3 * error[:, 0]).all()  # ridge regression knows no sines
    said = asked.std.square().mean(1).sqrt()
    torch.testing.assert_close(said, error, rtol=0.3, atol=0)


@pytest.mark.parametrize("n_rows", [1, 2])
def test_too_few_rows_leave_the_mean(n_rows):
    X, y = torch.randn(1, n_rows, 2).double(), torch.randn(1, n_rows).double()
    experts = Experts.fit(X, y)
    for opinions in (experts.support, experts.of_queries(X)):
        assert (opinions.prediction == 0).all()
        assert (opinions.error == 1).all()


def test_an_empty_correction_leaves_the_better_experts(table):
    X, y = table
    torch.manual_seed(0)
    untrained = LoopedNetwork(CONFIG).requires_grad_(False)
    reader = Reader.fit(X[:, :30], y[:, :30], config=CONFIG)
    cells, opinions = reader.table(X)
    output = untrained(cells, reader.scale.target(y[:, :30]).float(), 2, opinions=opinions)[-1]
    shares = opinions.error.pow(-8) / opinions.error.pow(-8).sum(1, keepdim=True)
    expected = (opinions.prediction[:, 30:] * shares[:, None]).sum(-1)
    torch.testing.assert_close(output[..., 0], expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output[..., 0], output[..., 5])
    assert (shares[:, 0] < 0.01).all()  # ridge regression knows no sines


def test_remembered_support_gives_the_joint_pass(table, network):
    X, y = table
    reader = Reader.fit(X[:, :30], y[:, :30], config=CONFIG)
    cells, opinions = reader.table(X)
    target = reader.scale.target(y[:, :30]).float()
    joint = network(cells, target, 4, window=4, opinions=opinions)
    memory = network.encode_support(cells[:, :30], target, 4, opinions=opinions.rows(slice(30)))
    asked, of_queries = reader.queries(X[:, 30:])
    staged = [step.output for step in network.predict_queries(asked, memory, of_queries)]
    torch.testing.assert_close(joint, torch.stack(staged), rtol=1e-4, atol=1e-4)
    alone, of_one = reader.queries(X[:, 33:34])
    *_, last = network.predict_queries(alone, memory, of_one)
    torch.testing.assert_close(last.output[:, 0], joint[-1, :, 3], rtol=1e-4, atol=1e-4)


def test_queries_that_leave_take_their_opinions_along(table, network):
    X, y = table
    reader = Reader.fit(X[:, :30], y[:, :30], config=CONFIG)
    cells, opinions = reader.support(X[:, :30])
    memory = network.encode_support(
        cells, reader.scale.target(y[:, :30]).float(), 3, None, opinions
    )
    asked, of_queries = reader.queries(X[:, 30:])
    *_, whole = network.predict_queries(asked, memory, of_queries)
    run = network.predict_queries(asked, memory, of_queries)
    next(run)
    staying = torch.tensor([True, False, True, False, False, True, False])
    run.send(staying)
    last = run.send(None)
    torch.testing.assert_close(last.output, whole.output[:, staying], rtol=1e-5, atol=1e-5)


def test_units_signs_and_order_of_columns_do_not_matter(table, network):
    X, y = table
    order = torch.tensor([3, 1, 4, 0, 2])
    moved = (X * torch.tensor([2.0, -3.0, 1e3, 0.1, 7.0]) + 5)[:, :, order]

    def predict(X, y):
        reader = Reader.fit(X[:, :30], y[:, :30], config=CONFIG)
        cells, opinions = reader.table(X)
        output = network(cells, reader.scale.target(y[:, :30]).float(), 3, opinions=opinions)
        return reader.scale.undo_target(output[-1, ..., 0])

    torch.testing.assert_close(predict(moved, -4 * y + 1), -4 * predict(X, y) + 1)


def test_silent_experts_are_not_heard(table):
    X, y = table
    opinions = Experts.fit(X[:, :30], y[:, :30]).support
    silent = torch.tensor([[True, False, False], [False, True, True]])
    heard = silenced(opinions, silent)
    assert (heard.prediction[0, :, 0] == 0).all()
    assert (heard.error[0, 0], heard.error[1, 1], heard.error[1, 2]) == (1, 1, 1)
    assert (heard.gate[1] == 1).all()
    assert torch.equal(heard.gate[0], opinions.gate[0])
    assert torch.equal(heard.prediction[0, :, 1], opinions.prediction[0, :, 1])


def test_prompts_carry_opinions_and_training_goes_on_from_its_folder(tmp_path):
    recipe = Recipe(4, n_features=(1, 3), n_support=(8, 40), rows_per_step=256, seed=3)
    prompt, target = PromptStream(SyntheticTables(), recipe, 0, expert_columns=3).prompt(0)
    n_tables, n_rows, _ = prompt["X"].shape
    assert prompt["prediction"].shape == (n_tables, n_rows, N_EXPERTS)
    assert target.unit.shape == (n_tables, 1)
    assert (target.unit <= 1).all()

    whole = meta_train(CONFIG, SyntheticTables(), recipe, device="cpu")

    class Stopping(SyntheticTables):
        """Raises at the third step."""

        n_calls = 0

        def sample_with_signal(self, *args):
            type(self).n_calls += 1
            if type(self).n_calls == 3:
                raise InterruptedError
            return super().sample_with_signal(*args)

    Stopping.__qualname__ = SyntheticTables.__qualname__
    with pytest.raises(InterruptedError):
        meta_train(CONFIG, Stopping(), recipe, device="cpu", folder=tmp_path, save_every=0)
    resumed = meta_train(CONFIG, SyntheticTables(), recipe, device="cpu", folder=tmp_path)
    assert resumed.losses == whole.losses
    for one, other in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_held_out_scores_of_an_untrained_network_are_those_of_the_experts():
    config = replace(CONFIG, n_features=8)
    torch.manual_seed(0)
    network = LoopedNetwork(config).eval()
    [score] = score_by_loop(network, SyntheticTables(), 1, n_tables=4, sizes=((64, 6),))
    assert 0 < score < 1


@pytest.mark.parametrize("n_classes", [0, 10])
def test_held_out_tables_go_where_the_network_is(n_classes):
    prior = ClassTables() if n_classes else SyntheticTables()
    with torch.device("meta"):
        network = LoopedNetwork(replace(CONFIG, n_features=8, n_classes=n_classes)).eval()
    # All is computed on the device; what fails is to fetch numbers from one that holds none.
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        score_by_loop(network, prior, 1, n_tables=4, sizes=((64, 6),))
