"""Programmed linear algebra against numpy, and its errors against the certified bounds."""

import warnings

import numpy as np
import pytest
import torch
from numpy.linalg import LinAlgError
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning

from sklearn_looped.programmed.algorithms.linalg import (
    affine,
    eigh,
    inv,
    matmul,
    moments,
    solve,
    transpose,
)
from sklearn_looped.programmed.algorithms.linalg.moments import _moments_block
from sklearn_looped.programmed.algorithms.linalg.multiply import (
    _multiply_block,
    _transpose_block,
)
from sklearn_looped.programmed.algorithms.linalg.newton import _newton_block
from sklearn_looped.programmed.algorithms.linalg.power import (
    _deflate_block,
    _square_block,
)
from sklearn_looped.programmed.algorithms.linalg.unit_vector import _block as _unit_block
from sklearn_looped.programmed.transformer.evaluation import EVALUATIONS
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import product_error

KINDS = ("linear", "softmax")
# Largest error allowed against numpy, relative to the result: the documented accuracies.
ACCURACY = {"linear": 1e-13, "softmax": 1e-8}


def with_condition(rng, n, condition):
    """Matrix of the given condition number, and its inverse."""
    U, V = (np.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(2))
    s = np.geomspace(1, 1 / condition, n)
    return U * s @ V, V.T / s @ U.T


def symmetric(rng, eigenvalues):
    Q = np.linalg.qr(rng.normal(size=(len(eigenvalues),) * 2))[0]
    S = Q * np.asarray(eigenvalues) @ Q.T
    return (S + S.T) / 2


@pytest.mark.parametrize("product", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (4, 7), (7, 2)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_transpose_keeps_its_bound(rng, product, shape, scale):
    a = scale * rng.normal(size=shape)
    result = transpose(a, product=product)
    assert result.value.shape == shape[::-1]
    assert np.abs(result.value - a.T).max() <= result.certificate.error_bound
    assert result.certificate.error_bound <= (0 if product == "linear" else 1e-11 * np.abs(a).max())


@pytest.mark.parametrize("product", KINDS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 7, 3), (2, 60, 5)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_matmul_keeps_its_bound(rng, product, shape, scale):
    m, k, n = shape
    a, b = scale * rng.normal(size=(m, k)), rng.normal(size=(k, n))
    result = matmul(a, b, product=product)
    exact = (a.astype(np.longdouble) @ b.astype(np.longdouble)).astype(float)
    assert np.abs(result.value - exact).max() <= result.certificate.error_bound
    assert result.n_loops == 1
    assert result.certificate.error_bound <= ACCURACY[product] * scale * k * 10


def test_the_bound_of_the_softmax_product_is_not_idle(rng):
    """Errors come within a factor of 100 of it, and the linear product's are far below."""
    a, b = rng.uniform(-1, 1, size=(30, 20)), rng.normal(size=(20, 30))
    bound = product_error(20) * np.abs(b).sum(axis=0).max()
    error = {kind: np.abs(matmul(a, b, product=kind).value - a @ b).max() for kind in KINDS}
    assert bound / 100 < error["softmax"] < bound
    assert error["linear"] < 1e-14


@pytest.mark.parametrize("product", KINDS)
@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4])
def test_inverse_and_solution_keep_their_bounds(rng, product, condition):
    a, inverse = with_condition(rng, 8, condition)
    x = rng.normal(size=(8, 3))
    b = a @ x
    result, solution = inv(a, product=product, tol=1e-3), solve(a, b, product=product, tol=1e-3)
    # What the rounding of `a` and `b` moves the exact answers by, beside the bounds.
    moved = 8e-16 * condition
    for found, exact in ((result, inverse), (solution, x)):
        error, size = np.abs(found.value - exact).max(), np.abs(exact).max()
        assert error <= found.certificate.error_bound + moved * size
        assert error <= ACCURACY[product] * condition * size
        assert found.certificate.error_bound <= 1e-3 * size


def test_solution_is_as_accurate_as_numpys(rng):
    for condition in 10.0 ** np.arange(0, 11, 2):
        a, _ = with_condition(rng, 12, condition)
        x = rng.normal(size=12)
        ours = np.abs(solve(a, a @ x, tol=1.0).value - x).max()
        theirs = np.abs(np.linalg.solve(a, a @ x) - x).max()
        assert ours <= 20 * theirs + 1e-15 * condition


def test_rows_and_columns_in_other_units_cost_nothing(rng):
    """A plain iteration would see condition numbers of 1e30."""
    for a in (with_condition(rng, 6, 10)[0], symmetric(rng, np.geomspace(1, 0.1, 6))):
        rows, columns = 10.0 ** rng.integers(-15, 15, size=(2, 6))
        plain, scaled = inv(a), inv(rows[:, None] * a * columns)
        assert abs(plain.n_loops - scaled.n_loops) <= 6
        expected = plain.value / columns[:, None] / rows
        np.testing.assert_allclose(scaled.value, expected, rtol=1e-11)


def test_loops_grow_with_twice_the_logarithm_of_the_condition_number(rng):
    loops = [inv(with_condition(rng, 8, c)[0], tol=1.0).n_loops for c in (1e2, 1e4, 1e6)]
    steps = np.diff(loops)
    assert (np.abs(steps - 2 * np.log2(100)) <= 4).all()


def test_a_condition_number_beyond_float64_is_told(rng):
    a, _ = with_condition(rng, 10, 1e9)
    with pytest.warns(ConvergenceWarning, match=r"tol=1e-08.*condition number.*about [0-9.]+e\+0"):
        result = inv(a)
    assert result.certificate.error_bound > 1e-8 * np.abs(result.value).max()
    with pytest.warns(ConvergenceWarning, match="certified to a relative error"):
        solve(a, np.ones(10))


@pytest.mark.parametrize("product", KINDS)
def test_singular_matrices_raise_as_numpys_do(rng, product):
    b = rng.normal(size=(5, 3))
    for singular in (np.zeros((3, 3)), np.ones((3, 3)), b @ b.T, np.diag([1.0, 0.0])):
        with pytest.raises(LinAlgError, match="Singular matrix"):
            inv(singular, product=product)
        with pytest.raises(LinAlgError, match="Singular matrix"):
            solve(singular, np.ones(len(singular)), product=product)


def test_too_few_loops_are_told(rng):
    a, _ = with_condition(rng, 5, 1e4)
    with pytest.raises(LinAlgError, match="after 5 loops"):
        inv(a, max_loops=5)


def test_an_inverse_beyond_the_linearised_products_is_told(rng):
    a, _ = with_condition(rng, 8, 1e9)
    with pytest.raises(LinAlgError, match="use product='linear'"):
        solve(a, np.ones(8), product="softmax")


@pytest.mark.parametrize(
    "eigenvalues",
    [
        [3.0],
        [1.0, -2.0, 0.5, 4.0, -3.0],
        [2.0, 2.0, 1.0, 0.0, 0.0],
        [1.0, -1.0, 0.5],
        [-5.0, -4.0, -3.0],
        [1.0, 1e-8, 1e-4],
        [1.0, 1 - 1e-9, 0.5, 0.1],
        [0.0, 0.0],
    ],
)
@pytest.mark.parametrize("product", KINDS)
def test_eigh_is_numpys(rng, eigenvalues, product):
    a = symmetric(rng, eigenvalues)
    result = eigh(a, product=product)
    values, vectors = result.value
    error = np.abs(values - np.linalg.eigvalsh(a)).max()
    accuracy = {"linear": 1e-14, "softmax": 1e-9}[product] * len(a)
    assert error <= result.certificate.error_bound + 1e-15
    assert error <= accuracy * 5
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(a)), rtol=0, atol=accuracy)
    np.testing.assert_allclose(a @ vectors, vectors * values, rtol=0, atol=accuracy * 5)


def test_identity_and_diagonal_have_their_axes(rng):
    for a in (np.eye(4), np.diag([1.0, 3.0, 2.0])):
        vectors = eigh(a).value.eigenvectors
        np.testing.assert_allclose(np.sort(np.abs(vectors), axis=0)[-1], 1, rtol=0, atol=1e-14)


def test_eigenvectors_are_eighs_as_far_as_the_gap_lets(rng):
    for gap in (1e-1, 1e-4, 1e-7):
        a = symmetric(rng, [1.0, 1 - gap, 0.3, 0.2, 0.1])
        ours, theirs = eigh(a, 2).value.eigenvectors, np.linalg.eigh(a)[1][:, -2:]
        sines = np.linalg.norm(ours - theirs * np.sign((ours * theirs).sum(axis=0)), axis=0)
        assert sines.max() <= 2e-14 / gap


def test_close_eigenvalues_take_the_logarithm_of_their_gap_in_loops(rng):
    loops = [eigh(symmetric(rng, [1, 1 - g, 0.1]), 1).n_loops for g in (1e-2, 1e-4, 1e-6)]
    assert (np.abs(np.diff(loops) - np.log2(100)) <= 2).all()


def test_the_largest_come_first_and_ascend(rng):
    a = symmetric(rng, [5.0, -9.0, 3.0, 1.0])
    np.testing.assert_allclose(eigh(a, 2).value.eigenvalues, [3, 5], rtol=0, atol=1e-13)


def test_the_error_of_eigenvalues_is_relative_to_the_largest_one(rng):
    signs = rng.choice([-1.0, 1.0], size=(24, 24))
    a = np.tril(signs) + np.tril(signs, -1).T
    bound = eigh(a, 2, tol=1.0).certificate.error_bound
    largest = np.abs(np.linalg.eigvalsh(a)).max()  # about 10; sums of rows are 24
    with pytest.warns(ConvergenceWarning, match="certified to a relative error"):
        eigh(a, 2, tol=bound / (1.5 * largest))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        eigh(a, 2, tol=1.1 * bound / largest)


def test_eigenvectors_that_have_not_converged_are_told(rng):
    with pytest.warns(ConvergenceWarning, match="Raise max_loops"):
        eigh(symmetric(rng, [1.0, 1 - 1e-3, 0.5]), max_loops=4)


@pytest.mark.parametrize("function", [inv, eigh, lambda a: solve(a, np.ones(2))])
def test_wrong_matrices_raise(function):
    with pytest.raises(LinAlgError, match="2-D"):
        function([1.0, 2.0])
    with pytest.raises(LinAlgError, match=r"\(2, 3\).*square"):
        function(np.ones((2, 3)))
    with pytest.raises(ValueError, match="NaN"):
        function([[1.0, np.nan], [0.0, 1.0]])
    with pytest.raises(ValueError, match="Complex"):
        function([[1j, 0], [0, 1]])
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        function(csr_array(np.eye(2)))


def test_wrong_shapes_and_options_raise():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 2\)"):
        matmul(np.ones((2, 3)), np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"3 rows.*has 2"):
        solve(np.eye(2), np.ones(3))
    with pytest.raises(LinAlgError, match=r"not symmetric.*mirror"):
        eigh([[1.0, 2.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match="n_components"):
        eigh(np.eye(2), 3)
    for function in (inv, transpose):
        with pytest.raises(ValueError, match="'product' parameter"):
            function(np.eye(2), product="cubic")
    with pytest.raises(ValueError, match="'tol' parameter"):
        inv(np.eye(2), tol=0)
    with pytest.raises(ValueError, match="'max_loops' parameter"):
        inv(np.eye(2), max_loops=0)


def test_solve_takes_vectors_and_matrices(rng):
    a, _ = with_condition(rng, 4, 5)
    b = rng.normal(size=(4, 2))
    both = solve(a, b).value
    np.testing.assert_allclose(both, np.linalg.solve(a, b), rtol=0, atol=1e-13)
    np.testing.assert_allclose(solve(a, b[:, 0]).value, both[:, 0], rtol=0, atol=1e-14)


@pytest.mark.parametrize("seed", [93, 130, 151])
def test_rounding_does_not_break_a_multiple_eigenvalue(seed):
    v = np.random.default_rng(seed).normal(size=4)
    result = eigh(np.outer(v, v))
    np.testing.assert_allclose(result.value.eigenvalues, [0, 0, 0, v @ v], rtol=0, atol=1e-13)
    vectors = result.value.eigenvectors
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(4), rtol=0, atol=1e-13)


def test_affine_and_moments_are_plain_sums(rng):
    X, W = rng.normal(5, size=(30, 4)), rng.normal(size=(4, 2))
    origin, offset = X.mean(axis=0), rng.normal(size=2)
    np.testing.assert_allclose(
        affine(X, W, origin, offset), (X - origin) @ W + offset, rtol=0, atol=1e-14
    )
    mean, centred, gram = moments(X, penalty=np.arange(4.0))
    np.testing.assert_allclose(mean, origin, rtol=0, atol=1e-14)
    np.testing.assert_allclose(centred, X - origin, rtol=0, atol=1e-14)
    expected = (X - origin).T @ (X - origin) + np.diag(np.arange(4.0))
    np.testing.assert_allclose(gram, expected, rtol=0, atol=1e-12)
    weights = rng.uniform(size=len(X))
    weighted = moments(X, weights=weights)
    mean, cov = np.average(X, axis=0, weights=weights), np.cov(X.T, aweights=weights, ddof=0)
    np.testing.assert_allclose(weighted.mean, mean, rtol=0, atol=1e-13)
    np.testing.assert_allclose(weighted.gram, cov * weights.sum(), rtol=0, atol=1e-12)
    plain = moments(X, centre=False)
    assert not plain.mean.any()
    np.testing.assert_allclose(plain.gram, X.T @ X, rtol=1e-14)


@pytest.mark.parametrize("product", KINDS)
@pytest.mark.parametrize(
    "machine",
    [
        "multiply",
        "transpose",
        "newton",
        "square",
        "normalise",
        "deflate",
        "moments",
        "weighted moments",
    ],
)
def test_evaluations_agree_in_every_bit_and_weights_stay(rng, machine, product):
    n = 3
    a, b, x = rng.uniform(-1, 1, size=(3, n, n))
    unit = np.eye(n)
    declared, kinds = {
        "multiply": (
            _multiply_block(n, n, product),
            {"row": {"a": a}, "term": {"unit": unit, "b": b}},
        ),
        "transpose": (
            _transpose_block(n, n, product),
            {"column": {"unit": unit}, "row": {"a": a, "out_unit": unit}},
        ),
        "newton": (_newton_block(n, n, product), {"row": {"unit": unit, "a": a, "x": x, "b": b}}),
        "square": (_square_block(n, product), {"row": {"unit": unit, "b": b}}),
        "normalise": (_unit_block(n), {"vector": {"v": a, "w": a}}),
        "deflate": (_deflate_block(n, product), {"row": {"unit": unit, "a": a, "v": b[0]}}),
        "moments": (_moments_block(n, True, False), {"row": {"x": x}, "column": {"unit": unit}}),
        "weighted moments": (
            _moments_block(n, True, True),
            {"row": {"x": x, "weight": x[:, :1] ** 2, "share": 0.25}, "column": {"unit": unit}},
        ),
    }[machine]
    tokens = Layout(scratch=1, null=1, **dict.fromkeys(kinds, n))
    tape, transformer = declared.load(tokens, **kinds), declared.transformer(tokens)
    before = transformer.fingerprint()
    ends = [declared.run(tape, 3, evaluation=e)[0].state for e in EVALUATIONS]
    assert all(torch.equal(ends[0], other) for other in ends[1:])
    assert transformer.fingerprint() == before
