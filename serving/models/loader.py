"""Opens versions in a process of its own. Effects: MLflow, a folder, that process.

Opening takes MLflow's client, scikit-learn and skops, more memory than all the rest of the service; and a file that
somebody made is better opened where it can bring nothing down. The process is started when there is something to open
and ends when there was nothing for a while, or with the service.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml.errors import TrackerDown, Untrusted
from serving.models import child_process
from serving.models.child_process import Child, Ended, TooSlow

_IDLE_S = 15.0
_PATIENCE_S = 300.0
"""On a machine that others use as well, importing MLflow takes a minute; ended too soon, it would never end."""


class Loader:
    """Starts the process when it is needed, and asks it; one object may be shared by threads.

    The process waits `idle_s` seconds for more before it ends; one version may take it `patience_s`.
    """

    def __init__(self, idle_s: float = _IDLE_S, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._child = Child("serving.models.loader", idle_s)

    def open(self, uri: str, name: str, version: str, folder: Path, max_bytes: int) -> None:
        """Fetches a version into an empty folder, checks it, and writes beside it how it predicts (`prepared`).

        The version's files may have `max_bytes` together; `uri` is MLflow's address.

        Raises:
            Untrusted: It was refused, or the process did not survive it.
            TrackerDown: MLflow does not answer, or not in time.
            PipelineError: Anything else that went wrong, with its message.
        """
        asked = {"uri": uri, "name": name, "version": version, "folder": str(folder), "max_bytes": max_bytes}
        try:
            self._child.ask(asked, self._patience_s)
        except Ended as error:
            raise Untrusted(
                f"{name} version {version} could not be opened: the process that tried ended ({error}); "
                "the service's log has its last words"
            ) from None
        except TooSlow as error:
            raise TrackerDown(f"{name} version {version} was not fetched and opened {error}") from None

    def close(self) -> None:
        """Ends the process."""
        self._child.close()


def answer_to(asked: Mapping[str, Any], content: bytes = b"") -> child_process.Answer:
    """Does what a question asks for, and returns what is answered."""
    from ml.registry import loading
    from ml.tracking import runs
    from serving.models import prepared

    uri, folder = asked["uri"], Path(asked["folder"])
    with runs.mapped(uri):
        loaded = loading.load_verified(
            runs.client(uri), asked["name"], asked["version"], folder, int(asked["max_bytes"])
        )
    prepared.write(folder, loaded)
    return {"opened": loaded.version}, b""


def main() -> None:
    """Serves the service that started this process."""
    child_process.main(answer_to)
