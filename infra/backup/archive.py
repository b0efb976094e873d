"""The backup file: a compressed tar whose last member, the manifest, has the sha256 of every other.

Members are `trackyard-backup.json` (what this is), `databases/*.sql`, `keys.json`, `tokens.json`, `objects/*` and
`manifest.json`, whose seals tell whether somebody changed it (`infra.backup.sealing`). The file is written under a
temporary name and moved into place, so that it appears whole or not at all.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from ml.errors import BadInput, PipelineError

FORMAT = 1
HEADER = "trackyard-backup.json"
KEYS = "keys.json"
MANIFEST = "manifest.json"
_PIECE = 2**20
_MAX_JSON = 2**30
_NO_BACKUP = "{} is not a Trackyard backup: name a file that 'trackyard backup' made"


class ArchiveWriter:
    """Writes members one after the other, first `header`, and remembers the size and sha256 of each."""

    def __init__(self, raw: IO[bytes], header: dict[str, Any]) -> None:
        self.members: dict[str, dict[str, Any]] = {}
        # Level 1: most objects are compressed already, and the dumps shrink to a tenth at any level.
        self._gzip = gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=raw)
        self._tar = tarfile.TarFile(fileobj=self._gzip, mode="w")
        self.add_json(HEADER, {"format": FORMAT, **header})

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(self, *error: object) -> None:
        # Without `finish` it failed, and the file is not kept; left open, the compressor would complain at the exit.
        with suppress(OSError, ValueError):
            self._gzip.close()

    def add(self, name: str, stream: IO[bytes]) -> str:
        """Adds the whole content of a stream that can seek, and returns its sha256."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = stream.seek(0, io.SEEK_END), 0o600
        stream.seek(0)
        sha256 = hashlib.file_digest(cast(io.BufferedReader, stream), "sha256").hexdigest()
        stream.seek(0)
        self._tar.addfile(info, stream)
        self.members[name] = {"size": info.size, "sha256": sha256}
        return sha256

    def add_json(self, name: str, value: Any) -> None:
        """Adds plain values."""
        self.add(name, io.BytesIO(json.dumps(value, separators=(",", ":")).encode()))

    def finish(self, manifest: dict[str, Any], seal: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Adds the manifest, with every member and the seals that `seal` gives the whole, and ends the archive."""
        whole = {"format": FORMAT, **manifest, "members": dict(self.members)}
        self.add_json(MANIFEST, {**whole, "seals": seal(whole)})
        self._tar.close()
        self._gzip.close()


class _Passing(io.RawIOBase):
    """A member as a stream that cannot seek: tarfile's own fails when it is asked whether it can."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream = stream
        self._path = path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with readable(self._path):
            piece = self._stream.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name, with mode 0600, when the block ends well; else nothing is left.

    Raises:
        PipelineError: It cannot be written; a full disk is named.
        BadInput: Another process writes it now.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "r+b") as handle:
            _lock(handle, path)
            try:
                # What a backup that was killed left under this name is written over, and loses the mode that it had.
                os.fchmod(handle.fileno(), 0o600)
                handle.truncate()
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
                partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise PipelineError(
            f"{path} could not be written ({error.strerror or error}): nothing is left of it; "
            "free some space or name another place"
        ) from error


def _lock(handle: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BadInput(f"another backup writes {path} now: wait for it, or name another file") from None


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what a damaged file makes the libraries raise into one line."""
    damaged = f"{path} is damaged: nothing was restored; take another copy of it, or an older backup"
    try:
        yield
    except gzip.BadGzipFile as error:
        # The first bytes tell what it is; a wrong checksum at the end comes as the same error.
        wrong = "Not a gzipped" in str(error)
        raise BadInput(_NO_BACKUP.format(path) if wrong else damaged) from error
    except EOFError as error:
        raise BadInput(f"{path} is cut short: nothing was restored; take another copy of it") from error
    except (zlib.error, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise BadInput(damaged) from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror or error}): name an existing backup") from error


def members_of(path: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Each member's name, size and content, in order; each must be read before the next is asked for.

    Raises:
        BadInput: The file cannot be read, or is damaged; also while a member is read.
    """
    with readable(path), path.open("rb") as raw, gzip.GzipFile(fileobj=raw) as unzipped:
        with tarfile.open(fileobj=unzipped, mode="r|") as tar:
            for info in tar:
                content = tar.extractfile(info)
                if content is None:
                    raise tarfile.ReadError(f"{info.name} is no file")
                yield info.name, info.size, cast(IO[bytes], io.BufferedReader(_Passing(content, path)))
        # The checksum of the whole stands at the very end.
        while unzipped.read(_PIECE):
            pass


def check(path: Path) -> dict[str, Any]:
    """Reads the whole file, compares every member with the manifest, and returns the JSON members' values by name.

    Raises:
        BadInput: It is no backup, of a newer format, cut short or damaged.
    """
    with readable(path):
        members: dict[str, dict[str, Any]] = {}
        values: dict[str, Any] = {}
        for name, size, content in members_of(path):
            if not members and name != HEADER:
                raise BadInput(_NO_BACKUP.format(path))
            if name in members:
                # Whoever reads it might take the other one.
                raise ValueError("a member is there twice")
            if name.endswith(".json"):
                text = content.read(_MAX_JSON)
                values[name] = json.loads(text)
                sha256 = hashlib.sha256(text).hexdigest()
            else:
                sha256 = hashlib.file_digest(cast(io.BufferedReader, content), "sha256").hexdigest()
            members[name] = {"size": size, "sha256": sha256}
            if name == HEADER:
                _refuse_newer(path, values[HEADER])
        if MANIFEST not in members:
            raise EOFError
        del members[MANIFEST]
        if members != values[MANIFEST]["members"]:
            raise ValueError("a member is not what the manifest says")
        return values


def _refuse_newer(path: Path, header: dict[str, Any]) -> None:
    if header["format"] > FORMAT:
        raise BadInput(
            f"{path} has format {header['format']} and this version reads up to {FORMAT}: "
            f"restore it with Trackyard {header.get('trackyard', 'of its time')} or newer"
        )
