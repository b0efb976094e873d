"""The tokens of those who may ask the service: made, listed, revoked, and checked. Effects: one private file.

A token is `ty_<id>_<secret>`. The file keeps the sha256 of the secret, which is 256 random bits: nobody can guess one
from its hash, so a slow hash or a pepper would protect nothing more. Each check looks at the file's time, so that what
is revoked is revoked in every process at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml.errors import BadInput, Misconfigured

SCOPES = ("read", "predict", "operate")
"""What a token may allow: the pages and what they tell, predictions, and to make the service look at MLflow now."""
_PREFIX = "ty"
_NOBODY = "0" * 64


@dataclass(frozen=True)
class Token:
    """What is kept of a token.

    Attributes:
        token_id: Its name in lists and in logs.
        note: Whose it is.
        scopes: What it allows.
        sha256: Of its secret.
        created_at: ISO 8601 in UTC.
        revoked_at: The same, or None while it is good.
    """

    token_id: str
    note: str
    scopes: tuple[str, ...]
    sha256: str
    created_at: str
    revoked_at: str | None = None


class TokenFile:
    """The tokens in a file that only its owner can read; made, with its folder, when the first token is."""

    def __init__(self, path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path = path
        self._now = now
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._tokens: dict[str, Token] = {}

    def tokens(self) -> list[Token]:
        """Every token, the oldest first; `Misconfigured` where the file cannot be read."""
        return list(self._current().values())

    def create(self, note: str, scopes: Sequence[str]) -> str:
        """Makes a token and returns it, this once; `BadInput` where a scope is none of `SCOPES`, or there is none."""
        wrong = sorted(set(scopes) - set(SCOPES))
        if wrong or not scopes:
            raise BadInput(f"{', '.join(wrong) or 'nothing'} is no scope: give some of {', '.join(SCOPES)}")
        token_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        kept = tuple(scope for scope in SCOPES if scope in scopes)
        token = Token(token_id, note, kept, _hash(secret), self._now().isoformat(timespec="seconds"))
        with self._changing():
            self._write({**self._current(), token_id: token})
        return f"{_PREFIX}_{token_id}_{secret}"

    def add(self, added: Sequence[Token]) -> None:
        """Adds tokens that were made before, as a backup has them; one that is revoked here or there is revoked."""
        with self._changing():
            tokens = self._current()
            for token in added:
                mine = tokens.get(token.token_id)
                tokens[token.token_id] = mine if mine and mine.revoked_at else token
            self._write(tokens)

    def revoke(self, token_id: str) -> Token:
        """Takes a token back; doing it twice changes nothing; `BadInput` where there is no such token."""
        with self._changing():
            tokens = self._current()
            if token_id not in tokens:
                raise BadInput(f"there is no token {token_id!r}: 'trackyard token list' shows them")
            at = tokens[token_id].revoked_at or self._now().isoformat(timespec="seconds")
            tokens[token_id] = replace(tokens[token_id], revoked_at=at)
            self._write(tokens)
        return tokens[token_id]

    def check(self, given: str) -> Token | None:
        """The token that was given, None where it is unknown, wrong or revoked; compared in constant time."""
        prefix, _, rest = given.partition("_")
        token_id, _, secret = rest.partition("_")
        token = self._current().get(token_id)
        # An unknown id is compared as well, so that the time does not tell which ids there are.
        is_right = hmac.compare_digest(_hash(secret), token.sha256 if token else _NOBODY)
        return token if token and is_right and prefix == _PREFIX and token.revoked_at is None else None

    def _current(self) -> dict[str, Token]:
        with self._lock:
            try:
                stat = self._path.stat()
            except FileNotFoundError:
                self._seen, self._tokens = None, {}
                return {}
            except OSError as error:
                raise Misconfigured(f"{self._path} cannot be read: {error.strerror}") from error
            mark = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if mark != self._seen:
                self._tokens, self._seen = self._read(), mark
            return dict(self._tokens)

    def _read(self) -> dict[str, Token]:
        try:
            tokens = tokens_of(json.loads(self._path.read_text()))
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            why = error.strerror if isinstance(error, OSError) else f"it is damaged ({error})"
            raise Misconfigured(f"{self._path} cannot be read: {why}; delete it and make new tokens") from error
        return {token.token_id: token for token in tokens}

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Lets one process at a time read, change and write."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._path.with_name(f".{self._path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, tokens: dict[str, Token]) -> None:
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        text = json.dumps([asdict(token) for token in tokens.values()], indent=1)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
            handle.write(text)
        temporary.replace(self._path)


def tokens_of(kept: Sequence[dict[str, Any]]) -> list[Token]:
    """Tokens of a file's values; TypeError, KeyError or ValueError where they are not what `asdict` made of tokens."""
    tokens = [Token(**{**one, "scopes": tuple(one["scopes"])}) for one in kept]
    for one, token in zip(kept, tokens, strict=True):
        texts = (token.token_id, token.note, token.sha256, token.created_at, token.revoked_at or "", *token.scopes)
        if not all(isinstance(text, str) for text in texts) or isinstance(one["scopes"], str):
            raise ValueError("a token has something else than texts in it")
    return tokens


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
