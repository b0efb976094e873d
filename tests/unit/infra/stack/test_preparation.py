"""What is done before a part is started."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from infra.stack.plan import Plan
from infra.stack.preparation import StackError, init_airflow, init_mlflow
from tests.support import plan_of


def test_the_set_up_of_airflow_ends_with_the_time_of_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(tmp_path)
    plan = replace(plan, settings=replace(plan.settings, start_timeout_s=7))
    plan.settings.log_dir.mkdir(parents=True)
    monkeypatch.setattr(Plan, "python", lambda self, *module: ["sh", "-c", "echo migrating; exec sleep 60"])

    with pytest.raises(StackError, match=r"within 7 s.*TRACKYARD_START_TIMEOUT_S") as caught:
        init_airflow(plan, 0.5)

    assert caught.value.hint == ["  migrating"]


def test_a_migration_that_was_done_for_this_version_is_not_looked_for_again(tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "migrated").write_text(f"mlflow {version('mlflow')}")

    # Nobody listens there: a look at the database would raise.
    init_mlflow(plan_of(tmp_path), 1)
