"""Makes a backup: the databases' snapshots first, then the objects, then the proof that they fit together.

Objects are never changed under their key once a database names them, and are written before they are named. So objects
copied after the snapshot hold all that the snapshot names, unless something was deleted meanwhile; the end looks for
that and fails.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from infra.backup import contents, databases, objects
from infra.backup.accounts import as_owners
from infra.backup.archive import KEYS, ArchiveWriter, new_file
from infra.backup.keys import sealed
from infra.backup.sealing import seals
from infra.backup.target import DATABASES, TOKENS, Target
from ml.errors import BadInput, Misconfigured

_LEAVE_OUT = {"airflow": ("public.session", "public.connection_test_request")}
"""Rows that are worth nothing elsewhere: the logins of browsers, and tries of connections."""


def backup(target: Target, file: Path, say: Callable[[str], None], *, force: bool = False) -> None:
    """Writes a stack's databases and buckets to one file while the stack goes on working.

    The file appears whole, with mode 0600, or not at all; with `force` it may replace another. `say` is told of it in
    lines.

    Raises:
        BadInput: The file is there already, or is no place for a file.
        Unavailable: A server does not answer.
        PipelineError: A version's file is missing or differs, or the file could not be written.
    """
    refuse_place(file, force=force)
    begin = datetime.now(UTC).isoformat(timespec="seconds")
    header = {"trackyard": version("trackyard"), "made_at": begin}
    with new_file(file) as raw, ArchiveWriter(raw, header) as writer:
        manifest, versions = _add_databases(target, file.parent, writer, say)
        writer.add_json(KEYS, sealed({"airflow_fernet_key": target.fernet_key}, target.passphrase))
        writer.add_json(TOKENS, [asdict(token) for token in target.tokens()])
        entries = _add_objects(target, file.parent, writer, say)
        files = {entry["key"]: entry["sha256"] for entry in entries if entry["role"] == "artifacts"}
        silent = contents.refuse_missing(versions, files)
        if silent:
            say(f"{silent} versions say nothing about their file's sha256: they are in the backup, unchecked")
        manifest |= {
            "made_at": begin,
            "buckets": target.buckets,
            "objects": entries,
            "versions": [asdict(one) for one in versions],
        }
        manifest["counts"]["objects"] = len(entries)
        writer.finish(manifest, lambda whole: seals(whole, target.secret, target.passphrase))
    size_mb = file.stat().st_size / 2**20
    say(f"{file} is written and checked: {described(manifest['counts']) or 'nothing yet'}, {size_mb:.1f} MB")


def refuse_place(file: Path, *, force: bool) -> None:
    """Refuses, by `BadInput`, a place where no file can be made, or where one is that may not be replaced."""
    if not file.parent.is_dir():
        raise BadInput(f"there is no folder {file.parent}: make it, or name another file")
    if file.is_dir() or (file.exists() and not force):
        raise BadInput(f"{file} is there already: name another file, or add --force to replace it")


def described(counts: dict[str, int]) -> str:
    """What is in a backup or a stack, for people; empty where there is nothing.

    >>> described({"DAG runs": 2, "variables": 0, "objects": 31})
    '2 DAG runs, 31 objects'
    """
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def _add_databases(
    target: Target, folder: Path, writer: ArchiveWriter, say: Callable[[str], None]
) -> tuple[dict[str, Any], list[contents.Version]]:
    """Dumps every database; what the manifest says of them is read from the very snapshots that are dumped."""
    with ExitStack() as stack:
        url = stack.enter_context(as_owners(target.database_url, DATABASES))
        snapshots = {name: stack.enter_context(databases.snapshot(url, name)) for name in DATABASES}
        cursors = {name: cursor for name, (cursor, _) in snapshots.items()}
        revisions = contents.revisions(cursors)
        if revisions["airflow"] is None or revisions["mlflow"] is None:
            raise Misconfigured(
                "the databases are empty: there is nothing to back up before the stack was started once"
            )
        for name, (_, snapshot_id) in snapshots.items():
            say(f"database {name}")
            with tempfile.TemporaryFile(dir=folder) as dumped:
                databases.dump(url, name, snapshot_id, dumped, _LEAVE_OUT.get(name, ()))
                writer.add(f"databases/{name}.sql", dumped)
        manifest = {"tools": _tools(target), "revisions": revisions, "counts": contents.counts(cursors)}
        return manifest, contents.versions(cursors["mlflow"], target.artifact_bucket)


def _add_objects(
    target: Target, folder: Path, writer: ArchiveWriter, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for role, bucket in target.buckets.items():
        keys = sorted(objects.sizes(target.s3, bucket))
        say(f"bucket {bucket}: {len(keys)} objects")
        for key in keys:
            with objects.fetched(target.s3, bucket, key, folder) as answer:
                if answer is None:
                    # It was deleted after it was listed. If a version needs it, the comparison at the end says so.
                    continue
                content, about = answer
                member = f"objects/{len(entries) + 1:08d}"
                sha256 = writer.add(member, content)
                entries.append({"member": member, "role": role, "key": key, "sha256": sha256, **about})
    return entries


def _tools(target: Target) -> dict[str, str]:
    packages = ("trackyard", "apache-airflow-core", "apache-airflow-providers-fab", "mlflow", "scikit-learn", "skops")
    return {
        **{name: version(name) for name in packages},
        "python": platform.python_version(),
        "postgresql": str(databases.major_version(target.database_url)),
    }
