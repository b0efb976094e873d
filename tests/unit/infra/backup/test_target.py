"""The servers elsewhere that variables name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from infra.backup.target import TOKENS, Target
from ml.errors import Misconfigured
from serving.web.tokens import TokenFile

ENVIRON = {
    "TRACKYARD_BACKUP_DATABASE_URL": "postgresql://postgres:hidden@db:5432/postgres",
    "AIRFLOW__CORE__FERNET_KEY": "hidden-key",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "hidden-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "TRACKYARD_S3_ENDPOINT": "http://s3:9000",
}


def test_buckets_have_the_names_of_the_embedded_stack_by_default() -> None:
    assert Target.from_env(ENVIRON).buckets == {"data": "trackyard", "artifacts": "mlflow"}
    named = Target.from_env({**ENVIRON, "TRACKYARD_S3_BUCKET": "d", "TRACKYARD_ARTIFACT_BUCKET": "a"})
    assert named.buckets == {"data": "d", "artifacts": "a"}


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Misconfigured, match="AIRFLOW__CORE__FERNET_KEY, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"):
        Target.from_env({"TRACKYARD_BACKUP_DATABASE_URL": "postgresql://db"})


def test_tokens_of_a_backup_are_added_and_a_revoked_one_stays_revoked(tmp_path: Path) -> None:
    theirs, ours = TokenFile(tmp_path / "theirs" / TOKENS), TokenFile(tmp_path / "ours" / TOKENS)
    first = theirs.create("first", ["read"])
    second = theirs.create("second", ["predict"])
    target = replace(Target.from_env(ENVIRON), serving_dir=tmp_path / "ours")
    target.take_tokens(theirs.tokens())
    own = ours.create("own", ["read"])
    ours.revoke(first.split("_")[1])
    theirs.revoke(second.split("_")[1])

    target.take_tokens(theirs.tokens())

    assert [token.note for token in ours.tokens()] == ["first", "second", "own"]
    assert [bool(ours.check(token)) for token in (first, second, own)] == [False, False, True]
    replace(target, serving_dir=None).take_tokens(theirs.tokens())
    assert replace(target, serving_dir=None).tokens() == []


def test_no_secret_is_in_its_repr() -> None:
    assert "hidden" not in repr(Target.from_env(ENVIRON))
