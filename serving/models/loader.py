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
from serving.models.child_process import Child, Ended, TooSlow, raise_told, told_of

_IDLE_S = 15.0
_PATIENCE_S = 300.0
"""On a machine that others use as well, importing MLflow takes a minute; ended too soon, it would never end."""


class Loader:
    """Starts the process when it is needed, and asks it; one object may be shared by threads.

    Args:
        idle_s: How many seconds the process waits for more before it ends.
        patience_s: How many seconds the fetching and opening of one version may take.
    """

    def __init__(self, idle_s: float = _IDLE_S, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._child = Child("serving.models.loader", idle_s)

    def open(self, uri: str, name: str, version: str, folder: Path, max_bytes: int) -> None:
        """Fetches a version into an empty folder, checks it, and writes beside it how it predicts (`prepared`).

        Args:
            uri: MLflow's address.
            name: The registered model.
            version: The version's number.
            folder: The folder.
            max_bytes: The most that the version's files may have together.

        Raises:
            Untrusted: It was refused, or the process did not survive it.
            TrackerDown: MLflow does not answer, or not in time.
            PipelineError: Anything else that went wrong, with its message.
        """
        asked = {"uri": uri, "name": name, "version": version, "folder": str(folder), "max_bytes": max_bytes}
        try:
            answer, _ = self._child.ask(asked, self._patience_s)
        except Ended as error:
            raise Untrusted(
                f"{name} version {version} could not be opened: the process that tried ended ({error}); "
                "the service's log has its last words"
            ) from None
        except TooSlow as error:
            raise TrackerDown(f"{name} version {version} was not fetched and opened {error}") from None
        raise_told(answer)

    def close(self) -> None:
        """Ends the process."""
        self._child.close()


def answer_to(asked: Mapping[str, Any], content: bytes = b"") -> child_process.Answer:
    """Does what a question asks for, and returns what is answered."""
    from ml.registry import loading
    from ml.tracking import runs
    from serving.models import prepared

    try:
        uri, folder = asked["uri"], Path(asked["folder"])
        with runs.mapped(uri):
            loaded = loading.load_verified(
                runs.client(uri), asked["name"], asked["version"], folder, int(asked["max_bytes"])
            )
        prepared.write(folder, loaded)
    except Exception as error:  # noqa: BLE001 - the service tells of it
        return told_of(error), b""
    return {"opened": loaded.version}, b""


def main() -> None:
    """Serves the service that started this process."""
    child_process.main(answer_to)
