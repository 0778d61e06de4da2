import pytest
import torch

from sklearn_looped.learned.inference.standardise import Standardiser


@pytest.fixture
def table():
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(3, 40, 5, generator=generator, dtype=torch.float64)
    y = X[..., 0] - 0.5 * X[..., 3] + torch.rand(3, 40, generator=generator).exp()
    return X, y


def test_support_is_standardised(table):
    scale = Standardiser.fit(*table)
    Z, t = scale.features(table[0]), scale.target(table[1])
    torch.testing.assert_close(Z.mean(1), torch.zeros_like(Z.mean(1)), atol=1e-12, rtol=0)
    torch.testing.assert_close(Z.square().mean(1), torch.ones_like(Z.mean(1)))
    torch.testing.assert_close(t.square().mean(1), torch.ones_like(t.mean(1)))


def test_columns_correlate_positively_and_ever_less(table):
    scale = Standardiser.fit(*table)
    Z, t = scale.features(table[0]), scale.target(table[1])
    correlation = (Z * t[..., None]).mean(1)
    assert (correlation >= 0).all()
    assert (correlation.diff(dim=1) <= 1e-6).all()


def test_units_signs_and_order_of_columns_do_not_matter(table):
    X, y = table
    a = torch.tensor([2.0, -3.0, 0.1, -1e4, 7.0], dtype=torch.float64)
    order = torch.tensor([3, 0, 4, 2, 1])
    moved, target = (a * X + 5)[..., order], -3 * y + 100
    one, other = Standardiser.fit(X, y), Standardiser.fit(moved, target)
    torch.testing.assert_close(one.features(X), other.features(moved), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(one.target(y), other.target(target), rtol=1e-6, atol=1e-9)


def test_without_centring_zero_stays_zero_and_units_still_do_not_matter(table):
    X, y = table
    a = torch.tensor([2.0, -3.0, 0.1, -1e4, 7.0], dtype=torch.float64)
    order = torch.tensor([3, 0, 4, 2, 1])
    moved, target = (a * X)[..., order], -3 * y
    one, other = (Standardiser.fit(*t, centre=False) for t in (table, (moved, target)))
    torch.testing.assert_close(one.features(X), other.features(moved), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(one.target(y), other.target(target), rtol=1e-6, atol=1e-9)
    assert (one.features(torch.zeros_like(X)) == 0).all()
    assert (one.target(torch.zeros_like(y)) == 0).all()
    # Offsets do matter: what is shifted is another table.
    assert not torch.allclose(one.features(X), Standardiser.fit(X + 5, y, centre=False).features(X))
    torch.testing.assert_close(one.features(X).square().mean(1), torch.ones(3, 5).double())
    torch.testing.assert_close(one.target(y).square().mean(1), torch.ones(3).double())


@pytest.mark.parametrize("centre", [True, False])
def test_undo_returns_to_the_units_of_y(table, centre):
    scale = Standardiser.fit(*table, centre=centre)
    torch.testing.assert_close(scale.undo_target(scale.target(table[1])), table[1])


def test_missing_cells_take_no_part_and_stay_missing(table):
    X, y = table
    X = X.clone()
    X[:, 5:9, 2] = torch.nan
    scale = Standardiser.fit(X, y)
    present = torch.cat([X[:, :5, 2], X[:, 9:, 2]], 1)
    torch.testing.assert_close(scale.mean[:, 0, 2], present.mean(1))
    torch.testing.assert_close(scale.scale[:, 0, 2].abs(), present.std(1, correction=0))
    assert int(scale.features(X).isnan().sum()) == 3 * 4


def test_constant_columns_and_targets_stay_finite():
    X, y = torch.full((1, 6, 2), 3.0), torch.full((1, 6), 7.0)
    scale = Standardiser.fit(X, y)
    assert (scale.features(X) == 0).all()
    assert (scale.undo_target(torch.tensor([[0.0, 2.5]])) == 7).all()


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_extreme_sizes_neither_overflow_nor_vanish(table, size):
    X, y = table
    plain, scaled = Standardiser.fit(X, y), Standardiser.fit(size * X, y)
    torch.testing.assert_close(plain.features(X), scaled.features(size * X), rtol=1e-6, atol=1e-9)


def test_identity_leaves_tables_as_they_are(table):
    X, y = table[0].clone(), table[1]
    X[0, 3, 2] = torch.nan
    scale = Standardiser.identity(X[:, :20], y[:, :20])
    torch.testing.assert_close(scale.features(X), X, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(scale.target(y), y)
    assert torch.equal(scale.undo_target(y), y)
