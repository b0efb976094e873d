"""A bucket in memory that does what S3 does, for tests that pass it as an argument."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from ml.data.store import Listed
from ml.errors import UnreadableData


class MemoryStore:
    """The part of `ml.data.store.Store` that decisions, history and gc use."""

    bucket = "trackyard"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.changed: dict[str, datetime] = {}
        self.is_careless = False

    def exists(self, key: str) -> bool:
        return key in self.objects

    def create(self, content: bytes, key: str) -> bool:
        if key in self.objects and not self.is_careless:
            return False
        self.write_bytes(content, key)
        return True

    def write_bytes(self, content: bytes, key: str) -> str:
        self.objects[key] = content
        self.changed[key] = datetime.now(UTC)
        return f"s3://{self.bucket}/{key}"

    def write_json(self, value: Any, key: str) -> str:
        return self.write_bytes(json.dumps(value).encode(), key)

    def write_parquet(self, frame: pd.DataFrame, key: str) -> str:
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return self.write_bytes(buffer.getvalue(), key)

    def read(self, key: str) -> bytes:
        if key not in self.objects:
            raise UnreadableData(f"{key} does not exist")
        return self.objects[key]

    def read_json(self, key: str) -> Any:
        return json.loads(self.read(key))

    def read_parquet(self, key: str) -> pd.DataFrame:
        return pd.read_parquet(io.BytesIO(self.read(key)))

    def read_bytes(self, uri: str, max_bytes: int) -> bytes:
        return self.read(uri.removeprefix(f"s3://{self.bucket}/"))

    def listed(self, prefix: str) -> list[Listed]:
        found = [(key, content) for key, content in sorted(self.objects.items()) if key.startswith(prefix)]
        return [Listed(key, len(content), self.changed[key]) for key, content in found]

    def copy(self, key: str, to: str) -> None:
        self.write_bytes(self.objects[key], to)

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)
