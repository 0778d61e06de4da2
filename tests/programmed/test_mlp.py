"""The MLP block against a plain loop, and each fast evaluation against the dense one."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from sklearn_looped.programmed.algorithms.mlp import Lane, MLPBlock, Network
from sklearn_looped.programmed.transformer.certificate import logit_threshold
from sklearn_looped.programmed.transformer.evaluation import EVALUATIONS, evaluated

OUTPUTS = {"identity": lambda z: z, "logistic": expit, "softmax": softmax}
ACTIVATIONS = {
    "logistic": (expit, lambda a: a * (1 - a)),
    "tanh": (np.tanh, lambda a: 1 - a * a),
    "relu": (lambda z: np.maximum(z, 0), lambda a: (a > 0) * 1.0),
    "identity": (lambda z: z, np.ones_like),
}
# Output, sizes, activation of the hidden units, momentum, samples in a batch.
SHAPES = [
    ("identity", (4, 16, 1), "logistic", "none", 1),
    ("identity", (3, 5, 4, 2), "relu", "nesterov", 8),
    ("logistic", (3, 6, 1), "tanh", "plain", 3),
    ("logistic", (2, 4, 4, 1), "logistic", "nesterov", 1),
    ("softmax", (3, 6, 3), "identity", "none", 50),
    ("softmax", (1, 1, 2, 1, 4), "relu", "none", 1),
]
MOMENTUM = 0.8


def random_network(rng, sizes):
    coefs = [rng.normal(size=shape) for shape in pairwise(sizes)]
    return Network(coefs, [rng.normal(size=n) for n in sizes[1:]])


def random_samples(rng, output, sizes, n):
    X = rng.normal(size=(n, sizes[0]))
    if output == "identity":
        return X, rng.normal(size=(n, sizes[-1]))
    labels = rng.integers(0, max(2, sizes[-1]), size=n)
    return X, (np.eye(sizes[-1])[labels] if output == "softmax" else labels[:, None] * 1.0)


def lanes_of(network, order, eta=0.0, decay=0.0, momentum="none", batch=1):
    end = np.arange(1, len(order) + 1) % batch == 0
    steps = {"step": end * eta, "decay": end * decay, "end": end, "brake": end * (1 - MOMENTUM)}
    steps["lead"] = end * (1 if momentum == "plain" else MOMENTUM)
    return [Lane(network, order, steps)]


def forward(network, x, output, activation="logistic"):
    activations = [x]
    for w, b in zip(network.coefs[:-1], network.intercepts[:-1], strict=True):
        activations.append(ACTIVATIONS[activation][0](activations[-1] @ w + b))
    z = activations[-1] @ network.coefs[-1] + network.intercepts[-1]
    return activations, OUTPUTS[output](z)


def plain_loop(network, X, y, order, eta, decay, output, activation, momentum, batch):
    """Backpropagation in a few lines of numpy."""
    weights = [w.copy() for w in (*network.coefs, *network.intercepts)]
    depth = len(network.coefs)
    gradients, velocities = ([np.zeros_like(w) for w in weights] for _ in range(2))
    predictions, squares = np.empty_like(y), np.empty(len(y))
    for t, i in enumerate(order, 1):
        coefs = weights[:depth]
        own = Network(coefs, weights[depth:])
        activations, predictions[i] = forward(own, X[i], output, activation)
        squares[i] = sum((w * w).sum() for w in coefs)
        deltas = [predictions[i] - y[i]]
        for w, a in zip(coefs[:0:-1], activations[:0:-1], strict=True):
            deltas.append(w @ deltas[-1] * ACTIVATIONS[activation][1](a))
        for layer, (a, delta) in enumerate(zip(activations, deltas[::-1], strict=True)):
            gradients[layer] += np.outer(a, delta)
            gradients[layer + depth] += delta
        if t % batch:
            continue
        for k, w in enumerate(weights):
            move = -eta * gradients[k] - (decay * w if k < depth else 0.0)
            if momentum != "none":
                velocities[k] = MOMENTUM * velocities[k] + move
                nesterov = MOMENTUM * velocities[k] + move
                move = velocities[k] if momentum == "plain" else nesterov
            weights[k] = w + move
            gradients[k][...] = 0.0
    return Network(weights[:depth], weights[depth:]), predictions, squares


def assert_same_network(ours, theirs, tolerance=1e-12):
    for mine, other in zip(ours.coefs, theirs.coefs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=tolerance)
    for mine, other in zip(ours.intercepts, theirs.intercepts, strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("output", "sizes", "activation", "momentum", "batch"), SHAPES)
def test_block_is_the_plain_loop_over_many_steps(output, sizes, activation, momentum, batch):
    rng = np.random.default_rng(0)
    block = MLPBlock(sizes, 11, output, activation, momentum)
    network = random_network(rng, sizes)
    X, y = random_samples(rng, output, sizes, 600)
    order = rng.permutation(len(X))
    numbers = 0.02 / batch, 0.0005
    lanes = lanes_of(network, order, *numbers, momentum, batch)
    (record,) = block.run_lanes(block.punch((X, y), lanes), lanes)
    own = output, activation, momentum, batch
    expected, predictions, squares = plain_loop(network, X, y, order, *numbers, *own)
    assert_same_network(record.network, expected)
    np.testing.assert_allclose(record.prediction, predictions, rtol=0, atol=1e-12)
    np.testing.assert_allclose(record.squares, squares, rtol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e5])  # units far from and deep in saturation
@pytest.mark.parametrize(
    ("output", "sizes", "activation", "momentum", "batch"),
    [*SHAPES, ("identity", (20, 30, 1), "tanh", "nesterov", 2)],
)
def test_all_evaluations_give_the_same_bits(output, sizes, activation, momentum, batch, scale):
    rng = np.random.default_rng(1)
    block, network = MLPBlock(sizes, 10, output, activation, momentum), random_network(rng, sizes)
    X, y = random_samples(rng, output, sizes, 5)
    X[X < 0.1] = 0.0
    for intercept in network.intercepts:
        intercept *= scale
    lanes = lanes_of(network, rng.permutation(5), 0.2 / scale, 0.01, momentum, batch)
    card = block.punch((scale * X.round(1), y), lanes, scale * rng.normal(size=(3, sizes[0])))
    transformer = block.transformer(card.tokens)
    runs = [
        [s.clone() for s in transformer.run(card.state, 6, evaluation=evaluation)]
        for evaluation in EVALUATIONS
    ]
    for states in zip(*runs, strict=True):
        for other in states[1:]:
            assert torch.equal(states[0].view(torch.int64), other.view(torch.int64))


@pytest.mark.parametrize("tiny", [1e-61, 1e-150])
def test_rectifiers_of_tiny_activations_have_a_slope_of_one(tiny):
    sizes = (1, 2, 1)
    network = Network([np.array([[tiny, -tiny]]), np.ones((2, 1))], [np.zeros(2), np.zeros(1)])
    X, y, order = np.ones((2, 1)), np.ones((2, 1)), np.zeros(1, dtype=int)
    block = MLPBlock(sizes, 11, "identity", "relu", "none")
    lanes = lanes_of(network, order, 0.5)
    (record,) = block.run_lanes(block.punch((X, y), lanes), lanes)
    assert record.network.intercepts[0].tolist() == [0.5, 0.0]


def test_a_loop_leaves_no_trace_in_the_registers():
    rng = np.random.default_rng(2)
    sizes = (2, 3, 3, 2)
    block = MLPBlock(sizes, 10, "softmax")
    X, y = random_samples(rng, "softmax", sizes, 3)
    network = random_network(rng, sizes)
    card = block.punch((X, y), lanes_of(network, np.arange(3), 0.1, 0.1))
    *_, last = block.transformer(card.tokens).run(card.state, 3)
    changed = (last != card.state).any(axis=0)
    kept = {"w1", "w2", "w3", "wb", "pointer", "seen_prediction", "seen_squares"}
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
        with evaluated(evaluation, "cpu"):
            (record,) = block.run_lanes(block.punch((X, X), lanes), lanes)
            answers = block.answer([network], X)
        for prediction in (record.prediction, answers["prediction"]):
            assert prediction.item() == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("shift", [-1e6, -1000.0, 0.0, 1e6])
def test_softmax_does_not_feel_a_shift_of_all_logits(shift):
    logits = np.array([0.0, 1.0, -2.0])
    network = Network([np.zeros((1, 1)), np.zeros((1, 3))], [np.zeros(1), logits + shift])
    block = MLPBlock((1, 1, 3), 10, "softmax")
    outputs = block.answer([network], np.zeros((1, 1)))["prediction"][0]
    np.testing.assert_allclose(outputs, softmax(logits), rtol=1e-14)


@pytest.mark.parametrize(("output", "sizes", "activation", "momentum", "batch"), SHAPES)
def test_queries_change_nothing_and_do_not_see_each_other(
    output, sizes, activation, momentum, batch
):
    rng = np.random.default_rng(3)
    block, network = MLPBlock(sizes, 6, output, activation, momentum), random_network(rng, sizes)
    X = rng.normal(size=(100, sizes[0]))  # more than 6 bits can name
    outputs = block.answer([network], X)["prediction"]
    expected = [forward(network, x, output, activation)[1] for x in X]
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=2e-14)
    samples = random_samples(rng, output, sizes, 4)  # support rows in the sequence change nothing
    some = block.answer([network], X[17:19], samples)["prediction"]
    np.testing.assert_array_equal(some, outputs[17:19])


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
    sizes = (2, *[3] * n_hidden, 2)
    assert len(MLPBlock(sizes, 10, "softmax", "relu", "plain").layers) == 2 * n_hidden + 7
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
    with pytest.raises(ValueError, match="Got 17 tokens, but a pointer names at most 16"):
        block.punch((X, y), lanes_of(random_network(rng, (3, 2, 1)), np.arange(8)))
