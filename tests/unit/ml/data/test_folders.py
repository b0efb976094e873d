"""Folders of Parquet files, put and read through a store that keeps its objects in memory."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

import pandas as pd
import pytest

from ml.data import folders
from ml.data.addresses import locate_s3
from ml.data.store import Listed
from ml.errors import BadInput, UnreadableData
from ml.reading.tables import read_parts
from tests.fakes import MemoryStore


class FolderStore(MemoryStore):
    """What only folders use: uploads that are counted, and addresses that are quoted."""

    def __init__(self) -> None:
        super().__init__()
        self.uploads = 0

    def locate(self, uri: str) -> tuple[str, str]:
        return locate_s3(uri, (self.bucket,))

    def listed(self, prefix: str, bucket: str | None = None) -> list[Listed]:
        return super().listed(prefix)

    def upload(self, path: Path, key: str, progress: object = None) -> None:
        self.uploads += 1
        self.write_bytes(path.read_bytes(), key)

    def read_bytes(self, uri: str, max_bytes: int) -> bytes:
        assert uri == f"s3://trackyard/{quote(unquote(uri.removeprefix('s3://trackyard/')))}"
        return self.objects[unquote(uri.removeprefix("s3://trackyard/"))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "my data"
    for country, rows in (("CH", [1, 2]), ("D E", [3])):
        part = home / f"country={country}"
        part.mkdir(parents=True)
        pd.DataFrame({"a": rows}).to_parquet(part / "part-0.parquet")
    (home / "_SUCCESS").touch()
    (home / ".part.parquet").write_bytes(b"half")
    return home


def test_a_folder_comes_back_as_one_table_with_its_partitions(folder: Path) -> None:
    store = FolderStore()

    address = folders.put_folder(store, folder)  # type: ignore[arg-type]
    again = folders.put_folder(store, folder)  # type: ignore[arg-type]
    frame = read_parts(folders.read_folder(store, address, 10**6), "my-data", 10**6, 10).frame  # type: ignore[arg-type]

    assert address == again
    assert address.endswith("/my-data/")
    assert store.uploads == 2
    assert frame.to_dict("list") == {"a": [1, 2, 3], "country": ["CH", "CH", "D E"]}


def test_what_cannot_be_a_data_set_is_told(folder: Path, tmp_path: Path) -> None:
    store = FolderStore()
    address = folders.put_folder(store, folder)  # type: ignore[arg-type]
    (tmp_path / "empty").mkdir()

    with pytest.raises(UnreadableData, match="0 Parquet files"):
        folders.files_of(tmp_path / "empty")
    with pytest.raises(UnreadableData, match="0 Parquet files"):
        folders.read_folder(store, "s3://trackyard/none/", 10**6)  # type: ignore[arg-type]
    with pytest.raises(UnreadableData, match=r"data\.max_bytes allows 10"):
        folders.read_folder(store, address, 10)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="may be read from trackyard only"):
        folders.read_folder(store, "s3://other/x/", 10)  # type: ignore[arg-type]
