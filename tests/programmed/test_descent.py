import numpy as np
import pytest

from sklearn_looped.programmed.algorithms.descent import NEWTON, Step, chebyshev_steps, descend


def heavy_ball(X, y, X_query, steps, n_loops):
    """Predictions by weights, in plain numpy."""
    unit = np.linalg.norm(X.T @ X) ** 0.5
    X, X_query = X / unit, X_query / unit
    w, velocity = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for _ in range(n_loops):
        for step in steps:
            velocity = velocity + step.size * X.T @ (y - X @ w)
            w = w + velocity
            velocity = step.momentum * velocity
        yield X_query @ w


@pytest.fixture
def data(rng):
    X, X_query = rng.normal(size=(12, 3)), rng.normal(size=(5, 3))
    return X, rng.normal(size=12), X_query


@pytest.mark.parametrize(
    "steps", [[Step()], [Step(0.7, 0.5)], chebyshev_steps(3, 10.0), [Step(0.5, 0.2), Step(1.5, 0)]]
)
def test_layers_of_linear_attention_are_gradient_steps(data, steps):
    found = np.array(list(descend(*data, steps=steps, n_loops=15)))
    expected = np.array(list(heavy_ball(*data, steps, 15)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("scale", [2.0**-1000, 1e-82, 1e77, 1e307])
def test_predictions_do_not_depend_on_the_unit_of_the_inputs(scale):
    X, y, x_query = np.array([[1.0, 1.0], [0.0, 0.5], [1.0, -1.0]]), [3.0, 1.0, 0.0], [[1.0, 0.0]]
    *_, prediction = descend(X * scale, y, np.array(x_query) * scale, steps=[NEWTON], n_loops=30)
    np.testing.assert_allclose(prediction, [1.5], rtol=1e-14)


def test_predictions_beyond_float64_raise(data):
    X, y, X_query = data
    with pytest.raises(ValueError, match="beyond the range of float64"):
        list(descend(X * 1e-300, y, X_query * 1e300))
    with pytest.raises(ValueError, match="the steps diverge"):
        list(descend(X, y, X_query, steps=[Step(1e9)], n_loops=100))


def test_a_preconditioner_multiplies_the_gradient(data):
    X, y, X_query = data
    P = np.diag([2.0, 0.5, 1.0]) + 0.1
    (found,) = descend(X, y, X_query, preconditioner=P)
    np.testing.assert_allclose(found, X_query @ P @ X.T @ y / np.linalg.norm(X.T @ X), atol=1e-12)


def test_newton_steps_are_gradient_steps_on_whitened_inputs(data):
    X, y, X_query = data
    found = list(descend(X, y, X_query, steps=[NEWTON], n_loops=12))
    unit = np.linalg.norm(X.T @ X) ** 0.5
    X, X_query = X / unit, X_query / unit
    f, f_query = np.zeros(len(X)), np.zeros(len(X_query))
    for prediction in found:
        residual = y - f
        f_query, f = f_query + X_query @ X.T @ residual, f + X @ X.T @ residual
        np.testing.assert_allclose(prediction, f_query, rtol=0, atol=1e-12)
        move = 1.5 * np.eye(3) - 0.5 * X.T @ X
        X, X_query = X @ move, X_query @ move
    np.testing.assert_allclose(X.T @ X, np.eye(3), atol=1e-12)


def test_newton_needs_few_loops_where_descent_needs_many(rng):
    X = rng.normal(size=(40, 4)) * [1, 1, 1, 1e-3]
    w, X_query = rng.normal(size=4) / [1, 1, 1, 1e-3], X[:10]
    *_, newton = descend(X, X @ w, X_query, steps=[NEWTON], n_loops=25)
    *_, plain = descend(X, X @ w, X_query, n_loops=200)
    np.testing.assert_allclose(newton, X_query @ w, atol=1e-9)
    assert np.abs(plain - X_query @ w).max() > 0.1


def test_a_chebyshev_cycle_is_the_best_polynomial_of_its_degree():
    from numpy.polynomial import chebyshev

    sizes = np.array([step.size for step in chebyshev_steps(6, 50.0)])
    assert chebyshev_steps(1, 50.0)[0].size == pytest.approx(2 / (1 + 1 / 50))
    eigenvalues = np.linspace(1 / 50, 1, 1001)
    largest = np.abs(np.prod(1 - sizes[:, None] * eigenvalues, axis=0)).max()
    at_zero = chebyshev.chebval((1 + 1 / 50) / (1 - 1 / 50), [0] * 6 + [1])
    assert largest == pytest.approx(1 / at_zero, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": []}, "at least one"),
        ({"X_query": np.ones((2, 4))}, "4 columns, but X has 3"),
        ({"X_query": np.full((2, 3), np.nan)}, "contains NaN"),
        ({"n_loops": 0}, "n_loops=0"),
        ({"preconditioner": np.eye(2)}, r"shape \(2, 2\), but expected \(3, 3\)"),
        ({"y": np.ones(3)}, "inconsistent numbers of samples"),
    ],
)
def test_wrong_inputs_are_refused(data, change, message):
    arguments = dict(zip(("X", "y", "X_query"), data, strict=True)) | change
    with pytest.raises(ValueError, match=message):
        list(descend(**arguments))
