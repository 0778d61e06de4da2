import numpy as np
import pytest

from sklearn_looped.programmed import algoformer
from sklearn_looped.programmed.algorithms.algoformer.blocks import algoformer_blocks
from sklearn_looped.programmed.algorithms.descent import NEWTON
from sklearn_looped.programmed.transformer.evaluation import evaluated

SLOPE = 0.1
METHODS = ["descent", "newton"]


def leaky(z):
    return np.where(z > 0, z, SLOPE * z)


def represent(X, weights):
    for W in weights:
        X = leaky(X @ W)
    return X


def fits(F, Y, step_size, method, n_loops):
    """Coefficients after each loop, of least squares on F, in plain numpy."""
    n = len(F)
    if method == "descent":
        A = np.zeros((F.shape[1], Y.shape[1]))
        for _ in range(n_loops):
            A = A + step_size / n * F.T @ (Y - F @ A)
            yield A
    else:  # Newton's iterates by eigenvalue
        U, s, V = np.linalg.svd(F, full_matrices=False)
        mu, left = step_size / n * s**2, 1.0
        for _ in range(n_loops):
            left, mu = left * (1 - mu), mu * (3 - mu) ** 2 / 4
            yield V.T @ (((1 - left) / s)[:, None] * (U.T @ Y))


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.fixture
def weights(rng):
    return [rng.normal(size=(3, 5)) / 2, rng.normal(size=(5, 4)) / 2]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_targets", [1, 5])
def test_regression_on_a_representation_is_that_of_the_formulas(rng, weights, method, n_targets):
    X, Y, X_query = rng.normal(size=(14, 3)), rng.normal(size=(14, n_targets)), np.eye(3)
    y = Y[:, 0] if n_targets == 1 else Y
    options = {"step_size": 0.3, "method": method, "n_loops": 12}
    found = algoformer.regress(X, y, X_query, weights=weights, slope=SLOPE, **options)
    F, F_query = represent(X, weights), represent(X_query, weights)
    expected = np.array([F_query @ A for A in fits(F, Y, **options)])
    close(found, expected[..., 0] if n_targets == 1 else expected)


@pytest.mark.parametrize("method", METHODS)
def test_errors_are_within_the_documented_bound_of_least_squares(rng, weights, method):
    X, y, X_query = rng.normal(size=(20, 3)), rng.normal(size=20), rng.normal(size=(6, 3))
    options = {"step_size": 0.3, "method": method, "n_loops": 30}
    found = algoformer.regress(X, y, X_query, weights=weights, **options)
    F, F_query = represent(X, weights), represent(X_query, weights)
    A = np.linalg.lstsq(F, y)[0]
    mu = np.linalg.eigvalsh(0.3 / 20 * F.T @ F)
    rho = np.ones_like(mu)
    for prediction in found:
        rho = rho * np.abs(1 - mu)
        mu = mu * (3 - mu) ** 2 / 4 if method == "newton" else mu
        bound = np.linalg.norm(A) * np.linalg.norm(F_query, axis=1) * rho.max()
        assert (np.abs(prediction - F_query @ A) <= bound + 1e-12).all()
    assert (rho.max() < 1e-15) == (method == "newton")


def test_rounding_of_newtons_method_grows_with_the_condition_number(rng):
    X, y, X_query = rng.normal(size=(40, 4)), rng.normal(size=(40, 1)), rng.normal(size=(6, 4))
    X[:, 3], X_query[:, 3] = X[:, 0] + 1e-6 * X[:, 3], X_query[:, 0] + 1e-6 * X_query[:, 3]
    options = {"step_size": 0.5, "method": "newton", "n_loops": 60}
    found = algoformer.regress(X, y[:, 0], X_query, **options)
    expected = np.array([X_query @ A for A in fits(X, y, **options)])[..., 0]
    bound = 1e-14 * np.linalg.cond(X) * np.abs(expected).max()
    assert 1e-12 < bound < 1e-6
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("phi", [True, False])
def test_a_sequence_is_continued_as_by_the_formulas(rng, method, phi):
    past, q, n_ahead = rng.normal(size=(16, 2)), 3, 4
    W = [rng.normal(size=(6, 4)) / 2] if phi else []
    options = {"step_size": 0.2, "method": method, "n_loops": 6}
    found = algoformer.autoregress(past, order=q, n_ahead=n_ahead, weights=W, **options)
    windows = np.hstack([past[q - lag - 1 : -lag - 1] for lag in range(q)])
    *_, A = fits(represent(windows, W), past[q:], **options)
    for _ in range(n_ahead):
        window = past[: -q - 1 : -1].ravel()
        past = np.vstack([past, represent(window, W) @ A])
    close(found, past[16:])


@pytest.mark.parametrize("method", METHODS)
def test_a_chain_grows_by_a_layer_as_by_the_formulas(rng, method):
    layers, x = [rng.normal(size=(3, 3)) for _ in range(3)], rng.normal(size=(12, 3))
    states = [x]
    for W in layers:
        states.append(leaky(states[-1] @ W))
    states, X_query = np.stack(states, 1), rng.normal(size=(2, 3))
    options = {"step_size": 0.1, "method": method, "n_loops": 5}
    found = algoformer.chain_of_thought(states, X_query, **options)
    expected, last = [], X_query
    for i in range(3):
        output = states[:, i + 1]
        *_, A = fits(states[:, i], np.where(output > 0, output, output / SLOPE), **options)
        last = leaky(last @ A)
        expected.append(last)
    close(found, np.stack(expected, 1))


def test_a_chain_from_enough_examples_is_the_teachers(rng):
    layers, x = [rng.normal(size=(3, 3)) for _ in range(2)], rng.normal(size=(20, 3))
    states = np.stack([x, leaky(x @ layers[0]), represent(x, layers)], 1)
    query = rng.normal(size=(1, 3))
    options = {"step_size": 0.1, "method": "newton", "n_loops": 30}
    found = algoformer.chain_of_thought(states, query, **options)[0, -1]
    np.testing.assert_allclose(found, represent(query, layers)[0], atol=1e-11)


def test_dense_evaluation_gives_the_same_bits(rng):
    past, options = rng.normal(size=(9, 1)), {"step_size": 0.2, "method": "newton", "n_loops": 3}
    fast = algoformer.autoregress(past, order=2, n_ahead=2, **options)
    with evaluated("dense", "cpu"):
        dense = algoformer.autoregress(past, order=2, n_ahead=2, **options)
    assert np.array_equal(fast, dense)


def test_queries_do_not_see_each_other(rng):
    X, y, X_query = rng.normal(size=(8, 2)), rng.normal(size=8), rng.normal(size=(3, 2))
    together = algoformer.regress(X, y, X_query, step_size=0.3, n_loops=4)
    for i in range(3):
        alone = algoformer.regress(X, y, X_query[i : i + 1], step_size=0.3, n_loops=4)
        close(together[:, [i]], alone)


def test_reads_are_certified_and_weights_do_not_depend_on_data():
    options = {"order": 2, "n_codes": 100, "n_phases": 2, "weights": [], "step": NEWTON}
    before, loop, after = algoformer_blocks(3, slope=SLOPE, activation=1.0, **options)
    margins = before.certificate
    assert margins.logit_margin >= margins.logit_threshold
    assert [len(block.layers) for block in (before, loop, after)] == [5, 1, 1]


X, Y = np.eye(3), np.ones(3)
CHAINS = np.ones((4, 3, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: algoformer.regress(X, Y, X, step_size=0), "'step_size'.*must be a float"),
        (lambda: algoformer.regress(X, Y, X, step_size=9), "step_size=9, but.* from 6 on"),
        (
            lambda: algoformer.regress(X, Y, X, step_size=10, method="newton"),
            "method='newton' diverges on these data from 9 on",
        ),
        (lambda: algoformer.regress(X, Y, X, step_size=1, method="sgd"), "'method'"),
        (lambda: algoformer.regress(X, Y, X, step_size=1, slope=0), "'slope'"),
        (lambda: algoformer.regress(X, Y, X, step_size=1, n_loops=0), "'n_loops'"),
        (lambda: algoformer.regress(X, Y, X[:, :2], step_size=1), "2 columns.*examples have 3"),
        (lambda: algoformer.regress(X, Y[:2], X, step_size=1), "inconsistent numbers"),
        (lambda: algoformer.regress(X / 0, Y, X, step_size=1), "X contains"),
        (
            lambda: algoformer.regress(X, Y, X, step_size=1, weights=[X, X[:2]]),
            r"weights\[1\] of 2 rows, but its input has 3",
        ),
        (lambda: algoformer.autoregress(Y, order=3, step_size=1), "sequence of 3 values"),
        (lambda: algoformer.autoregress(Y, order=0, step_size=1), "'order'"),
        (lambda: algoformer.autoregress(Y, order=1, n_ahead=0, step_size=1), "'n_ahead'"),
        (lambda: algoformer.autoregress(CHAINS, order=1, step_size=1), "dim 3"),
        (
            lambda: algoformer.autoregress(Y, order=2, step_size=1, weights=[X]),
            r"weights\[0\] of 3 rows, but its input has 2",
        ),
        (lambda: algoformer.chain_of_thought(X, X, step_size=1), r"shape \(3, 3\), but"),
        (lambda: algoformer.chain_of_thought(CHAINS, X, step_size=1), "3 columns.*have 2"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*divide")
@pytest.mark.filterwarnings("ignore:invalid value")
def test_wrong_inputs_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("method", ["descent", "newton"])
def test_values_whose_products_overflow_raise(method):
    X, options = np.array([[1.0, 1.0], [0.0, 0.5], [1.0, -1.0]]), {"step_size": 0.5, "n_loops": 3}
    y = np.array([1.0, 1 / 3, 0.0])
    small = algoformer.regress(X, y, [[1.0, 0.0]], method=method, **options)
    large = algoformer.regress(X, y * 1e149, [[1.0, 0.0]], method=method, **options)
    np.testing.assert_allclose(large, small * 1e149, rtol=1e-13)
    with pytest.raises(ValueError, match="products overflow; scale the data"):
        algoformer.regress(X, y * 1e160, [[1.0, 0.0]], method=method, **options)
    with pytest.raises(ValueError, match="products overflow; scale the data"):
        algoformer.regress(X, y, [[1e160, 0.0]], method=method, **options)
