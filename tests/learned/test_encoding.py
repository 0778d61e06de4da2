import numpy as np
import pandas as pd
import pytest

from sklearn_looped.learned.encoding import Support, TableEncoder


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
    encoded = TableEncoder(random_state=0).fit_transform(frame, y)
    assert encoded.dtype == np.float64
    assert encoded.shape == (60, 1 + 1 + 1 + 3 + 1 + 1)
    assert np.isfinite(encoded).all()


def test_missing_and_unknown_levels_are_encoded_too(frame, rng):
    y = rng.normal(size=len(frame))
    holed = frame.copy()
    holed.loc[:3, ["number", "binary", "few", "whole"]] = None
    encoder = TableEncoder(random_state=0)
    encoder.fit_transform(holed, y)
    unseen = frame.iloc[:2].copy()
    unseen["binary"], unseen["few"], unseen["many"] = "maybe", "z", "level99"
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
    encoder = TableEncoder(random_state=0)
    fitted = encoder.fit_transform(frame, y)[:, 0]
    leaky = encoder.transform(frame)[:, 0]
    assert abs(np.corrcoef(fitted, y)[0, 1]) < 0.3 < np.corrcoef(leaky, y)[0, 1]


def test_dates_are_refused_with_advice(rng):
    frame = pd.DataFrame({"when": pd.date_range("2020", periods=5)})
    with pytest.raises(ValueError, match=r"'when' holds datetime64.*Turn it into numbers"):
        TableEncoder().fit_transform(frame, rng.normal(size=5))


def test_an_array_cannot_stand_in_for_a_frame_with_nominal_columns(frame, rng):
    encoder = TableEncoder()
    encoder.fit_transform(frame, rng.normal(size=len(frame)))
    with pytest.raises(ValueError, match=r"nominal columns .*binary.*Give a DataFrame"):
        encoder.transform(np.zeros((3, 6)))


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame])
def test_canonical_order_does_not_depend_on_the_order_given(rng, kind):
    X, y = rng.integers(0, 3, size=(40, 2)).astype(float), rng.integers(0, 3, size=40).astype(float)
    X[3, 1] = np.nan
    order = rng.permutation(40)
    one = Support(kind(X), y[:, None], y + 1).in_canonical_order()
    other = Support(kind(X[order]), y[order, None], y[order] + 1).in_canonical_order()
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


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
