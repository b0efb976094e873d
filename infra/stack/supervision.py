"""The process manager: supervisor's configuration, starting it, and asking it about the parts.

supervisor restarts what dies, waiting a second longer each time, and rotates one log per part. It does not know about
order or health: `infra.stack.control` starts the parts as what they need becomes ready.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
import xmlrpc.client
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import psutil

from infra.credentials import write_private
from infra.settings import KNOWN, PART_SETTINGS
from infra.stack.parts import PARTS, Part
from infra.stack.plan import PASSED_ON, Plan
from ml.errors import PipelineError


class Supervisor:
    """The process manager of one stack; `pid_file` has its process id."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._config = plan.home / "supervisord.conf"
        self.pid_file = plan.home / "supervisord.pid"
        self._socket = plan.runtime_dir / "supervisor.sock"

    def is_running(self) -> bool:
        """Tells whether the manager answers."""
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except (PipelineError, xmlrpc.client.Error):
            return False

    def start(self) -> None:
        """Starts the manager alone, unless it answers; `PipelineError` where it did not come up within 20 s."""
        if self.is_running():
            return
        self._prepare()
        passed = {*PASSED_ON, *(KNOWN - PART_SETTINGS)}
        env = {name: value for name, value in os.environ.items() if name in passed}
        env |= {"TRACKYARD_HOME": str(self._plan.home), "TRACKYARD_STACK": str(self._plan.home)}
        # The parts run in another folder than the one that a relative path, or the default, is meant in.
        env["TRACKYARD_PIPELINE_FILE"] = str(self._plan.settings.pipeline_file)
        command = self._plan.python("supervisor.supervisord", "-c", str(self._config))
        done = subprocess.run(
            command, env=env, cwd=self._plan.home, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise PipelineError(f"the process manager did not start: {lines[-1] if lines else 'no message'}")
        if not self._wait_until(self.is_running, 20):
            raise PipelineError(
                f"the process manager does not answer: see {self._plan.settings.log_dir}/supervisord.log"
            )

    def stop(self) -> None:
        """Stops every part and the manager, and waits until it is gone; does nothing when it is not running."""
        process = self._process()
        try:
            # By itself the manager stops one part after the other. The servers that others need are told last, so that
            # a part can finish what it has begun.
            for is_server in (False, True):
                self.stop_parts([part.name for part in PARTS if part.is_server == is_server])
            self._call("shutdown")
        except (PipelineError, xmlrpc.client.Error):
            if process is None:
                return
            process.terminate()
        self._wait_until(lambda: process is None or not process.is_running(), 60)

    def stop_parts(self, names: Sequence[str]) -> None:
        """Stops parts, all at once; they stay stopped until they are started again."""
        for name in names:
            with suppress(xmlrpc.client.Fault):
                self._call("stopProcess", name, False)
        self._wait_until(lambda: all(self.info(name)["pid"] == 0 for name in names), 60)

    def start_part(self, name: str) -> None:
        """Starts one part; does nothing when it runs or is being restarted."""
        try:
            self._call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise PipelineError(f"the process manager did not start {name}: {fault.faultString}") from fault

    def info(self, name: str) -> dict[str, Any]:
        """What supervisor knows about one part: `statename`, `pid`, `start`, `now`, `exitstatus`, `description`."""
        return dict(self._call("getProcessInfo", name))

    def infos(self) -> dict[str, dict[str, Any]]:
        """What supervisor knows about every part, by name."""
        return {info["name"]: dict(info) for info in self._call("getAllProcessInfo")}

    def _process(self) -> psutil.Process | None:
        try:
            process = psutil.Process(int(self.pid_file.read_text()))
            return process if "supervisor" in " ".join(process.cmdline()) else None
        except (OSError, ValueError, psutil.Error):
            return None

    def _call(self, method: str, *arguments: Any) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        try:
            with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except OSError as error:
            raise PipelineError("the stack is not running: 'trackyard up' starts it") from error

    def _wait_until(self, done: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _prepare(self) -> None:
        directory = self._plan.runtime_dir
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
        if status.st_uid != os.geteuid() or status.st_mode & 0o077 or directory.is_symlink():
            raise PipelineError(f"{directory} belongs to another user or is open to them: remove it")
        self._socket.unlink(missing_ok=True)
        write_private(self._config, self.configuration())

    def configuration(self, parts: Sequence[Part] = PARTS) -> str:
        """Supervisor's configuration for the parts; it holds no secret, since each part fetches its own."""
        logs = self._plan.settings.log_dir
        sections = [
            f"[unix_http_server]\nfile = {self._socket}\nchmod = 0700",
            f"[supervisord]\npidfile = {self.pid_file}\nlogfile = {logs}/supervisord.log\nlogfile_maxbytes = 10MB\n"
            f"logfile_backups = 2\nchildlogdir = {logs}\numask = 077\nminfds = 1024",
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
        ]
        for part in parts:
            command = shlex.join(self._plan.python("infra.stack.launch", part.name))
            sections.append(
                f"[program:{part.name}]\ncommand = {command}\ndirectory = {self._plan.settings.root}\n"
                "autostart = false\nautorestart = true\nstartsecs = 2\nstartretries = 100000\n"
                f"stopsignal = {part.stop_signal}\nstopwaitsecs = {part.stop_s}\n"
                f"stopasgroup = {str(not part.ends_its_children).lower()}\nkillasgroup = true\n"
                f"stdout_logfile = {logs}/{part.name}.log\nredirect_stderr = true\n"
                "stdout_logfile_maxbytes = 10MB\nstdout_logfile_backups = 3"
            )
        # supervisor reads a percent sign as the start of a variable.
        return "\n\n".join(section.replace("%", "%%") for section in sections) + "\n"
