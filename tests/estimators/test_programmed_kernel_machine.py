"""The programmed kernel machine against the closed form of core."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from sklearn_looped import ProgrammedKernelMachineRegressor
from sklearn_looped.core.kernel_ridge import Solution
from sklearn_looped.core.kernels import KINDS, Kernel
from sklearn_looped.core.metric import metric_of
from sklearn_looped.core.stacking import TargetScale
from sklearn_looped.programmed.algorithms.kernel_machine import (
    HeavyBall,
    heavy_ball,
    kernel_machine_block,
    median_length,
)
from sklearn_looped.programmed.transformer.evaluation import EVALUATIONS
from sklearn_looped.programmed.transformer.layout import Layout


def table(rng, n=40, d=3):
    X = rng.normal(size=(n, d))
    return X, np.sin(2 * X[:, 0]) + X[:, -1] ** 2 + 3 + 0.1 * rng.normal(size=n)


def closed_form(X, y, queries, *, length, penalty, n_rounds):
    """Metric, coefficients and predictions of core's formulas at a given length and penalty."""
    X, queries = torch.tensor(X)[None], torch.tensor(queries)[None]
    Y, weights = torch.tensor(y)[None, :, None], torch.ones(1, len(y), dtype=torch.float64)
    scale = TargetScale.fit(Y, weights)
    metric = torch.ones_like(X[:, 0])
    gauss = torch.tensor([KINDS.index("gauss")])
    for left in reversed(range(n_rounds + 1)):
        kernel = Kernel(gauss, torch.tensor([length], dtype=torch.float64), metric)
        solution = Solution.of(
            kernel(X, X),
            scale.standardised(Y),
            weights,
            torch.tensor([penalty], dtype=torch.float64),
        )
        if left:
            gradients = kernel.gradients(X, X, solution.coef)
            metric = metric_of(gradients, gradients, weights)
    predicted = scale.restored(solution.intercept + kernel(queries, X) @ solution.coef)
    coef = solution.coef * scale.spread
    return metric[0].numpy(), coef[0, :, 0].numpy(), predicted[0, :, 0].numpy()


def assert_is_closed_form(model, X, y, queries, tolerance):
    metric, coef, predicted = closed_form(
        X, y, queries, length=model.length_, penalty=model.penalty, n_rounds=model.n_rounds
    )
    np.testing.assert_allclose(model.metric_, metric, rtol=tolerance, atol=0)
    np.testing.assert_allclose(model.dual_coef_, coef, rtol=0, atol=tolerance * abs(coef).max())
    np.testing.assert_allclose(model.predict(queries), predicted, rtol=0, atol=tolerance * y.std())


@pytest.mark.parametrize("n_rounds", [0, 1, 2])
@pytest.mark.parametrize(("n", "d"), [(2, 1), (15, 6), (40, 3)])
def test_it_is_the_closed_form(rng, n, d, n_rounds):
    X, y = table(rng, n, d)
    queries = 3 * rng.normal(size=(20, d))
    model = ProgrammedKernelMachineRegressor(n_rounds=n_rounds).fit(X, y)
    assert_is_closed_form(model, X, y, queries, 1e-11)


@pytest.mark.parametrize("penalty", [100.0, 1.0, 1e-2, 2e-3])
def test_condition_numbers_up_to_1e4(rng, penalty):
    X, y = table(rng, 20)
    model = ProgrammedKernelMachineRegressor(length=2.0, penalty=penalty, n_rounds=0, tol=1e-8)
    model.fit(X, y)  # a warning is an error
    assert_is_closed_form(model, X, y, X, 1e-9)
    assert model.n_loops_ == heavy_ball(X, penalty).n_loops(2.0**-50)


@pytest.mark.parametrize("n_rounds", [0, 1, 2])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_certificate_holds_and_says_something(rng, n_rounds, offset):
    X, y = table(rng, 30)
    X, y = X + offset, y + offset
    model = ProgrammedKernelMachineRegressor(length=2.0, n_rounds=n_rounds, tol=10.0).fit(X, y)
    near = X - offset  # exactly; an offset does not matter but costs core digits
    _, _, predicted = closed_form(
        near, y - offset, near, length=2.0, penalty=1.0, n_rounds=n_rounds
    )
    error = np.abs(model.predict(X) - offset - predicted).max()
    bound = model.certificate_.error_bound
    assert error <= bound + 1e-13  # of the closed form in floating point
    assert bound < (1e-8 if offset == 0 else 1e-2)


def test_loops_left_out_are_in_the_certificate(rng):
    X, y = table(rng)
    full = ProgrammedKernelMachineRegressor(n_rounds=1).fit(X, y)
    errors = []
    for n_loops in (2, 20, 60):
        model = ProgrammedKernelMachineRegressor(n_rounds=1, n_loops=n_loops)
        with pytest.warns(ConvergenceWarning, match="certified to a relative error"):
            model.fit(X, y)
        errors.append(np.abs(model.predict(X) - full.predict(X)).max())
        assert errors[-1] <= model.certificate_.error_bound
        assert model.n_loops_ == 2 * n_loops
    assert errors[0] > 10 * errors[1] > 100 * errors[2]


def test_what_is_not_promised_is_told(rng):
    X, y = table(rng, 30)
    model = ProgrammedKernelMachineRegressor(n_rounds=1, tol=1e-14)
    with pytest.warns(ConvergenceWarning, match="but tol=1e-14"):
        model.fit(X, y)
    assert_is_closed_form(model, X, y, X, 1e-11)


@pytest.mark.parametrize("scale", [1e-280, 1e-30, 1e30])
def test_units_of_targets_do_not_matter(rng, scale):
    X, y = table(rng, 30)
    here = ProgrammedKernelMachineRegressor(length=2.0, n_rounds=1, penalty=10.0).fit(X, y)
    there = clone(here).fit(X, scale * y)
    np.testing.assert_allclose(there.predict(X), scale * here.predict(X), rtol=1e-9)
    np.testing.assert_allclose(there.metric_, here.metric_, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_the_median_distance_is_one_where_squares_are_none(rng, scale):
    X, _ = table(rng, 10)
    assert median_length(scale * X) == pytest.approx(scale * median_length(X))


def test_order_of_rows_and_columns_does_not_matter(rng):
    X, y = table(rng, 30, 4)
    rows, columns = rng.permutation(30), rng.permutation(4)
    here = ProgrammedKernelMachineRegressor(n_rounds=1, penalty=10.0).fit(X, y)
    there = clone(here).fit(X[rows][:, columns], y[rows])
    np.testing.assert_allclose(there.metric_, here.metric_[columns], rtol=1e-10)
    np.testing.assert_allclose(there.predict(X[:, columns]), here.predict(X), rtol=1e-10)


def test_queries_do_not_see_each_other_and_stay_in_range(rng):
    X, y = table(rng, 20)
    model = ProgrammedKernelMachineRegressor(n_rounds=0, penalty=10.0).fit(X, y)
    queries = np.vstack([X, 1e4 * X, 1e60 * X])
    together = model.predict(queries)
    np.testing.assert_array_equal(together[7:9], model.predict(queries[7:9]))
    slack = np.ptp(y) / 2
    assert together.min() >= y.min() - slack - 1e-12
    assert together.max() <= y.max() + slack + 1e-12
    many = model.predict(np.tile(X, (60, 1)))  # more than one batch
    np.testing.assert_array_equal(many, np.tile(model.predict(X), 60))


def test_degenerate_tables_are_the_closed_form_too(rng):
    X, y = table(rng, 20)
    X[:, 1] = 0.1
    tables = {
        "a constant feature and doubled samples": (np.vstack([X, X]), np.append(y, y + 1)),
        "constant targets": (X, np.full(20, 0.1)),
        "samples all alike": (np.full((6, 2), 0.1), np.arange(6.0)),
    }
    for name, (samples, targets) in tables.items():
        for n_rounds in (0, 2):
            model = ProgrammedKernelMachineRegressor(length=1.0, n_rounds=n_rounds)
            model.fit(samples, targets)
            queries = samples + 0.5
            rounds = 0 if name == "samples all alike" else n_rounds  # no slopes: the metric is 1
            expected = closed_form(
                samples, targets, queries, length=1.0, penalty=1.0, n_rounds=rounds
            )[2]
            np.testing.assert_allclose(model.predict(queries), expected, atol=1e-10, err_msg=name)


def test_what_cannot_be_exact_is_refused_before_any_work(rng):
    X, y = table(rng, 20)
    far = X.copy()
    far[0] = 1e9

    def fit(X, y, **options):
        return ProgrammedKernelMachineRegressor(**options).fit(X, y)

    with pytest.raises(ValueError, match=r"which takes .* loops a round, of at most 20000; raise"):
        fit(X, y, penalty=1e-9)
    for rows, penalty in ((X, 5e-324), (1e150 * X / np.abs(X).max(), 1.0)):
        with pytest.raises(ValueError, match=r"which takes [\d.]+e\+\d+ loops a round"):
            fit(rows, y, penalty=penalty)
    with pytest.raises(ValueError, match=r"lengths from their mean.*scale the features or raise"):
        fit(far, y)
    with pytest.raises(ValueError, match=r"Got X with values up to .*, whose squares overflow"):
        fit(1e200 * X, y)
    with pytest.raises(ValueError, match=r"Got y with values up to .*, whose squares overflow"):
        fit(X, 1e200 * y)
    for small, penalty in ((1e-300, 1.0), (1e-200, 1e100)):
        with pytest.raises(ValueError, match=r"Got y of size .* too small for float64; scale it"):
            fit(X, small * y, penalty=penalty)
    with pytest.raises(ValueError, match=r"Got 7000 samples and 1 features, but attention takes"):
        fit(np.zeros((7000, 1)), np.zeros(7000))
    with pytest.raises(ValueError, match=r"the weights 10 GiB"):
        fit(np.zeros((2, 1000)), np.zeros(2))
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        fit(X[:1], y[:1])
    for name, value in (("length", 0.0), ("length", "mean"), ("penalty", 0), ("n_rounds", -1)):
        with pytest.raises(ValueError, match=f"The '{name}' parameter"):
            fit(X, y, **{name: value})
    with pytest.raises(ValueError, match="The 'n_loops' parameter"):
        fit(X, y, n_loops=0)
    model = fit(X, y, penalty=10.0, n_rounds=0)
    with pytest.raises(ValueError, match=r"scores overflow beyond 1e\+70 lengths"):
        model.predict(1e80 * X)


def test_weights_depend_on_the_number_of_features_only(rng):
    block = kernel_machine_block(2)
    tokens = Layout(scratch=1, null=1, row=10, query=1)
    before = [machine.transformer(tokens).fingerprint() for machine in block]
    for penalty in (1.0, 10.0):
        X, y = table(rng, 10, 2)
        ProgrammedKernelMachineRegressor(penalty=penalty, n_rounds=1).fit(X, y)
    assert kernel_machine_block(2) is block
    assert [machine.transformer(tokens).fingerprint() for machine in block] == before


def test_all_evaluations_are_the_dense_one(rng):
    """Every block, from a tape on which all fields of all tokens are in use."""
    X, y = table(rng, 6, 2)
    tokens = Layout(scratch=1, null=1, row=6, query=3)
    block = kernel_machine_block(2)
    row = {"x": X, "y": y[:, None], "penalty": 1.0, "step": 0.1, "momentum": 0.5, "linear": 0.1}
    query = {"x": X[:3], "prediction": 1.0, "lowest": -1.0, "highest": 4.0}
    tape = block.load.load(tokens, row=row, query=query, scratch={"metric": [1.2, 0.8]})
    for each in block:
        tape, *others = (each.run(tape, 3, evaluation=e)[0] for e in EVALUATIONS)
        assert all(torch.equal(tape.state, other.state) for other in others)


@pytest.mark.parametrize("condition", [1.0, 3.0, 1e3])
def test_the_heavy_ball_keeps_its_promise(rng, condition):
    """On the worst targets for every eigenvalue of the interval, its ends included."""
    ball = HeavyBall.of(1 / condition, 1.0)
    values = np.geomspace(1 / condition, 1, 50)
    residual, velocity = np.ones(50), np.zeros(50)
    for _ in range(ball.n_loops(1e-6)):
        velocity = ball.momentum * velocity + ball.step * residual
        residual = residual - values * velocity
    assert np.abs(residual).max() <= 1e-6


def test_it_learns_what_matters(rng):
    X = rng.normal(size=(80, 8))
    y = np.sin(2 * X[:, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain, machine = (
            ProgrammedKernelMachineRegressor(n_rounds=r).fit(X[:50], y[:50]) for r in (0, 2)
        )
    assert machine.metric_.argmax() == 2
    assert machine.score(X[50:], y[50:]) > plain.score(X[50:], y[50:]) + 0.2
