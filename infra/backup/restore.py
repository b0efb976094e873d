"""Restores a backup: everything is checked and filled beside what is there, and then takes its place in one step.

Until that step the old state is untouched, and a failure takes back what was written. After it the old state is gone
from sight; what is left to do then can be done again by the same command.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from werkzeug.security import generate_password_hash

from infra.backup import archive, contents, databases, objects
from infra.backup.accounts import as_owners
from infra.backup.backup import described
from infra.backup.keys import opened
from infra.backup.sealing import refuse_unsealed
from infra.backup.target import DATABASES, TOKENS, Target
from infra.servers import migrations
from infra.servers.migrations import SCHEMAS
from ml.errors import BadInput, Misconfigured
from serving.web.tokens import Token, tokens_of


@dataclass(frozen=True)
class Doors:
    """What a restore asks of whoever calls it.

    Attributes:
        say: Is told how it goes, in lines.
        trust: Whether a backup may be restored whose seal cannot be checked here.
        may_replace: Is asked, with a description of what is there, whether it may be replaced.
        stop_users: Stops whatever uses the databases and buckets, once it is certain that the restore will begin.
    """

    say: Callable[[str], None]
    trust: bool = False
    may_replace: Callable[[str], bool] = lambda description: False
    stop_users: Callable[[], None] = lambda: None
    sleep: Callable[[float], None] = time.sleep


def restore(target: Target, file: Path, doors: Doors) -> None:
    """Puts the databases and buckets of a backup into a stack, whose databases exist, with or without tables.

    Raises:
        BadInput: The file is no whole backup, or is newer than the installed packages; or the stack is not empty and
            may not be replaced, or is in use.
        Misconfigured: The buckets have other names, or a passphrase is missing.
        Unavailable: A server does not answer.
        PipelineError: A database could not be filled, migrated or exchanged.
        Untrusted: The champion's file is not the one that was recorded.
    """
    doors.say(f"checking {file}")
    manifest, fernet_key, tokens = vetted(file, target.secret, target.passphrase, trust=doors.trust)
    behind = refuse_unfit(manifest, target)
    with as_owners(target.database_url, DATABASES) as owners:
        there = described(counts_there(target, owners))
    if there and not doors.may_replace(there):
        raise BadInput(f"the stack is not empty ({there}): add --force to replace all of it by the backup")
    doors.stop_users()
    databases.refuse_users(target.database_url, DATABASES, doors.sleep)
    leftovers = [name + end for name in DATABASES for end in (databases.NEW, databases.OLD)]
    databases.drop(target.database_url, leftovers)
    written = objects.Restored(target.s3, target.buckets)
    doors.say(f"restoring {described(manifest['counts']) or 'nothing yet'} of {manifest['made_at']}")
    try:
        with as_owners(target.database_url, DATABASES) as owners:
            changed = _fill(target, owners, file, manifest, written)
            _settle(replace(target, database_url=owners), fernet_key, behind, doors)
        databases.refuse_users(target.database_url, DATABASES, doors.sleep)
        databases.swap(target.database_url, DATABASES)
    except BaseException:
        written.take_back()
        databases.drop(target.database_url, [name + databases.NEW for name in DATABASES])
        raise
    _finish(target, file, written, changed)
    target.take_tokens(tokens)
    _verify(target, doors)


def vetted(file: Path, secret: str, passphrase: str, *, trust: bool) -> tuple[dict[str, Any], str, list[Token]]:
    """Reads the whole file; if it may be believed, returns its manifest, Airflow's key, and the service's tokens.

    `secret` is what only this stack knows, empty where there is no stack yet; `passphrase` is empty for none. With
    `trust` it may be a file whose seal cannot be checked here.

    Raises:
        BadInput: It is damaged, was changed, or cannot be checked and is not trusted; or the passphrase is another.
        Misconfigured: The passphrase is missing.
    """
    values = archive.check(file)
    with archive.readable(file):
        key = opened(values[archive.KEYS], passphrase)["airflow_fernet_key"]
        # Older backups have no tokens.
        tokens = tokens_of(values.get(TOKENS, []))
        manifest = values[archive.MANIFEST]
        refuse_unsealed(file, manifest, secret, passphrase, trust=trust)
    return manifest, key, tokens


def refuse_unfit(manifest: Mapping[str, Any], target: Target) -> list[str]:
    """Compares a backup with the installed packages and the target; returns the databases that are older.

    Raises:
        BadInput: A database of it is newer than the installed packages know.
        Misconfigured: The data bucket has another name, which runs have written down.
    """
    behind = []
    for schema in SCHEMAS:
        revision = manifest["revisions"].get(schema.name)
        if revision is None:
            continue
        if revision not in migrations.known_revisions(schema):
            made_with = ", ".join(f"{name} {version}" for name, version in manifest["tools"].items())
            raise BadInput(
                f"the backup is newer than what is installed (database {schema.database}, revision {revision}): "
                f"restore it with the packages that it was made with ({made_with})"
            )
        if revision != migrations.head(schema):
            behind.append(schema.database)
    name = manifest["buckets"]["data"]
    if name != target.data_bucket:
        raise Misconfigured(
            f"the backup's runs name the data bucket {name!r} and this stack's is {target.data_bucket!r}: "
            f"set TRACKYARD_S3_BUCKET to {name!r}"
        )
    return sorted(set(behind))


def counts_there(target: Target, owners: str) -> dict[str, int]:
    """How much a stack holds of what people make, by what it is called; `owners` is its databases' address as them."""
    with ExitStack() as stack:
        cursors = {name: stack.enter_context(databases.connected(owners, name)) for name in DATABASES}
        counts = contents.counts(cursors)
    counts["objects"] = sum(len(objects.sizes(target.s3, bucket)) for bucket in target.buckets.values())
    return counts


def _fill(
    target: Target, owners: str, file: Path, manifest: dict[str, Any], written: objects.Restored
) -> dict[str, dict[str, Any]]:
    """Fills new databases, as their owners, and adds missing objects; returns the entries whose keys others have."""
    entries = {entry["member"]: entry for entry in manifest["objects"]}
    in_the_way = {}
    for name, _, content in archive.members_of(file):
        if name.startswith("databases/"):
            fresh = databases.create_beside(target.database_url, Path(name).stem)
            databases.load(owners, fresh, content)
        elif name in entries and not written.add(entries[name], content):
            in_the_way[name] = entries[name]
    return in_the_way


def _settle(target: Target, fernet_key: str, behind: list[str], doors: Doors) -> None:
    """Makes the new databases this stack's own: its accounts' passwords, its key, its packages' revision."""
    url = target.database_url
    for name in contents.ACCOUNTS:
        with databases.connected(url, name) as cursor:
            hashes = contents.password_hashes(cursor, name)
        if name == "mlflow_auth":
            hashes |= hashed(target.mlflow_passwords)
        with databases.connected(url, name + databases.NEW) as cursor:
            contents.set_password_hashes(cursor, name, hashes)
    with databases.connected(url, "airflow" + databases.NEW) as cursor:
        contents.encrypt_anew(cursor, fernet_key, target.fernet_key)
    with databases.connected(url, "mlflow" + databases.NEW) as cursor:
        contents.forget_webhooks(cursor)
    for name in behind:
        doors.say(f"bringing database {name} up to the installed version")
        migrations.migrate(name, databases.owner_url(url, name + databases.NEW))


def hashed(passwords: Mapping[str, str]) -> dict[str, str]:
    """Passwords as MLflow's accounts keep them."""
    return {name: generate_password_hash(password) for name, password in passwords.items()}


def _finish(target: Target, file: Path, written: objects.Restored, in_the_way: Mapping[str, dict[str, Any]]) -> None:
    """What could not be done without changing the old state: objects with the same key, and those that are too many."""
    if in_the_way:
        for name, _, content in archive.members_of(file):
            if name in in_the_way:
                written.put(in_the_way[name], content)
    written.delete_others()
    databases.drop(target.database_url, [name + databases.OLD for name in DATABASES])


def _verify(target: Target, doors: Doors) -> None:
    with as_owners(target.database_url, DATABASES) as owners, databases.connected(owners, "mlflow") as cursor:
        versions = contents.versions(cursor, target.artifact_bucket)
    objects.verify(target.s3, target.artifact_bucket, versions, doors.say)
