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
MANIFEST = "manifest.json"
_PIECE = 2**20
_MAX_JSON = 2**30
_NO_BACKUP = "{} is not a Trackyard backup: name a file that 'trackyard backup' made"


class ArchiveWriter:
    """Writes members one after the other and remembers the size and sha256 of each.

    Args:
        raw: The file to write to.
        header: What the first member says of the archive.
    """

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

    def add(self, name: str, stream: IO[bytes], size: int) -> str:
        """Adds a member of `size` bytes and returns its sha256."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        hashing = _Hashing(stream)
        self._tar.addfile(info, hashing)
        self.members[name] = {"size": size, "sha256": hashing.digest.hexdigest()}
        return hashing.digest.hexdigest()

    def add_json(self, name: str, value: Any) -> None:
        """Adds plain values."""
        content = json.dumps(value, separators=(",", ":")).encode()
        self.add(name, io.BytesIO(content), len(content))

    def finish(self, manifest: dict[str, Any], seal: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Adds the manifest and ends the archive.

        Args:
            manifest: What is in the archive; its members are added.
            seal: Gives the seals of the whole manifest.
        """
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


class _Hashing(io.RawIOBase):
    """Passes a stream on and hashes what passes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        self.digest.update(piece)
        return piece


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
    """Reads the whole file, compares every member with the manifest, and returns the manifest.

    Raises:
        BadInput: It is no backup, of a newer format, cut short or damaged.
    """
    with readable(path):
        found: dict[str, dict[str, Any]] = {}
        manifest: dict[str, Any] | None = None
        for name, size, content in members_of(path):
            if name in found:
                # Whoever reads it might take the other one.
                raise ValueError("a member is there twice")
            whole = io.BytesIO(content.read(_MAX_JSON)) if name in (HEADER, MANIFEST) else None
            if not found:
                _check_header(path, name, whole)
            if name == MANIFEST and whole:
                manifest = json.load(whole)
            else:
                digest = hashlib.file_digest(cast(io.BufferedReader, whole or content), "sha256").hexdigest()
                found[name] = {"size": size, "sha256": digest}
        if manifest is None:
            raise EOFError
        if found != manifest["members"]:
            raise ValueError("a member is not what the manifest says")
        return manifest


def _check_header(path: Path, name: str, content: IO[bytes] | None) -> None:
    if name != HEADER or content is None:
        raise BadInput(_NO_BACKUP.format(path))
    found = json.load(content)
    content.seek(0)
    if found["format"] > FORMAT:
        raise BadInput(
            f"{path} has format {found['format']} and this version reads up to {FORMAT}: "
            f"restore it with Trackyard {found.get('trackyard', 'of its time')} or newer"
        )
