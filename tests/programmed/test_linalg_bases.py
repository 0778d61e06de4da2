import numpy as np
import pytest
from numpy.linalg import LinAlgError
from scipy.linalg import eigh_tridiagonal
from sklearn.exceptions import ConvergenceWarning

from sklearn_looped.programmed.algorithms.linalg import arnoldi, gauss_seidel, lanczos, qr

HILBERT = 1 / (1.0 + np.arange(8)[:, None] + np.arange(8))


def random_matrix(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
@pytest.mark.parametrize("shape", [(1, 1), (6, 1), (5, 5), (9, 4)])
def test_qr_equals_numpy_but_for_signs(shape, scale):
    a = scale * random_matrix(0, *shape)
    result = qr(a)
    q, r = np.linalg.qr(a)
    signs = np.sign(np.diag(r))
    np.testing.assert_allclose(result.value.Q, q * signs, atol=1e-13)
    np.testing.assert_allclose(result.value.R / scale, signs[:, None] * r / scale, atol=1e-13)
    assert np.abs(result.value.Q @ result.value.R - a).max() <= result.certificate.error_bound
    assert result.certificate.error_bound < 1e-12 * np.abs(a).max()


def test_qr_of_a_matrix_of_condition_1e10_is_orthogonal():
    result = qr(HILBERT)
    q, r = result.value
    assert np.abs(q.T @ q - np.eye(8)).max() < 1e-14
    assert np.abs(q @ r - HILBERT).max() <= result.certificate.error_bound < 1e-13
    assert np.array_equal(r, np.triu(r))


@pytest.mark.parametrize("n_steps", [1, 3, 6])
def test_arnoldi_is_a_basis_of_the_krylov_space(n_steps):
    a, v = random_matrix(1, 6, 6), random_matrix(2, 6)
    result = arnoldi(a, v, n_steps)
    basis, h = result.value
    k = min(n_steps + 1, 6)
    assert (basis.shape, h.shape) == ((6, k), (k, n_steps))
    np.testing.assert_allclose(basis[:, 0], v / np.linalg.norm(v), atol=1e-15)
    assert np.abs(basis.T @ basis - np.eye(k)).max() < 1e-14
    assert np.abs(a @ basis[:, :n_steps] - basis @ h).max() <= result.certificate.error_bound
    assert result.certificate.error_bound < 1e-12
    assert np.array_equal(h, np.triu(h, -1))


def test_arnoldi_ends_where_the_space_is_invariant():
    a = np.diag([1.0, 2.0, 3.0, 4.0])
    basis, h = arnoldi(a, [1.0, 1.0, 0.0, 0.0]).value
    assert (basis.shape, h.shape) == ((4, 2), (2, 2))
    np.testing.assert_allclose(np.sort(np.linalg.eigvals(h)), [1.0, 2.0], atol=1e-14)


@pytest.mark.parametrize("routine", [arnoldi, lanczos])
def test_bases_of_a_matrix_of_zeros_are_exact(routine):
    result = routine(np.zeros((2, 2)), [1.0, 0.0])
    assert result.value[0].tolist() == [[1.0], [0.0]]
    assert not np.any(result.value[1])
    assert result.certificate.error_bound == 0


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_lanczos_keeps_the_eigenvalues(scale):
    a = random_matrix(3, 7, 7)
    a = scale * (a + a.T)
    result = lanczos(a, np.ones(7))
    basis, diagonal, off_diagonal = result.value
    values = eigh_tridiagonal(diagonal / scale, off_diagonal / scale)[0]
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a / scale), atol=1e-13)
    tridiagonal = np.diag(diagonal) + np.diag(off_diagonal, 1) + np.diag(off_diagonal, -1)
    assert np.abs(basis.T @ a @ basis - tridiagonal).max() <= result.certificate.error_bound
    assert result.certificate.error_bound < 1e-12 * scale


@pytest.mark.parametrize("scale", [1e-250, 1.0, 1e250])
def test_gauss_seidel_solves_what_it_converges_for(scale):
    root, b = random_matrix(4, 4, 4), random_matrix(5, 4)
    for a in (root @ root.T + 3 * np.eye(4), root + 9 * np.eye(4)):
        result = gauss_seidel(a * scale, b)
        expected = np.linalg.solve(a, b) / scale
        assert np.abs(result.value - expected).max() <= 2 * result.certificate.error_bound
        assert result.certificate.error_bound < 1e-11 * np.abs(expected).max()
    assert gauss_seidel(np.eye(2), [0.0, 0.0]).value.tolist() == [0.0, 0.0]
    assert gauss_seidel(np.diag([2.0, -4.0, 0.5]), [2.0, 2.0, 2.0]).value.tolist() == [1, -0.5, 4]


def test_gauss_seidel_steps_are_those_of_a_sweep():
    """The fixed point aside, the loops are the classical update: count them for one sweep."""
    a, b = np.array([[4.0, 0.0], [1.0, 2.0]]), np.array([4.0, 3.0])
    result = gauss_seidel(a, b)
    assert result.value.tolist() == [1.0, 1.0]
    assert result.n_loops == 7 + 2 * 2  # reciprocals, the sweep that solves, one that confirms


@pytest.mark.parametrize(
    ("routine", "message"),
    [
        (lambda: qr([[1.0, 2.0], [2.0, 4.0]]), "column 1 depends on those before"),
        (lambda: qr([[0.0], [0.0]]), "column 0 depends"),
        (lambda: qr([[1.0, 2.0]]), "no more columns than rows"),
        (lambda: qr([1.0, 2.0]), "1-dimensional array given for 'a'"),
        (lambda: arnoldi([[1.0, 2.0]], [1.0]), "must be square"),
        (lambda: arnoldi(np.eye(2), [1.0]), r"'v' of shape \(1,\), expected 2"),
        (lambda: arnoldi(np.eye(2), [0.0, 0.0]), "not all 0"),
        (lambda: lanczos([[1.0, 2.0], [0.0, 1.0]], [1.0, 0.0]), "not symmetric"),
        (lambda: gauss_seidel([[1.0, 1.0], [1.0, 1.0]], [1.0, 2.0]), "singular"),
        (lambda: gauss_seidel([[0.0, 2.0], [3.0, 1.0]], [1.0, 2.0]), "0 on the diagonal"),
        (lambda: gauss_seidel([[1.0, 9.0], [9.0, 1.0]], [1.0, 2.0]), "do not converge"),
        (lambda: gauss_seidel(np.eye(2), np.eye(2)), r"'b' of shape \(2, 2\), expected a number"),
        (lambda: gauss_seidel(HILBERT, np.ones(8), max_loops=50), "do not converge: after 50"),
    ],
)
def test_what_has_no_answer_raises(routine, message):
    with pytest.raises(LinAlgError, match=message):
        routine()


def test_bad_options_raise_and_a_tolerance_not_met_warns():
    with pytest.raises(ValueError, match="tol"):
        qr(np.eye(2), tol=0)
    with pytest.raises(ValueError, match="n_steps"):
        arnoldi(np.eye(2), [1.0, 0.0], 3)
    with pytest.raises(ValueError, match="NaN"):
        lanczos([[np.nan]], [1.0])
    with pytest.warns(ConvergenceWarning, match="certified to a relative error"):
        qr(random_matrix(0, 4, 3), tol=1e-18)
