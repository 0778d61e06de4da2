"""One reading of columns: the same content in any container gives the same numbers."""

import datetime
import re
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sklearn_looped.learned.inference.columns import as_numbers, kind_of, to_table
from sklearn_looped.learned.inference.encoding import TableEncoder

N = 80


@pytest.fixture
def frame(rng):
    when = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 900, N), "D")
    return pd.DataFrame(
        {
            "area": rng.normal(size=N).round(3),
            "rooms": rng.integers(0, 9, N),
            "sold": rng.random(N) < 0.5,
            "soil": rng.choice(["clay", "sand", "loam"], N),
            "city": rng.choice([f"city {i}" for i in range(14)], N),
            "when": when,
        }
    )


def as_text(frame):
    return frame.astype(str)


def as_polars(frame):
    polars = pytest.importorskip("polars")
    return polars.DataFrame({name: frame[name].tolist() for name in frame})


def as_arrow(frame):
    return pytest.importorskip("pyarrow").Table.from_pandas(frame)


def as_arrow_backed(frame):
    pytest.importorskip("pyarrow")
    return frame.convert_dtypes(dtype_backend="pyarrow")


def in_berlin(frame):
    return frame.assign(when=frame["when"].dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin"))


def exact(frame):
    decimals = pd.Series([Decimal(str(cell)) for cell in frame["area"]])
    return frame.assign(area=decimals, rooms=frame["rooms"].astype(np.longdouble))


CONTAINERS = [
    pd.DataFrame.to_numpy, as_text, as_polars, as_arrow, as_arrow_backed, in_berlin, exact,
    pd.DataFrame.convert_dtypes, lambda frame: frame.astype(object),
    lambda frame: frame.to_numpy().tolist(), lambda frame: as_text(frame).to_numpy(),
    lambda frame: frame.assign(when=frame["when"].dt.date),
    lambda frame: frame.assign(when=frame["when"].dt.to_period("D")),
    lambda frame: frame.assign(sold=frame["sold"].astype(str).str.lower()),
]  # fmt: skip


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_is_read_alike_in_fit_and_afterwards(frame, rng, container):
    y, other = rng.normal(size=N), container(frame)
    one, two = TableEncoder(), TableEncoder()
    expected = one.fit_transform(frame, y)
    np.testing.assert_array_equal(two.fit_transform(other, y), expected)
    assert list(two.column_kinds_.values()) == list(one.column_kinds_.values())
    assert list(one.column_kinds_.values()) == [
        "number", "number", "boolean", "nominal", "nominal", "date",
    ]  # fmt: skip
    with warnings.catch_warnings(action="error"):
        np.testing.assert_array_equal(one.transform(other), one.transform(frame))
        np.testing.assert_array_equal(two.transform(frame), one.transform(frame))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([1, None, 2], "number"),
        ([Decimal("1.5"), Decimal("2")], "number"),
        (["1.5", " 2e3 ", "?"], "number"),
        ([3, "4", 5.0], "number"),
        (["n/a", "unknown", "7"], "number"),
        ([True, None], "boolean"),
        (["TRUE", "false", "NA"], "boolean"),
        (["01", "10", "07"], "nominal"),
        (["1", "2", "web"], "nominal"),
        ([1, "web"], "nominal"),
        (pd.Categorical(["1", "2"]), "nominal"),
        ([None, None], "missing"),
        ([np.nan, np.nan], "missing"),
        ([datetime.date(2024, 5, 31), None], "date"),
        (["2024-05-31", "2024-06"], "date"),
        (["2024-05-31T12:30:00Z", "2024-05-31 14:30:00+02:00"], "date"),
        ([np.datetime64("2024-01-01"), pd.Timestamp("2024", tz="Asia/Tokyo")], "date"),
        ([pd.Period("2024-01", "M")], "date"),
        ([datetime.timedelta(days=1)], "duration"),
        ([datetime.time(6), datetime.time(12)], "duration"),
        (["06:30", "17:05:10", None], "duration"),
        (["1 days 02:00:00", "2 days, 3:00:00"], "duration"),
        (["31.12.2024 6:05", "1.1.2025"], "date"),
        (["2024/12/31", "2025/01/01 06:05"], "date"),
        (["31:70", "2:1"], "nominal"),
        ([f"u{i}" for i in range(20)], "identifier"),
        ([f"u{i % 15}" for i in range(40)], "nominal"),
        ([f"it was number {i}, no more" for i in range(20)], "text"),
        ([str(i + 0.5) for i in range(30)] + ["broken"], "number"),
        ([str(i) for i in range(5)] * 6 + ["web"], "nominal"),
    ],
)
def test_columns_are_what_their_cells_hold(cells, kind):
    assert kind_of(pd.Series(cells, name="x")) == kind


@pytest.mark.parametrize("name", ["id", "customer_id", "PassengerId", "row ID", "Unnamed: 0"])
def test_whole_numbers_each_once_are_row_numbers_under_such_a_name_only(rng, name):
    numbers = rng.permutation(30)
    assert kind_of(pd.Series(numbers, name=name)) == "identifier"
    for other in ("area", "paid", "covid", "width"):
        assert kind_of(pd.Series(numbers, name=other)) == "number"
    assert kind_of(pd.Series(numbers % 20, name=name)) == "number"
    assert kind_of(pd.Series(numbers + 0.5, name=name)) == "number"


def test_identifiers_are_left_out_with_a_warning_in_a_bootstrap_sample_too(frame, rng):
    table = frame.assign(id=np.arange(N), tag=[f"t{i}" for i in range(N)])
    for rows in (np.arange(N), rng.integers(0, N, N)):
        encoder = TableEncoder()
        with pytest.warns(UserWarning, match=r"left out: 'id' .*every row.*, 'tag' ") as caught:
            encoded = encoder.fit_transform(table.iloc[rows], rng.normal(size=N)[rows])
        assert len(caught) == 1
        assert np.array_equal(encoder.transform(table).shape, [N, encoded.shape[1]])
        assert encoder.column_kinds_["tag"] == "identifier"


def test_one_repeated_column_of_levels_is_no_identifier(rng):
    city = pd.DataFrame({"city": np.repeat([f"c{i}" for i in range(15)], 4)})
    encoder = TableEncoder()
    encoder.fit_transform(city, np.repeat(rng.normal(size=15), 4))
    assert encoder.column_kinds_ == {"city": "nominal"}


def test_dates_are_days_and_what_recurs_where_it_has_been_seen():
    days = pd.Series(pd.date_range("2020", periods=1000), name="when")
    encoder = TableEncoder()
    scaled = encoder.fit_transform(days.to_frame(), np.zeros(1000))
    encoded = scaled * 2.0**encoder.exponents_
    np.testing.assert_array_equal(np.diff(encoded[:, 0]), 1)
    assert encoded.shape[1] == 5  # no time of the day: all are at midnight
    np.testing.assert_allclose(encoded[7:, 1:3], encoded[:-7, 1:3], atol=1e-9)
    short = TableEncoder().fit_transform(days[:10].to_frame(), np.zeros(10))
    assert short.shape[1] == 1


@pytest.mark.parametrize(
    ("fit", "asked", "said"),
    [
        ([np.nan] * 6, ["late", None], r"'x' \(1 of 2, such as 'late'\)"),
        ([1.0, 2, 3, 4, 5, 6], [3, "late"], r"'x' \(1 of 2, such as 'late'\)"),
        (["a", "b", "c"] * 2, ["d", None], r"'x' \(1 of 2, such as 'd'\)"),
        (["a", "b", "c"] * 2, ["d", "a"], None),
        (["1", "2", "web"] * 2, ["shop", None], r"'x' \(1 of 2, such as 'shop'\)"),
        ([1.0, 2, 3, 4, 5, 6], [None, "n/a"], None),
        (["2024-01-01", "2024-02-01"] * 3, ["soon", "2024-01-05"], "such as 'soon'"),
    ],
)
def test_what_fit_did_not_know_is_said_once_and_counts_as_missing(fit, asked, said):
    encoder = TableEncoder()
    frame = pd.DataFrame({"x": fit, "n": np.arange(6.0)})
    encoder.fit_transform(frame, np.arange(6.0))
    queries = pd.DataFrame({"x": pd.Series(asked, dtype=object), "n": [1.0, 2.0]})
    with warnings.catch_warnings(record=True, action="always") as caught:
        encoded = encoder.transform(queries)
    assert len(caught) == (said is not None)
    if said is not None:
        with pytest.warns(UserWarning, match=said):
            encoder.transform(queries)
    assert np.isfinite(encoded[:, -1]).all()


@pytest.mark.parametrize(
    ("cells", "example"),
    [
        ([f"${i},500.25" for i in range(1, 31)], r"\$1,500.25"),
        ([f"{i},5" for i in range(15)] * 2, "0,5"),
        ([f"{i / 2} %" for i in range(15)] * 2, "0.0 %"),
        ([f"05/{day:02}/2024" for day in range(1, 31)], "05/01/2024"),
        ([f"{day} May 2024" for day in range(1, 31)], "1 May 2024"),
        ([f"{i} rooms" for i in range(30)], None),
        ([f"{i:05}" for i in range(15)] * 2, None),
        (["10 %", "20 %", "30 %"] * 10, None),  # as good as labels
        (pd.Categorical([f"{i},5" for i in range(15)] * 2), None),
    ],
)
def test_numbers_and_dates_in_forms_that_are_not_read_are_said(cells, example):
    with warnings.catch_warnings(record=True, action="always") as caught:
        TableEncoder().fit_transform(pd.DataFrame({"x": cells}), np.arange(30.0))
    said = [str(each.message) for each in caught if "form that is not read" in str(each.message)]
    assert bool(said) == (example is not None)
    if example is not None:
        assert re.search(rf"'x' \(such as '{example}'\)", said[0])


def test_codes_are_met_in_other_types():
    encoder = TableEncoder()
    shops = pd.DataFrame({"shop": ["1", "2", "3", "web"] * 5})
    encoder.fit_transform(shops, np.arange(20.0))
    expected = encoder.transform(pd.DataFrame({"shop": ["1", "2", "3"]}))
    for other in ([1, 2, 3], [1.0, 2.0, 3.0], [Decimal(1), Decimal(2), Decimal("3.0")]):
        np.testing.assert_array_equal(encoder.transform(pd.DataFrame({"shop": other})), expected)


def test_a_few_stray_words_among_measurements_are_said_in_fit(rng):
    cells = [str(cell) for cell in rng.normal(size=40)]
    cells[7] = "broken"
    encoder = TableEncoder()
    with pytest.warns(UserWarning, match=r"Cells of another kind.*'x' \(1 of 40, such as 'broken'"):
        encoded = encoder.fit_transform(pd.DataFrame({"x": cells}), np.arange(40.0))
    assert np.isnan(encoded[7, 0])
    assert np.isfinite(np.delete(encoded[:, 0], 7)).all()


@pytest.mark.parametrize("container", ["polars", "pyarrow", "pandas"])
def test_numbers_that_a_container_declares_levels_are_levels(container):
    module = pytest.importorskip(container)
    cells = ["1", "2", "3", "1"]
    table = {
        "polars": lambda: module.DataFrame({"x": module.Series(cells).cast(module.Categorical)}),
        "pyarrow": lambda: module.table({"x": module.array(cells).dictionary_encode()}),
        "pandas": lambda: module.DataFrame({"x": module.Categorical(cells)}),
    }[container]()
    encoder = TableEncoder()
    assert encoder.fit_transform(table, np.arange(4.0)).shape == (4, 3)
    assert encoder.column_kinds_ == {"x": "nominal"}


def test_whole_numbers_that_float64_cannot_hold_are_said():
    beyond = pd.Series(2**60 + np.arange(40))
    frame = beyond.to_frame("x")
    array = frame.to_numpy()
    forms = [array, sparse.csr_array(array), np.ma.masked_array(array, array < 0)]
    for table in (frame, frame.astype(str), frame.astype("Int64"), *forms):
        with pytest.warns(UserWarning, match=r"beyond 2\*\*53 .*\(40 values, 1 as float64\)"):
            TableEncoder().fit_transform(table, np.arange(40.0))
    with pytest.warns(UserWarning, match="left out: 'user_id'"):
        TableEncoder().fit_transform(beyond.to_frame("user_id"), np.arange(40.0))
    with warnings.catch_warnings(action="error"):
        TableEncoder().fit_transform(frame - 2**60, np.arange(40.0))


@pytest.mark.parametrize("container", ["polars", "pyarrow"])
def test_whole_numbers_beside_missing_cells_are_not_rounded(container):
    module = pytest.importorskip(container)
    make = {"polars": "DataFrame", "pyarrow": "table"}[container]
    table = getattr(module, make)({"x": [None, *range(2**60, 2**60 + 40)], "n": [None, *range(40)]})
    encoder = TableEncoder()
    with pytest.warns(UserWarning, match=r"beyond 2\*\*53 .*: 'x' \(40 values, 1 as float64\)"):
        encoded = encoder.fit_transform(table, np.arange(41.0))
    assert encoder.column_kinds_ == {"x": "number", "n": "number"}
    np.testing.assert_array_equal(encoded[:, 1], np.append(np.nan, np.arange(40) / 64))


def test_masked_whole_numbers_are_not_rounded_but_missing():
    numbers = np.append(0, 2**60 + np.arange(40))
    table = np.ma.masked_array(numbers, numbers == 0)[:, None]
    with pytest.warns(UserWarning, match=r"beyond 2\*\*53 .*\(40 values, 1 as float64\)"):
        encoded = TableEncoder().fit_transform(table, np.arange(41.0))
    assert np.isnan(encoded[0, 0])
    assert np.isfinite(encoded[1:]).all()


def test_durations_that_pandas_cannot_hold_are_missing():
    cells = [*(f"{i} days 06:00:00" for i in range(40)), "200000 days"]
    with pytest.warns(UserWarning, match=r"count as missing: 'x' \(1 of 41, such as '200000 days"):
        encoded = TableEncoder().fit_transform(pd.DataFrame({"x": cells}), np.arange(41.0))
    np.testing.assert_array_equal(encoded[:, 0], np.append(np.arange(40) + 0.25, np.nan) / 64)


def test_columns_without_text_for_names_keep_their_order(rng):
    frame = pd.DataFrame(rng.normal(size=(20, 2)))
    encoder = TableEncoder()
    expected = encoder.fit_transform(frame, frame[0].to_numpy())
    np.testing.assert_array_equal(encoder.transform(frame.to_numpy()), expected)
    np.testing.assert_array_equal(encoder.transform(frame.to_numpy().astype(object)), expected)
    with pytest.raises(ValueError, match="another order: column 0 is '1', but was '0'"):
        encoder.transform(frame[[1, 0]])


@pytest.mark.parametrize("names", [[1, 0], ["1", "0"]])
def test_arrays_have_no_names_that_could_be_in_another_order(rng, names):
    frame = pd.DataFrame(rng.normal(size=(20, 2)), columns=names)
    encoder = TableEncoder()
    expected = encoder.fit_transform(frame, frame[names[0]].to_numpy())
    np.testing.assert_array_equal(encoder.transform(frame.to_numpy()), expected)
    objects = to_table(frame.to_numpy().astype(object))
    np.testing.assert_array_equal(encoder.transform(objects), expected)


def test_a_name_of_the_columns_axis_does_not_hide_their_order(rng):
    frame = pd.DataFrame(rng.normal(size=(20, 2)), columns=pd.Index([0, 1], name="place"))
    encoder = TableEncoder()
    encoder.fit_transform(frame, frame[0].to_numpy())
    with pytest.raises(ValueError, match="order"):
        encoder.transform(frame[[1, 0]])


def test_lazy_frames_are_refused():
    polars = pytest.importorskip("polars")
    with pytest.raises(TypeError, match=r"pass X.collect\(\)"):
        to_table(polars.DataFrame({"x": [1]}).lazy())


def test_masked_cells_are_missing():
    array = np.ma.masked_array([[1, 2], [3, 4]], mask=[[False, True], [False, False]])
    np.testing.assert_array_equal(to_table(array), [[1, np.nan], [3, 4]])
    for dtype in ("O", "U", "S", "M8[ns]"):
        assert to_table(array.astype(dtype)).isna().to_numpy().tolist() == array.mask.tolist()


def test_times_of_zones_are_one_instant():
    column = pd.Series(["2024-05-31T12:30:00Z", "2024-05-31T14:30:00+02:00"])
    first, second = as_numbers(column, "date")
    assert first == second


def test_a_table_without_any_column_to_read_is_missing_as_a_whole():
    frame = pd.DataFrame({"tag": [f"t{i}" for i in range(20)]})
    with pytest.warns(UserWarning, match="left out: 'tag'"):
        encoded = TableEncoder().fit_transform(frame, np.arange(20.0))
    assert encoded.shape == (20, 1)
    assert np.isnan(encoded).all()
