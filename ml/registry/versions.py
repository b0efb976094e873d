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
from ml.tracking.runs import RUN_KEY, refuse_closed

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

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
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def find_versions(client: MlflowClient, name: str, key: str) -> list[ModelVersion]:
    """The versions of a DAG run, the oldest first."""
    found = client.search_model_versions(f"{named(name)} and tags.{RUN_KEY} = '{key}'")
    return sorted(found, key=lambda version: int(version.version))


def register(client: MlflowClient, name: str, model_id: str, run_id: str, tags: Mapping[str, str]) -> str:
    """Registers a logged model once per DAG run, whatever is retried or lost on the way.

    Args:
        client: An MLflow client.
        name: The registered model, which is made if there is none.
        model_id: The logged model.
        run_id: The MLflow run.
        tags: The version's tags, `run_key` among them.

    Returns:
        The version's number, as text.
    """
    from mlflow.exceptions import MlflowException

    key = tags[RUN_KEY]
    found = find_versions(client, name, key)
    if not found:
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        client.create_model_version(
            name, source=f"models:/{model_id}", run_id=run_id, model_id=model_id, tags=dict(tags), await_creation_for=0
        )
        found = find_versions(client, name, key)
    kept, *extra = found
    pointed_to = set(aliases(client, name).values()) if extra else set()
    for version in extra:
        if str(version.version) not in pointed_to:
            client.delete_model_version(name, str(version.version))
    return str(kept.version)


def register_while_open(client: MlflowClient, name: str, model_id: str, run_id: str, tags: Mapping[str, str]) -> str:
    """Registers as `register` does, and takes it back if the run was closed meanwhile.

    Raises:
        RunClosed: The run is over, so there is no version of it.
    """
    refuse_closed(client, run_id)
    version = register(client, name, model_id, run_id, tags)
    try:
        refuse_closed(client, run_id)
    except RunClosed:
        take_back(client, name, version)
        raise
    return version


def model_id(version: ModelVersion) -> str:
    """The logged model that a version is; empty for one that was registered from elsewhere."""
    source = str(version.source or "")
    return source.removeprefix("models:/") if source.startswith("models:/m-") else ""


def take_back(client: MlflowClient, name: str, version: str) -> None:
    """Removes a version that should not have been registered, unless somebody gave it an alias already."""
    if version not in aliases(client, name).values():
        client.delete_model_version(name, version)
        log.info("model=%s version=%s was registered too late and is removed", name, version)


def find_version(client: MlflowClient, name: str, version: str) -> ModelVersion:
    """One version.

    Raises:
        BadInput: There is no such version.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(name, version)
    except MlflowException as error:
        if error.get_http_status_code() >= 500:
            raise
        raise BadInput(f"{name} has no version {version!r}: 'trackyard models' lists those it has") from error


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


def _point(client: MlflowClient, name: str, alias: str, version: str) -> None:
    put(client.set_registered_model_alias, name, alias, version)


def challenge(client: MlflowClient, name: str, version: str) -> None:
    """Points `challenger` at a version, unless it points at a newer one already."""
    current = aliases(client, name).get(CHALLENGER)
    if current is None or int(current) <= int(version):
        _point(client, name, CHALLENGER, version)


def promote(client: MlflowClient, name: str, version: str, *, only_forward: bool = False) -> Move:
    """Points `champion` at a version, and `previous_champion` at the one before.

    Args:
        client: An MLflow client.
        name: The registered model.
        version: The version to put live; nothing changes when it is live already.
        only_forward: Refuse to replace a newer version, as a late task of an older run would.

    Raises:
        BadInput: There is no such version.
        StaleCandidate: With `only_forward`, the champion is newer.
        TrackerDown: The alias, read back, points elsewhere.
    """
    find_version(client, name, version)
    current = aliases(client, name).get(CHAMPION)
    if current == version:
        return Move(version, None, changed=False)
    if only_forward and current is not None and _is_older(client, name, version, current):
        raise StaleCandidate(
            f"version {current} went live since: version {version} of an older run does not replace it"
        )
    if current is not None:
        _point(client, name, PREVIOUS, current)
    _point(client, name, CHAMPION, version)
    seen = aliases(client, name).get(CHAMPION)
    if seen != version:
        raise TrackerDown(f"champion of {name} points to {seen} after it was set to {version}: somebody else moved it")
    return Move(version, current)


def _is_older(client: MlflowClient, name: str, version: str, current: str) -> bool:
    """Whether a version was registered before the champion, or by a run that began before the champion's."""
    return int(version) < int(current) or _began(client, name, version) < _began(client, name, current)


def _began(client: MlflowClient, name: str, version: str) -> int:
    from mlflow.exceptions import MlflowException

    run_id = client.get_model_version(name, version).run_id
    try:
        return int(client.get_run(run_id).info.start_time or 0) if run_id else 0
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return 0
        raise


def remember(client: MlflowClient, name: str, version: str) -> None:
    """Points `previous_champion` at a version, unless that was deleted."""
    from mlflow.exceptions import MlflowException

    try:
        _point(client, name, PREVIOUS, version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


def before(client: MlflowClient, name: str) -> str:
    """The version that was champion before the one that is.

    Raises:
        BadInput: There is none.
    """
    current = aliases(client, name)
    previous = current.get(PREVIOUS)
    if previous is None or previous == current.get(CHAMPION):
        raise BadInput(f"{name} has no champion before this one: 'trackyard promote VERSION' names one")
    return previous


def may_be_champion(client: MlflowClient, name: str, version: str) -> bool:
    """Whether the champion alias is at a version; yes, for all that is known, where MLflow does not answer."""
    from mlflow.exceptions import MlflowException

    try:
        return aliases(client, name).get(CHAMPION) == version
    except MlflowException:
        return True


def version_or_none(client: MlflowClient, name: str, version: str | None) -> ModelVersion | None:
    """A version with its tags; None for none, or for one that was deleted meanwhile."""
    try:
        return find_version(client, name, version) if version else None
    except BadInput:
        return None


def tell(client: MlflowClient, name: str, version: ModelVersion, tags: Mapping[str, str]) -> None:
    """Writes tags to a version, unless that was deleted meanwhile."""
    from mlflow.exceptions import MlflowException

    try:
        write_version_tags(client, name, str(version.version), tags)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


def write_version_tags(client: MlflowClient, name: str, version: str, tags: Mapping[str, str]) -> None:
    """Writes tags to a version."""
    for key, value in tags.items():
        put(client.set_model_version_tag, name, version, key, value[:8000])
