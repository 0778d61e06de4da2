import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier

from sklearn_looped.learned.priors import (
    PRIORS,
    ClassTables,
    DecisionTreePrior,
    IllConditionedLinearPrior,
    LinearPrior,
    OwnTables,
    ReLUNetworkPrior,
    SparseLinearPrior,
    SyntheticTables,
)
from sklearn_looped.learned.priors.mechanisms import causal_model
from sklearn_looped.learned.priors.tables import _add_noise, _count


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", sorted(PRIORS))
@pytest.mark.parametrize("size", [(1, 10, 1), (5, 33, 7), (9, 64, 32)])
def test_shapes_seeds_and_finiteness(name, size):
    X, y = PRIORS[name].sample(generator(), *size)
    again, other = (PRIORS[name].sample(generator(seed), *size) for seed in (0, 1))
    assert X.shape == size
    assert y.shape == size[:2]
    assert y.isfinite().all()
    assert not X.isinf().any()
    assert torch.equal(y, again[1])
    assert not torch.equal(y, other[1])


@pytest.mark.parametrize(
    ("prior", "variance"),
    [
        (LinearPrior(), 20.0),
        (LinearPrior(noise=3.0), 29.0),
        (SparseLinearPrior(sparsity=3), 3.0),
        (DecisionTreePrior(), 1.0),
        (ReLUNetworkPrior(), 20.0),
    ],
)
def test_second_moment_is_the_papers(prior, variance):
    _, y = prior.sample(generator(), 4000, 10, 20)
    assert float(y.square().mean()) == pytest.approx(variance, rel=0.06)


def test_linear_tables_are_linear():
    X, y = LinearPrior().sample(generator(), 3, 40, 8)
    for table, target in zip(X.numpy(), y.numpy(), strict=True):
        residual = target - table @ np.linalg.lstsq(table, target, rcond=None)[0]
        assert np.abs(residual).max() < 1e-4


@pytest.mark.parametrize("condition", [1.0, 30.0, 1e4])
def test_ill_conditioned_inputs_have_the_condition_number_and_linear_targets(condition):
    X, y = IllConditionedLinearPrior((condition, condition)).sample(generator(), 3, 20_000, 6)
    for table, target in zip(X.double().numpy(), y.double().numpy(), strict=True):
        # The sample's condition number strays by a factor of about 1 + 4 sqrt(d / n).
        assert np.linalg.cond(table.T @ table) == pytest.approx(condition, rel=0.08)
        w = np.linalg.lstsq(table, target, rcond=None)[0]
        assert np.abs(target - table @ w).max() < 1e-4
        scaled = table / table.std(axis=0)
        assert np.linalg.cond(scaled.T @ scaled) > 0.1 * condition


def test_principal_directions_count_alike_and_condition_numbers_fill_their_range():
    X, y = IllConditionedLinearPrior((1.0, 100.0)).sample(generator(), 300, 400, 3)
    covariance = (X.mT @ X / 400).double()
    values, directions = torch.linalg.eigh(covariance)
    white = (X.double() @ directions) / values.sqrt()[:, None]
    share = (white.mT @ y.double()[..., None] / 400)[..., 0].square().mean(0)
    np.testing.assert_allclose(share, 1.0, atol=0.3)
    logs = (values[:, -1] / values[:, 0]).log10().numpy()
    np.testing.assert_allclose(np.quantile(logs, [0.1, 0.5, 0.9]), [0.3, 1.0, 1.8], atol=0.2)


@pytest.mark.parametrize("condition", [(0.5, 10.0), (10.0, 2.0)])
def test_impossible_condition_numbers_are_refused(condition):
    with pytest.raises(ValueError, match="expected 1 <= low <= high"):
        IllConditionedLinearPrior(condition)


def test_sparse_weights_use_three_coordinates_wherever_they_are():
    X, y = SparseLinearPrior().sample(generator(), 200, 60, 10)
    weights = np.stack(
        [np.linalg.lstsq(a, b, rcond=None)[0] for a, b in zip(X.numpy(), y.numpy(), strict=True)]
    )
    used = np.abs(weights) > 1e-4
    assert (used.sum(1) == 3).all()
    assert used.sum(0).min() > 30


def test_trees_depend_on_signs_only_and_have_at_most_sixteen_values():
    X, y = DecisionTreePrior(depth=4).sample(generator(), 20, 400, 6)
    assert max(len(row.unique()) for row in y) <= 16
    for table, target in zip(X, y, strict=True):
        by_signs: dict[tuple, set] = {}
        for row, value in zip((table > 0).tolist(), target.tolist(), strict=True):
            by_signs.setdefault(tuple(row), set()).add(value)
        assert all(len(values) == 1 for values in by_signs.values())


def test_relu_networks_are_not_linear():
    X, y = ReLUNetworkPrior(n_hidden=5).sample(generator(), 2, 200, 3)
    for table, target in zip(X.numpy(), y.numpy(), strict=True):
        residual = target - table @ np.linalg.lstsq(table, target, rcond=None)[0]
        assert residual.std() > 0.05 * target.std()


def test_causal_columns_are_not_the_target():
    X, y = causal_model(generator(3), 50, 100, 6)
    gap = (X - y[..., None]).abs().amax(1)
    assert (gap > 1e-6).float().mean() > 0.95


def test_synthetic_tables_range_from_noise_to_clean_signal():
    from sklearn.ensemble import ExtraTreesRegressor

    scores = []
    source = generator()
    for _ in range(10):
        X, y = SyntheticTables().sample(source, 8, 200, 6)
        for table, target in zip(X.nan_to_num().numpy(), y.numpy(), strict=True):
            model = ExtraTreesRegressor(20, random_state=0).fit(table[:120], target[:120])
            scores.append(model.score(table[120:], target[120:]))
    low, middle, high = np.quantile(scores, [0.2, 0.5, 0.8])
    assert low < 0.25
    assert 0.15 < middle < 0.85
    assert high > 0.6


def test_synthetic_tables_hold_missing_and_discrete_columns():
    source, missing, discrete = generator(), 0, 0
    for _ in range(40):
        X, _ = SyntheticTables().sample(source, 4, 200, 5)
        missing += int(X.isnan().any())
        discrete += sum(len(c[~c.isnan()].unique()) <= 12 for c in X.permute(0, 2, 1).flatten(0, 1))
    assert 1 <= missing <= 20
    assert discrete > 20


def test_tables_of_classes_have_two_to_ten_from_balanced_to_rare():
    X, y = ClassTables().sample(generator(), 240, 200, 5)
    counts = [row.unique(return_counts=True)[1] for row in y]
    sizes = np.array([len(each) for each in counts])
    assert sizes.max() == 10
    assert 0.2 < np.mean(sizes == 2) < 0.6
    rarest = np.array([each.min() / 200 for each in counts])
    assert (rarest < 0.03).mean() > 0.1
    assert (rarest * sizes > 0.8).mean() > 0.05
    assert set(y.unique().tolist()) <= set(range(10))
    assert not X.isinf().any()


def test_labels_can_be_learned_in_many_tables_and_not_in_all():
    X, y = ClassTables().sample(generator(1), 48, 240, 6)
    gains = []
    for table, label in zip(X.nan_to_num().numpy(), y.numpy(), strict=True):
        model = ExtraTreesClassifier(20, random_state=0).fit(table[:180], label[:180])
        frequent = np.bincount(label[180:].astype(int)).max() / 60
        gains.append(model.score(table[180:], label[180:]) - frequent)
    assert np.quantile(gains, 0.2) < 0.05
    assert np.quantile(gains, 0.8) > 0.2


def test_signal_is_the_target_without_its_noise():
    X, y, signal = SyntheticTables().sample_with_signal(generator(), 64, 300, 5)
    again = SyntheticTables().sample(generator(), 64, 300, 5)
    assert torch.equal(X.nan_to_num(), again[0].nan_to_num())
    assert torch.equal(y, again[1])
    clean = (y == signal).all(1)
    assert 0 < clean.float().mean() < 0.5
    noise = (y - signal)[~clean]
    noise = noise / noise.std(1, keepdim=True)
    assert noise.mean().abs() < 0.02
    assert (noise * signal[~clean]).mean().abs() < 0.05


def test_counts_are_whole_and_their_signal_is_what_they_are_on_average():
    signal = torch.linspace(-1.5, 1.5, 6).repeat(40, 500)
    counts, expected = (part.double() for part in _count(generator(), signal))
    counted = counts[(counts > 0).any(1)]
    unit = torch.where(counted > 0, counted, torch.inf).amin(1, keepdim=True)
    whole = counted / unit
    assert (whole - whole.round()).abs().max() < 1e-3
    by_signal, on_average = (part.view(40, 500, 6).mean(1) for part in (counts, expected))
    assert (by_signal - on_average).abs().max() < 0.25
    assert (on_average[:, 0] < on_average[:, -1]).all()


def test_noise_of_every_kind_has_a_mean_of_zero_and_some_is_skewed():
    signal, skewness = torch.zeros(200, 4000), []
    for seed in range(12):
        noise = _add_noise(generator(seed), torch.randn(200, 4000, 1), signal, skewed=True)
        noise = noise[noise.std(1) > 0]
        assert 50 < len(noise) < 199
        noise = noise / noise.std(1, keepdim=True)
        assert noise.mean(1).abs().max() < 0.1
        skewness.append(noise.pow(3).mean(1))
    skewed = [(each.abs() > 1).float().mean() > 0.3 for each in skewness]
    assert 1 <= sum(skewed) < 12
    assert min(map(float, map(torch.min, skewness))) < -1
    assert max(map(float, map(torch.max, skewness))) > 1


def test_counts_and_ratings_have_few_values():
    def whole(prior):
        targets = prior.sample(generator(), 800, 60, 2)[1]
        return float(np.mean([len(y.unique()) <= 12 for y in targets]))

    assert whole(SyntheticTables(skewed=True)) > whole(SyntheticTables()) + 0.05


def test_own_tables_are_rows_and_columns_of_the_users(rng):
    X = rng.normal(size=(40, 3)) * [1, 1e3, 1] + [0, 0, 1e9]
    X[rng.random(X.shape) < 0.1] = np.nan
    prior = OwnTables([(X, np.arange(40.0)), (X[:15], np.arange(15.0))])
    tables, targets = prior.sample(generator(), 5, 30, 2)
    assert tables.shape == (5, 30, 2)
    scaled = (X - np.nanmean(X, 0)) / np.nanstd(X, 0)
    rows = np.rint(targets.numpy() * np.arange(40.0).std() + 19.5).astype(int)
    for table, row in zip(tables.numpy(), rows, strict=True):
        assert len(set(row)) == 30
        for column in table.T:
            assert any(np.allclose(column, c, atol=1e-5, equal_nan=True) for c in scaled[row].T)
    assert prior.sample(generator(), 2, 30, 9)[0].shape == (2, 30, 3)
    assert OwnTables([(X, np.arange(40.0))]).digest != prior.digest
    with pytest.raises(ValueError, match=r"No data set has 41 rows.*Lower the recipe's"):
        prior.sample(generator(), 1, 41, 2)


@pytest.mark.parametrize(
    ("data_sets", "message"),
    [
        ([], "Got no data set"),
        ([(np.eye(12), np.full(12, np.nan))], "y contains NaN"),
        ([(np.eye(9), np.ones(9))], "minimum of 10"),
        ([(np.array([["a"]] * 12), np.ones(12))], "could not convert string"),
    ],
)
def test_tables_that_cannot_be_learned_from_are_refused(data_sets, message):
    with pytest.raises(ValueError, match=message):
        OwnTables(data_sets)
