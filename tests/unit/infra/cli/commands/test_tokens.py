"""token create, list and revoke: no stack has to run for them."""

from __future__ import annotations

import json
from pathlib import Path

from serving.web.tokens import TokenFile


def test_a_token_is_made_listed_without_its_secret_and_revoked(bare) -> None:
    made = bare("token", "create", "ada", "--scope", "predict")
    token = made.stdout.strip()
    listed = json.loads(bare("token", "list", "--json").stdout)

    assert made.exit_code == 0, made.stderr
    assert [(one["note"], one["scopes"], one["revoked_at"]) for one in listed] == [("ada", ["predict"], None)]
    assert token.split("_", 2)[2] not in json.dumps(listed)
    revoked = bare("token", "revoke", listed[0]["id"])
    assert "is revoked" in revoked.stdout
    assert "revoked" in bare("token", "list").stdout


def test_a_container_has_its_tokens_where_its_service_looks(bare, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    bare.environ["TRACKYARD_SERVING_STATE"] = str(folder)

    token = bare("token", "create", "ada").stdout.strip()

    found = TokenFile(folder / "tokens.json").check(token)
    assert found
    assert found.scopes == ("read", "predict")


def test_what_cannot_be_done_is_said(bare) -> None:
    assert "no token yet" in bare("token", "list").stdout
    assert bare("token", "revoke", "nothing").exit_code == 2
    wrong = bare("token", "create", "ada", "--scope", "write")
    assert wrong.exit_code == 2
    assert "no scope" in wrong.stderr
