"""From bytes to a table: every form of a good file, and one line about every bad one."""

from __future__ import annotations

import datetime
import gzip
import io
import tracemalloc

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.errors import BadInput, ContractViolation, UnreadableData
from ml.reading.tables import partition_of, read_parts, read_table


def read(content: bytes, max_bytes: int = 1_000_000, max_rows: int = 1000) -> pd.DataFrame:
    return read_table(content, "s3://bucket/folder/file.csv", max_bytes, max_rows).frame


def parquet(table: pd.DataFrame | pa.Table) -> bytes:
    """A file as pandas writes it, with its notes, or as pyarrow does."""
    if isinstance(table, pd.DataFrame):
        return table.to_parquet()
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n3,4\n",
        b"\xef\xbb\xbfa,b\n1,2\n3,4\n",
        b"\r\n\r\na,b\r\n1,2\r\n3,4\r\n",
        b"a,b\r1,2\r3,4\r",
        b'"a","b"\n"1","2"\n3,4',
        gzip.compress(b"a,b\n1,2\n3,4\n", mtime=0),
        gzip.compress(b"a,b\n1,2\n", mtime=0) + gzip.compress(b"3,4\n"),
        parquet(pd.DataFrame({"a": [1, 3], "b": [2, 4]})),
        parquet(pd.DataFrame({"a": [1, 3], "b": [2, 4]}, index=[7, 9])),
    ],
    ids=["plain", "bom", "blank lines and crlf", "cr", "quoted", "gzip", "gzip of two members", "parquet", "index"],
)
def test_the_same_table_comes_out_of_every_form(content: bytes) -> None:
    assert read(content).astype(str).to_dict("list") == {"a": ["1", "3"], "b": ["2", "4"]}


def test_a_named_parquet_index_is_a_column() -> None:
    frame = read(parquet(pd.DataFrame({"a": [1, 3]}, index=pd.Index(["x", "y"], name="id"))))

    assert set(frame.columns) == {"id", "a"}


@pytest.mark.parametrize(
    ("content", "error", "told"),
    [
        (b"", UnreadableData, "is empty"),
        (b" \n\n", UnreadableData, "is empty"),
        (b"a,b\n", ContractViolation, "no rows"),
        (b"a,a\n1,2\n", ContractViolation, "'a' is there twice"),
        ("a,b\n1,2\n".encode("utf-16"), UnreadableData, "UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), UnreadableData, "NUL byte in line 1"),
        (b"a,b\n1,2\n3,\0\n", UnreadableData, "NUL byte in line 3"),
        (b"a,b\n1,2\n\xe9,4\n", UnreadableData, "0xe9 in line 3"),
        (b"\n\xe9,b\n1,2\n", UnreadableData, "0xe9 in line 2"),
        (b"a,b\n1,2\n1,2,3\n", UnreadableData, "line 3 has 3 fields and the header 2"),
        (b"a,b\n1,2,3\n1,2,3\n", UnreadableData, "line 2 has 3 fields and the header 2"),
        (b"a,b\n1,2\n1\n", UnreadableData, "line 3 has 1 fields and the header 2"),
        (b'a,b\n1,"2\n3,4\n', UnreadableData, "not a proper CSV"),
        (b"\x89PNG\r\n\x1a\n1234", UnreadableData, "not UTF-8"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-4], UnreadableData, "middle of its gzip"),
        (b"\x1f\x8bgarbage", UnreadableData, "cannot be unpacked"),
        (
            parquet(pd.DataFrame({"a": [1, 2]}))[:-20],
            UnreadableData,
            "and cannot be read (Parquet magic bytes not found",
        ),
        (parquet(pd.DataFrame({"a": [[1], [2]]})), UnreadableData, "'a' holds lists"),
    ],
)
def test_a_bad_file_is_told_in_one_line(content: bytes, error: type[BadInput], told: str) -> None:
    with pytest.raises(error) as caught:
        read(content)

    assert told in str(caught.value)
    assert str(caught.value).startswith("file.csv")
    assert "\n" not in str(caught.value)


def test_the_end_of_a_line_within_a_cell_stays_as_it_is() -> None:
    assert read(b'a,b\r\n"x\r\ny",2\r\n')["a"].tolist() == ["x\r\ny"]


def test_a_missing_last_value_is_no_short_row() -> None:
    assert read(b"a,b\n1,\n3,4\n")["b"].tolist() == ["", "4"]


@pytest.mark.parametrize(
    "content",
    [b"a,b,\n1,2\n3,4\n", b"a,b\n1,2,\n3,4,\n", b"a,b,\n1,2,\n3,4,\n", b",a,b\n0,1,2\n1,3,4\n"],
    ids=["in the header", "in every row", "in both", "a row number without a name"],
)
def test_a_comma_too_many_and_a_column_without_a_name_are_passed_over_and_said(content: bytes) -> None:
    found = read_table(content, "file.csv", 10**6, 100)

    assert found.frame.to_dict("list") == {"a": ["1", "3"], "b": ["2", "4"]}
    assert len(found.notes) == 1


def test_a_comma_at_the_end_of_some_rows_alone_is_refused() -> None:
    with pytest.raises(UnreadableData, match="line 3 has 2 fields"):
        read(b"a,b\n1,2,\n3,4\n")


def test_excels_own_first_line_says_what_separates_the_cells_and_is_no_header() -> None:
    found = read_table(b"sep=;\r\na;b\r\n1,5;2\r\n", "file.csv", 10**6, 100)

    assert found.frame.to_dict("list") == {"a": ["1,5"], "b": ["2"]}
    assert found.commas


def test_a_cell_of_a_megabyte_is_a_cell() -> None:
    assert len(read(b"a,b\n1," + b"x" * 900_000 + b"\n")["b"][0]) == 900_000


def test_bytes_are_left_out_and_said_and_what_pandas_noted_is_not_heard() -> None:
    frame = pd.DataFrame({("a", "x"): [1, 2], ("b", ""): [b"\x00\xff", b"\x01"]})
    found = read_table(parquet(frame), "file.parquet", 10**6, 100)

    assert list(found.frame.columns) == ["('a', 'x')"]
    assert found.notes == (
        "column \"('b', '')\" holds binary and is left out: nothing can be learned from it as it is",
    )


def test_every_type_of_a_flat_table_comes_as_it_is() -> None:
    import uuid
    from decimal import Decimal

    one = uuid.UUID(int=1)
    table = pa.table(
        {
            "dictionary": pa.array(["x", None]).dictionary_encode(),
            "view": pa.array(["x", None], pa.string_view()),
            "uuid": pa.array([one.bytes, None], pa.uuid()),
            "big": pa.array([2**63 + 1, None], pa.uint64()),
            "truth": pa.array([True, None]),
            "decimal": pa.array([Decimal("1.10"), None]),
            "half": pa.array([1.5, None], pa.float32()),
        }
    )
    content = parquet(table)

    frame = read(content)

    assert frame.iloc[1].isna().all()
    assert frame.dtypes[["big", "truth"]].astype(str).tolist() == ["UInt64", "boolean"]
    assert frame.iloc[0].to_dict() == {
        "dictionary": "x", "view": "x", "uuid": str(one), "big": 2**63 + 1, "truth": True, "decimal": Decimal("1.10"),
        "half": 1.5,
    }  # fmt: skip


def test_moments_stay_moments_and_what_wraps_a_plain_type_is_that() -> None:
    day = datetime.datetime(2024, 5, 1, 10, tzinfo=datetime.UTC)
    values = {"day": day.date(), "time": day.time(), "while": datetime.timedelta(1), "moment": day}
    table = pa.table({name: pa.array([value]) for name, value in values.items()} | {
        "json": pa.array(["{}"], pa.json_()), "four": pa.array([b"abcd"], pa.binary(4)),
        "bytes": pa.array([b"x"]).dictionary_encode(),
    })  # fmt: skip
    content = parquet(table)

    found = read_table(content, "file.parquet", 10**6, 100)

    assert found.frame.iloc[0].to_dict() == values | {"json": "{}"}
    assert [note.split(" and is")[0] for note in found.notes] == [
        "column 'four' holds fixed_size_binary[4]", "column 'bytes' holds binary",
    ]  # fmt: skip


def test_row_numbers_of_pandas_are_passed_over_wherever_they_stand() -> None:
    content = parquet(pa.table({"__index_level_0__": [7], "a": [1], " ": [2]}))

    found = read_table(content, "file.parquet", 10**6, 100)

    assert found.frame.to_dict("list") == {"a": [1]}
    assert found.notes == ("a column has no name and is left out: name it to use it",)


def test_a_column_twice_in_parquet_is_refused() -> None:
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    content = parquet(table)

    with pytest.raises(ContractViolation, match="twice"):
        read(content)


def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(UnreadableData, match=r"data\.max_bytes allows 10"):
        read(b"a,b\n1,2\n3,4\n", max_bytes=10)
    with pytest.raises(UnreadableData, match=r"more than the 1 rows that data\.max_rows allows"):
        read(b"a,b\n1,2\n3,4\n", max_rows=1)
    assert len(read(b"a,b\n1,2\n3,4\n", max_rows=2)) == 2
    with pytest.raises(UnreadableData, match=r"more than the 60,000 rows"):
        read(b"a\n" + b"1\n" * 60_001, max_rows=60_000)
    with pytest.raises(UnreadableData, match=r"data\.max_rows allows 1"):
        read(parquet(pd.DataFrame({"a": [1, 2]})), max_rows=1)


def test_a_gzip_bomb_is_refused_before_it_is_unpacked() -> None:
    content = gzip.compress(b"a" * 50_000_000, mtime=0)

    tracemalloc.start()
    try:
        with pytest.raises(UnreadableData, match="unpacks to more"):
            read(content)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert taken < 5_000_000


def test_what_is_unpacked_may_have_just_as_many_bytes_as_are_allowed() -> None:
    content = gzip.compress(b"a,b\n1,2\n", mtime=0) + gzip.compress(b"3,4\n", mtime=0)

    assert len(read(content, max_bytes=12)) == 2
    with pytest.raises(UnreadableData, match="unpacks to more than the 11 bytes"):
        read(content, max_bytes=11)


def test_a_parquet_bomb_is_refused_before_it_is_unpacked() -> None:
    content = parquet(pd.DataFrame({"a": ["x" * 50_000] * 900}))
    assert len(content) < 1_000_000

    with pytest.raises(UnreadableData, match="unpacks to more"):
        read(content)


def test_what_many_small_pieces_unpack_to_is_added_up() -> None:
    content = parquet(pa.table({"a": pa.array(["x" * 50] * 30_000)}))
    assert len(read(content, 2_000_000, 30_000)) == 30_000

    with pytest.raises(UnreadableData, match=r"^file\.csv unpacks to more"):
        read(content, 1_000_000, 30_000)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.binary_view()])
def test_a_value_that_is_stored_once_counts_as_often_as_it_stands(kind: pa.DataType) -> None:
    value = b"x" * 50_000 if "binary" in str(kind) else "x" * 50_000
    content = parquet(pa.table({"a": pa.array([value] * 900, kind)}))
    assert len(content) < 100_000

    with pytest.raises(UnreadableData, match="unpacks to more"):
        read(content)


LONG = parquet(pd.DataFrame({"a": ["x" * 30] * 100}))
ONE, TWO = parquet(pd.DataFrame({"a": [1]})), parquet(pd.DataFrame({"a": [2, 3]}))


def test_parts_are_one_table_in_the_order_of_their_names_with_their_folders_as_columns() -> None:
    parts = {"day=2/1.parquet": ONE, "day=1/2.parquet": TWO, "day=__HIVE_DEFAULT_PARTITION__/3.parquet": ONE}

    table = read_parts(parts, "folder", 10**6, 4)

    assert table.frame["a"].tolist() == [2, 3, 1, 1]
    assert table.frame["day"].fillna("none").tolist() == ["1", "1", "2", "none"]
    assert (table.notes, table.commas) == ((), False)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("1.parquet", {}),
        ("a=1.parquet", {}),
        ("country=CH/part-0.parquet", {"country": "CH"}),
        ("year=2024/plain/town=St.%20Gallen%3D/1.parquet", {"year": "2024", "town": "St. Gallen="}),
        ("rule=a=b/1.parquet", {"rule": "a=b"}),
        ("empty=/null=__HIVE_DEFAULT_PARTITION__/1.parquet", {"empty": "", "null": None}),
    ],
)
def test_folders_of_the_form_key_value_are_columns(path: str, expected: dict[str, str | None]) -> None:
    assert partition_of(path) == expected


def test_what_is_left_out_of_every_part_is_said_once() -> None:
    part = parquet(pd.DataFrame({"a": [1], "b": [b"x"]}))
    odd = parquet(pd.DataFrame({"a": [1], "": [2]}))

    table = read_parts({"1.parquet": part, "2.parquet": part, "3.parquet": odd}, "folder", 10**6, 10)

    assert table.notes == (
        "column 'b' holds binary and is left out: nothing can be learned from it as it is",
        "a column has no name and is left out: name it to use it",
    )


def test_whole_numbers_in_one_part_and_fractions_in_another_are_numbers() -> None:
    parts = {"1.parquet": ONE, "2.parquet": parquet(pd.DataFrame({"a": [1.5]}))}

    assert read_parts(parts, "folder", 10**6, 10).frame["a"].tolist() == [1.0, 1.5]
    assert len(read_parts({"1.parquet": LONG}, "folder", 5000, 200).frame) == 100


@pytest.mark.parametrize(
    ("parts", "limits", "error", "told"),
    [
        ({"1.parquet": b"a,b"}, (10**6, 10), UnreadableData, "folder: 1.parquet is not Parquet: a folder may hold"),
        ({"1.parquet": ONE[:-20]}, (10**6, 10), UnreadableData, "folder/1.parquet looks like Parquet"),
        ({"1.parquet": ONE, "2.parquet": TWO}, (10**6, 2), UnreadableData, "folder/2.parquet has 2 rows, and"),
        ({"1.parquet": LONG, "2.parquet": LONG}, (5000, 200), UnreadableData, "unpacks to more than the"),
        ({}, (10**6, 10), ContractViolation, "folder has no rows: it needs at least 20 in its .parquet files"),
        ({"1.parquet": parquet(pd.DataFrame({"a": []}))}, (10**6, 10), ContractViolation, "folder has no rows"),
        (
            {"1.parquet": ONE, "2.parquet": parquet(pd.DataFrame({"b": [1]}))}, (10**6, 10),
            ContractViolation, "folder: 2.parquet differs from the first file in 'a', 'b'",
        ),
        (
            {"1.parquet": ONE, "2.parquet": parquet(pd.DataFrame({"a": ["x"]}))}, (10**6, 10),
            ContractViolation, "folder: its files do not fit together (Unable to merge: Field a",
        ),
    ],
)  # fmt: skip
def test_a_folder_that_is_no_table_is_told(
    parts: dict[str, bytes], limits: tuple[int, int], error: type[BadInput], told: str
) -> None:
    with pytest.raises(error) as caught:
        read_parts(parts, "folder", *limits)

    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
