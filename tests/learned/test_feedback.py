import pytest
import torch

from sklearn_looped.learned.model import blocks
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.model.opinions import N_EXPERTS, Opinions

N_SUPPORT, N_ROWS = 20, 28


@pytest.fixture(params=[False, True], ids=["alone", "experts"])
def table(request):
    """A network with feedback, and a table with opinions that it reads."""
    torch.manual_seed(0)
    config = NetworkConfig(
        n_features=8, width=32, n_heads=2, experts=request.param, feedback=True, n_bases=2
    )
    network = LoopedNetwork(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    X, y = torch.randn(2, N_ROWS, 5), torch.randn(2, N_SUPPORT)
    opinions = None
    if request.param:
        opinions = Opinions(
            torch.randn(2, N_ROWS, N_EXPERTS),
            torch.rand(2, N_ROWS, N_EXPERTS) + 0.1,
            torch.rand(2, N_EXPERTS) / 2 + 0.1,
            torch.rand(2, 5),
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
    found = network(X[:1], y[:1], 3, opinions=opinions and Opinions(*(p[:1] for p in opinions)))
    whole = network(X, y, 3, opinions=opinions)[:, :1]
    monkeypatch.setattr(blocks, "WORKSPACE", 600)
    torch.testing.assert_close(network(X, y, 3, opinions=opinions)[:, :1], whole)
    torch.testing.assert_close(found, whole)


def test_no_row_sees_its_own_target_in_the_first_loop(table):
    network, X, y, opinions = table
    other = y.clone()
    other[:, 3] += 1

    def first(y):
        added = network._feedback(y, opinions, network._left_out(y, opinions, None))
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


def test_feedback_is_for_regressors_that_read_off_the_loop():
    for options in ({"n_classes": 3}, {"n_pre_blocks": 1}, {"n_post_blocks": 1}):
        with pytest.raises(ValueError, match="feedback=True needs a regressor"):
            NetworkConfig(feedback=True, **options)
