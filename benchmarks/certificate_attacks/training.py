"""Steps of SGD against numpy, networks against scikit-learn, shortest paths against scipy."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse import csgraph as scipy_csgraph
from sklearn.neural_network import MLPRegressor

from benchmarks.certificate_attacks.outcome import Outcome
from sklearn_looped import ProgrammedMLPRegressor
from sklearn_looped.programmed import csgraph
from sklearn_looped.programmed.algorithms.sgd import Lane, Samples, SGDBlock

EPS = np.finfo(np.float64).eps
DERIVATIVES = {
    "squared_error": lambda s, c: np.clip(s, -1e12, 1e12),
    "huber": lambda s, c: np.clip(s, -c, c),
    "log_loss": lambda s, c: -np.exp(-np.logaddexp(0, s)),
}


def sgd(rng: np.random.Generator) -> Outcome:
    """Take one step of SGD with numbers of any size, by each kind of product."""
    d, loss = int(rng.integers(1, 5)), str(rng.choice(list(DERIVATIVES)))
    kind = str(rng.choice(["gated", "linear", "softmax"]))
    scale = 2.0 ** rng.uniform(-20, 3 if kind == "softmax" else 20)
    x, w = scale * rng.normal(size=d), rng.normal(size=d)
    b, y, c = rng.normal(size=3)
    y = 0.0 if loss == "log_loss" else y
    eta, decay = 2.0 ** rng.uniform(-12, 2.5), 2.0 ** rng.uniform(-12, 0)
    block = SGDBlock(d, 10, loss, product=kind)
    samples = Samples.targets(x[None], np.array([y]), fit_intercept=True)
    memory = block.memory(w=w, b=b, threshold=abs(c))
    lane = Lane(memory, np.array([0]), {"eta": np.array([eta]), "decay": np.array([decay])})
    dot, size = w @ x + b, np.abs(w) @ np.abs(x) + abs(b)
    derivative = DERIVATIVES[loss](dot - y, abs(c))
    try:
        record = block.run_lanes(block.punch(samples, [lane]), [lane])[0]
    except ValueError:
        called_for = max(abs(dot), abs(derivative), eta) > 3.99
        return Outcome.REFUSED if called_for and kind == "softmax" else Outcome.WRONG
    step = np.append(eta * x, eta)
    expected = np.append((1 - decay) * w, b) - derivative * step
    error = block.certificate.error_bound + 8 * (d + 1) * EPS * (1 + size + abs(y))
    values = np.abs(np.append(w, b)) + np.abs(np.append(x, 1.0)) * (1 + abs(derivative))
    bound = error * (np.abs(step) + values + np.abs(derivative * step))
    return (
        Outcome.RIGHT if (np.abs(record.weights[-1] - expected) <= bound).all() else Outcome.WRONG
    )


def mlp(rng: np.random.Generator) -> Outcome:
    """Train a network for two epochs as scikit-learn does."""
    n, d = rng.integers(4, 12), rng.integers(1, 4)
    X, y = rng.normal(size=(n, d)), rng.normal(size=n) * 10.0 ** rng.uniform(-3, 1)
    options = {
        "hidden_layer_sizes": (int(rng.integers(1, 5)),), "alpha": 10.0 ** rng.uniform(-6, -1),
        "learning_rate_init": 10.0 ** rng.uniform(-4, -1), "max_iter": 2,
        "random_state": int(rng.integers(1000)),
    }  # fmt: skip
    options |= {"activation": "logistic", "momentum": 0, "batch_size": 1}
    theirs = MLPRegressor(solver="sgd", **options).fit(X, y)
    ours = ProgrammedMLPRegressor(**options).fit(X, y)
    pairs = [*zip(ours.coefs_, theirs.coefs_, strict=True)]
    pairs += [*zip(ours.intercepts_, theirs.intercepts_, strict=True)]
    same = all(np.abs(a - b).max() <= 1e-12 * max(1, np.abs(b).max()) for a, b in pairs)
    return Outcome.RIGHT if same else Outcome.WRONG


def paths(rng: np.random.Generator) -> Outcome:
    """Find shortest paths of lengths that are tied, zero or far apart, in every bit."""
    n = int(rng.integers(1, 14))
    edges = rng.random((n, n)) < rng.choice([1, 2, 4]) / n
    reach = int(rng.choice([1, 20, 60, 190]))
    exponents = rng.integers(-reach, 1, (n, n)) + rng.integers(-700, 900)
    lengths = np.ldexp(rng.choice([1.0, 1.5, 0.0, rng.uniform(1, 2)], (n, n)), exponents)
    i, j = edges.nonzero()
    graph, directed = coo_array((lengths[i, j], (i, j)), shape=(n, n)).tocsr(), rng.random() < 0.5
    try:
        ours = csgraph.dijkstra(graph, directed=bool(directed))
    except (ValueError, RuntimeError):
        return Outcome.REFUSED if reach == 190 else Outcome.WRONG
    theirs = scipy_csgraph.dijkstra(graph, directed=bool(directed))
    return Outcome.RIGHT if np.array_equal(ours, theirs) else Outcome.WRONG
