"""K-means inside a transformer against scikit-learn's."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning

from sklearn_looped import ProgrammedKMeans


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


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_far", [1, 2, 3])
def test_empty_clusters_move_as_scikit_learns(rng, n_far, weighted):
    for _ in range(4):
        X = rng.normal(size=(20, 2))
        weights = rng.choice([0.0, 0.5, 2.0], len(X)) if weighted else None
        init = np.concatenate([X[:2], np.full((n_far, 2), 90.0)])[rng.permutation(n_far + 2)]
        for max_iter in (1, 2, 300):
            options = {"init": init, "max_iter": max_iter}
            ours = ProgrammedKMeans(n_far + 2, **options).fit(X, sample_weight=weights)
            theirs = KMeans(n_far + 2, n_init=1, **options).fit(X, sample_weight=weights)
            np.testing.assert_array_equal(ours.labels_, theirs.labels_)
            np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, atol=1e-13)
            assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-12)
            assert ours.n_iter_ == theirs.n_iter_


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_sample_weights_of_kmeans_are_those_of_scikit_learn(rng, init):
    X = rng.normal(size=(50, 3))
    for seed in range(3):
        weights = rng.choice([0.0, 1e-9, 0.5, 1.0, 1e3], len(X))
        options = {"init": init, "random_state": seed}
        ours = ProgrammedKMeans(4, **options).fit(X, sample_weight=weights)
        theirs = KMeans(4, n_init=1, **options).fit(X, sample_weight=weights)
        np.testing.assert_array_equal(ours.labels_, theirs.labels_)
        np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, atol=1e-13)
        assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-12)
    with pytest.raises(ValueError, match="set those below 1e-60 of the largest to 0"):
        ProgrammedKMeans(2).fit(X, sample_weight=[1e-70] + [1.0] * 49)
    with pytest.raises(ValueError, match="at least one"):
        ProgrammedKMeans(2).fit(X, sample_weight=np.zeros(50))


def test_more_clusters_than_distinct_samples_are_told():
    with pytest.warns(ConvergenceWarning, match="1 of n_clusters=3 clusters have no samples"):
        ProgrammedKMeans(3, random_state=0).fit([[0.0], [0.0], [1.0], [1.0]])


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
