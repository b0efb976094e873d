"""The account for a while, on a real server: what it may, and that it goes."""

from __future__ import annotations

import pytest

from infra.backup import accounts, databases
from infra.backup.target import DATABASES, Target
from infra.stack.info import StackInfo
from ml.errors import Misconfigured


def test_the_account_for_a_while_may_what_the_owners_may_and_is_gone_afterwards(filled: Target) -> None:
    look = "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)"
    with databases.connected(filled.database_url) as cursor:
        cursor.execute(f"CREATE ROLE {accounts.PREFIX}stale VALID UNTIL '2020-01-01'")

        with accounts.as_owners(filled.database_url, DATABASES) as url, databases.connected(url, "mlflow") as owners:
            cursor.execute(look, (accounts.PREFIX,))
            [(name,)] = cursor.fetchall()
            assert not name.endswith("stale")
            owners.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
            assert owners.fetchone() == (name, False)
            owners.execute("SELECT count(*) FROM runs")
            # No superuser: used as it is.
            with accounts.as_owners(url, DATABASES) as same:
                assert same == url

        cursor.execute(look, (accounts.PREFIX,))
        assert cursor.fetchall() == []


def test_the_account_for_a_while_is_gone_after_a_failure_too_and_there_is_none_without_the_databases(
    stores: StackInfo,
) -> None:
    url = Target.of_plan(stores.plan).database_url
    with databases.connected(url) as cursor:
        with pytest.raises(ZeroDivisionError), accounts.as_owners(url, ["mlflow"]):
            raise ZeroDivisionError
        with pytest.raises(Misconfigured, match="there is no database 'none'"), accounts.as_owners(url, ["none"]):
            pass

        cursor.execute("SELECT count(*) FROM pg_roles WHERE starts_with(rolname, %s)", (accounts.PREFIX,))
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("postgresql://postgres:old@db:5432/postgres?sslmode=require", "postgresql://n%40w:p%2Fw@db:5432/postgres?sslmode=require"),
        ("postgresql://db/x?user=postgres&password=old", "postgresql://n%40w:p%2Fw@db/x"),
        ("postgresql://a:b%40c@[::1]:1/x", "postgresql://n%40w:p%2Fw@[::1]:1/x"),
    ],
)  # fmt: skip
def test_an_address_with_another_account_keeps_nothing_of_the_one_before(url: str, other: str) -> None:
    assert accounts.with_account(url, "n@w", "p/w") == other
