"""Probes of decoders find what states hold, and nothing where they hold nothing."""

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.paper import decoder_probing
from benchmarks.paper.evidence import cross_fitted_best
from benchmarks.paper.probing import CONTROL, TEST, TRAIN
from sklearn_looped.learned.model.causal import CausalConfig


def test_a_probe_finds_a_target_in_one_of_the_tokens_and_only_there(monkeypatch):
    monkeypatch.setattr(decoder_probing, "N_STEPS", 200)
    torch.manual_seed(0)
    states, targets = torch.randn(2, 500, 5, 6), torch.randn(2, 500, 3)
    states[1, :, 2, :3] = targets[0]  # pass 2 knows the first target, at the third token
    train, test = slice(0, 400), slice(400, 500)
    probes = decoder_probing.fitted(states[:, train], targets[:, train], seed=0)
    with torch.inference_mode():
        wrong = (probes(states[:, test]) - targets[:, None, test]).square().mean((2, 3))
    assert wrong[0, 1] < 0.3
    assert min(wrong[0, 0], wrong[1, 0], wrong[1, 1]) > 0.8
    assert probes.positions[0, 1].argmax() == 2


def test_states_are_those_after_every_pass_and_targets_those_of_the_prompt():
    torch.manual_seed(0)
    network = CausalConfig(n_features=3, width=16, n_heads=2, n_loops=4, max_examples=8).build()
    found, (moment, weights) = decoder_probing.probed(network, 6, TRAIN, 5)
    assert found.shape == (4, 5, 13, 16)
    # The loop's norm, which begins without weights of its own, is what states are normalised by.
    X, y = torch.zeros(1, 7, 3), torch.zeros(1, 7)
    with torch.no_grad():
        output = network.read_out(decoder_probing.states(network, X, y)[:, :, ::2])
        torch.testing.assert_close(output, network(X, y[:, :-1], 4, window=4))
    known = decoder_probing.probed(network, 6, CONTROL, 5)[1]
    torch.testing.assert_close(known[1], torch.ones(5, 3))
    assert not torch.allclose(weights, decoder_probing.probed(network, 6, TEST, 5)[1][1])
    assert F.cosine_similarity(moment, weights).mean() > 0.5


def test_the_best_of_methods_that_do_not_differ_is_no_better_than_their_mean():
    errors = np.random.default_rng(0).standard_normal((40, 200))
    assert errors.mean(1).min() < -0.1  # chosen on the same prompts
    assert abs(cross_fitted_best(errors).mean()) < 0.1


def test_the_best_method_is_found():
    errors = np.random.default_rng(0).uniform(1, 2, (5, 40))
    errors[3] -= 1
    np.testing.assert_array_equal(cross_fitted_best(errors), errors[3])
