"""The registered model: its versions, its aliases, and when a version becomes champion. Effects: MLflow alone.

The registry has neither a key that keeps a version from being made twice nor an alias that moves only if it still
points where one saw it. Both are made up for here: look up, make, look up again and keep the first; and write the one
decisive alias last, and read it back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml.errors import BadInput, RunClosed, StaleCandidate, TrackerDown
from ml.tracking.runs import RUN_KEY, refuse_closed, suppressed

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.tracking._model_registry.client import ModelRegistryClient

log = logging.getLogger(__name__)

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous_champion"


@dataclass(frozen=True)
class Move:
    """What moving the champion alias did: the version it points to now, and the one before (None for none)."""

    version: str
    previous: str | None
    changed: bool = field(default=True, compare=False)
    """Whether it moved the alias, which may have been there already."""


def named(name: str) -> str:
    """MLflow's filter for the versions of one model, whatever quotes are in its name.

    Between quotes of one kind MLflow has no way to write that kind; the items of a list it reads as Python does.

    >>> print(named("o'brien"))
    name IN ("o'brien")
    """
    return f"name IN ({name!r})"


def aliases(client: MlflowClient, name: str) -> dict[str, str]:
    """Every alias of a model and the version it points to; empty where there is no such model.

    Searching versions may answer without their aliases, so the model itself is asked.
    """
    model = find_model(client, name)
    return {alias: str(version) for alias, version in dict(model.aliases).items()} if model else {}


def find_model(client: MlflowClient, name: str) -> RegisteredModel | None:
    """A registered model with its aliases and tags; None where there is no such model."""
    with suppressed("RESOURCE_DOES_NOT_EXIST"):
        return client.get_registered_model(name)
    return None


def find_versions(client: MlflowClient, name: str, key: str) -> list[ModelVersion]:
    """The versions of a DAG run, the oldest first."""
    of_this_run = f"{named(name)} and tags.{RUN_KEY} = '{key}'"
    return sorted(client.search_model_versions(of_this_run), key=lambda version: int(version.version))


def register(client: MlflowClient, name: str, model_id: str, run_id: str, tags: Mapping[str, str]) -> str:
    """Registers a logged model once per DAG run, whatever is retried or lost on the way.

    The registered model is made if there is none; the version's tags have the `run_key` among them.

    Returns:
        The version's number, as text.
    """
    key = tags[RUN_KEY]
    versions = find_versions(client, name, key)
    if not versions:
        with suppressed("RESOURCE_ALREADY_EXISTS"):
            client.create_registered_model(name)
        client.create_model_version(
            name, source=f"models:/{model_id}", run_id=run_id, model_id=model_id, tags=dict(tags), await_creation_for=0
        )
        versions = find_versions(client, name, key)
    kept, *extra = versions
    pointed_to = set(aliases(client, name).values()) if extra else set()
    for version in extra:
        if str(version.version) not in pointed_to:
            client.delete_model_version(name, str(version.version))
    return str(kept.version)


def register_while_open(client: MlflowClient, name: str, model_id: str, run_id: str, tags: Mapping[str, str]) -> str:
    """Registers as `register` does; where the run is or was closed it leaves no version and raises RunClosed."""
    refuse_closed(client, run_id)
    version = register(client, name, model_id, run_id, tags)
    try:
        refuse_closed(client, run_id)
    except RunClosed:
        # Somebody may have given it an alias already.
        if version not in aliases(client, name).values():
            client.delete_model_version(name, version)
            log.info("model=%s version=%s was registered too late and is removed", name, version)
        raise
    return version


def model_id(version: ModelVersion) -> str:
    """The logged model that a version is; empty for one that was registered from elsewhere."""
    source = str(version.source or "")
    return source.removeprefix("models:/") if source.startswith("models:/m-") else ""


def find_version(client: MlflowClient, name: str, version: str) -> ModelVersion:
    """One version; raises BadInput where there is no such version."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(name, version)
    except MlflowException as error:
        if error.get_http_status_code() >= 500:
            raise
        raise BadInput(f"{name} has no version {version!r}: 'trackyard models' lists those it has") from error


def writer(client: MlflowClient) -> ModelRegistryClient:
    """What `put` writes with: the client itself asks for the model before each write, since it might be a prompt."""
    return client._get_registry_client()


def put(write: Callable[..., object], *arguments: str) -> None:
    """Writes a tag or an alias.

    Two who write a new one at the same moment both insert it, and one is refused; then it is there to be changed.
    """
    from mlflow.exceptions import MlflowException

    try:
        write(*arguments)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise
        write(*arguments)


def challenge(client: MlflowClient, name: str, version: str) -> str | None:
    """Points `challenger` at a version, unless it points at a newer one already, and returns the champion."""
    found = aliases(client, name)
    if int(found.get(CHALLENGER, 0)) <= int(version):
        put(writer(client).set_registered_model_alias, name, CHALLENGER, version)
    return found.get(CHAMPION)


def promote(client: MlflowClient, name: str, version: str, *, only_forward: bool = False) -> Move:
    """Points `champion` at a version, and `previous_champion` at the one before; nothing changes where it is live.

    With `only_forward` no newer version is replaced, as a late task of an older run would do.

    Raises:
        BadInput: There is no such version.
        StaleCandidate: With `only_forward`, the champion is newer.
        TrackerDown: The alias, read back, points elsewhere.
    """
    wanted = find_version(client, name, version)
    current = aliases(client, name).get(CHAMPION)
    if current == version:
        return Move(version, None, changed=False)
    if only_forward and current is not None and _is_older(client, wanted, find_version(client, name, current)):
        raise StaleCandidate(
            f"version {current} went live since: version {version} of an older run does not replace it"
        )
    if current is not None:
        put(writer(client).set_registered_model_alias, name, PREVIOUS, current)
    put(writer(client).set_registered_model_alias, name, CHAMPION, version)
    read_back = aliases(client, name).get(CHAMPION)
    if read_back != version:
        raise TrackerDown(
            f"champion of {name} points to {read_back} after it was set to {version}: somebody else moved it"
        )
    return Move(version, current)


def run_of(client: MlflowClient, version: ModelVersion) -> Run | None:
    """The MLflow run that made a version; None where none did, or where it is gone."""
    with suppressed("RESOURCE_DOES_NOT_EXIST"):
        return client.get_run(version.run_id) if version.run_id else None
    return None


def _is_older(client: MlflowClient, version: ModelVersion, current: ModelVersion) -> bool:
    """Whether a version was registered before the champion, or by a run that began before the champion's."""
    return int(version.version) < int(current.version) or _began(client, version) < _began(client, current)


def _began(client: MlflowClient, version: ModelVersion) -> int:
    run = run_of(client, version)
    return int(run.info.start_time or 0) if run else 0


def remember(client: MlflowClient, name: str, version: str) -> None:
    """Points `previous_champion` at a version, unless that was deleted."""
    with suppressed("RESOURCE_DOES_NOT_EXIST"):
        put(writer(client).set_registered_model_alias, name, PREVIOUS, version)


def before(client: MlflowClient, name: str) -> str:
    """The version that was champion before the one that is; raises BadInput where there is none."""
    current = aliases(client, name)
    previous = current.get(PREVIOUS)
    if previous is None or previous == current.get(CHAMPION):
        raise BadInput(f"{name} has no champion before this one: 'trackyard promote VERSION' names one")
    return previous


def move_announced(
    client: MlflowClient, name: str, target: str, change: Callable[[], Move], withdraw: Callable[[], object]
) -> Move:
    """Does what `change` does, and withdraws what announced it where the champion did not move to the target by it.

    Whoever moves the alias there later must not be taken for this one.
    """
    try:
        move = change()
    except BaseException:
        if not _may_be_champion(client, name, target):
            withdraw()
        raise
    if not move.changed:
        withdraw()
    return move


def _may_be_champion(client: MlflowClient, name: str, version: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return aliases(client, name).get(CHAMPION) == version
    except MlflowException:
        # Nobody knows.
        return True


def version_or_none(client: MlflowClient, name: str, version: str | None) -> ModelVersion | None:
    """A version with its tags; None for none, or for one that was deleted meanwhile."""
    try:
        return find_version(client, name, version) if version else None
    except BadInput:
        return None


def write_version_tags(client: MlflowClient, name: str, version: str, tags: Mapping[str, str]) -> None:
    """Writes tags to a version."""
    for key, value in tags.items():
        put(writer(client).set_model_version_tag, name, version, key, value[:8000])
