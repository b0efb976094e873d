"""The S3 store: data sets under their sha256, and each run's tables under its key. Effects: S3 alone.

Nothing half-done is visible: S3 shows an object once it is whole, and whatever describes other objects is written after
them.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from ml.data.addresses import PUT_IT_THERE, locate_s3
from ml.data.store_refusal import code_of, refusal
from ml.errors import Misconfigured, StoreDown, UnreadableData, one_line
from ml.settings import TaskSettings

if TYPE_CHECKING:
    import pandas as pd
    from types_boto3_s3 import S3Client


_GONE = ("404", "NoSuchKey", "NotFound")
_THERE = ("412", "PreconditionFailed", "409", "ConditionalRequestConflict")


class Listed(NamedTuple):
    """An object of the bucket: its key, its bytes, and when it was written."""

    key: str
    size: int
    changed: datetime


PATIENT_TRIES = 12
"""botocore waits from 0.05 s, doubling to 20 s, half of that on average: half a minute in all for so many tries, so
that a store that is restarted costs no try of a task."""


def s3_client(
    endpoint: str,
    keys: tuple[str, str] | None = None,
    *,
    region: str | None = None,
    tries: int = PATIENT_TRIES,
    read_timeout_s: float = 20,
) -> S3Client:
    """An S3 client for any store, AWS's where the endpoint is empty.

    The keys are the account's name and secret; where they and the region are None, those of boto3's own variables
    count. A request that is not answered is sent up to `tries` times.
    """
    import boto3
    from botocore.config import Config

    name, secret = keys or (None, None)
    config = Config(
        connect_timeout=3,
        read_timeout=read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": tries},
        s3={"addressing_style": "path"} if endpoint else None,
        # Other stores than AWS do not all know the checksums that boto3 adds by default.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.client(
        "s3",
        endpoint_url=endpoint or None,
        aws_access_key_id=name,
        aws_secret_access_key=secret,
        region_name=region,
        config=config,
    )


@lru_cache(maxsize=4)
def _shared_client(endpoint: str) -> S3Client:
    return s3_client(endpoint)


class Store:
    """The bucket that runs keep their tables in, and the buckets that data may come from."""

    def __init__(self, client: S3Client, bucket: str, data_buckets: tuple[str, ...], endpoint: str) -> None:
        self._client = client
        self.bucket = bucket
        self._data_buckets = data_buckets
        self._endpoint = endpoint or "AWS S3"

    @classmethod
    def from_settings(cls, settings: TaskSettings) -> Store:
        """The store that the settings name; the account comes from boto3's own variables."""
        return cls(_shared_client(settings.s3_endpoint), settings.bucket, settings.data_buckets, settings.s3_endpoint)

    def locate(self, uri: str) -> tuple[str, str]:
        """Splits the address of data, as `locate_s3` does for the buckets that data may be read from."""
        return locate_s3(uri, (*self._data_buckets, self.bucket))

    def put_file(self, path: Path, progress: Callable[[int], None] | None = None) -> str:
        """Puts a local file under its sha256, unless that content is there already.

        `progress` is told the bytes of each piece that went up.

        Returns:
            `s3://bucket/datasets/<sha256>/<file name>`.

        Raises:
            UnreadableData: The file cannot be read.
            StoreDown: S3 does not answer.
        """
        key = f"datasets/{sha256_of(path)}/{key_name(path)}"
        if not self.exists(key):
            self.upload(path, key, progress)
        return f"s3://{self.bucket}/{quote(key)}"

    def upload(self, path: Path, key: str, progress: Callable[[int], None] | None = None) -> None:
        """Puts a local file under a key, as `put_file` does."""
        with self._errors(key):
            self._client.upload_file(str(path), self.bucket, key, Callback=progress)

    def read_bytes(self, uri: str, max_bytes: int) -> bytes:
        """The content of an object that data may be read from.

        Raises:
            BadInput: The address is not allowed.
            UnreadableData: There is no such object, or it is larger than `max_bytes`.
            StoreDown: S3 does not answer.
        """
        bucket, key = self.locate(uri)
        with self._errors(key, bucket):
            answer = self._client.get_object(Bucket=bucket, Key=key)
            size = answer["ContentLength"]
            if size > max_bytes:
                raise UnreadableData(
                    f"{uri} has {size:,} bytes, and data.max_bytes allows {max_bytes:,}: "
                    "take a sample, or raise the limit"
                )
            return answer["Body"].read()

    def exists(self, key: str) -> bool:
        """Tells whether the bucket has that key."""
        return self._succeeds(_GONE, self._client.head_object, key)

    def write_parquet(self, frame: pd.DataFrame, key: str) -> str:
        """Writes a table and returns its address."""
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return self.write_bytes(buffer.getvalue(), key)

    def read_parquet(self, key: str, columns: list[str] | None = None) -> pd.DataFrame:
        """Reads a table that `write_parquet` wrote, or some of its columns; raises what `read` does."""
        import pandas as pd

        return pd.read_parquet(io.BytesIO(self.read(key)), columns=columns)

    def write_json(self, value: Any, key: str) -> str:
        """Writes plain values and returns their address."""
        return self.write_bytes(json.dumps(value, indent=1).encode(), key)

    def read_json(self, key: str) -> Any:
        """Reads plain values; raises what `read` does."""
        return json.loads(self.read(key))

    def write_bytes(self, content: bytes, key: str) -> str:
        """Writes an object, which S3 shows once it is whole, and returns its address."""
        with self._errors(key):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=content)
        return f"s3://{self.bucket}/{key}"

    def create(self, content: bytes, key: str) -> bool:
        """Writes an object unless the key is there already, which the store itself decides; tells whether it did."""
        return self._succeeds(_THERE, self._client.put_object, key, Body=content, IfNoneMatch="*")

    def listed(self, prefix: str, bucket: str | None = None) -> list[Listed]:
        """The objects of the bucket, or of another, whose keys begin so, in the order of their keys."""
        items: list[Listed] = []
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket or self.bucket, Prefix=prefix)
        with self._errors(prefix, bucket):
            for page in pages:
                items += [Listed(each["Key"], each["Size"], each["LastModified"]) for each in page.get("Contents", [])]
        return sorted(items, key=lambda each: each.key)

    def copy(self, key: str, to: str) -> None:
        """Copies one of the bucket's objects to another key, within the store."""
        with self._errors(key):
            self._client.copy({"Bucket": self.bucket, "Key": key}, self.bucket, to)

    def delete(self, key: str) -> None:
        """Removes an object; one that is gone already is no error."""
        with self._errors(key):
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def read(self, key: str) -> bytes:
        """The bytes of one of the bucket's objects; `UnreadableData` for no such key, `StoreDown` where S3 is away."""
        with self._errors(key):
            return self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def _succeeds(self, codes: tuple[str, ...], call: Callable[..., Any], key: str, **arguments: Any) -> bool:
        """Makes a call about one of the bucket's objects; False where the store answers with one of these codes."""
        from botocore.exceptions import ClientError

        with self._errors(key):
            try:
                call(Bucket=self.bucket, Key=key, **arguments)
            except ClientError as error:
                if code_of(error) in codes:
                    return False
                raise
            return True

    @contextmanager
    def _errors(self, key: str, bucket: str | None = None) -> Iterator[None]:
        """Turns boto3's errors into ours."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        where = f"s3://{bucket or self.bucket}/{key}"
        try:
            yield
        except (ClientError, BotoCoreError, Boto3Error) as error:
            code = code_of(error)
            if code in _GONE:
                cure = "clear load_data_task and what follows it" if key.startswith("runs/") else PUT_IT_THERE
                raise UnreadableData(f"{where} does not exist: {cure}") from error
            # boto3 wraps what went wrong with an upload.
            cause = error.__context__ if isinstance(error, Boto3Error) and error.__context__ else error
            refused = refusal(cause)
            if refused:
                raise Misconfigured(f"{self._endpoint} refused {where}: {refused}") from error
            if code:
                raise StoreDown(f"{self._endpoint} failed at {where} ({code}): see the store's log") from error
            reason = one_line(error, limit=None)
            raise StoreDown(f"{self._endpoint} does not answer for {where} ({reason}): is the store up?") from error


def sha256_of(path: Path) -> str:
    """The sha256 of a local file, in hexadecimal digits; `UnreadableData` where it cannot be read."""
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise UnreadableData(
            f"{path} cannot be read ({error.strerror}): name an existing file, or allow reading it"
        ) from error


def key_name(path: Path) -> str:
    """The name of a local file or folder, as part of a key."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.name) or "data"
