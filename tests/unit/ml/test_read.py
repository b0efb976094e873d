"""From bytes to a table: every form of a good file, and one line about every bad one."""

from __future__ import annotations

import gzip
import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.errors import BadInput, ContractViolation, UnreadableData
from ml.read import read_table


def read(content: bytes, max_bytes: int = 1_000_000, max_rows: int = 1000) -> pd.DataFrame:
    return read_table(content, "s3://bucket/folder/file.csv", max_bytes, max_rows)


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
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
    pd.testing.assert_frame_equal(read(content), pd.DataFrame({"a": [1, 3], "b": [2, 4]}))


def test_a_named_parquet_index_is_a_column() -> None:
    frame = read(parquet(pd.DataFrame({"a": [1, 3]}, index=pd.Index(["x", "y"], name="id"))))

    assert list(frame.columns) == ["id", "a"]


@pytest.mark.parametrize(
    ("content", "error", "told"),
    [
        (b"", UnreadableData, "is empty"),
        (b" \n\n", UnreadableData, "is empty"),
        (b"a,b\n", ContractViolation, "no rows"),
        (b"a,a\n1,2\n", ContractViolation, "'a' is there twice"),
        ("a,b\n1,2\n".encode("utf-16"), UnreadableData, "UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), UnreadableData, "NUL byte in line 1"),
        (b"a,b\n1,2\n\xe9,4\n", UnreadableData, "0xe9 in line 3"),
        (b"a,b\n1,2\n1,2,3\n", UnreadableData, "line 3, saw 3"),
        (b"a,b\n1,2,3\n1,2,3\n", UnreadableData, "line 2 has 3 fields and the header 2"),
        (b"a,b\n1,2\n1\n", UnreadableData, "line 3 has 1 fields and the header 2"),
        (b'a,b\n1,"2\n3,4\n', UnreadableData, "not a proper CSV"),
        (b"\x89PNG\r\n\x1a\n1234", UnreadableData, "not UTF-8"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-4], UnreadableData, "middle of its gzip"),
        (b"\x1f\x8bgarbage", UnreadableData, "cannot be unpacked"),
        (parquet(pd.DataFrame({"a": [1, 2]}))[:-20], UnreadableData, "looks like Parquet"),
        (parquet(pd.DataFrame({"a": [[1], [2]]})), UnreadableData, "'a' holds lists"),
    ],
)
def test_a_bad_file_is_told_in_one_line(content: bytes, error: type[BadInput], told: str) -> None:
    with pytest.raises(error) as caught:
        read(content)

    assert told in str(caught.value)
    assert str(caught.value).startswith("file.csv")
    assert "\n" not in str(caught.value)


def test_a_missing_last_value_is_no_short_row() -> None:
    assert read(b"a,b\n1,\n3,4\n")["b"].isna().tolist() == [True, False]


def test_a_column_twice_in_parquet_is_refused() -> None:
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    buffer = io.BytesIO()
    pq.write_table(table, buffer)

    with pytest.raises(ContractViolation, match="twice"):
        read(buffer.getvalue())


def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(UnreadableData, match=r"data\.max_bytes allows 10"):
        read(b"a,b\n1,2\n3,4\n", max_bytes=10)
    with pytest.raises(UnreadableData, match=r"data\.max_rows allows 1"):
        read(b"a,b\n1,2\n3,4\n", max_rows=1)
    with pytest.raises(UnreadableData, match=r"data\.max_rows allows 1"):
        read(parquet(pd.DataFrame({"a": [1, 2]})), max_rows=1)


def test_a_gzip_bomb_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(UnreadableData, match="unpacks to more"):
        read(gzip.compress(b"a" * 50_000_000, mtime=0))


def test_a_parquet_bomb_is_refused_before_it_is_unpacked() -> None:
    content = parquet(pd.DataFrame({"a": ["x" * 50_000] * 900}))
    assert len(content) < 1_000_000

    with pytest.raises(UnreadableData, match="unpacks to more"):
        read(content)
