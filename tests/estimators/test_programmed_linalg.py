"""Estimators on programmed linear algebra against scikit-learn's."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.linalg import LinAlgError
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.cluster import KMeans
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


def test_singular_equations_raise(rng):
    X, y = regression(rng)
    X[:, 2] = 0.1
    with pytest.raises(LinAlgError, match=r"feature 2 is constant.*ProgrammedRidge"):
        ProgrammedLinearRegression().fit(X, y)
    with pytest.raises(LinAlgError, match=r"n_samples=4.*ProgrammedRidge"):
        ProgrammedLinearRegression().fit(X[:4], y[:4])
    X[:, 2] = X[:, 0] + X[:, 1]
    with pytest.raises(LinAlgError, match="Singular matrix"):
        ProgrammedLinearRegression().fit(X, y)
    with pytest.raises(LinAlgError, match="after 3 loops"):
        ProgrammedRidge(alpha=1e-3, max_loops=3).fit(X, y)


@pytest.mark.parametrize("n_components", [1, 2, None])
def test_pca_is_pca(rng, n_components):
    for X in (load_iris().data, StandardScaler().fit_transform(load_wine().data), load_wine().data):
        ours, theirs = (cls(n_components).fit(X) for cls in (ProgrammedPCA, PCA))
        scale = theirs.explained_variance_[0]
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


@pytest.mark.parametrize("init", ["k-means++", "random", "array"])
@pytest.mark.parametrize("tol", [0.0, 1e-4, 0.1])
def test_kmeans_is_lloyds(rng, init, tol):
    iris = load_iris().data  # of two digits: without noise, samples tie between their starts
    iris = iris + rng.uniform(-0.05, 0.05, size=iris.shape)
    for X in (iris, load_wine().data, iris + 1e5):
        start = X[[0, 60, 120]] if init == "array" else init
        options = {"init": start, "tol": tol, "random_state": 3}
        ours = ProgrammedKMeans(3, **options).fit(X)
        theirs = KMeans(3, n_init=1, algorithm="lloyd", **options).fit(X)
        np.testing.assert_array_equal(ours.labels_, theirs.labels_)
        scale = np.abs(X).max()
        np.testing.assert_allclose(
            ours.cluster_centers_, theirs.cluster_centers_, rtol=0, atol=1e-14 * scale
        )
        assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-12)
        assert ours.n_iter_ == theirs.n_iter_
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
        np.testing.assert_array_equal(ours.predict(X[::7]), theirs.predict(X[::7]))


def test_max_iter_stops_kmeans_where_lloyds_stops():
    X = load_iris().data
    ours = ProgrammedKMeans(3, init=X[:3], max_iter=2, tol=0).fit(X)
    theirs = KMeans(3, init=X[:3], n_init=1, max_iter=2, tol=0).fit(X)
    assert (ours.n_iter_, ours.n_loops_) == (theirs.n_iter_, 3)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)


def test_an_empty_cluster_stays_and_is_told(rng):
    X = rng.normal(size=(20, 2))
    init = np.array([[0.0, 0.0], [90.0, 90.0]])
    with pytest.warns(ConvergenceWarning, match="1 of n_clusters=2 clusters have no samples"):
        model = ProgrammedKMeans(2, init=init).fit(X)
    np.testing.assert_allclose(model.cluster_centers_, [X.mean(axis=0), init[1]], atol=1e-13)


def three_clusters(rng):
    return np.concatenate([rng.normal(size=(20, 2)) + c for c in ([0, 0], [8, 0], [0, 8])])


@pytest.mark.parametrize("far", [1e4, 1e8, 1e30, 1e300, -1.7e308])
def test_a_query_changes_no_other_label(rng, far):
    X = three_clusters(rng)
    model = ProgrammedKMeans(3, random_state=0).fit(X)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    labels = model.predict(np.concatenate([X, [[far, far / 2]]]))
    np.testing.assert_array_equal(labels[:-1], model.labels_)
    if abs(far) > 1e6:  # the centre farthest along the query's direction
        assert labels[-1] == (model.cluster_centers_ @ [1, 0.5] * np.sign(far)).argmax()


@pytest.mark.parametrize("far", [1e5, 1e10, 1e50])
def test_a_far_sample_spoils_no_other_cluster(rng, far):
    X = three_clusters(rng)
    init = np.array([X[0], X[20], X[40], [far, far]])
    plain = ProgrammedKMeans(3, init=init[:3], tol=0).fit(X)
    model = ProgrammedKMeans(4, init=init, tol=0).fit(np.concatenate([X, [[far, far]]]))
    np.testing.assert_array_equal(model.labels_, [*plain.labels_, 3])
    np.testing.assert_allclose(
        model.cluster_centers_, [*plain.cluster_centers_, [far, far]], rtol=1e-13
    )
    assert model.inertia_ == pytest.approx(plain.inertia_, rel=1e-12)


@pytest.mark.parametrize("unit", [2.0**-1000, 2.0**-500, 2.0**500, 2.0**1000])
def test_units_do_not_change_clusters(rng, unit):
    X = three_clusters(rng)
    plain = ProgrammedKMeans(3, random_state=0).fit(X)
    model = ProgrammedKMeans(3, random_state=0).fit(X * unit)
    np.testing.assert_array_equal(model.cluster_centers_, plain.cluster_centers_ * unit)
    np.testing.assert_array_equal(model.predict(X * unit), plain.labels_)
    with np.errstate(over="ignore"):
        assert model.inertia_ == plain.inertia_ * unit * unit


def test_samples_too_far_apart_for_float64_are_refused(rng):
    X = np.concatenate([three_clusters(rng), [[1e300, 0.0]]])
    with pytest.raises(ValueError, match=r"more than 2\*\*200 times as far from the middle"):
        ProgrammedKMeans(2, random_state=0).fit(X)
    with pytest.raises(ValueError, match="times as far from the middle"):
        ProgrammedKMeans(2, init=[[1e300, 0.0], [0.0, 0.0]]).fit(X[:-1] * 1e-200)


def test_kmeans_refuses_wrong_starts(rng):
    X = rng.normal(size=(5, 2))
    with pytest.raises(ValueError, match=r"n_samples=5.*n_clusters=6"):
        ProgrammedKMeans(6).fit(X)
    with pytest.raises(ValueError, match=r"init of shape \(3, 2\)"):
        ProgrammedKMeans(2, init=X[:3]).fit(X)
    with pytest.raises(ValueError, match="init contains NaN"):
        ProgrammedKMeans(2, init=X[:2] * np.nan).fit(X)


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
