"""Folders of Parquet files as data sets: into the bucket under one digest, and back as one table. Effects: S3 alone.

The address, which is printed once every file is there, ends in `/`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ml.data.store import key_name, sha256_of
from ml.errors import UnreadableData

if TYPE_CHECKING:
    from ml.data.store import Store

SUFFIXES = (".parquet", ".pq")
MAX_FILES = 10_000


def files_of(folder: Path) -> dict[str, Path]:
    """The Parquet files of a local folder by their path below it, in order; names that start with `_` or `.` are not.

    Raises:
        UnreadableData: There is none, or there are too many.
    """
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    parts = {name: path for name, path in files.items() if _is_part(name)}
    _check_count(len(parts), str(folder))
    return parts


def _is_part(name: str) -> bool:
    return name.endswith(SUFFIXES) and not any(part.startswith(("_", ".")) for part in name.split("/"))


def _check_count(files: int, where: str) -> None:
    if not 0 < files <= MAX_FILES:
        raise UnreadableData(
            f"{where} is a folder with {files} Parquet files: it needs 1 to {MAX_FILES:,} that end in .parquet"
        )


def put_folder(store: Store, folder: Path, progress: Callable[[int], None] | None = None) -> str:
    """Puts a local folder of Parquet files into the bucket, unless that content is there already.

    `progress` is told the bytes of each piece that went up.

    Returns:
        `s3://bucket/datasets/<sha256 of names and contents>/<folder name>/`.

    Raises:
        UnreadableData: A file cannot be read, or there is none.
        StoreDown: S3 does not answer.
    """
    files = files_of(folder)
    whole = hashlib.sha256()
    for name, path in files.items():
        whole.update(f"{name}\0{sha256_of(path)}\n".encode())
    prefix = f"datasets/{whole.hexdigest()}/{key_name(folder.resolve())}/"
    there = {each.key: each.size for each in store.listed(prefix)}
    for name, path in files.items():
        if there.get(prefix + name) != path.stat().st_size:
            store.upload(path, prefix + name, progress)
    return f"s3://{store.bucket}/{quote(prefix)}"


def read_folder(store: Store, uri: str, max_bytes: int) -> dict[str, bytes]:
    """The Parquet files below an `s3://bucket/folder/` address, by their path below it.

    Raises:
        BadInput: The address is not allowed.
        UnreadableData: There is no such file, or all together are larger than `max_bytes`.
        StoreDown: S3 does not answer.
    """
    bucket, prefix = store.locate(uri)
    sizes = {each.key: each.size for each in store.listed(prefix, bucket) if _is_part(each.key.removeprefix(prefix))}
    _check_count(len(sizes), uri)
    if sum(sizes.values()) > max_bytes:
        raise UnreadableData(
            f"{uri} has {sum(sizes.values()):,} bytes, and data.max_bytes allows {max_bytes:,}: raise the limit"
        )
    return {key.removeprefix(prefix): store.read_bytes(f"s3://{bucket}/{quote(key)}", max_bytes) for key in sizes}
