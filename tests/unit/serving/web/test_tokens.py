"""Tokens: made once, kept as hashes, revoked at once."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ml.errors import BadInput, Misconfigured
from serving.web.tokens import TokenFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "tokens.json"


def test_a_token_is_known_and_its_secret_is_not_kept(path: Path) -> None:
    file = TokenFile(path)
    token = file.create("ada", ["predict", "read"])

    found = file.check(token)

    assert found
    assert (found.note, found.scopes) == ("ada", ("read", "predict"))
    assert token.split("_", 2)[2] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("given", ["", "ty", "ty__", "ty_00000000_x", "xx_{}_{}", "ty_{}_wrong", "ty_{}_\ud800", "_{}"])
def test_what_is_no_token_is_refused(path: Path, given: str) -> None:
    file = TokenFile(path)
    _, token_id, secret = file.create("ada", ["read"]).split("_", 2)

    assert (
        file.check(given.format(token_id, secret) if given.count("{}") == 2 else given.replace("{}", token_id)) is None
    )


def test_another_process_sees_a_new_token_and_a_revocation_at_once(path: Path) -> None:
    file = TokenFile(path)
    assert file.tokens() == []
    code = f"from serving.web.tokens import TokenFile; from pathlib import Path; f = TokenFile(Path({str(path)!r}));"
    made = subprocess.run(
        [sys.executable, "-c", code + "print(f.create('other', ['read']))"], capture_output=True, text=True, check=True
    ).stdout.strip()

    assert file.check(made)
    subprocess.run([sys.executable, "-c", code + f"f.revoke({made.split('_')[1]!r})"], check=True)
    assert file.check(made) is None
    assert file.tokens()[0].revoked_at


def test_revoking_twice_changes_nothing_and_an_unknown_one_is_named(path: Path) -> None:
    file = TokenFile(path)
    token_id = file.create("ada", ["read"]).split("_")[1]

    assert file.revoke(token_id) == file.revoke(token_id)
    with pytest.raises(BadInput, match="nothing"):
        file.revoke("nothing")


@pytest.mark.parametrize("scopes", [[], ["write"], ["read", "admin"]])
def test_a_scope_that_there_is_not_is_named(path: Path, scopes: list[str]) -> None:
    with pytest.raises(BadInput, match="scope"):
        TokenFile(path).create("ada", scopes)


_KEPT = {"token_id": "a", "note": "x", "scopes": ["read"], "sha256": "0", "created_at": "x", "revoked_at": None}
_WRONG = ({"more": 1}, {"sha256": 5}, {"scopes": "read"}, {"scopes": 5}, {"token_id": []})


@pytest.mark.parametrize(
    "damaged",
    ["{", "", "5", "[5]", '{"a": 1}', "[[]]", "null", "[" * 100_000, *(json.dumps([_KEPT | one]) for one in _WRONG)],
)
def test_a_damaged_file_is_an_error_that_says_what_to_do(path: Path, damaged: str) -> None:
    path.parent.mkdir()
    path.write_text(damaged)

    with pytest.raises(Misconfigured, match=f"{path}.*make new tokens"):
        TokenFile(path).check("ty_a_b")


def test_a_file_that_may_not_be_looked_at_is_an_error_too(path: Path) -> None:
    path.parent.write_text("no folder")

    with pytest.raises(Misconfigured, match=str(path)):
        TokenFile(path).check("ty_a_b")
