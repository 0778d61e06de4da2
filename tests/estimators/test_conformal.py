import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from sklearn.datasets import make_friedman1

from sklearn_looped import LoopedICLRegressor, LoopedICLRegressorCV
from sklearn_looped.learned.inference.conformal import corrected_levels
from sklearn_looped.learned.inference.halting import Exit
from sklearn_looped.learned.inference.reached import calibrate, conformal_levels, reached_levels
from sklearn_looped.learned.model.readout import quantile_levels


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_conformal_intervals_cover_what_they_say(noise):
    X, y = make_friedman1(900, noise=noise, random_state=0)
    model = LoopedICLRegressor(n_estimators=1).fit(X[:300], y[:300])

    def covered(conformal):
        low, high = model.predict_quantiles(X[300:], [0.1, 0.9], conformal=conformal).T
        return np.mean((low <= y[300:]) & (y[300:] <= high))

    # Two standard errors of 300 and 600 rows; a fit to all of the support is a little better than
    # one to four fifths, which counts where there is no noise.
    assert -0.05 < covered(True) - 0.8 < (0.05 if noise else 0.07)
    assert noise or covered(False) > 0.8  # too wide, if anything, where there is no noise


def test_each_target_has_levels_of_its_own(rng):
    X, y = make_friedman1(120, noise=0.0, random_state=0)
    Y = np.column_stack([y, rng.standard_t(2, size=120)])
    both = LoopedICLRegressor(n_estimators=1).fit(X, Y)
    quantiles = both.predict_quantiles(X[:5], conformal=True)
    levels = corrected_levels(both.predictor_, Exit(both.n_loops_), np.array([0.1, 0.9]))
    first, second = levels
    assert np.abs(first - second).max() > 0.02
    for i in (0, 1):
        alone = LoopedICLRegressor(n_estimators=1).fit(X, Y[:, i])
        expected = alone.predict_quantiles(X[:5], conformal=True)
        # Folds are dealt in the order of rows, which the other target may change.
        assert quantiles[:, i].shape == expected.shape
        assert np.abs(quantiles[:, i] - expected).max() < 0.5 * Y[:, i].std()


def test_conformal_quantiles_do_not_depend_on_order_or_repetition(rng):
    X, y = make_friedman1(60, noise=1.0, random_state=0)
    weights = rng.integers(1, 4, size=60)
    model = LoopedICLRegressor(n_estimators=1).fit(X, y, weights)
    order = rng.permutation(np.repeat(np.arange(60), weights))
    repeated = LoopedICLRegressor(n_estimators=1).fit(X[order], y[order])
    expected = model.predict_quantiles(X[:7], conformal=True)
    np.testing.assert_allclose(
        repeated.predict_quantiles(X[:7], conformal=True), expected, rtol=1e-6
    )


def test_loops_and_rules_hold_for_conformal_quantiles_too(rng):
    X, y = make_friedman1(80, noise=1.0, random_state=0)
    model = LoopedICLRegressor(n_estimators=1).fit(X, y)
    default = model.predict_quantiles(X[:5], conformal=True)
    assert not np.array_equal(
        model.set_params(n_loops=1).predict_quantiles(X[:5], conformal=True), default
    )
    chosen = LoopedICLRegressorCV(n_loops=[1, 8], n_estimators=1, cv=2).fit(X, y)
    same = LoopedICLRegressor(n_loops=chosen.n_loops_, n_estimators=1).fit(X, y)
    assert np.array_equal(
        chosen.predict_quantiles(X[:5], conformal=True),
        same.predict_quantiles(X[:5], conformal=True),
    )


def test_few_rows_are_refused_before_any_work(rng, monkeypatch):
    X = rng.normal(size=(19, 2))
    model = LoopedICLRegressor().fit(X.repeat(2, axis=0), X[:, 0].repeat(2))
    monkeypatch.setattr(model, "_run", None)
    with pytest.raises(ValueError, match="19 different support rows, but conformal=True needs"):
        model.predict_quantiles(X, conformal=True)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_quantiles_become_those_that_known_rows_ask_for(factor, rng):
    levels = quantile_levels(31).double().numpy()
    scores = rng.normal(size=4000)
    output = np.append(0.3, factor * ndtri(levels))[None, None]
    reached = ndtr(np.sort(scores) / factor)[None]
    found = calibrate(output, reached, None)
    assert found[0, 0, 0] == 0.3
    assert (np.diff(found[0, 0, 1:]) > 0).all()
    np.testing.assert_allclose(found[0, 0, 5:28], ndtri(levels)[4:27], atol=0.1)
    few = calibrate(output, np.full((1, 3), 0.5), None)
    np.testing.assert_allclose(few[..., 5:28], output[..., 5:28], atol=0.1 * factor)
    copies = calibrate(output, reached, np.full(4000, 2.0))
    np.testing.assert_allclose(copies, output, rtol=1e-12)
    rounded = calibrate(output, reached, np.full(4000, 1 + 1e-9))
    np.testing.assert_allclose(rounded, found, rtol=1e-6)
    scaled = calibrate(1e-3 * output, reached, None)
    np.testing.assert_allclose(scaled, 1e-3 * found, rtol=1e-9)


def test_levels_are_those_of_the_empirical_distribution(rng):
    levels = quantile_levels(31).numpy().astype(float)
    target = rng.normal(size=(1, 500))
    quantiles = np.quantile(target, levels)  # one predicted distribution for all, the true one
    reached = reached_levels(np.broadcast_to(quantiles, (1, 500, 31)), target)
    np.testing.assert_allclose(
        conformal_levels(reached[0], None, np.array([0.1, 0.5, 0.9])), [0.1, 0.5, 0.9], atol=0.01
    )
    weights = rng.integers(1, 4, size=500)
    np.testing.assert_allclose(
        conformal_levels(reached[0], weights, levels),
        conformal_levels(reached[0].repeat(weights), None, levels),
    )
    for counts in (weights, rng.uniform(0.1, 3, size=500)):
        rising = conformal_levels(reached[0, :9], counts[:9], levels)
        falling = conformal_levels(1 - reached[0, :9], counts[:9], 1 - levels)
        np.testing.assert_allclose(falling, 1 - rising, rtol=0, atol=1e-12)
