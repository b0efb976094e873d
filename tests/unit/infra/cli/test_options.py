"""The options that several commands have, as they are typed and as a command gets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from infra.cli import options


def _given(*arguments: str) -> dict[str, Any]:
    """What a command with all of them gets."""
    found: dict[str, Any] = {}
    app = typer.Typer()

    @app.command()
    def command(
        file: options.DataFile,
        model: options.Model = None,
        data: options.DataSource = None,
        config: options.ConfigFile = None,
        assignments: options.Assignments = None,
        conditions: options.Conditions = None,
        as_json: options.Json = False,
    ) -> None:
        found.update(
            file=file, model=model, data=data, config=config, set=assignments, where=conditions, as_json=as_json
        )

    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return found


def test_what_may_be_repeated_is_kept_in_order_and_an_address_stays_text() -> None:
    twice = ["--set", "a=1", "--set", "b=2", "--where", "f1>0.9", "--where", "state=success"]

    found = _given("in.csv", "--model", "own", "--data", "s3://b/x.csv", "--config", "own.yaml", *twice, "--json")

    assert found == {
        "file": Path("in.csv"), "model": "own", "data": "s3://b/x.csv", "config": Path("own.yaml"),
        "set": ["a=1", "b=2"], "where": ["f1>0.9", "state=success"], "as_json": True,
    }  # fmt: skip


def test_nothing_is_said_where_nothing_is_given() -> None:
    found = _given("in.csv")

    assert not any(value for name, value in found.items() if name != "file")
    assert found["as_json"] is False
