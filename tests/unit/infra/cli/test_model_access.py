"""The model that a command is about, and its history; over a real MLflow store and a bucket in memory."""

from __future__ import annotations

import json

import pytest

from ml.data.store import Listed
from ml.errors import Misconfigured, StoreDown


def test_an_unknown_model_names_the_known_ones(registry, versions) -> None:
    assert "there is none yet" in registry("promote", "1").stderr

    versions(1)

    assert "there are ad-click" in registry("promote", "1", "--model", "other").stderr


def test_listing_models_notices_what_was_moved_by_hand(registry, versions) -> None:
    versions(2)
    registry("promote", "1")
    registry.tracker.set_registered_model_alias("ad-click", "champion", "2")

    registry("models")

    assert len(registry.store.listed("history/ad-click@")) == 2


@pytest.mark.parametrize(
    "arguments", [["history"], ["champion"], ["lineage", "1"], ["reproduce", "1"], ["promote", "1"], ["rollback"]],
    ids=" ".join,
)  # fmt: skip
def test_a_model_that_is_not_there_is_refused_by_every_command_about_one(
    registry, versions, arguments: list[str]
) -> None:
    versions(1)
    registry.tracker.create_registered_model("b")

    result = registry(*arguments, "--model", "other")

    assert result.exit_code == 2
    assert result.stderr == "trackyard: no model is called 'other': there are ad-click, b\n"


@pytest.mark.parametrize("error", [StoreDown("away"), Misconfigured("the keys are wrong")])
def test_a_store_that_cannot_take_the_history_is_no_reason_to_list_nothing(
    registry, versions, error: Exception
) -> None:
    versions(1)
    registry.tracker.set_registered_model_alias("ad-click", "champion", "1")

    def refuse(prefix: str) -> list[Listed]:
        raise error

    registry.store.listed = refuse
    result = registry("models", "--json")

    assert result.exit_code == 0
    assert [row["aliases"] for row in json.loads(result.stdout)] == [["champion"]]
