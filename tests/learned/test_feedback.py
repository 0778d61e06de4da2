import pytest
import torch

from sklearn_looped.learned.model import blocks
from sklearn_looped.learned.model.class_opinions import ClassOpinions
from sklearn_looped.learned.model.class_readout import Votes
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.model.opinions import N_EXPERTS, Opinions

N_SUPPORT, N_ROWS, N_CLASSES = 20, 28, 4


@pytest.fixture(params=["alone", "experts", "classes"])
def table(request):
    """A network with feedback, and a table with opinions that it reads."""
    torch.manual_seed(0)
    kind = request.param
    n_classes = N_CLASSES if kind == "classes" else 0
    config = NetworkConfig(
        n_features=8, width=32, n_heads=2, experts=kind != "alone", feedback=True, n_bases=2,
        n_classes=n_classes,
    )  # fmt: skip
    network = LoopedNetwork(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    X, y = torch.randn(2, N_ROWS, 5), torch.randn(2, N_SUPPORT)
    opinions = None
    if kind == "experts":
        opinions = Opinions(
            torch.randn(2, N_ROWS, N_EXPERTS),
            torch.rand(2, N_ROWS, N_EXPERTS) + 0.1,
            torch.rand(2, N_EXPERTS) / 2 + 0.1,
            torch.rand(2, 5),
        )
    elif kind == "classes":
        y = torch.randint(N_CLASSES, y.shape).float()
        opinions = ClassOpinions(
            torch.randn(2, N_ROWS, N_EXPERTS, N_CLASSES).softmax(-1),
            torch.rand(2, N_EXPERTS + 1) / 2 + 0.1,
            torch.rand(2, N_EXPERTS),
            torch.rand(2, 5),
            torch.full((2, N_CLASSES), 1 / N_CLASSES),
            torch.full((2,), float(N_SUPPORT)),
        )
    return network.requires_grad_(False), X, y, opinions


def by_loop(network, X, y, opinions, n_loops=4, weights=None):
    known = asked = None
    if opinions is not None:
        known = opinions.rows(slice(N_SUPPORT))
        asked = opinions.rows(slice(N_SUPPORT, None))
    memory = network.encode_support(X[:, :N_SUPPORT], y, n_loops, weights, known)
    steps = network.predict_queries(X[:, N_SUPPORT:], memory, asked)
    return torch.stack([step.output for step in steps])


def test_remembered_support_answers_as_one_pass_over_all_rows(table):
    network, X, y, opinions = table
    found = network(X, y, 4, window=4, opinions=opinions)
    torch.testing.assert_close(by_loop(*table), found)
    assert (found[0] - found[-1]).abs().max() > 1e-3


def test_rows_may_pass_some_at_a_time(table, monkeypatch):
    network, X, y, opinions = table
    first = opinions and type(opinions)(*(part[:1] for part in opinions))
    found = network(X[:1], y[:1], 3, opinions=first)
    whole = network(X, y, 3, opinions=opinions)[:, :1]
    monkeypatch.setattr(blocks, "WORKSPACE", 600)
    torch.testing.assert_close(network(X, y, 3, opinions=opinions)[:, :1], whole)
    torch.testing.assert_close(found, whole)


def test_no_row_sees_its_own_target_in_the_first_loop(table):
    network, X, y, opinions = table
    other = y.clone()
    other[:, 3] = (y[:, 3] + 1) % N_CLASSES

    def first(y):
        added = network._feedback(y, opinions, network._left_out(y, opinions))
        support = X[:, :N_SUPPORT], y, opinions and opinions.rows(slice(N_SUPPORT))
        state = network._prompt(*support)
        keys_values = network.loop[0].keys_values(state + added)
        return network.loop[0](state, keys_values, 0)

    change = (first(y) - first(other)).abs().amax(-1)
    assert (change[:, 3] == 0).all()
    assert (change[:, :3] > 1e-5).any()


def test_order_of_support_rows_does_not_matter_and_weights_count_rows(table):
    network, X, y, opinions = table
    order = torch.randperm(N_SUPPORT)
    rows = torch.cat([order, torch.arange(N_SUPPORT, N_ROWS)])
    mixed = by_loop(network, X[:, rows], y[:, order], opinions and opinions.rows(rows))
    torch.testing.assert_close(mixed, by_loop(*table), rtol=1e-4, atol=1e-5)
    ones = torch.ones_like(y)
    torch.testing.assert_close(by_loop(*table, weights=ones), by_loop(*table), rtol=1e-4, atol=1e-5)


def test_feedback_needs_a_network_that_reads_off_the_loop():
    for options in ({"n_pre_blocks": 1}, {"n_post_blocks": 1}):
        with pytest.raises(ValueError, match="without blocks before or after the loop"):
            NetworkConfig(feedback=True, **options)
    with pytest.raises(ValueError, match="feedback=True needs experts=True"):
        NetworkConfig(feedback=True, n_classes=3)


def test_votes_are_means_of_what_is_left_over_and_no_row_votes_on_itself():
    torch.manual_seed(0)
    votes = Votes(12, 3).requires_grad_(False)
    rows, left_over = torch.randn(1, 9, 12), torch.randn(1, 6, N_CLASSES)
    weights = torch.tensor([[1.0, 3, 1, 1, 2, 1]])
    found = votes(rows, votes.keys_values(rows[:, :6], left_over, weights), 0)
    copies = torch.tensor([0, 1, 1, 1, 2, 3, 4, 4, 5])
    repeated = votes(rows[:, 6:], votes.keys_values(rows[:, copies], left_over[:, copies]))
    torch.testing.assert_close(found[:, 6:], repeated)
    only = votes.keys_values(rows[:, :6], torch.eye(6)[None])
    shares = votes(rows, only, 0)[0]
    torch.testing.assert_close(shares.sum(-1), torch.ones(9, 3))
    assert (shares[:6].diagonal(dim1=0, dim2=2) == 0).all()
    torch.testing.assert_close(
        shares @ left_over[0],
        votes(rows, only._replace(values=left_over[:, None].expand(-1, 3, -1, -1)), 0)[0],
    )
