"""Properties of the in-context estimators over tables of any shape, type, scale and holes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sklearn_looped import LoopedICLClassifier, LoopedICLRegressor

N_QUERIES = 4
SIZES = st.integers(2, 30)  # support rows
SEEDS = st.integers(0, 2**16)
EXPONENTS = st.integers(-300, 300)  # of ten: the scale of a column or of the target
DTYPES = ("float16", "float32", "float64", "int8", "int64", "uint16", "bool", "object")


def normal(rng, n, exponent):
    return rng.normal(size=n) * 10.0**exponent


def holed(rng, values):
    return pd.array([None if rng.random() < 0.3 else value for value in values])


def holed_numbers(rng, n, exponent):
    return np.where(rng.random(n) < 0.5, np.nan, normal(rng, n, exponent))


NUMERIC = {
    "normal": normal,
    "shifted": lambda rng, n, exponent: (1e6 + rng.normal(size=n)) * 10.0 ** min(exponent, 290),
    "constant": lambda rng, n, exponent: np.full(n, 10.0**exponent),
    "nearly constant": lambda rng, n, exponent: 1 + rng.integers(0, 3, n) * 2.0**-52,
    "all missing": lambda rng, n, exponent: np.full(n, np.nan),
    "holes": holed_numbers,
    "one cell": lambda rng, n, exponent: np.where(np.arange(n) == 1, 10.0**exponent, np.nan),
    "counts": lambda rng, n, exponent: rng.integers(-3, 4, n).astype(float),
}  # fmt: skip
OTHER = {
    "Int64": lambda rng, n: holed(rng, rng.integers(0, 5, n)).astype("Int64"),
    "boolean": lambda rng, n: holed(rng, rng.random(n) < 0.5).astype("boolean"),
    "Float32": lambda rng, n: holed(rng, rng.normal(size=n)).astype("Float32"),
    "all missing": lambda rng, n: pd.array([None] * n, dtype="Int64"),
    "no text": lambda rng, n: pd.Series([None] * n, dtype="object"),
    "text": lambda rng, n: pd.Series(rng.choice(["a", "b", "", "é"], n), dtype="object"),
    "text with holes": lambda rng, n: pd.Series(holed(rng, list("xyz" * n)[:n]), dtype="str"),
    "many levels": lambda rng, n: [f"level {i}" for i in rng.integers(0, n, n)],
    "nominal": lambda rng, n: pd.Categorical(rng.choice(list("ab"), n), categories=["a", "b", "c"]),
    "ordinal": lambda rng, n: pd.Categorical(rng.choice([3, 1, 2], n), ordered=True),
    "objects": lambda rng, n: pd.Series(rng.choice([1.5, 2, True], n), dtype="object"),
}  # fmt: skip

KINDS = st.lists(st.tuples(st.sampled_from([*NUMERIC]), EXPONENTS), min_size=1, max_size=5)


def numeric_table(rng, n, kinds):
    return np.column_stack([NUMERIC[kind](rng, n, exponent) for kind, exponent in kinds])


def check_predictions(X, queries, exponent, rng):
    """Fit and predict both estimators: finite, of the right shape and type."""
    y = normal(rng, len(X), exponent)
    regressor = LoopedICLRegressor(n_loops=2).fit(X, y)
    mean, std = regressor.predict(queries, return_std=True)
    assert mean.shape == std.shape == (len(queries),)
    assert mean.dtype == std.dtype == (np.float32 if -30 < exponent < 29 else np.float64)
    assert np.isfinite(mean).all()
    assert (np.isfinite(std) & (std >= 0)).all()
    assert np.isfinite(regressor.predict_quantiles(queries)).all()
    labels = np.arange(len(X)) % rng.integers(2, 4)
    classifier = LoopedICLClassifier(n_loops=2).fit(X, labels)
    proba = classifier.predict_proba(queries)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-12)
    assert np.isin(classifier.predict(queries), labels).all()


@example(3, [("nearly constant", 0)], 154, 0)  # equal rows, targets whose squares overflow
@given(SIZES, KINDS, EXPONENTS.filter(lambda e: e not in (-30, 29, 30, -31)), SEEDS)
def test_arrays_of_any_scale_and_with_any_holes_are_predicted(n, kinds, exponent, seed):
    rng = np.random.default_rng(seed)
    X = numeric_table(rng, n, kinds)
    queries = numeric_table(rng, N_QUERIES, [kinds[0], *kinds[1:][::-1]])  # other columns' units
    check_predictions(X, queries, exponent, rng)


@given(SIZES, st.sampled_from(DTYPES), SEEDS)
def test_arrays_of_any_type_are_predicted(n, dtype, seed):
    rng = np.random.default_rng(seed)
    table = np.abs(rng.normal(size=(n + N_QUERIES, 3)) * 5).astype(dtype)
    check_predictions(table[:n], table[n:], 0, rng)


@pytest.mark.filterwarnings("ignore:Values that fit did not see", "ignore:Columns left out")
@given(SIZES, st.lists(st.sampled_from([*OTHER]), min_size=1, max_size=5), KINDS, SEEDS)
def test_frames_of_any_columns_are_predicted(n, others, kinds, seed):
    rng = np.random.default_rng(seed)

    def frame(n_rows):
        table = pd.DataFrame(numeric_table(rng, n_rows, kinds)).add_prefix("number ")
        for place, kind in enumerate(others):
            table.insert(0, f"{kind} {place}", OTHER[kind](rng, n_rows))
        return table

    check_predictions(frame(n), frame(N_QUERIES), 0, rng)


@given(st.integers(8, 40), st.integers(1, 5), EXPONENTS, EXPONENTS, SEEDS)
def test_order_units_and_batches_do_not_matter(n, d, column_exponent, target_exponent, seed):
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.normal(size=(n + N_QUERIES, d)), np.full((n + N_QUERIES, 1), 7.0)])
    X[rng.integers(n), 0] = np.nan
    y = np.nan_to_num(X[:n]) @ rng.normal(size=d + 1) + rng.normal(size=n)
    model = LoopedICLRegressor(n_loops=3).fit(X[:n], y)
    expected, spread = model.predict(X[n:]), np.ptp(y)

    def distance(predictions):
        return np.abs(predictions.astype(float) - expected).max() / spread

    rows, columns = rng.permutation(n), rng.permutation(d + 1)
    assert distance(LoopedICLRegressor(n_loops=3).fit(X[rows], y[rows]).predict(X[n:])) < 1e-5
    alone = np.concatenate([model.predict(query[None]) for query in X[n:]])
    assert distance(alone) < 1e-5
    a = rng.choice([-1, 1], d + 1) * 10.0**column_exponent
    b = a * rng.normal(size=d + 1)
    c = rng.choice([-1, 1]) * 10.0**target_exponent
    other = LoopedICLRegressor(n_loops=3).fit((a * X + b)[:n, columns], c * y + c)
    assert distance((other.predict((a * X + b)[n:, columns]).astype(float) - c) / c) < 1e-4


@pytest.mark.parametrize("estimator", [LoopedICLRegressor, LoopedICLClassifier])
def test_columns_that_a_subsample_does_not_see_are_left_out(estimator, rng):
    X = rng.normal(size=(40, 40))
    X[3:, 10:] = np.nan  # three rows of forty have these columns
    with pytest.warns(UserWarning, match="max_support"):
        model = estimator(max_support=6, random_state=0).fit(X, X[:, 0] > 0)
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("cell", [[1], (1,), {"a": 1}, {1}, 1j, object()])
def test_cells_that_hold_no_value_are_refused_by_column(cell):
    bad = pd.Series([cell, "text"] * 4, dtype=object)
    with pytest.raises(TypeError, match=r"Column 'bad' contains .*Convert the cells"):
        LoopedICLRegressor().fit(pd.DataFrame({"good": np.arange(8.0), "bad": bad}), np.arange(8.0))


@pytest.mark.parametrize(
    "cells", [pd.to_datetime(["2020", "2021"]), pd.to_timedelta([1, 2], "D")], ids=["date", "days"]
)
def test_dates_where_fit_had_numbers_are_refused_by_column(cells):
    frame = pd.DataFrame({"a": np.arange(8.0), "b": list("pqpqrrpq")})
    model = LoopedICLRegressor().fit(frame, np.arange(8.0))
    with pytest.raises(ValueError, match=r"Column 'a' contains (datetime|timedelta)64.*numbers"):
        model.predict(pd.DataFrame({"a": cells, "b": frame["b"][:2]}))


X, Y = np.arange(12.0).reshape(6, 2), np.arange(6.0)


@pytest.mark.parametrize(
    ("table", "target", "weights", "message"),
    [
        (
            np.where(X == 3, 10**400, X.astype(object)),
            Y,
            None,
            "too large for float64.*Give finite",
        ),
        (np.where(X == 3, np.inf, X.astype(object)), Y, None, "X contains .*infinity"),
        (X, [10**400] * 6, None, "target that is not numeric .int too large"),
        (X, Y.astype("datetime64[D]"), None, "not numeric .*datetime64.*such as days"),
        (X, Y.astype("timedelta64[D]"), None, "not numeric .*timedelta64.*such as days"),
        (X, Y * 1e307, None, r"targets of up to 5e\+307, whose weighted sum overflows. Divide"),
        (
            X,
            Y,
            np.r_[1e-300, np.ones(5)],
            "sample_weight from .*e-300 to .*, but expected the number of times",
        ),
        (
            X,
            Y,
            np.full(6, 1e300),
            r"sample_weight from 1e\+300 to 1e\+300, but expected the number",
        ),
    ],
)
def test_numbers_that_cannot_be_computed_with_are_refused(table, target, weights, message):
    with pytest.raises(ValueError, match=message):
        LoopedICLRegressor().fit(table, target, weights)


def test_labels_that_are_missing_are_refused():
    with pytest.raises(ValueError, match="labels are missing"):
        LoopedICLClassifier().fit(X, pd.Series(["a", "b", None, "a", "b", "a"]))
