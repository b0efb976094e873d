"""What is done before a part is started, and once it answers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from infra.servers import migrations, postgres
from infra.stack.plan import Plan
from ml.errors import PipelineError


class StackError(PipelineError):
    """The stack could not be started; `hint` has the last lines of a log, and the command that shows the rest."""

    def __init__(self, message: str, hint: list[str] | None = None) -> None:
        super().__init__(message)
        self.hint = hint or []
        # A traceback shows them as well.
        for line in self.hint:
            self.add_note(line)


def init_airflow(plan: Plan, timeout_s: float) -> None:
    """Sets Airflow's database and accounts up, once for each version; `StackError` where it fails or takes too long."""
    stamp = f"airflow {version('apache-airflow-core')} fab {version('apache-airflow-providers-fab')}"
    _once(plan.home / "airflow" / "initialised", stamp, lambda: _set_airflow_up(plan, timeout_s))


def _set_airflow_up(plan: Plan, timeout_s: float) -> None:
    log = plan.settings.log_dir / "airflow-init.log"
    env = {**os.environ, "TRACKYARD_HOME": str(plan.home)}
    try:
        with log.open("w") as output:
            code = subprocess.run(
                plan.python("infra.stack.launch", "airflow-init"),
                cwd=plan.settings.root, env=env, stdout=output, stderr=subprocess.STDOUT, check=False,
                # Without it, a start that has given up would wait here for as long as the set-up likes.
                timeout=timeout_s,
            ).returncode  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise StackError(
            f"Airflow's database was not set up within {plan.settings.start_timeout_s} s: "
            "raise TRACKYARD_START_TIMEOUT_S",
            last_lines(log),
        ) from error
    if code != 0:
        raise StackError("Airflow's database could not be set up", last_lines(log))


def init_mlflow(plan: Plan, timeout_s: float) -> None:
    """Brings MLflow's database up once after an upgrade: its server refuses to start on an older one.

    An empty database is left to the server, which makes its own tables.
    """
    database = postgres.url(plan.ports["postgres"], "mlflow", plan.credentials)
    stamp = f"mlflow {version('mlflow')}"
    _once(plan.home / "mlflow" / "migrated", stamp, lambda: migrations.bring_up("mlflow", database))


def _once(marker: Path, stamp: str, work: Callable[[], None]) -> None:
    """Does the work, unless the file says that it was done for the same stamp."""
    if not marker.exists() or marker.read_text() != stamp:
        work()
        marker.write_text(stamp)


def last_lines(log: Path) -> list[str]:
    """The last eight lines of a log, for a hint; none where there is no log."""
    try:
        return [f"  {line}" for line in log.read_text(errors="replace").splitlines()[-8:]]
    except OSError:
        return []
