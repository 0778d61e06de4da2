import numpy as np
import pytest
import torch
from scipy.special import ndtri
from sklearn.preprocessing import QuantileTransformer

from sklearn_looped.core import tables
from sklearn_looped.core.kernel_machine import KernelMachine
from sklearn_looped.learned.inference import members
from sklearn_looped.learned.inference.members import members_by_view
from sklearn_looped.learned.inference.support import Queries, Support
from sklearn_looped.learned.inference.views import NormalScores, Whitening, fit_views
from sklearn_looped.learned.model.config import NetworkConfig


def views_of(X, y, n_views, max_columns, max_rows):
    support = Support(X, y[:, None], None)
    return fit_views(support, n_views, max_columns, max_rows, np.random.RandomState(0))


def test_views_differ_and_leave_out_constant_columns(rng):
    X = rng.normal(size=(50, 4))
    X[:, 2] = 7
    views = views_of(X, X[:, 0], 4, 32, 1024)
    assert all(view.columns.tolist() == [0, 1, 3] for view in views)
    seen = [view.query(X) for view in views]
    assert np.array_equal(seen[0], X[:, [0, 1, 3]])
    assert np.abs(seen[1]).max() < 2.3  # the 50th of 51 parts of a normal distribution
    np.testing.assert_allclose(np.cov(seen[2].T, ddof=0), np.eye(3), atol=0.05)
    np.testing.assert_allclose(np.cov(seen[3].T, ddof=0), np.eye(3), atol=0.05)
    assert not np.allclose(seen[2], seen[3])
    support = Support(X, X[:, :1], None, known=X[:, :1])  # a model saw the columns as they are
    beside = fit_views(support, 3, None, 1024, np.random.RandomState(0))
    for view, expected in zip(beside, (seen[1], seen[2], seen[0]), strict=True):
        assert np.array_equal(view.query(X), expected)


def test_members_that_would_see_the_same_are_left_out(rng):
    X = rng.normal(size=(50, 4))
    assert len(views_of(X, X[:, 0], 9, 32, 1024)) == 4
    assert len(views_of(X, X[:, 0], 9, 32, 40)) == 9
    assert len(views_of(X, X[:, 0], 9, 3, 1024)) == 9


def test_whitening_drops_directions_without_variance(rng):
    Z = rng.normal(size=(50, 2))
    X = np.column_stack([Z, Z.sum(1)])
    views = views_of(X, Z[:, 0], 3, 32, 1024)
    assert views[2].query(X).shape == (50, 2)


def test_wide_tables_keep_the_relevant_half_and_deal_the_rest(rng):
    X = rng.normal(size=(80, 100))
    y = X[:, 90] + 0.5 * X[:, 17]
    views = views_of(X, y, 4, 32, 1024)
    assert all(len(set(view.columns)) == 32 for view in views)
    assert all({90, 17} <= set(view.columns) for view in views)
    assert len(set().union(*(view.columns.tolist() for view in views))) == 16 + 4 * 16


def test_long_tables_are_subsampled_differently(rng):
    X = rng.normal(size=(500, 3))
    views = views_of(X, X[:, 0], 2, 32, 100)
    rows = [set(view.rows.tolist()) for view in views]
    assert all(len(each) == 100 for each in rows)
    assert rows[0] != rows[1]
    assert views[0].support(Support(X, X[:, :1], None)).X.shape == (100, 3)


def test_normal_scores_are_those_of_the_ranks_and_survive_a_change_of_units(rng):
    X = rng.integers(0, 6, size=(80, 2)) * 0.1
    X[4, 1] = np.nan
    scores = NormalScores().fit(X)
    Z = scores.transform(X)
    assert np.isnan(Z[4, 1])
    smallest = X[:, 0] == X[:, 0].min()
    np.testing.assert_allclose(Z[smallest, 0], ndtri((smallest.sum() + 1) / 2 / 81))
    moved = -7.3 * X + 0.7
    np.testing.assert_allclose(NormalScores().fit(moved).transform(moved), -Z, rtol=1e-12)
    beyond = scores.transform(np.array([[-9.0, 9.0]]))
    np.testing.assert_array_equal(beyond, [[Z[:, 0].min(), np.nanmax(Z[:, 1])]])


def test_normal_scores_agree_with_scikit_learn_where_there_are_no_ties(rng):
    X = rng.normal(size=(500, 1))
    reference = QuantileTransformer(n_quantiles=500, output_distribution="normal").fit_transform(X)
    inner = np.abs(reference) < 1.5
    np.testing.assert_allclose(NormalScores().fit_transform(X)[inner], reference[inner], atol=0.02)


@pytest.mark.parametrize("kind", [NormalScores, Whitening])
def test_a_weight_is_a_repetition(rng, kind):
    X = rng.integers(0, 9, size=(60, 3)) + rng.normal(size=3)
    X[rng.random(X.shape) < 0.1] = np.nan
    weights = rng.integers(0, 4, 60)
    weighted = kind().fit(X, sample_weight=weights.astype(float)).transform(X)
    repeated = kind().fit(np.repeat(X, weights, axis=0)).transform(X)
    kept = weights > 0
    np.testing.assert_allclose(np.abs(weighted[kept]), np.abs(repeated[kept]), atol=1e-10)


def test_components_are_at_most_half_as_many_as_rows(rng):
    X = rng.normal(size=(30, 50)) * np.linspace(1, 2, 50)
    parts = Whitening().fit(X).transform(X)
    assert parts.shape == (30, 15)
    np.testing.assert_allclose(parts.T @ parts / 30, np.eye(15), atol=1e-9)


@pytest.mark.parametrize("n_classes", [0, 3])
def test_views_fitted_together_are_as_each_alone(rng, monkeypatch, n_classes):
    X = rng.normal(size=(40, 4))
    Y = np.column_stack([np.sin(2 * X[:, 0]), X[:, 1] + X[:, 2]])
    if n_classes:
        Y = np.eye(n_classes)[np.digitize(Y[:, 0], [-0.5, 0.5])]
    X[::7, 3] = np.nan
    weights = rng.integers(1, 3, 40).astype(float)
    support = Support(X, Y, weights, known=Y + rng.normal(size=Y.shape))
    views = fit_views(support, 4, None, 1024, np.random.RandomState(0))
    rows = Queries(rng.normal(size=(6, 4)), Y[:6])
    config = NetworkConfig(n_features=3, n_classes=n_classes, experts=True)
    sizes, fit = [], KernelMachine.fit

    def watched(X, *others):
        sizes.append(len(X))
        return fit(X, *others)

    monkeypatch.setattr(KernelMachine, "fit", watched)
    n_tables = 1 if n_classes else 2
    found = {}
    for n_pairs, n_views in ((4, 4), (4, 2), (0, 4)):  # all together, two, one by one
        for module in (members, tables):
            monkeypatch.setattr(module, "PAIRS", n_pairs * n_tables * 40**2)
        parts = [part for [part] in members_by_view(views[:n_views], support, config, 2)]
        asked = [part.queries(rows) for part in parts]
        found[n_pairs, n_views] = [
            (*part.support.opinions, *asked.opinions, part.support.cells, part.metric())
            for part, asked in zip(parts, asked, strict=True)
        ]
    assert set(sizes) == {4 * n_tables, 2 * n_tables, n_tables}
    for number, expected in enumerate(found[0, 4]):
        for some in found.values():
            for parts in some[number : number + 1]:
                for part, alone in zip(parts, expected, strict=True):
                    torch.testing.assert_close(part, alone, atol=1e-6, rtol=1e-6, equal_nan=True)
