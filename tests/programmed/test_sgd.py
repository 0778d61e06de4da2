"""The SGD block against a plain loop, and each fast evaluation against the dense one."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.utils._seq_dataset import ArrayDataset64

from sklearn_looped.programmed.algorithms.sgd import Lane, Samples, SGDBlock
from sklearn_looped.programmed.algorithms.sgd.products import (
    Stage,
    build_layers,
    dot,
    error_bound,
    scaled_copy,
)
from sklearn_looped.programmed.algorithms.sgd.training import visiting_order
from sklearn_looped.programmed.transformer.evaluation import EVALUATIONS, evaluated
from sklearn_looped.programmed.transformer.layers import Layer
from sklearn_looped.programmed.transformer.layout import Layout

REGRESSION = ("squared_error", "huber", "epsilon_insensitive")
CLASSIFICATION = ("hinge", "log_loss")
PRODUCTS = ("gated", "linear", "softmax")
D = 3
THRESHOLD = 0.4


def samples_of(rng, loss, n=7):
    X = rng.normal(size=(n, D)).round(1)  # zeros among them
    if loss in REGRESSION:
        return Samples.targets(X, X.sum(axis=1) + rng.normal(size=n), True)
    return Samples.margins(X, rng.choice([-1.0, 1.0], size=n), True)


def lane_of(rng, block, n, n_steps, **more):
    memory = block.memory(w=rng.normal(size=D), b=rng.normal(), threshold=THRESHOLD)
    steps = {"eta": rng.uniform(0.01, 0.1, n_steps), "decay": rng.uniform(0, 0.1, n_steps)}
    return Lane(memory, rng.integers(0, n, n_steps), steps | more)


DERIVATIVES = {
    "squared_error": lambda s: s,
    "huber": lambda s: np.clip(s, -THRESHOLD, THRESHOLD),
    "epsilon_insensitive": lambda s: float(s > THRESHOLD) - float(s < -THRESHOLD),
    "hinge": lambda s: -float(s <= 1),
    "log_loss": lambda s: -1 / (1 + np.exp(s)),
}


def plain_loop(loss, samples, lane, fields):
    """SGD in a few lines of numpy."""
    w, b = lane.memory[fields["w"]].copy(), lane.memory[fields.at("b")]
    for t, i in enumerate(lane.order):
        score = w @ samples.x[i] + b * samples.bias[i] - samples.y[i]
        step = lane.steps["eta"][t] * DERIVATIVES[loss](score)
        w = (1 - lane.steps["decay"][t]) * w - step * samples.x[i]
        b -= step * samples.bias[i]
    return np.append(w, b)


@pytest.mark.parametrize("loss", REGRESSION + CLASSIFICATION)
@pytest.mark.parametrize("product", PRODUCTS)
def test_block_is_the_plain_loop(loss, product):
    rng = np.random.default_rng(0)
    block = SGDBlock(D, 10, loss, product=product)
    samples = samples_of(rng, loss)
    lane = lane_of(rng, block, len(samples), 40)
    record = block.run_lanes(block.punch(samples, [lane]), [lane])[0]
    expected = plain_loop(loss, samples, lane, block.fields)
    tolerance = 1e-10 if product == "softmax" else 1e-14
    np.testing.assert_allclose(record.weights[-1], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("loss", REGRESSION + CLASSIFICATION)
@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize(("l1", "average"), [*itertools.product([False, True], repeat=2)])
def test_all_evaluations_give_the_same_bits(loss, product, l1, average):
    rng = np.random.default_rng([l1, average])
    block = SGDBlock(D, 10, loss, l1=l1, average=average, product=product, n_models=3)
    samples = samples_of(rng, loss)
    more = {"l1": 0.01} if l1 else {}
    more |= {"rate": 0.3} if average else {}
    more |= {"share": 0.7} if l1 and average else {}
    lengths = [5, 3, 4] if product == "gated" else [5]
    lanes = [lane_of(rng, block, len(samples), n, **more) for n in lengths]
    card = block.punch(samples, lanes, queries=rng.normal(size=(4, D)))
    card.write("model", code=np.eye(3)[: len(lanes)])
    transformer = block.transformer(card.tokens)
    runs = [
        [s.clone() for s in transformer.run(card.state, 6, evaluation=evaluation)]
        for evaluation in EVALUATIONS
    ]
    for states in zip(*runs, strict=True):
        for other in states[1:]:
            assert torch.equal(states[0].view(torch.int64), other.view(torch.int64))


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_lanes_do_not_disturb_each_other(evaluation):
    rng = np.random.default_rng(1)
    block = SGDBlock(D, 10, "huber", l1=True)
    samples = samples_of(rng, "huber")
    lanes = [lane_of(rng, block, len(samples), n, l1=0.01) for n in (4, 9, 1)]
    with evaluated(evaluation, "cpu"):
        together = block.run_lanes(block.punch(samples, lanes), lanes)
    for lane, record in zip(lanes, together, strict=True):
        with evaluated(evaluation, "cpu"):
            alone = block.run_lanes(block.punch(samples, [lane]), [lane])[0]
        np.testing.assert_array_equal(alone.weights, record.weights)
        np.testing.assert_array_equal(
            alone.memory[block.fields["w"]], record.memory[block.fields["w"]]
        )


def test_l1_penalty_stops_weights_at_zero():
    block = SGDBlock(D, 10, "squared_error", l1=True)
    samples = Samples(np.zeros((1, D)), np.zeros(1), np.zeros(1))
    memory = block.memory(w=np.array([0.5, -0.25, 0.0]))
    lane = Lane(memory, np.zeros(4, dtype=int), {"l1": np.full(4, 0.1)})
    record = block.run_lanes(block.punch(samples, [lane]), [lane])[0]
    w = record.memory[block.fields["w"]]
    assert w[0] == pytest.approx(0.1, abs=1e-15)
    assert w[1:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("loss", "score", "derivative"),
    [
        ("hinge", 1.0, -1.0),
        ("hinge", 1.0 + 2**-52, 0.0),
        ("epsilon_insensitive", 0.4, 0.0),
        ("epsilon_insensitive", np.nextafter(0.4, 1), 1.0),
        ("epsilon_insensitive", np.nextafter(-0.4, -1), -1.0),
        ("huber", 1e9, 0.4),
        ("squared_error", 3e12, 1e12),
        ("log_loss", -1000.0, -1.0),
        ("log_loss", 1000.0, 0.0),
    ],
)
def test_derivatives_are_sharp_at_their_edges(loss, score, derivative):
    block = SGDBlock(1, 10, loss)
    memory = block.memory(w=[score], threshold=THRESHOLD)
    samples = Samples(np.ones((1, 1)), np.zeros(1), np.zeros(1))
    lane = Lane(memory, np.array([0]), {})
    record = block.run_lanes(block.punch(samples, [lane]), [lane])[0]
    assert record.score[0] == score
    assert record.derivative[0] == derivative


@pytest.mark.parametrize("score", [5e-324, 1e-310, 1e-61, 1e290])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_epsilon_of_zero_is_sharp(score, sign):
    block = SGDBlock(1, 10, "epsilon_insensitive")
    samples = Samples(np.ones((1, 1)), np.zeros(1), np.zeros(1))
    lane = Lane(block.memory(w=[sign * score]), np.array([0]), {})
    record = block.run_lanes(block.punch(samples, [lane]), [lane])[0]
    assert record.derivative[0] == sign


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("loss", ["huber", "log_loss"])
def test_queries_change_nothing_and_do_not_see_each_other(loss, product):
    rng = np.random.default_rng(0)
    block = SGDBlock(D, 6, loss, product=product, n_models=2)
    memories = [block.memory(w=rng.normal(size=D) / 3, b=rng.normal() / 3) for _ in range(2)]
    X = rng.normal(size=(100, D)).clip(-2, 2)  # more than 6 bits can name
    answers = block.answer(memories, X)
    weights = np.array([[*m[block.fields["w"]], m[block.fields.at("b")]] for m in memories])
    expected = X @ weights[:, :-1].T + weights[:, -1]
    tolerance = 1e-9 if product == "softmax" else 1e-14
    np.testing.assert_allclose(answers["prediction"], expected, rtol=0, atol=tolerance)
    if loss == "log_loss":
        sigmoids = 1 / (1 + np.exp(-expected))
        np.testing.assert_allclose(answers["probability"], sigmoids, rtol=0, atol=tolerance)
    samples = samples_of(rng, loss)  # support rows in the sequence change no answer
    some = block.answer(memories, X[17:19], samples)["prediction"]
    np.testing.assert_array_equal(some, answers["prediction"][17:19])


def test_queries_in_the_sequence_of_a_run_are_answered_at_every_loop():
    rng = np.random.default_rng(1)
    block = SGDBlock(D, 10, "squared_error")
    samples, X = samples_of(rng, "squared_error"), rng.normal(size=(3, D))
    lane = lane_of(rng, block, len(samples), 5)
    card = block.punch(samples, [lane], X)
    card.write("model", code=1.0)
    seen = [tape.read("query", "prediction")[:, 0].copy() for tape in block.states(card, 6)]
    weights = block.run_lanes(block.punch(samples, [lane]), [lane])[0].weights
    np.testing.assert_allclose(seen[1:], weights[:, :-1] @ X.T + weights[:, -1:], atol=1e-14)


def test_weights_are_the_same_before_and_after_and_for_all_data():
    block = SGDBlock(D, 10, "squared_error")
    hashes = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        samples = samples_of(rng, "squared_error")
        lane = lane_of(rng, block, len(samples), 20)
        card = block.punch(samples, [lane])
        hashes.append(block.transformer(card.tokens).fingerprint())
        block.run_lanes(card, [lane])
        hashes.append(block.transformer(card.tokens).fingerprint())
    assert len(set(hashes)) == 1
    other = SGDBlock(D, 10, "huber").transformer(card.tokens).fingerprint()
    assert other != hashes[0]


@pytest.mark.parametrize("product", PRODUCTS)
def test_products_keep_their_error_bound(product):
    layout = Layout(one=1, model=1, null=1, u=2, v=2, dotted=1, copied=2)
    tokens = Layout(model=1, null=1)
    stage = Stage(
        products=[
            dot(["u"], ["v"], "dotted"),
            scaled_copy("model", {"u": "copied"}, -2.0),
        ]
    )
    layers = build_layers(layout, [stage], product)
    rng = np.random.default_rng(0)
    for u, v in rng.uniform(-1.4, 1.4, size=(50, 2, 2)):
        state = layout.pack(tokens.width, one=1)
        state[0, [layout.at("model"), *layout.index("u", "v")]] = torch.tensor([1, *u, *v])
        state[1, layout.at("null")] = 1
        for layer in layers:
            assert isinstance(layer, Layer)
            state = layer(state)
        dotted, copied = (state[0, layout[name]] for name in ("dotted", "copied"))
        bound = error_bound(product) + 1e-15
        assert abs(dotted.item() - u @ v) <= bound
        assert np.abs(copied.numpy() + 2 * u).max() <= 2 * 1.4 * bound
        assert not state[1, layout["dotted"].start :].any()


def test_too_long_a_tape_raises():
    rng = np.random.default_rng(0)
    block = SGDBlock(D, 4, "squared_error")
    samples = samples_of(rng, "squared_error")
    lane = lane_of(rng, block, len(samples), 10)
    with pytest.raises(ValueError, match="Got 21 tokens, but a pointer names at most 16"):
        block.punch(samples, [lane])


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 2])
def test_visiting_order_is_that_of_scikit_learn(seed):
    n = 50
    data = ArrayDataset64(np.zeros((n, 1)), np.zeros(n), np.ones(n), seed=1)
    data._shuffle_py(seed)
    expected = [data._next_py()[3] for _ in range(n)]
    assert visiting_order(n, seed).tolist() == expected


@pytest.mark.parametrize("changes", [{"score": 5.0}, {"step": 5.0}])
def test_linearised_products_refuse_factors_beyond_their_bound(changes):
    block = SGDBlock(1, 10, "huber", product="softmax")
    samples = Samples.targets(np.ones((1, 1)), np.zeros(1), fit_intercept=True)
    memory = block.memory(threshold=1.0, w=np.array([changes.get("score", 3.0)]))
    lane = Lane(memory, np.array([0]), {"eta": np.array([changes.get("step", 0.1)])})
    card = block.punch(samples, [lane])
    with pytest.raises(ValueError, match="Got factors above 4"):
        block.run_lanes(card, [lane])
