import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import xlogy
from sklearn.metrics import log_loss

from sklearn_looped.core.calibration import (
    EXPONENT_ROWS,
    EXPONENTS,
    FLOORS,
    POOL_ROWS,
    Calibration,
    pool_exponents,
    pooled,
    relative_log_loss,
)


def table(rng, n_classes=3, n=60):
    label = np.append(np.arange(n_classes), rng.integers(0, n_classes, n - n_classes))
    Y = np.eye(n_classes)[label]
    scores = Y + rng.normal(scale=0.5, size=Y.shape)
    return [torch.tensor(each)[None] for each in (scores, Y, rng.uniform(0.5, 2, n))]


def test_floor_and_exponent_have_the_least_loss_of_the_grid(rng):
    scores, Y, w = table(rng)
    found = Calibration.fit(scores, Y, w)

    def loss(floor, exponent):
        each = found._replace(floor=torch.tensor([floor]), exponent=torch.tensor([exponent]))
        proba = each.probabilities(scores)[0].numpy()
        frequencies = found.frequencies.numpy()
        proba = ((w.sum() + 1).item() * proba - frequencies) / w.sum().item()
        prior = EXPONENT_ROWS * np.log2(exponent) ** 2 / w.sum().item()
        return log_loss(Y[0].argmax(1), proba, sample_weight=w[0]) + prior

    grid = [loss(floor, exponent) for floor in FLOORS for exponent in EXPONENTS]
    np.testing.assert_allclose(loss(float(found.floor), float(found.exponent)), min(grid))


def test_tables_are_calibrated_alone_and_classes_without_rows_have_none(rng):
    first, second = table(rng), table(rng)
    first[1][..., 2] = 0
    first[1][..., 0] = 1 - first[1][..., 1]
    both = Calibration.fit(*(torch.cat(pair) for pair in zip(first, second, strict=True)))
    proba = both.probabilities(torch.cat([first[0], second[0]]))
    assert (proba[0, :, 2] == 0).all()
    np.testing.assert_allclose(proba.sum(-1), 1)
    two = [each[..., :2] if each.ndim == 3 else each for each in first]
    torch.testing.assert_close(Calibration.fit(*two).probabilities(two[0])[0], proba[0, :, :2])
    torch.testing.assert_close(Calibration.fit(*second).probabilities(second[0])[0], proba[1])


def test_relative_log_loss_is_one_for_the_frequencies(rng):
    _, Y, w = table(rng)
    shares = (w[..., None] * Y).sum(1, keepdim=True) / w.sum()
    torch.testing.assert_close(
        relative_log_loss(shares.expand_as(Y), Y, w), torch.ones(1, dtype=torch.float64)
    )
    proba = torch.softmax(torch.tensor(rng.normal(size=Y.shape)), -1)
    entropy = -xlogy(shares.numpy(), shares.numpy()).sum().item()
    expected = log_loss(Y[0].argmax(1), proba[0], sample_weight=w[0]) / entropy
    np.testing.assert_allclose(relative_log_loss(proba, Y, w).item(), expected)


def test_exponents_of_the_pool_have_the_least_loss_beside_equal_shares(rng):
    tables = [table(rng) for _ in range(4)]
    Y, w = (torch.cat([each[place] for each in tables]) for place in (1, 2))
    noise = torch.tensor(rng.normal(size=(4, 60, 3, 3)))
    strength = torch.tensor([3.0, 1.0, 0.0])[:, None]
    proba = torch.softmax(strength * (Y[:, :, None] + 0.5 * noise) + 0.3 * noise, -1)
    found = pool_exponents(proba, Y, w)
    for b, p, y, weights in zip(found, proba, Y, w, strict=True):

        def loss(b, p=p, y=y, weights=weights):
            logits = pooled(p[None], torch.tensor(b)[None, None])[0]
            each = -(torch.log_softmax(logits, -1) * y).sum(-1)
            return float((weights * each).sum() + ((torch.tensor(b) - 1 / 3) ** 2).sum())

        total = weights.sum()
        b = b + POOL_ROWS / total * (b - 1 / 3)  # without the average with equal shares
        best = minimize(loss, np.full(3, 1 / 3), bounds=[(0, 3)] * 3)
        assert loss(b.numpy()) < best.fun + 1e-4
