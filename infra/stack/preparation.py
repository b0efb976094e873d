"""What is done before a part is started, and once it answers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from infra.servers import postgres, tracking_server
from infra.stack.plan import Plan
from ml.errors import PipelineError


class StackError(PipelineError):
    """The stack could not be started.

    Args:
        message: One line: which part, and what happened.
        hint: Further lines: the last ones of its log, and the command that shows the rest.
    """

    def __init__(self, message: str, hint: list[str] | None = None) -> None:
        super().__init__(message)
        self.hint = hint or []


def init_airflow(plan: Plan, timeout_s: float) -> None:
    """Sets Airflow's database and accounts up, in a process of its own.

    Raises:
        StackError: It failed, or took too long.
    """
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
            [f"  {line}" for line in last_lines(log, 8)],
        ) from error
    if code != 0:
        raise StackError("Airflow's database could not be set up", [f"  {line}" for line in last_lines(log, 8)])


def init_mlflow(plan: Plan, timeout_s: float) -> None:
    """Brings MLflow's database up once after an upgrade: its server refuses to start on an older one."""
    database = postgres.url(plan.ports["postgres"], "mlflow", plan.credentials)
    tracking_server.migrate(plan.home / "mlflow" / "migrated", database)


def set_up_mlflow(plan: Plan) -> None:
    """Makes the service's account and the webhook that tells it of a new champion."""
    tracking_server.create_accounts(plan.ports["mlflow"], plan.credentials)
    tracking_server.create_webhook(plan.ports["mlflow"], plan.url("serving"), plan.credentials)


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log; none where there is no log."""
    try:
        return log.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        return []
