"""Becomes one part of the stack: `python -m infra.stack.launch PART`.

The process manager runs this for every part. It puts the part's variables together from the settings and the secrets,
and then becomes the part, so that no secret stands in the manager's configuration or in a command line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from infra.servers import airflow_server
from infra.settings import Settings
from infra.stack import processes, supervision
from infra.stack.info import StackInfo
from infra.stack.parts import PARTS
from infra.stack.plan import PASSED_ON, Plan
from ml.errors import PipelineError


def part_env(env: Mapping[str, str], own: Mapping[str, str], home: str) -> dict[str, str]:
    """What a part gets: the few variables of the user's that it may have, a mark that it is ours, and its own."""
    passed = {name: env[name] for name in PASSED_ON if name in env}
    return {
        **passed,
        "TRACKYARD_STACK": home,
        "PYTHONUNBUFFERED": "1",
        # Every address is on this machine; a proxy that the user has for other things has no place between.
        "NO_PROXY": "*",
        **own,
    }


def main(arguments: list[str]) -> None:
    """Becomes the part that is named, or does one of the two jobs beside them.

    Those are `airflow-init`, which sets Airflow's database up, and `start PART`, which asks the process manager for a
    part that may have stopped.
    """
    settings = Settings.from_env(os.environ)
    plan = StackInfo.load(settings).plan
    if arguments[0] == "start":
        supervision.Supervisor(plan).start_part(arguments[1])
        return
    if arguments == ["airflow-init"]:
        _airflow_init(plan)
        return
    part = next(part for part in PARTS if part.name == arguments[0])
    launch = part.launch(plan)
    processes.note(plan.home, part.name)
    if launch.cwd is not None:
        os.chdir(launch.cwd)
    os.execve(launch.command[0], launch.command, part_env(os.environ, launch.env, str(plan.home)))


def _airflow_init(plan: Plan) -> None:
    """Migrates Airflow's database and makes the two accounts; Airflow reads its variables when it is imported."""
    env = part_env(os.environ, plan.airflow_env(server=True), str(plan.home))
    os.environ.clear()
    os.environ.update(env)
    from airflow.utils.db import initdb

    initdb()
    airflow_server.create_accounts(
        {
            airflow_server.ADMIN: plan.credentials.airflow_admin_password,
            airflow_server.STATUS: plan.credentials.airflow_status_password,
        }
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except PipelineError as error:
        sys.exit(f"trackyard: {error}")
