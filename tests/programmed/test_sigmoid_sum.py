import math

import numpy as np
import pytest

from sklearn_looped import SigmoidSum
from sklearn_looped.programmed.machines.certified_error import Target
from sklearn_looped.programmed.machines.sigmoid_sum import UNIT, ReluSum
from sklearn_looped.programmed.machines.taylor import Taylor, _wave

CASES = {
    "exp": (np.exp, (-0.5, 0.5)),
    "inverse": (lambda x: 1 / x, (1.0, 2.0)),
    "root": (np.sqrt, (0.5, 2.0)),
    "inverse root": (lambda x: x**-0.5, (1.0, 2.0)),
    "log": (np.log, (1.0, 2.0)),
    "sine": (lambda x: np.sin(x) * np.cos(x / 2), (-1.0, 1.0)),
    "tanh": (lambda x: np.tanh(x) ** 2 - x, (-0.5, 1.0)),
    "cubic": (lambda x: x**3 - 2 * x, (-1.0, 1.0)),
    "constant": (lambda x: 0 * x + 3.0, (0.0, 1.0)),
    # Over the whole interval the square may be below 0, so that there is no bound.
    "root of a square": (lambda x: np.sqrt(x * x + 0.5), (-1.0, 1.1)),
}


def largest_error(approximation, f, interval):
    x = np.linspace(*interval, 100_001)
    return np.abs(approximation(x) - f(x)).max()


@pytest.mark.parametrize("name", CASES)
def test_bounds_hold_and_are_not_far_above_the_error(name):
    f, interval = CASES[name]
    for kind, tol in ((SigmoidSum, 1e-5), (ReluSum, 1e-2)):
        fitted = kind.fit(f, interval, tol)
        error = largest_error(fitted, f, interval)
        assert error <= fitted.error_bound <= tol
        assert fitted.error_bound < 8 * error + 1e-14
        assert fitted.n_terms <= 16
        low, high, slope = fitted.bounds
        x = np.linspace(*interval, 1001)
        assert low <= f(x).min() <= f(x).max() <= high
        assert np.abs(np.diff(f(x))).max() <= slope * (x[1] - x[0]) * (1 + 1e-12)


def test_a_sigmoid_is_one_term_and_more_precision_takes_few_more():
    n_terms = [SigmoidSum.fit(np.tanh, (-2.0, 2.0), tol).n_terms for tol in (1e-3, 1e-6)]
    assert n_terms == [1, 1]
    fine = SigmoidSum.fit(np.exp, (-0.3, 0.3), 1e-9)
    assert fine.n_terms <= 12
    assert largest_error(fine, np.exp, (-0.3, 0.3)) <= fine.error_bound <= 1e-9


def test_the_certificate_is_not_a_maximum_on_a_grid():
    """A bump between the points of the grid that the fit looks at is seen by the bound."""

    def f(x):
        return x + 1e-3 / (1 + ((x - 0.5001) * 1e3) ** 2)

    with pytest.raises(ValueError, match="are known to reach"):
        SigmoidSum.fit(f, (0.0, 1.0), 1e-4, max_terms=1)


@pytest.mark.parametrize("kind", [SigmoidSum, ReluSum])
def test_functions_that_numpy_does_not_know_take_a_bound_of_the_curvature(kind):
    def f(x):
        return np.vectorize(math.erf)(x)

    with pytest.raises(ValueError, match="give curvature, a bound"):
        kind.fit(f, (-1.0, 1.0), 1e-4)
    fitted = kind.fit(f, (-1.0, 1.0), 1e-4, curvature=1.0)
    assert largest_error(fitted, f, (-1.0, 1.0)) <= fitted.error_bound <= 1e-4


def test_rounding_is_part_of_the_bound():
    fitted = SigmoidSum.fit(np.exp, (-0.5, 0.5), 1e-5)
    assert 0 < fitted.rounding(UNIT) < fitted.rounding(2.0**-24)
    x = np.linspace(-0.5, 0.5, 1001, dtype=np.float32)
    single = np.full(x.shape, np.float32(fitted.constant))
    for a, b, c in zip(fitted.slopes, fitted.offsets, fitted.coefficients, strict=True):
        z = np.float32(a) * x + np.float32(b)
        single = single + np.float32(c) / (1 + np.exp(-z))
    assert single.dtype == np.float32
    assert np.abs(single - fitted(x)).max() <= fitted.rounding(2.0**-24)


def test_rounding_of_the_function_is_part_of_the_bound():
    """The function is x, and then 1; what numpy computes is off by 1e-8 and by four units."""
    shifted = ReluSum.fit(lambda x: (x + 1e8) - 1e8, (0.1, 0.9), 1e-6)
    assert 1e-9 < abs(shifted(0.1) - 0.1) <= shifted.error_bound
    rounded = ReluSum.fit(lambda x: 0 * x + (1 + 2.0**-50), (0.0, 1.0), 1e-6, curvature=0.0)
    assert 0 < rounded(0.5) - 1 <= rounded.error_bound


@pytest.mark.parametrize("kind", [SigmoidSum, ReluSum])
@pytest.mark.parametrize(
    ("f", "interval", "options", "message"),
    [
        (np.log, (0.0, 1.0), {}, "not finite on its interval"),
        (np.sqrt, (0.0, 1.0), {}, "no bound of .*Shorten the interval"),
        (lambda x: 1 / x, (-1.0, 2.0), {}, "no bound of the values"),
        (np.log, (-1.0, 9.0), {}, "not finite"),
        (math.exp, (0.0, 1.0), {}, "does not take arrays; write .* or wrap it in numpy.vectorize"),
        (np.arctan, (0.0, 1.0), {}, "numpy.arctan, of which no bound is known; write"),
        (lambda x: 2.0 ** x, (0.0, 1.0), {}, "exponent that is not constant; write exp"),
        (np.exp, (1.0, 0.0), {}, "the smaller one first"),
        (np.exp, (0.0, np.inf), {}, "the smaller one first"),
        (np.exp, (0.0, 1.0), {"tol": 0.0}, "tol=0.0"),
        (np.exp, (0.0, 1.0), {"max_terms": 0}, "max_terms=0"),
        (np.exp, (0.0, 1.0), {"max_terms": math.nan}, "max_terms=nan"),
        (np.log, (1e-300, 2e-300), {"max_terms": 2}, "raise tol"),  # curvature overflows
        (np.exp, (0.0, 1.0), {"curvature": -1.0}, "curvature=-1.0"),
        (np.exp, (0.0, 4.0), {"tol": 1e-6, "max_terms": 2}, "raise tol or max_terms"),
        (lambda x: x[:3], (0.0, 1.0), {}, "one number for each|numpy's arithmetic"),
    ],
)  # fmt: skip
def test_what_cannot_be_bounded_raises(kind, f, interval, options, message):
    with pytest.raises(ValueError, match=message):
        kind.fit(f, interval, **{"tol": 1e-3, **options})


def test_series_of_all_functions_hold_their_derivatives():
    """Intervals around a point hold those of the point, and these finite differences."""
    f = np.vectorize(lambda x: math.exp(math.sin(x)) / math.cosh(x))

    def g(x):
        return np.exp(np.sin(x)) * 2 / (np.exp(x) + np.exp(-x))

    narrow = Taylor.variable(np.array([0.3]), np.array([0.3]), 3)
    wide = Taylor.variable(np.array([0.2]), np.array([0.4]), 3)
    narrow, wide = g(narrow), g(wide)
    assert (wide.low <= narrow.low).all()
    assert (narrow.high <= wide.high).all()
    assert (narrow.high - narrow.low).max() < 1e-13
    h = 1e-3
    y = f(0.3 + h * np.arange(-2, 3))
    derivatives = [y[2], (y[0] - 8 * y[1] + 8 * y[3] - y[4]) / (12 * h)]
    np.testing.assert_allclose(narrow.low[:2, 0], derivatives, atol=1e-9)


def test_sines_may_be_off_by_eight_units_before_the_length_is_subtracted():
    """Also where the difference of both is much smaller than they are."""
    middle, half = 0.3, np.sin(0.3)
    x = Taylor.variable(np.array([middle - half]), np.array([middle + half]), 0)
    for sign in (-1, 1):
        low, _ = _wave(lambda z: np.sin(z) + sign * 8 * np.spacing(np.sin(z)), x)  # noqa: B023
        assert low[0] <= np.sin(middle) - half


def test_curvature_of_a_part():
    target = Target(np.sin, 0.0, 3.0)
    assert 1.0 <= target.largest_curvature(1.5, 1.6) < 1.1
