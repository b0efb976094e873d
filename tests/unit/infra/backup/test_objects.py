"""Objects: new ones at once, others only in the end, and nothing half-read passed on."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, IncompleteReadError

from infra.backup import objects
from infra.backup.contents import Version
from ml.errors import Misconfigured, StoreDown, Untrusted


class _Body:
    def __init__(self, content: bytes, breaks: bool) -> None:
        self._content = content
        self._breaks = breaks

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        yield self._content[:2]
        if self._breaks:
            raise IncompleteReadError(actual_bytes=2, expected_bytes=len(self._content))
        yield self._content[2:]


class _Store:
    """An S3 client that keeps its objects in a dict, and whose first answers break off."""

    def __init__(self, content: dict[str, bytes], breaks: int = 0) -> None:
        self.content = dict(content)
        self.breaks = breaks

    def get_paginator(self, name: str) -> Any:
        assert name == "list_objects_v2"
        return self

    def paginate(self, Bucket: str) -> list[dict[str, Any]]:
        return [{"Contents": [{"Key": key, "Size": len(value)} for key, value in self.content.items()]}]

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        if Key not in self.content:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        self.breaks -= 1
        return {"Body": _Body(self.content[Key], self.breaks >= 0), "ContentType": "text/plain", "Metadata": {"a": "b"}}

    def upload_fileobj(self, content: Any, bucket: str, key: str, ExtraArgs: Any) -> None:
        self.content[key] = content.read()

    def delete_object(self, Bucket: str, Key: str) -> None:
        del self.content[Key]


def _entry(key: str, content: bytes) -> dict[str, Any]:
    sha256 = hashlib.sha256(content).hexdigest()
    return {"role": "data", "key": key, "size": len(content), "sha256": sha256, "type": "", "metadata": {}}


def _restored(store: Any) -> objects.Restored:
    return objects.Restored(store, {"data": "trackyard"})


def test_an_answer_that_breaks_off_is_read_anew() -> None:
    store: Any = _Store({"key": b"content"}, breaks=2)

    with objects.fetched(store, "trackyard", "key") as answer:
        assert answer
        assert answer[0].read() == b"content"
        assert answer[1] == {"size": 7, "type": "text/plain", "metadata": {"a": "b"}}


def test_an_object_that_is_gone_is_none() -> None:
    store: Any = _Store({})

    assert objects.sha256_of(store, "trackyard", "key") is None


def test_folders_and_health_checks_are_no_objects() -> None:
    store: Any = _Store({"runs/": b"", "health/1": b"x", "runs/1": b"y"})

    assert objects.sizes(store, "trackyard") == {"runs/1": 1}


def test_a_key_that_is_taken_stays_until_the_end() -> None:
    store: Any = _Store({"same": b"same", "other": b"old", "extra": b"extra"})
    restored = _restored(store)

    assert restored.add(_entry("same", b"same"), io.BytesIO(b"same"))
    assert not restored.add(_entry("other", b"new"), io.BytesIO(b"new"))
    assert restored.add(_entry("fresh", b"fresh"), io.BytesIO(b"fresh"))
    assert store.content == {"same": b"same", "other": b"old", "extra": b"extra", "fresh": b"fresh"}

    restored.put(_entry("other", b"new"), io.BytesIO(b"new"))
    restored.delete_others()
    assert store.content == {"same": b"same", "other": b"new", "fresh": b"fresh"}


def test_what_was_added_can_be_taken_back() -> None:
    store: Any = _Store({"old": b"old"})
    restored = _restored(store)
    restored.add(_entry("fresh", b"fresh"), io.BytesIO(b"fresh"))

    restored.take_back()

    assert store.content == {"old": b"old"}


def test_the_champions_file_is_read_back() -> None:
    store: Any = _Store({"key": b"model"})
    said: list[str] = []
    right = Version("ad-click", 2, hashlib.sha256(b"model").hexdigest(), "key", is_champion=True)

    objects.verify(store, "mlflow", [right], said.append)

    assert "ad-click version 2 is there" in said[0]
    with pytest.raises(Untrusted, match="ad-click version 3"):
        objects.verify(store, "mlflow", [Version("ad-click", 3, "0" * 64, "key", is_champion=True)], said.append)


def test_a_store_that_refuses_the_keys_is_no_outage() -> None:
    refused = ClientError({"Error": {"Code": "SignatureDoesNotMatch"}}, "ListObjectsV2")

    with pytest.raises(Misconfigured, match=r"refused bucket 'mlflow'.*check the S3 keys"), objects.answering("mlflow"):
        raise refused
    with pytest.raises(StoreDown, match="is it up"), objects.answering("mlflow"):
        raise ClientError({"Error": {"Code": "InternalError"}}, "ListObjectsV2")
