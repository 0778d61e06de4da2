"""Lloyd's algorithm and the smoother by attention, against plain numpy."""

import numpy as np
import pytest
import torch

from sklearn_looped.programmed.algorithms.lloyd import _lloyd_block, lloyd, nearest
from sklearn_looped.programmed.algorithms.smoother import _smoother_block, smooth
from sklearn_looped.programmed.transformer.evaluation import EVALUATIONS
from sklearn_looped.programmed.transformer.layout import Layout


def plain_step(X, centres):
    squares = ((X[:, None] - centres) ** 2).sum(axis=2)
    labels = squares.argmin(axis=1)
    moved = [
        X[labels == i].mean(axis=0) if (labels == i).any() else c for i, c in enumerate(centres)
    ]
    return labels, squares.min(axis=1).sum(), np.array(moved)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_a_loop_is_a_step_of_lloyds_algorithm(rng, scale):
    X = scale * rng.normal(size=(50, 3))
    centres = X[:4]
    for step in lloyd(X, centres, 6):
        labels, inertia, centres = plain_step(X, centres)
        np.testing.assert_array_equal(step.membership, np.eye(4)[labels])
        assert step.inertia == pytest.approx(inertia, rel=1e-13)
        np.testing.assert_allclose(step.centres, centres, rtol=0, atol=1e-14 * scale)


def test_ties_go_to_the_lower_number_and_empty_centres_to_the_farthest_samples():
    X = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 3.0]])
    centres = np.array([[-1.0, 0.0], [1.0, 0.0], [50.0, 0.0], [-1.0, 0.0]])
    (step,) = lloyd(X, centres, 1)
    np.testing.assert_array_equal(step.membership.argmax(axis=1), [0, 1, 0, 0])
    np.testing.assert_array_equal(np.unique(step.membership), [0, 1])
    np.testing.assert_allclose(step.centres, X[[0, 1, 3, 2]], atol=1e-15)


@pytest.mark.parametrize("n_equal", [2, 3, 7])
def test_equal_centres_share_no_samples(rng, n_equal):
    X = rng.normal(size=(20, 2))
    centres = np.concatenate([np.repeat(X[:1], n_equal, axis=0), X[1:2]])
    (step,) = lloyd(X, centres, 1)
    taken = step.membership.argmax(axis=1)
    np.testing.assert_array_equal(step.membership, np.eye(n_equal + 1)[taken])
    assert set(taken) == {0, n_equal}


def test_nearest_is_the_assignment_of_a_step(rng):
    X, centres, origin = rng.normal(size=(30, 3)), rng.normal(size=(4, 3)), rng.normal(size=3)
    (step,) = lloyd(X, centres, 1, origin=origin)
    expected = step.membership.argmax(axis=1)
    for unit in (-3, 0, 3):
        np.testing.assert_array_equal(nearest(X, centres, origin=origin, unit=unit), expected)


def test_origin_is_subtracted_once(rng):
    X, origin = rng.normal(size=(20, 2)), np.array([3.0, -1.0])
    shifted = list(lloyd(X + origin, X[:2], 3, origin=origin))
    plain = list(lloyd(X, X[:2], 3))
    for a, b in zip(shifted, plain, strict=True):
        np.testing.assert_allclose(a.centres, b.centres, rtol=0, atol=1e-15)


def test_smoother_is_the_weighted_mean(rng):
    X, y, queries = rng.normal(size=(40, 2)), rng.normal(size=40), rng.normal(size=(9, 2))
    weights = np.exp(-((queries[:, None] - X) ** 2).sum(axis=2) / 2)
    expected = weights @ y / weights.sum(axis=1)
    np.testing.assert_allclose(smooth(X, y, queries), expected, rtol=0, atol=1e-14)


def test_evaluations_agree_in_every_bit(rng):
    lloyd_tokens, smoother_tokens = (
        Layout(null=1, centre=2, sample=5),
        Layout(scratch=1, null=1, sample=5, query=3),
    )
    x = rng.uniform(-0.5, 0.5, size=(5, 2))
    w = rng.uniform(size=(5, 1))
    cases = [
        (
            _lloyd_block(2, 2),
            lloyd_tokens,
            {
                "sample": {"x": x, "asked": x, "share": 1.0, "weight": w, "log_weight": np.log(w)},
                "centre": {"c": x[:2], "unit": np.eye(2)},
            },
        ),
        (
            _smoother_block(2),
            smoother_tokens,
            {"sample": {"x": x, "y": x[:, :1]}, "query": {"x": x[:3]}},
        ),
    ]
    for machine, tokens, fields in cases:
        tape = machine.load(tokens, **fields)
        ends = [machine.run(tape, 3, evaluation=e)[0].state for e in EVALUATIONS]
        assert all(torch.equal(ends[0], other) for other in ends[1:])


@pytest.mark.parametrize("gap", [700, 709.7, 740, 745, 746])
def test_memberships_of_near_ties_are_whole(gap):
    X = np.array([[-1.0], [1.0], [gap / 2**53]])
    (step,) = lloyd(X, X[:2], 1)
    np.testing.assert_array_equal(step.membership, [[1, 0], [0, 1], [gap < 746, gap >= 746]])
