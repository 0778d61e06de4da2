"""Estimators on programmed linear algebra against scikit-learn's."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.linalg import LinAlgError
from scipy.linalg import hadamard
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import StandardScaler

from sklearn_looped import (
    ProgrammedKernelRegressor,
    ProgrammedKMeans,
    ProgrammedLinearRegression,
    ProgrammedPCA,
    ProgrammedRidge,
)
from sklearn_looped.programmed.algorithms.linalg import least_norm

ALL = [
    ProgrammedKernelRegressor(),
    ProgrammedKMeans(2),
    ProgrammedLinearRegression(),
    ProgrammedPCA(),
    ProgrammedRidge(),
]


def regression(rng, n=60, d=5):
    X = rng.normal(size=(n, d))
    return X, X @ rng.normal(size=d) + 3 + 0.1 * rng.normal(size=n)


def of_condition(rng, n, d, condition):
    """Table of n rows with columns of equal length and about the given condition number."""
    U, V = (np.linalg.qr(rng.normal(size=shape))[0] for shape in ((n, d), (d, d)))
    return U * np.geomspace(1, 1 / condition, d) @ V


def assert_same_coefficients(ours, theirs, tolerance=1e-8):
    scale = np.abs(theirs.coef_).max()
    assert ours.coef_.shape == theirs.coef_.shape
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=tolerance * scale)
    np.testing.assert_allclose(
        ours.intercept_, theirs.intercept_, rtol=tolerance, atol=tolerance * scale
    )


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("condition", [1, 30, 1000])
def test_linear_regression_is_linear_regression(rng, fit_intercept, condition):
    X = of_condition(rng, 80, 6, condition) + 0.1
    y = X @ rng.normal(size=6) + rng.normal(size=80)
    ours = ProgrammedLinearRegression(fit_intercept=fit_intercept, tol=1e-6).fit(X, y)
    theirs = LinearRegression(fit_intercept=fit_intercept).fit(X, y)
    assert_same_coefficients(ours, theirs)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=1e-8)


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_ridge_is_ridge(rng, alpha, fit_intercept):
    for shape in ((60, 5), (6, 20)):
        X, y = regression(rng, *shape)
        X[:, 1] = X[:, 0]
        options = {"alpha": alpha, "fit_intercept": fit_intercept}
        ours, theirs = ProgrammedRidge(**options).fit(X, y), Ridge(**options).fit(X, y)
        assert_same_coefficients(ours, theirs)
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=1e-10)


def test_least_squares_on_data_as_it_comes(diabetes):
    X, y = diabetes
    assert_same_coefficients(ProgrammedLinearRegression().fit(X, y), LinearRegression().fit(X, y))
    X, y = load_wine(return_X_y=True)  # columns from 0.1 to 1,700
    assert_same_coefficients(ProgrammedLinearRegression().fit(X, y), LinearRegression().fit(X, y))


def test_units_of_the_features_do_not_matter(rng):
    X, y = regression(rng)
    units = 10.0 ** np.array([-9, -4, 0, 5, 9])
    plain = ProgrammedLinearRegression().fit(X, y)
    scaled = ProgrammedLinearRegression().fit(X * units, y)
    np.testing.assert_allclose(scaled.coef_ * units, plain.coef_, rtol=1e-12)
    assert abs(scaled.n_loops_ - plain.n_loops_) <= 6


def test_ridge_without_penalty_is_linear_regression(rng):
    X, y = regression(rng)
    ours = ProgrammedRidge(alpha=0).fit(X, y)
    np.testing.assert_array_equal(ours.coef_, ProgrammedLinearRegression().fit(X, y).coef_)


def test_certificate_bounds_the_error_and_the_limit_is_told(rng):
    X = of_condition(rng, 60, 5, 10)
    y = X @ rng.normal(size=5)
    model = ProgrammedLinearRegression().fit(X, y)
    exact = LinearRegression().fit(X, y).coef_
    assert np.abs(model.coef_ - exact).max() <= model.certificate_.error_bound + 1e-13
    assert model.certificate_.error_bound <= 1e-8 * np.abs(exact).max()
    X = of_condition(rng, 60, 5, 1e6)
    with pytest.warns(ConvergenceWarning, match=r"tol=1e-08.*condition number"):
        ProgrammedLinearRegression().fit(X, X @ np.ones(5))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(
    "mix", ["constant", "sum", "few rows", "half rank", "one row", "all constant"]
)
def test_singular_equations_have_the_solution_of_least_norm(rng, mix, fit_intercept):
    X, y = regression(rng)
    if mix == "constant":
        X[:, 2] = 0.1
    elif mix == "sum":
        X[:, 2] = X[:, 0] + X[:, 1]
    elif mix == "half rank":
        X = X[:, :3] @ rng.normal(size=(3, 8))
    elif mix == "all constant":
        X[:] = [1.0, 2.0, 4.0, 8.0, 0.5]
    n = {"few rows": 4, "one row": 1}.get(mix, len(X))
    X, y = X[:n], np.stack([y, y**2], axis=1)[:n]
    theirs = LinearRegression(fit_intercept=fit_intercept).fit(X, y)
    ours = ProgrammedLinearRegression(fit_intercept=fit_intercept).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=1e-10)
    assert np.abs(ours.coef_ - theirs.coef_).max() <= ours.certificate_.error_bound + 1e-13
    assert ours.certificate_.error_bound < 1e-9


def test_too_few_loops_raise_and_an_uncertain_rank_is_told(rng):
    X, y = regression(rng)
    for model in (
        ProgrammedRidge(alpha=1e-3, max_loops=3),
        ProgrammedLinearRegression(max_loops=3),
    ):
        with pytest.raises(LinAlgError, match="after 3 loops"):
            model.fit(X, y)
    X[:, 2] = X[:, 0] + X[:, 1] + 1e-7 * rng.normal(size=60)
    X[:, 3] = X[:, 0] + 1e-6 * rng.normal(size=60)
    with pytest.warns(ConvergenceWarning, match="certified to a relative error"):
        ProgrammedLinearRegression().fit(X, y)


@pytest.mark.parametrize("d", [2, 8])
@pytest.mark.parametrize("digits", [4, 12, 20, 27])
def test_the_bound_of_least_norm_holds(rng, digits, d):
    """All numbers are exact: B B' = d I, and M has condition number about 4 * 2**digits."""
    B, n = hadamard(d)[rng.choice(d, 2, replace=False)].astype(float), 2.0**digits
    M, inverse = np.array([[n + 1, n], [n, n]]), np.array([[1, -1], [-1, (n + 1) / n]])
    b = rng.integers(-9, 9, (d, 3)).astype(float)
    b[:, 1] += 2.0**30 * (b[:, 0] - B.T @ (B @ b[:, 0]) / d)  # is nearly outside of the space
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = least_norm(B.T @ M @ B, b)
    error = np.abs(found.value - B.T @ (inverse @ (B @ b)) / d**2).max()
    assert error <= found.certificate.error_bound
    assert found.certificate.error_bound < 1e-8 or digits > 4 or d > 2


def test_too_few_loops_for_regular_equations_raise():
    u, v, z, w = np.random.default_rng(0).normal(size=(4, 50))
    X, y = np.column_stack([u, u + 1e-4 * v, u + 1e-4 * w]), u + 0.3 * v + 0.1 * z
    model = ProgrammedLinearRegression(fit_intercept=False, max_loops=16)
    with pytest.raises(LinAlgError, match="max_loops=16 is too few"):
        model.fit(X, y)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_sample_weights_of_least_squares_are_those_of_scikit_learn(rng, several, fit_intercept):
    X, y = regression(rng)
    y = np.stack([y, X[:, 0] ** 2], axis=1) if several else y
    weights = rng.choice([0.0, 0.3, 1.0, 1e3], len(y))
    for ours, theirs in (
        (ProgrammedLinearRegression, LinearRegression),
        (ProgrammedRidge, Ridge),
    ):
        models = (kind(fit_intercept=fit_intercept) for kind in (ours, theirs))
        assert_same_coefficients(*(m.fit(X, y, sample_weight=weights) for m in models))
        X[:, 1] = X[:, 0]
    with pytest.raises(ValueError, match="at least one"):
        ProgrammedRidge().fit(X, y, sample_weight=np.zeros(len(y)))


def test_one_column_of_targets_has_the_shapes_of_scikit_learn(rng):
    X, y = regression(rng)
    for ours, theirs in (
        (ProgrammedLinearRegression(), LinearRegression()),
        (ProgrammedRidge(), Ridge()),
    ):
        for model in (ours, theirs):
            model.fit(X, y[:, None])
        for name in ("coef_", "intercept_"):
            assert np.shape(getattr(ours, name)) == np.shape(getattr(theirs, name))
        assert ours.predict(X).shape == theirs.predict(X).shape


@pytest.mark.parametrize("n_components", [1, 2, None, 0.5, 0.97, "mle"])
def test_pca_is_pca(rng, n_components):
    for X in (load_iris().data, StandardScaler().fit_transform(load_wine().data), load_wine().data):
        ours, theirs = (cls(n_components).fit(X) for cls in (ProgrammedPCA, PCA))
        scale = theirs.explained_variance_[0]
        assert ours.n_components_ == theirs.n_components_
        gaps = -np.diff(PCA().fit(X).explained_variance_)
        tolerance = 1e-13 * scale / gaps.min()
        for name in ("components_", "explained_variance_ratio_"):
            ours_, theirs_ = getattr(ours, name), getattr(theirs, name)
            np.testing.assert_allclose(ours_, theirs_, rtol=0, atol=tolerance)
        variances = ours.explained_variance_, theirs.explained_variance_
        np.testing.assert_allclose(*variances, rtol=0, atol=1e-13 * scale)
        np.testing.assert_allclose(ours.mean_, theirs.mean_, rtol=1e-13, atol=1e-13)
        scores = ours.transform(X), theirs.transform(X)
        np.testing.assert_allclose(*scores, rtol=0, atol=tolerance * np.abs(X).max())
        back = ours.inverse_transform(scores[0]), theirs.inverse_transform(scores[1])
        np.testing.assert_allclose(*back, rtol=0, atol=tolerance * np.abs(X).max())


def test_components_that_no_gap_determines_are_told(rng):
    X = rng.normal(size=(40, 3))
    V = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    U = np.linalg.qr(X - X.mean(axis=0))[0]
    with pytest.warns(ConvergenceWarning, match="Components 0 and 1 have variances that differ by"):
        ProgrammedPCA().fit(U * [1.0, 1 + 1e-12, 0.5] @ V)
    ProgrammedPCA().fit(U * [1.0, 1 + 1e-6, 0.5] @ V)


def test_pca_names_its_output_and_refuses_what_is_not_there(rng):
    X = pd.DataFrame(rng.normal(size=(20, 3)), columns=["a", "b", "c"])
    model = ProgrammedPCA(2).fit(X)
    assert model.get_feature_names_out().tolist() == ["programmedpca0", "programmedpca1"]
    frame = model.set_output(transform="pandas").transform(X)
    assert frame.columns.tolist() == ["programmedpca0", "programmedpca1"]
    with pytest.raises(ValueError, match=r"n_components=4.*=3"):
        ProgrammedPCA(4).fit(X)
    with pytest.raises(ValueError, match=r"3 columns.*2 components"):
        model.inverse_transform(X)
    with pytest.raises(ValueError, match="constant"):
        ProgrammedPCA().fit(np.ones((4, 2)))
    with pytest.raises(ValueError, match="2 samples of 3 features, but it needs as many samples"):
        ProgrammedPCA("mle").fit(X[:2])
    for wrong in (0.0, 1.5, "all"):
        with pytest.raises(ValueError, match="'n_components' parameter"):
            ProgrammedPCA(wrong).fit(X)
    for few in (1e-9 * X, X[["a"]]):  # scikit-learn keeps no component
        with pytest.raises(ValueError, match="'mle', which keeps none of"):
            ProgrammedPCA("mle").fit(few)


def test_no_share_takes_more_components_than_there_are():
    X = np.random.default_rng(0).normal(size=(30, 9))
    model = ProgrammedPCA(np.nextafter(1.0, 0.0), max_loops=30).fit(X)
    assert model.n_components_ == len(model.components_) == 9
    assert model.transform(X).shape == X.shape


@pytest.mark.parametrize("bandwidth", [0.3, 1.0, 20.0])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_kernel_regression_is_the_formula(rng, bandwidth, offset):
    X, y = regression(rng, 50, 3)
    queries = rng.normal(size=(20, 3))
    weights = np.exp(-((queries[:, None] - X) ** 2).sum(axis=2) / (2 * bandwidth**2))
    expected = weights @ y / weights.sum(axis=1)
    model = ProgrammedKernelRegressor(bandwidth).fit(X + offset, y)
    # The offset rounds the data themselves, by 1e-13.
    tolerance = 1e-12 if offset == 0 else 1e-10
    np.testing.assert_allclose(model.predict(queries + offset), expected, rtol=0, atol=tolerance)


def test_far_queries_read_their_nearest_sample(rng):
    X, y = regression(rng, 30, 2)
    far = 1e6 * rng.normal(size=(10, 2))
    nearest = ((far[:, None] - X) ** 2).sum(axis=2).argmin(axis=1)
    model = ProgrammedKernelRegressor(0.01).fit(X, y)
    np.testing.assert_array_equal(model.predict(far), y[nearest])
    assert np.isfinite(model.predict(np.array([[1e60, -1e60], [0.0, 0.0]]))).all()
    with pytest.raises(ValueError, match="overflow beyond 1e\\+70 bandwidths"):
        model.predict([[1e80, 0.0]])


def test_queries_do_not_see_each_other(rng):
    X, y = regression(rng, 30, 2)
    queries = rng.normal(size=(2000, 2)) * 10
    model = ProgrammedKernelRegressor(0.5).fit(X, y)
    together = model.predict(queries)
    np.testing.assert_array_equal(model.predict(queries[1500:1510]), together[1500:1510])


@pytest.mark.parametrize("estimator", ALL, ids=lambda e: type(e).__name__)
def test_refits_are_equal_and_pickles_predict(rng, estimator):
    X, y = regression(rng, 30, 3)
    model = clone(estimator).fit(X, y)
    method = "transform" if hasattr(model, "transform") else "predict"
    copy = pickle.loads(pickle.dumps(model))
    expected = getattr(model, method)(X)
    np.testing.assert_array_equal(getattr(copy, method)(X), expected)


@pytest.mark.parametrize("estimator", ALL, ids=lambda e: type(e).__name__)
def test_bad_data_is_refused(rng, estimator):
    X, y = regression(rng, 10, 2)
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        clone(estimator).fit(csr_array(X), y)
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        clone(estimator).fit(X, y)


@pytest.mark.parametrize("estimator", ALL, ids=lambda e: type(e).__name__)
def test_at_most_ten_parameters(estimator):
    assert len(estimator.get_params()) <= 10


@pytest.mark.parametrize("unit", [1e-300, 1e-200, 1e-80, 1e150, 1e200])
def test_units_of_features_do_not_matter(unit):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3))
    y = X @ [1.0, -2.0, 3.0] + 5
    ours, theirs = ProgrammedLinearRegression().fit(X * unit, y), LinearRegression().fit(X, y)
    np.testing.assert_allclose(ours.coef_ * unit, theirs.coef_, rtol=1e-12)
    np.testing.assert_allclose(ours.predict(X * unit), y, rtol=1e-12)
    ours = ProgrammedRidge(alpha=1e-300).fit(X * unit, y)
    assert np.isfinite(ours.coef_).all()
    if unit == 1e200:
        with pytest.raises(ValueError, match=r"up to 2\.3e\+200, whose variances are beyond"):
            ProgrammedPCA(2).fit(X * unit)
        return
    pca, theirs = ProgrammedPCA(2).fit(X * unit), PCA(2).fit(X)
    np.testing.assert_allclose(pca.components_, theirs.components_, rtol=0, atol=1e-13)
    np.testing.assert_allclose(
        pca.explained_variance_ratio_, theirs.explained_variance_ratio_, rtol=1e-12
    )
    np.testing.assert_allclose(pca.transform(X * unit) / unit, theirs.transform(X), atol=1e-13)
    assert 0 < pca.certificate_.error_bound <= max(5e-324, 1e-14 * pca.explained_variance_[0])


@pytest.mark.parametrize("far", [1e8, 1e16, 1e60])
def test_a_far_sample_changes_no_other_prediction(rng, far):
    X, y = regression(rng, 30, 2)
    queries = rng.normal(size=(10, 2))
    model = ProgrammedKernelRegressor().fit(X, y)
    other = ProgrammedKernelRegressor().fit(np.vstack([X, [[far, -far]]]), [*y, 1e3])
    np.testing.assert_allclose(other.predict(queries), model.predict(queries), rtol=1e-12)
