"""torch's Muon in float32, for processors that do not multiply bfloat16."""

import pytest
import torch

from sklearn_looped.learned.training import muon
from sklearn_looped.learned.training.muon import Muon, orthogonal

SHAPES = (12, 12), (30, 12), (12, 30)
COEFFICIENTS = 3.4445, -4.7750, 2.0315


def moved(kind, n_steps=5):
    """Matrices after some steps of an optimiser, and its state."""
    generator = torch.manual_seed(0)
    weights = [torch.randn(shape, generator=generator) for shape in SHAPES]
    optimizer = kind([{"params": weights}], lr=0.1, weight_decay=0.05)
    for _ in range(n_steps):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()
    return weights, optimizer.state_dict()


@pytest.mark.parametrize(("dtype", "bound"), [(torch.bfloat16, 0.0), (torch.float32, 0.02)])
def test_matrices_move_as_by_torchs_muon(dtype, bound, monkeypatch):
    monkeypatch.setattr(muon, "training_dtype", lambda device: dtype)
    weights, state = moved(Muon)
    expected, expected_state = moved(torch.optim.Muon)
    for found, wanted in zip(weights, expected, strict=True):
        assert torch.linalg.norm(found - wanted) <= bound * torch.linalg.norm(wanted)
    torch.testing.assert_close(state, expected_state, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_come_near_one_and_singular_vectors_stay(shape):
    matrix = torch.randn(shape, generator=torch.manual_seed(1), dtype=torch.float64)
    U, _, V = torch.linalg.svd(matrix, full_matrices=False)
    found = U.T @ orthogonal(matrix, COEFFICIENTS, 5) @ V.T
    values = found.diagonal()
    assert ((values > 0.5) & (values < 1.3)).all()
    torch.testing.assert_close(found, values.diag(), rtol=0, atol=1e-9)


def test_a_gradient_of_zero_moves_nothing():
    assert not orthogonal(torch.zeros(3, 5), COEFFICIENTS, 5).any()


def test_no_matrices_and_no_gradients_are_no_error(monkeypatch):
    monkeypatch.setattr(muon, "training_dtype", lambda device: torch.float32)
    Muon([{"params": []}]).step()
    weight = torch.ones(2, 2)
    Muon([{"params": [weight]}]).step()
    assert (weight == 1).all()
