"""CSV files as people's programs write them."""

from __future__ import annotations

import gzip
import io

import pandas as pd
import pytest

from ml.config.schema import PipelineConfig
from ml.errors import ContractViolation, UnreadableData
from ml.reading.columns import columns_of, converted
from ml.reading.csv_dialect import AUTO, CsvRows, Dialect, find_dialect, refuse_twice
from ml.reading.tables import read_table

EXPECTED = {"size": [1.5, -2.25], "name": ["a,b", "c"], "count": [1.0, 2.0]}


def read(content: bytes, dialect: Dialect = AUTO) -> tuple[pd.DataFrame, Dialect | None]:
    """A file's values, as a run without a contract reads them, and how it is written."""
    raw = read_table(content, "file.csv", 10**6, 1000, dialect)
    columns = columns_of(raw.frame, PipelineConfig(), raw.commas)
    frame = {name: converted(raw.frame[name], column, raw.commas)[0] for name, column in columns.items()}
    return pd.DataFrame(frame), raw.dialect


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
@pytest.mark.parametrize("packed", [False, True], ids=["text", "gzip"])
@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        (b'size,name,count\n1.5,"a,b",1\n-2.25,c,2\n', ","),
        (b"size;name;count\n1,5;a,b;1\n-2,25;c;2\n", ";"),
        (b"size;name;count\n1.5;a,b;1\n-2.25;c;2\n", ";"),
        (b"size\tname\tcount\r\n1,5\ta,b\t1\r\n-2,25\tc\t2\r\n", "\t"),
        (b"size|name|count\n1.5|a,b|1\n-2.25|c|2\n", "|"),
    ],
    ids=["comma", "semicolon and decimal comma", "semicolon", "tab and decimal comma", "bar"],
)
def test_the_same_table_comes_out_of_every_dialect(content: bytes, delimiter: str, packed: bool, mark: bytes) -> None:
    written = gzip.compress(mark + content) if packed else mark + content

    frame, found = read(written)

    assert frame.to_dict("list") == EXPECTED
    assert found is not None
    assert found.delimiter == delimiter


def test_a_missing_number_with_a_decimal_comma_is_missing() -> None:
    frame, _ = read(b"a;b\n1,5;x\n;y\n2;z\n")

    assert frame["a"].tolist()[::2] == [1.5, 2.0]
    assert frame["a"].isna().tolist() == [False, True, False]


def test_text_that_only_looks_like_numbers_now_and_then_stays_text() -> None:
    frame, _ = read(b"a;b\n1,5;x\n1.234,5;y\n")

    assert frame["a"].tolist() == ["1,5", "1.234,5"]


def test_a_decimal_comma_between_commas_is_read_where_it_is_named() -> None:
    content = b'a,b\n"1,5",x\n"2,5",y\n'

    assert read(content)[0]["a"].tolist() == ["1,5", "2,5"]
    assert read(content, Dialect(",", ","))[0]["a"].tolist() == [1.5, 2.5]


def test_the_delimiter_that_fits_every_row_wins() -> None:
    assert find_dialect("name, first;age\nx, y;5\nz;6\n", "f").delimiter == ";"
    assert find_dialect("a\n1\n", "f").delimiter == ","
    assert find_dialect("", "f").delimiter == ","


def test_a_named_delimiter_that_the_file_does_not_have_is_told() -> None:
    with pytest.raises(UnreadableData, match=r"separated by semicolon, and data\.csv\.delimiter says comma"):
        read(b"a;b\n1;2\n", Dialect(",", "auto"))


def test_excels_line_decides_and_a_delimiter_that_is_none_does_not() -> None:
    assert find_dialect("sep=;\na,b;c,d\n1,2;3,4\n", "f").delimiter == ";"
    assert find_dialect("sep=:\na;b\n1;2\n", "f").delimiter == ";"


def test_a_named_delimiter_is_taken_where_the_file_may_have_it() -> None:
    assert find_dialect("a;b,c;d\n1;2,3;4\n", "f", Dialect(",")).delimiter == ","
    assert find_dialect("a\n1\n", "f", Dialect(";")).delimiter == ";"


@pytest.mark.parametrize("mark", ["", "\ufeff", "\ufeffsep=,\r\n"])
def test_rows_are_cells_as_they_stand_without_marks_and_without_a_comma_too_many(mark: str) -> None:
    text = mark + 'a,,c\r\n1,2,3,\r\n"x\r\ny",, z,\r\n'

    rows = CsvRows(io.StringIO(text, newline=""), Dialect(","), "f")

    assert (rows.header, rows.named) == (["a", "", "c"], [0, 2])
    assert rows.notes == [
        "every row ends with a comma that has nothing under it, which is passed over",
        "column 2 has no name and is left out: name it in the header to use it",
    ]
    assert list(rows.chunks(1)) == [[["1", "2", "3"]], [["x\r\ny", "", " z"]]]


def test_a_header_that_is_missing_or_names_columns_twice_is_told() -> None:
    with pytest.raises(UnreadableData, match=r"^f is empty: it needs a header and rows$"):
        CsvRows(io.StringIO("\n\n", newline=""), Dialect(","), "f")
    with pytest.raises(ContractViolation, match=r"^f: column 'a', 'b' is there twice: rename or remove one$"):
        refuse_twice(["b", "a", "c", "a", "b"], "f")
