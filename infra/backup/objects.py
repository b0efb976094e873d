"""Objects of the buckets: read whole, and written so that what is there stays until the databases have changed."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from urllib3.exceptions import ProtocolError

from infra.backup.contents import Version
from ml.data.store_refusal import refusal
from ml.errors import Misconfigured, PipelineError, StoreDown, Untrusted, one_line

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_PIECE = 2**20
_IN_MEMORY = 16 * 2**20
_TRIES = 4
_GONE = ("404", "NoSuchKey", "NotFound")


@contextmanager
def answering(bucket: str) -> Iterator[None]:
    """Turns boto3's errors into one line.

    Raises:
        Misconfigured: The store refuses the account, or has no such bucket.
        StoreDown: It does not answer, or failed.
    """
    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error) as error:
        inner = error.__context__ if isinstance(error, Boto3Error) and error.__context__ else error
        if reason := refusal(inner):
            raise Misconfigured(f"the S3 server refused bucket {bucket!r}: {reason}") from error
        raise StoreDown(f"the S3 server failed at bucket {bucket!r} ({one_line(error, 300)}): is it up?") from error


def sizes(s3: S3Client, bucket: str) -> dict[str, int]:
    """The size of every object, by key."""
    with answering(bucket):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {
            entry["Key"]: entry["Size"]
            for page in pages
            for entry in page.get("Contents", [])
            # Some stores list folders, which are no objects; what a health check puts there is gone a moment later.
            if not entry["Key"].endswith("/") and not entry["Key"].startswith("health/")
        }


@contextmanager
def fetched(
    s3: S3Client, bucket: str, key: str, folder: Path | None = None
) -> Iterator[tuple[Any, dict[str, Any]] | None]:
    """An object's content from its beginning, and its size, type and metadata; None where it is gone.

    It is read whole first, a large one into a file of `folder`, and anew when the connection breaks, so that nothing
    half-read is ever passed on.
    """
    with tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(folder) if folder else None) as kept, answering(bucket):
        for left in reversed(range(_TRIES)):
            kept.seek(0)
            kept.truncate()
            try:
                answer = s3.get_object(Bucket=bucket, Key=key)
                for piece in answer["Body"].iter_chunks(_PIECE):
                    kept.write(piece)
                break
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in _GONE:
                    yield None
                    return
                raise
            except (HTTPClientError, IncompleteReadError, ProtocolError):
                if not left:
                    raise
        about = {"size": kept.tell(), "type": answer.get("ContentType", ""), "metadata": answer.get("Metadata", {})}
        kept.seek(0)
        yield kept, about


def sha256_of(s3: S3Client, bucket: str, key: str) -> str | None:
    """The sha256 of an object's content; None where there is none."""
    with fetched(s3, bucket, key) as answer:
        return hashlib.file_digest(answer[0], "sha256").hexdigest() if answer else None


class Restored:
    """The objects that a restore writes: new ones at once, those that would change others only in the end."""

    def __init__(self, s3: S3Client, buckets: dict[str, str]) -> None:
        self._s3 = s3
        self._buckets = buckets
        self._there = {(bucket, key): size for bucket in buckets.values() for key, size in sizes(s3, bucket).items()}
        self._added: list[tuple[str, str]] = []
        self._kept: set[tuple[str, str]] = set()

    def add(self, entry: dict[str, Any], content: IO[bytes]) -> bool:
        """Writes an object, with what the manifest says of it, unless its key is taken; tells whether it is right."""
        bucket, key = self._buckets[entry["role"]], entry["key"]
        self._kept.add((bucket, key))
        if (bucket, key) in self._there:
            same_size = self._there[bucket, key] == entry["size"]
            return same_size and bool(sha256_of(self._s3, bucket, key) == entry["sha256"])
        self._added.append((bucket, key))
        self.put(entry, content)
        return True

    def put(self, entry: dict[str, Any], content: IO[bytes]) -> None:
        """Writes an object, over another if there is one."""
        bucket = self._buckets[entry["role"]]
        about = {"Metadata": entry["metadata"], **({"ContentType": entry["type"]} if entry["type"] else {})}
        with answering(bucket):
            self._s3.upload_fileobj(content, bucket, entry["key"], ExtraArgs=about)

    def take_back(self) -> None:
        """Deletes the objects that `add` wrote; whatever cannot be deleted stays, and harms nothing."""
        with suppress(PipelineError):
            self._delete(self._added)

    def delete_others(self) -> None:
        """Deletes the objects that the backup does not have."""
        self._delete(sorted(self._there.keys() - self._kept))

    def _delete(self, places: Iterable[tuple[str, str]]) -> None:
        for bucket, key in places:
            with answering(bucket):
                self._s3.delete_object(Bucket=bucket, Key=key)


def verify(s3: S3Client, bucket: str, versions: Iterable[Version], say: Callable[[str], None]) -> None:
    """Reads each champion's file back; `Untrusted` where it is missing or is not the one that its version names."""
    for one in versions:
        if not one.is_champion:
            continue
        champion = f"the champion {one.name} version {one.version}"
        if not one.sha256:
            say(f"{champion} says nothing about its file, so it was not checked")
            continue
        sha256 = sha256_of(s3, bucket, one.key)
        if sha256 != one.sha256:
            raise Untrusted(
                f"{champion} has a file with sha256 {(sha256 or 'none')[:12]} "
                f"and should have {one.sha256[:12]}: run the restore again"
            )
        say(f"{champion} is there, and its file is the one that was recorded")
