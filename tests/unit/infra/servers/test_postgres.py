"""The databases."""

from __future__ import annotations

from infra.credentials import Credentials
from infra.servers import postgres


def test_every_database_has_an_owner_with_a_password() -> None:
    secret = Credentials()

    urls = {postgres.url(1, database, secret) for database in postgres.DATABASES}

    assert len(urls) == len(postgres.DATABASES)
