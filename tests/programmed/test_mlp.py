"""The MLP block against a plain loop, and each fast evaluation against the dense one."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from sklearn_looped.programmed.algorithms.mlp import Lane, MLPBlock, Network
from sklearn_looped.programmed.transformer.certificate import logit_threshold
from sklearn_looped.programmed.transformer.evaluation import EVALUATIONS

OUTPUTS = {"identity": lambda z: z, "logistic": expit, "softmax": softmax}
SHAPES = [
    ("identity", (4, 16, 1)),
    ("identity", (3, 5, 4, 2)),
    ("logistic", (3, 6, 1)),
    ("logistic", (2, 4, 4, 1)),
    ("softmax", (3, 6, 3)),
    ("softmax", (1, 1, 2, 1, 4)),
]


def random_network(rng, sizes):
    coefs = [rng.normal(size=shape) for shape in pairwise(sizes)]
    return Network(coefs, [rng.normal(size=n) for n in sizes[1:]])


def random_samples(rng, output, sizes, n):
    X = rng.normal(size=(n, sizes[0]))
    if output == "identity":
        return X, rng.normal(size=(n, sizes[-1]))
    labels = rng.integers(0, max(2, sizes[-1]), size=n)
    return X, (np.eye(sizes[-1])[labels] if output == "softmax" else labels[:, None] * 1.0)


def lanes_of(network, order, eta=0.0, decay=0.0):
    return [Lane(network, order, {"eta": eta, "decay": decay})]


def forward(network, x, output):
    activations = [x]
    for w, b in zip(network.coefs[:-1], network.intercepts[:-1], strict=True):
        activations.append(expit(activations[-1] @ w + b))
    z = activations[-1] @ network.coefs[-1] + network.intercepts[-1]
    return activations, OUTPUTS[output](z)


def plain_loop(network, X, y, order, eta, decay, output):
    """Backpropagation in a few lines of numpy."""
    coefs, intercepts = list(network.coefs), list(network.intercepts)
    predictions, squares = np.empty_like(y), np.empty(len(y))
    for i in order:
        activations, predictions[i] = forward(Network(coefs, intercepts), X[i], output)
        squares[i] = sum((w * w).sum() for w in coefs)
        deltas = [predictions[i] - y[i]]
        for w, a in zip(coefs[:0:-1], activations[:0:-1], strict=True):
            deltas.append(w @ deltas[-1] * a * (1 - a))
        for layer, (a, delta) in enumerate(zip(activations, deltas[::-1], strict=True)):
            gradient = np.outer(a, eta * delta)
            coefs[layer] = coefs[layer] - decay * coefs[layer] - gradient
            intercepts[layer] = intercepts[layer] - eta * delta
    return Network(coefs, intercepts), predictions, squares


def assert_same_network(ours, theirs, tolerance=1e-12):
    for mine, other in zip(ours.coefs, theirs.coefs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=tolerance)
    for mine, other in zip(ours.intercepts, theirs.intercepts, strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("output", "sizes"), SHAPES)
def test_block_is_the_plain_loop_over_a_thousand_steps(output, sizes):
    rng = np.random.default_rng(0)
    block, network = MLPBlock(sizes, 11, output), random_network(rng, sizes)
    X, y = random_samples(rng, output, sizes, 1000)
    order = rng.permutation(len(X))
    lanes = lanes_of(network, order, 0.1, 0.001)
    (record,) = block.run_lanes(block.punch((X, y), lanes), lanes)
    expected, predictions, squares = plain_loop(network, X, y, order, 0.1, 0.001, output)
    assert_same_network(record.network, expected)
    np.testing.assert_allclose(record.prediction, predictions, rtol=0, atol=1e-12)
    np.testing.assert_allclose(record.squares, squares, rtol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e5])  # units far from and deep in saturation
@pytest.mark.parametrize(("output", "sizes"), [*SHAPES, ("identity", (20, 30, 1))])
def test_all_evaluations_give_the_same_bits(output, sizes, scale):
    rng = np.random.default_rng(1)
    block, network = MLPBlock(sizes, 10, output), random_network(rng, sizes)
    X, y = random_samples(rng, output, sizes, 5)
    X[X < 0.1] = 0.0
    for intercept in network.intercepts:
        intercept *= scale
    lanes = lanes_of(network, rng.permutation(5), 0.2, 0.01)
    card = block.punch((scale * X.round(1), y), lanes)
    transformer = block.transformer(card.tokens)
    runs = [
        [s.clone() for s in transformer.run(card.state, 6, evaluation=evaluation)]
        for evaluation in EVALUATIONS
    ]
    for states in zip(*runs, strict=True):
        for other in states[1:]:
            assert torch.equal(states[0].view(torch.int64), other.view(torch.int64))


def test_a_loop_leaves_no_trace_in_the_registers():
    rng = np.random.default_rng(2)
    sizes = (2, 3, 3, 2)
    block = MLPBlock(sizes, 10, "softmax")
    X, y = random_samples(rng, "softmax", sizes, 3)
    network = random_network(rng, sizes)
    card = block.punch((X, y), lanes_of(network, np.arange(3), 0.1, 0.1))
    *_, last = block.transformer(card.tokens).run(card.state, 3)
    changed = (last != card.state).any(axis=0)
    kept = {"w1", "w2", "w3", "b", "pointer", "seen_prediction", "seen_squares"}
    assert {name for name in card.fields.names if changed[card.fields[name]].any()} == kept
    assert not last[0, card.fields["pointer"]].any()  # through: it points to no sample


@pytest.mark.parametrize("evaluation", EVALUATIONS)
@pytest.mark.parametrize("bias", [-1e6, -1000.0, 1000.0, 1e6])
def test_saturated_units_are_exact(bias, evaluation):
    shapes = [(1, 2), (2, 2), (2, 1)]
    intercepts = [np.array([bias, -bias]), np.array([-bias, bias]), np.array([0.5])]
    network = Network([np.ones(shape) for shape in shapes], intercepts)
    X = np.zeros((1, 1))
    for output, expected in (("identity", 1.5), ("logistic", expit(1.5))):
        block = MLPBlock((1, 2, 2, 1), 10, output)
        lanes = lanes_of(network, np.array([0]))
        (record,) = block.run_lanes(block.punch((X, X), lanes), lanes, evaluation)
        prediction = record.prediction.item()
        assert prediction == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("shift", [-1e6, -1000.0, 0.0, 1e6])
def test_softmax_does_not_feel_a_shift_of_all_logits(shift):
    logits = np.array([0.0, 1.0, -2.0])
    network = Network([np.zeros((1, 1)), np.zeros((1, 3))], [np.zeros(1), logits + shift])
    block = MLPBlock((1, 1, 3), 10, "softmax")
    outputs = block.predict(network, np.zeros((1, 1)))[0]
    np.testing.assert_allclose(outputs, softmax(logits), rtol=1e-14)


@pytest.mark.parametrize(("output", "sizes"), SHAPES)
def test_queries_change_nothing_and_do_not_see_each_other(output, sizes):
    rng = np.random.default_rng(3)
    block, network = MLPBlock(sizes, 6, output), random_network(rng, sizes)
    X = rng.normal(size=(100, sizes[0]))  # more than 6 bits can name at once
    outputs = block.predict(network, X)
    expected = [forward(network, x, output)[1] for x in X]
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(block.predict(network, X[17:19]), outputs[17:19])


def test_weights_are_the_same_before_and_after_and_for_all_data():
    block, hashes = MLPBlock((3, 4, 1), 10, "logistic"), set()
    for seed in range(2):
        rng = np.random.default_rng(seed)
        X, y = random_samples(rng, "logistic", (3, 4, 1), 20)
        lanes = lanes_of(random_network(rng, (3, 4, 1)), np.arange(20), 0.1)
        card = block.punch((X, y), lanes)
        hashes.add(block.transformer(card.tokens).fingerprint())
        block.run_lanes(card, lanes)
        hashes.add(block.transformer(card.tokens).fingerprint())
    assert len(hashes) == 1
    assert MLPBlock((3, 4, 1), 10, "identity").transformer(card.tokens).fingerprint() not in hashes


@pytest.mark.parametrize("n_hidden", [1, 2, 3])
def test_depth_and_certificate(n_hidden):
    block = MLPBlock((2, *[3] * n_hidden, 2), 10, "softmax")
    assert len(block.layers) == 3 * n_hidden + 6
    assert block.certificate.logit_margin >= logit_threshold(torch.float64)
    assert block.certificate.error_bound == 0
    heads = [head for layer in block.layers for head in layer.heads]
    assert sum(head.pointer is not None for head in heads) == 2  # one read, one write
    assert all((head.pointer is None) == (head.margin is None) for head in heads)


def test_wrong_sizes_raise():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"Got layer sizes \[3, 1\], expected a hidden layer"):
        MLPBlock((3, 1), 10, "identity")
    with pytest.raises(ValueError, match="Got 2 logistic outputs, expected one"):
        MLPBlock((3, 2, 2), 10, "logistic")
    block = MLPBlock((3, 2, 1), 4, "identity")
    X, y = random_samples(rng, "identity", (3, 2, 1), 8)
    with pytest.raises(ValueError, match=r"Got a network of \(3, 4, 1\), expected \(3, 2, 1\)"):
        block.punch((X[:4], y[:4]), lanes_of(random_network(rng, (3, 4, 1)), np.arange(4)))
    with pytest.raises(ValueError, match="Got 17 tokens, but 4 bits name fewer"):
        block.punch((X, y), lanes_of(random_network(rng, (3, 2, 1)), np.arange(8)))
