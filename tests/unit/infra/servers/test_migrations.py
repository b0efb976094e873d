"""Revisions, read from the installed packages without importing them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from infra.servers import migrations


@pytest.mark.parametrize("schema", migrations.SCHEMAS, ids=lambda schema: schema.name)
def test_every_chain_of_revisions_has_one_end(schema: migrations.Schema) -> None:
    known = migrations.known_revisions(schema)
    followed = {before for befores in known.values() for before in befores}

    assert set(known) - followed == {migrations.head(schema)}


def test_the_newest_revisions_are_those_that_the_packages_name() -> None:
    from airflow.utils.db import _REVISION_HEADS_MAP
    from mlflow.store.db.utils import _get_latest_schema_revision

    heads = {schema.name: migrations.head(schema) for schema in migrations.SCHEMAS}
    assert heads["airflow"] == list(_REVISION_HEADS_MAP.values())[-1]
    assert heads["mlflow"] == _get_latest_schema_revision()


def test_reading_them_imports_neither_airflow_nor_mlflow() -> None:
    look = (
        "import sys; from infra.servers import migrations; [migrations.head(schema) for schema in migrations.SCHEMAS];"
        "sys.exit(str({'airflow', 'mlflow'} & set(sys.modules)) if {'airflow', 'mlflow'} & set(sys.modules) else 0)"
    )

    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
