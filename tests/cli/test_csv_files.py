"""CSV files of users: how they are read, and which are refused."""

import pytest

from sklearn_looped.cli import tables
from sklearn_looped.cli.arguments import CsvFormat
from sklearn_looped.learned.inference.columns import kind_of


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty, but expected a header and at least 10 rows"),
        ("x,y\n", "has 0 rows with a target, but expected at least 10"),
        ("x,y\n1,2\n3,4\n", "has 2 rows with a target, but expected at least 10"),
        ("y\n" + "1\n2\n" * 10, "has no column but 'y'"),
        ("x,y\n1,2\n3,4,5,6\n", "Line 3 of"),
        ("x,y\n1,2\n3,4,5,6\n", "has 4 fields, but the header has 2 (more; read with ','"),
        ("x,y\n" + "1,2\n" * 11 + "3\n", "Line 13 of"),
        ('x,y\n"a\nb",2\n3,4,\n', "Line 4 of"),
        ("x,y\n" + "1,2,\n" * 12, "Line 2 of"),
        ("x,y,x\n1,2,3\n", "has several columns named 'x'"),
        ("x,y\n" + "1,a\n" * 12, "only one label, 'a'"),
        ("x,y\n" + "1,a\n" * 12 + "1,b\n", "label 'b' occurs in only one row"),
        ("x,y\n" + "\n".join(f"1,u{i}" for i in range(12)), "is not a column of labels"),
        ("x,y\n" + "\n".join(f"1,${i}.50" for i in range(12)), "not read, such as '$0.50'"),
        ("x,y\n" + "\n".join(f"1,2024-01-{i}" for i in range(10, 22)), "it was read as date"),
        ("x,y\n" + "1,\0\n" * 12, "contains zero bytes, so it is no text file"),
    ],
)
def test_files_that_cannot_serve_are_refused(tmp_path, error_of, content, message):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    error = error_of(["--csv", path, "--target", "y"])
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_file_that_is_not_there_is_refused(tmp_path, error_of):
    message = error_of(["--csv", tmp_path / "none.csv", "--target", "y"])
    assert "No such file" in message


def test_codes_keep_their_zeros_and_a_header_of_numbers_is_said(tmp_path):
    path = tmp_path / "codes.csv"
    path.write_text("code,y\n" + "\n".join(f"00{i % 3},{i}" for i in range(12)))
    X, _ = tables.read_csv(path, "y")
    assert X["code"].tolist() == ["000", "001", "002"] * 4
    path.write_text("\n".join(f"{i},{i + 1}" for i in range(12)))
    with pytest.warns(UserWarning, match="is its first line a row of the table"):
        assert tables.read_csv(path, "1")[0].shape == (11, 1)


def test_separator_encoding_and_decimal_comma_are_found(tmp_path):
    rows = [f"{i},5;Köln;31.12.20{i};1.0{i},25" for i in range(10, 40)]
    path = tmp_path / "german.csv"
    path.write_text("\n".join(["Fläche;Ort;Tag;Preis", *rows, "1,0;Süd;01.01.2020;"]), "latin-1")
    with pytest.warns(UserWarning, match="cp1252|decimal comma|of 31 rows") as caught:
        X, y = tables.read_csv(path, "Preis")
    said = " ".join(str(each.message) for each in caught)
    assert "read as cp1252" in said
    assert "decimal comma" in said
    assert "1 of 31 rows" in said
    assert X["Fläche"].tolist() == [i + 0.5 for i in range(10, 40)]
    assert y.tolist() == [1000 + i + 0.25 for i in range(10, 40)]
    assert kind_of(X["Tag"]) == "date"
    form = CsvFormat(";", "latin-1", ("Ort",))
    with pytest.warns(UserWarning, match="decimal comma|of 31 rows"):
        assert list(tables.read_csv(path, "Preis", None, form)[0]) == ["Fläche", "Tag"]


@pytest.mark.parametrize(
    ("cells", "task", "kind"),
    [
        (["1", "2", "3"] * 5, None, "f"),
        (["1", "2", "3"] * 5, "classification", "O"),
        (["0", "1", "1"] * 5, None, "O"),
        (["0", "1", "1"] * 5, "regression", "f"),
        (["True", "False", "True"] * 5, None, "O"),
        (["a", "b", "b"] * 5, None, "O"),
    ],
)
def test_the_task_is_found_from_the_column_or_said(tmp_path, cells, task, kind):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "\n".join(f"{i},{cell}" for i, cell in enumerate(cells)))
    y = tables.read_csv(path, "y", task)[1]
    assert y.dtype.kind == kind
    assert set(map(str, y)) == ({cell + ".0" for cell in cells} if kind == "f" else set(cells))


def test_a_missing_target_lists_the_columns(csv, error_of):
    message = error_of(["--csv", csv, "--target", "cost"])
    assert "no column 'cost'; its columns are size, kind, price" in message


def test_a_nominal_target_is_no_regression(csv, error_of):
    message = error_of(["--csv", csv, "--target", "kind", "--task", "regression"])
    assert "a regression target must be numbers" in message
