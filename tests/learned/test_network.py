import math

import pytest
import torch

from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.memory import KeptLoops, LoopMemory, SupportMemory
from sklearn_looped.learned.model.network import LoopedNetwork


def prompt(n_support=9, n_query=5, d=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(2, n_support + n_query, d, generator=generator)
    return X, torch.randn(2, n_support, generator=generator)


def test_order_of_support_rows_does_not_matter(tiny_network):
    X, y = prompt()
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    shuffled = torch.cat([X[:, :9][:, order], X[:, 9:]], 1)
    a, b = tiny_network(X, y, 3), tiny_network(shuffled, y[:, order], 3)
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_a_query_does_not_see_other_queries(tiny_network):
    X, y = prompt()
    alone = torch.cat([X[:, :9], X[:, 11:12]], 1)
    torch.testing.assert_close(
        tiny_network(X, y, 3)[:, :, 2], tiny_network(alone, y, 3)[:, :, 0], rtol=1e-5, atol=1e-5
    )


def test_a_query_depends_on_the_support(tiny_network):
    X, y = prompt()
    assert (tiny_network(X, y, 3) - tiny_network(X, y.flip(1), 3)).abs().max() > 1e-2


@pytest.mark.parametrize("blocks", [(0, 1, 0), (1, 1, 1), (0, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("injection", [True, False])
def test_remembered_support_gives_the_joint_pass(blocks, injection):
    pre, loop, post = blocks
    config = NetworkConfig(6, 32, 4, pre, loop, post, injection=injection)
    network = LoopedNetwork(config).requires_grad_(False)
    torch.nn.init.normal_(network.readout.output.weight)
    X, y = prompt()
    joint = network(X, y, n_loops=4, window=4)
    memory = network.encode_support(X[:, :9], y, n_loops=4)
    staged = torch.stack([step.output for step in network.predict_queries(X[:, 9:], memory)])
    torch.testing.assert_close(joint, staged, rtol=1e-4, atol=1e-4)


def test_memory_of_the_first_loops_gives_the_first_predictions(tiny_network):
    X, y = prompt()
    memory = tiny_network.encode_support(X[:, :9], y, n_loops=5)
    all_loops = list(tiny_network.predict_queries(X[:, 9:], memory))
    first = list(tiny_network.predict_queries(X[:, 9:], memory.first(2)))
    assert len(first) == 2
    assert all(torch.equal(a.output, b.output) for a, b in zip(first, all_loops, strict=False))
    shown = tiny_network.predict_queries(X[:, 9:], memory, shown=[2, 4])
    for step, loop in zip(shown, (2, 4), strict=True):
        assert torch.equal(step.output, all_loops[loop - 1].output)


def test_loops_are_computed_once_when_they_are_asked_for_also_after_an_interruption():
    started, computed = [], []

    def loops():
        started.append(len(computed))
        for loop in range(4):
            computed.append(loop)
            if computed == [0, 1]:
                raise KeyboardInterrupt
            yield LoopMemory([], [loop])

    memory = SupportMemory(4, [], KeptLoops(loops(), loops))
    assert computed == []
    assert memory.loop(1).post == [0]
    with pytest.raises(KeyboardInterrupt):
        memory.loop(2)
    assert memory.loop(2).post == [1]
    assert computed == [0, 1, 0, 1]  # from the first on, as nothing else leads there
    assert [loop.post for loop in memory.loops] == [[0], [1], [2], [3]]
    assert [memory.first(2).loop(1).post, memory.loop(4).post] == [[0], [3]]
    assert (started, computed) == ([0, 2], [0, 1, 0, 1, 2, 3])


def test_window_returns_the_last_loops(tiny_network):
    X, y = prompt()
    every = tiny_network(X, y, n_loops=5, window=5)
    assert every.shape[0] == 5
    torch.testing.assert_close(tiny_network(X, y, n_loops=5, window=2), every[3:])
    assert tiny_network(X, y, n_loops=2, window=9).shape[0] == 2


def test_truncated_backpropagation_changes_gradients_but_not_values():
    network = LoopedNetwork(NetworkConfig(6, 32, 4))
    torch.nn.init.normal_(network.readout.output.weight)
    X, y = prompt()
    gradients, values = [], []
    for n_grad_loops in (None, 2, 5):
        network.zero_grad()
        output = network(X, y, n_loops=5, n_grad_loops=n_grad_loops)
        output.square().mean().backward()
        gradients.append(network.loop[0].up.weight.grad.clone())
        values.append(output.detach())
    # Without gradients attention is computed by another kernel of the same function.
    torch.testing.assert_close(values[0], values[1], rtol=1e-5, atol=1e-5)
    assert torch.equal(gradients[0], gradients[2])
    assert not torch.allclose(gradients[0], gradients[1])


def test_token_size_does_not_depend_on_the_number_of_features():
    network = LoopedNetwork(NetworkConfig(n_features=32)).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    sizes = [
        float(network._read_in(torch.randn(1, 2000, d, generator=generator), None).square().mean())
        for d in (1, 4, 32)
    ]
    assert max(sizes) / min(sizes) < 1.3


def test_missing_cell_differs_from_its_mean(tiny_network):
    X, y = prompt()
    holed, filled = X.clone(), X.clone()
    holed[:, 10, 1], filled[:, 10, 1] = math.nan, 0.0
    a, b = tiny_network(holed, y, 2), tiny_network(filled, y, 2)
    assert a.isfinite().all()
    assert (a - b)[:, :, 1].abs().max() > 1e-3
    assert torch.equal(a[:, :, 2:], b[:, :, 2:])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 30, "n_heads": 4}, "multiple of n_heads=4"),
        ({"n_loop_blocks": 0}, "n_loop_blocks=0"),
        ({"n_loops": 2.5}, "n_loops=2.5"),
        ({"n_pre_blocks": -1}, "n_pre_blocks=-1"),
    ],
)
def test_impossible_shapes_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        NetworkConfig(**fields)


def test_default_network_keeps_within_a_million_parameters():
    assert sum(p.numel() for p in LoopedNetwork(NetworkConfig()).parameters()) < 1_000_000


@pytest.mark.parametrize(
    ("fields", "n_blocks", "n_passes"),
    [
        ({}, 1, 5),
        ({"n_pre_blocks": 1, "n_post_blocks": 1}, 3, 1 + 5 + 1),
        ({"n_pre_blocks": 11, "n_loops": 1}, 12, 12),
    ],
)
def test_blocks_before_and_after_the_loop_are_applied_once(fields, n_blocks, n_passes):
    config = NetworkConfig(n_features=4, width=16, n_heads=2, **fields)
    network, passes = LoopedNetwork(config), []
    blocks = [*network.pre, *network.loop, *network.post]
    for block in blocks:
        block.register_forward_hook(lambda *_: passes.append(1))
    network(*prompt(), n_loops=1 if config.n_loops == 1 else 5)
    assert (len(blocks), len(passes)) == (n_blocks, n_passes)
