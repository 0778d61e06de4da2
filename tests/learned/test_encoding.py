import numpy as np
import pandas as pd
import pytest

from sklearn_looped.learned.inference.encoding import TableEncoder
from sklearn_looped.learned.inference.support import Support, canonical_order


@pytest.fixture
def frame(rng):
    n = 60
    return pd.DataFrame(
        {
            "number": rng.normal(size=n),
            "flag": rng.random(n) < 0.5,
            "binary": rng.choice(["no", "yes"], n),
            "few": rng.choice(["a", "b", "c"], n),
            "many": pd.Categorical(rng.choice([f"level{i}" for i in range(20)], n)),
            "whole": pd.array(rng.integers(0, 5, n), dtype="Int64"),
        }
    )


def test_nominal_columns_become_numbers(frame, rng):
    y = rng.normal(size=len(frame))
    encoded = TableEncoder().fit_transform(frame, y)
    assert encoded.dtype == np.float64
    assert encoded.shape == (60, 1 + 1 + 1 + 3 + 1 + 1)
    assert np.isfinite(encoded).all()


def test_missing_and_unknown_levels_are_encoded_too(frame, rng):
    y = rng.normal(size=len(frame))
    holed = frame.copy()
    holed.loc[:3, ["number", "binary", "few", "whole"]] = None
    encoder = TableEncoder()
    encoder.fit_transform(holed, y)
    unseen = frame.iloc[:2].copy()
    unseen["binary"], unseen["few"], unseen["many"] = "maybe", "z", "level99"
    with pytest.warns(UserWarning, match="'binary' .2 of 2, such as 'maybe'., 'few'.*, 'many'"):
        encoded = encoder.transform(unseen)
    assert encoded.shape[0] == 2
    assert np.isnan(encoded).any(axis=1).all()


def test_a_column_without_any_value_is_left_as_missing(frame, rng):
    frame["few"] = None
    encoded = TableEncoder().fit_transform(frame, rng.normal(size=len(frame)))
    assert encoded.shape == (60, 6)
    assert np.isnan(encoded).all(axis=0).sum() == 1


def test_target_encoding_is_cross_fitted(rng):
    # Levels that repeat three times and carry nothing must not let the target leak.
    frame = pd.DataFrame({"many": np.repeat([f"level{i}" for i in range(50)], 3)})
    y = rng.normal(size=150)
    encoder = TableEncoder()
    fitted = encoder.fit_transform(frame, y)[:, 0]
    leaky = encoder.transform(frame)[:, 0]
    assert abs(np.corrcoef(fitted, y)[0, 1]) < 0.3 < np.corrcoef(leaky, y)[0, 1]


def test_a_flag_that_is_set_or_missing_is_kept_apart():
    column = pd.DataFrame({"flag": ["x", None, None, "x"], "n": np.arange(4.0)})
    encoder = TableEncoder()
    encoded = encoder.fit_transform(column, np.arange(4.0))
    np.testing.assert_array_equal(encoded[:, 0] > 0, [True, False, False, True])


def test_a_row_met_in_fit_does_not_get_its_target_back_from_a_level_of_its_own(rng):
    levels = [f"level{i}" for i in rng.integers(0, 200, 150)]  # most are met once
    y, frame = rng.normal(size=150), pd.DataFrame({"many": levels, "n": rng.normal(size=150)})
    encoder = TableEncoder()
    encoder.fit_transform(frame, y)
    encoded = encoder.transform(frame)[:, 0]
    assert np.ptp(encoded) < 1e-9 or abs(np.corrcoef(encoded, y)[0, 1]) < 0.5


def test_a_weight_counts_in_the_target_encoding(rng):
    frame = pd.DataFrame({"many": np.repeat([f"level{i}" for i in range(20)], 10)})
    y, weights = rng.normal(size=200), np.ones(200)
    y[::10] += 100
    weights[::10] = 1e-6
    encoder = TableEncoder()
    encoder.fit_transform(frame, y, weights)
    small = encoder.transform(frame)[:, 0] * 2.0 ** encoder.exponents_[0]
    encoder.fit_transform(frame, y)
    assert np.ptp(small) < 0.1 * np.ptp(y)
    assert np.isfinite(small).all()


def mixed(rng, n):
    return pd.DataFrame(
        {
            "a": rng.normal(size=n).round(1),
            "city": rng.choice([f"c{i}" for i in range(15)], n),
            "b": rng.normal(size=n),
            "shop": rng.choice([f"s{i}" for i in range(12)], n),
        }
    )


@pytest.mark.parametrize("columns", [["shop", "b", "city", "a"], ["b", "a", "shop", "city"]])
def test_the_encoding_follows_order_units_and_sign(rng, columns):
    frame = mixed(rng, 80)
    y = rng.integers(1, 4, 80).astype(float)  # tied
    one = TableEncoder().fit_transform(frame, y)
    places = [frame.columns.get_loc(name) for name in columns]
    np.testing.assert_array_equal(TableEncoder().fit_transform(frame[columns], y), one[:, places])
    rows = rng.permutation(80)
    np.testing.assert_allclose(
        TableEncoder().fit_transform(frame.iloc[rows], y[rows]), one[rows], rtol=0, atol=1e-12
    )
    other = TableEncoder().fit_transform(frame.assign(a=-1000 * frame["a"] + 7), 10 - 3 * y)
    for place in (1, 3):
        ours, theirs = (
            one[:, place] - one[:, place].mean(),
            other[:, place] - other[:, place].mean(),
        )
        np.testing.assert_allclose(ours / ours.std(), -theirs / theirs.std(), atol=1e-9)


def test_canonical_order_knows_no_order_units_or_signs(rng):
    X, y = rng.integers(0, 9, size=(60, 3)).astype(float), rng.integers(0, 3, 60).astype(float)
    X[:, 2] = rng.normal(size=60)
    X[3, 1] = np.nan
    expected = canonical_order(X, y)
    np.testing.assert_array_equal(canonical_order(X[:, [2, 0, 1]], y), expected)
    np.testing.assert_array_equal(canonical_order(X * [3.0, -0.1, 1e9], 5 - 2 * y), expected)


def test_an_array_may_stand_in_for_a_frame(frame, rng):
    encoder = TableEncoder()
    encoder.fit_transform(frame, rng.normal(size=len(frame)))
    np.testing.assert_array_equal(encoder.transform(frame.to_numpy()), encoder.transform(frame))


def test_canonical_order_does_not_depend_on_the_order_given(rng):
    X, y = rng.integers(0, 3, size=(40, 2)).astype(float), rng.integers(0, 3, size=40).astype(float)
    X[3, 1] = np.nan
    order = rng.permutation(40)
    one = Support(X, y[:, None], y + 1).in_canonical_order()
    other = Support(X[order], y[order, None], y[order] + 1).in_canonical_order()
    for ours, theirs in zip(one[:3], other[:3], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_equal_rows_are_joined_into_one_of_their_weight(rng):
    X = rng.normal(size=(5, 2))
    X[1, 0] = np.nan
    rows = [0, 1, 1, 1, 2, 3, 3, 4]
    support = Support(X[rows], np.arange(5.0)[rows, None], None)
    merged = support.merged()
    np.testing.assert_array_equal(merged.X, X)
    np.testing.assert_array_equal(merged.weights, [1, 3, 1, 2, 1])
    weighted = support._replace(weights=np.full(8, 0.5)).merged()
    np.testing.assert_array_equal(weighted.weights, [0.5, 1.5, 0.5, 1, 0.5])
    other_targets = support._replace(Y=np.arange(8.0)[:, None]).merged()
    assert len(other_targets.X) == 8
    assert other_targets.weights is None
