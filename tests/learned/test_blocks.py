import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from sklearn_looped.learned.model.blocks import Block


@pytest.mark.parametrize("weighted", [False, True])
def test_weights_times_values_are_the_attention_of_the_block(weighted):
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = Block(32, 4).double()
    support, rows = (torch.randn(2, n, 32, generator=generator).double() for n in (11, 5))
    counts = torch.randint(1, 4, (2, 11), generator=generator).double() if weighted else None
    memory = block.keys_values(support, counts)
    weights = block.attention(rows, memory)
    assert weights.shape == (2, 4, 5, 11)
    assert_close(weights.sum(-1), torch.ones(2, 4, 5).double())
    heads = (weights @ memory.values).transpose(1, 2).flatten(2)
    attended = rows + block.from_heads(heads)
    expected = attended + block.down(F.relu(block.up(block.feed_forward_norm(attended))))
    assert_close(block(rows, memory), expected, rtol=0, atol=1e-12)


def test_weights_by_loop_are_those_of_the_blocks_in_a_prediction(tiny_network):
    generator = torch.Generator().manual_seed(1)
    X, y = torch.randn(2, 12, 4, generator=generator), torch.randn(2, 8, generator=generator)
    memory = tiny_network.encode_support(X[:, :8], y, 3)
    seen = []
    [block] = tiny_network.loop
    hook = block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    assert all(step.attention is None for step in tiny_network.predict_queries(X[:, 8:], memory))
    hook.remove()
    steps = list(tiny_network.predict_queries(X[:, 8:], memory, attention=True))
    assert len(steps) == len(seen) == 3
    for step, inputs in zip(steps, seen, strict=True):
        assert_close(step.attention, block.attention(*inputs), rtol=0, atol=0)
