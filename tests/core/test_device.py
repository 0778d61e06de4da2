import pytest
import torch

from sklearn_looped.core.device import choose_device, seeded_generator


def test_auto_takes_the_gpu_where_there_is_one():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["abacus", "cpu:x", "cuda:99", "meta-device", "meta"])
def test_a_device_that_is_not_there_is_refused_by_name(name):
    with pytest.raises(ValueError, match=f"device='{name}'"):
        choose_device(name)


def test_generators_of_different_steps_are_independent():
    draws = torch.stack([torch.randn(1000, generator=seeded_generator(0, i)) for i in range(4)])
    correlation = torch.corrcoef(draws) - torch.eye(4)
    assert correlation.abs().max() < 0.15


def test_seeding_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    torch.randn(3, generator=seeded_generator(1, 2))
    assert torch.equal(before, torch.get_rng_state())
