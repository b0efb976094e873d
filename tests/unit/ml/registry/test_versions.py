"""One version per run key, and aliases in the right order: on a real MLflow store, in SQLite."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, TEMPORARILY_UNAVAILABLE

from ml.errors import BadInput, HashMismatch, RunClosed, StaleCandidate, TrackerDown, Untrusted
from ml.registry import model_logging
from ml.registry import versions as registry
from ml.registry.loading import load_verified
from tests.support import open_run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from tests.fakes import Fitted


def versions(client: MlflowClient, name: str, *keys: str) -> list[str]:
    """Registers a version for each key, of models that are nowhere: the registry does not look."""
    run = open_run(client, f"of {name}")
    found = []
    for key in keys:
        model = client.create_logged_model(run.info.experiment_id, name="m", source_run_id=run.info.run_id)
        found.append(registry.register(client, name, model.model_id, run.info.run_id, {"run_key": key}))
    return found


def models_of(client: MlflowClient, run: Run) -> list[Any]:
    return list(
        client.search_logged_models([run.info.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'")
    )


def test_a_model_is_logged_once_where_the_run_is_and_reads_back(client: MlflowClient, fitted: Fitted) -> None:
    run = open_run(client, "logged")
    first = model_logging.log_once(client, run, fitted.pipeline, fitted.features)
    second = model_logging.log_once(client, run, fitted.pipeline, fitted.features)
    version = registry.register(
        client, "logged", first.model_id, run.info.run_id, {"run_key": "k", "model.sha256": first.sha256}
    )

    with tempfile.TemporaryDirectory() as folder:
        loaded = load_verified(client, "logged", version, Path(folder))
        fetched = {path.name for path in Path(folder).iterdir()}
    kept = {item.path for item in client.list_logged_model_artifacts(first.model_id)}
    assert fetched == {"MLmodel", "model.skops", "input_example.json"}
    assert kept - fetched == {"conda.yaml", "python_env.yaml", "requirements.txt", "serving_input_example.json"}
    assert [output.model_id for output in client.get_run(run.info.run_id).outputs.model_outputs] == [first.model_id]

    assert first == second
    assert [model.model_id for model in models_of(client, run)] == [first.model_id]
    assert loaded.model_id == first.model_id
    expected = fitted.pipeline.predict_proba(fitted.features)
    assert (loaded.pipeline.predict_proba(fitted.features) == expected).all()


def test_what_a_killed_try_left_is_removed(client: MlflowClient, fitted: Fitted) -> None:
    run = open_run(client, "killed")
    left = client.create_logged_model(run.info.experiment_id, name="model", source_run_id=run.info.run_id)

    logged = model_logging.log_once(client, run, fitted.pipeline, fitted.features)

    assert [model.model_id for model in models_of(client, run)] == [logged.model_id]
    assert left.model_id != logged.model_id


def test_a_version_whose_hash_is_not_the_files_is_refused(client: MlflowClient, fitted: Fitted) -> None:
    run = open_run(client, "hash")
    logged = model_logging.log_once(client, run, fitted.pipeline, fitted.features)
    tags = {"run_key": "k", "model.sha256": "0" * 64}
    version = registry.register(client, "hash", logged.model_id, run.info.run_id, tags)

    with tempfile.TemporaryDirectory() as folder, pytest.raises(HashMismatch):
        load_verified(client, "hash", version, Path(folder))


def test_a_version_whose_model_is_gone_is_untrusted(client: MlflowClient) -> None:
    (version,) = versions(client, "gone", "a")
    client.delete_logged_model(str(client.get_model_version("gone", version).source).removeprefix("models:/"))

    with tempfile.TemporaryDirectory() as folder, pytest.raises(Untrusted):
        load_verified(client, "gone", version, Path(folder))


def test_a_run_key_has_one_version_however_often_it_is_registered(client: MlflowClient) -> None:
    assert versions(client, "once", "a", "a", "b", "a") == ["1", "1", "2", "1"]


def test_a_closed_run_registers_nothing(client: MlflowClient) -> None:
    run = open_run(client, "closed")
    model = client.create_logged_model(run.info.experiment_id, name="m", source_run_id=run.info.run_id)
    client.set_terminated(run.info.run_id, "KILLED")

    with pytest.raises(RunClosed):
        registry.register_while_open(client, "closed", model.model_id, run.info.run_id, {"run_key": "c"})

    assert registry.find_model(client, "closed") is None


def test_what_was_registered_while_the_run_was_closed_is_taken_back(client: MlflowClient) -> None:
    run = open_run(client, "registered late")
    model = client.create_logged_model(run.info.experiment_id, name="m", source_run_id=run.info.run_id)

    class Late:
        """The run is closed after it was looked at and before the version is made."""

        def create_model_version(self, *arguments: Any, **options: Any) -> Any:
            client.set_terminated(run.info.run_id, "KILLED")
            return client.create_model_version(*arguments, **options)

        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

    late: Any = Late()
    with pytest.raises(RunClosed):
        registry.register_while_open(late, "taken-back", model.model_id, run.info.run_id, {"run_key": "late"})

    assert registry.find_versions(client, "taken-back", "late") == []


def test_a_version_whose_answer_was_lost_is_deleted_unless_an_alias_points_to_it(client: MlflowClient) -> None:
    versions(client, "twice", "a")
    source = client.get_model_version("twice", "1").source
    for _ in range(2):
        client.create_model_version(
            "twice", source, model_id=str(source).removeprefix("models:/"), tags={"run_key": "a"}
        )
    client.set_registered_model_alias("twice", "champion", "3")

    assert registry.register(client, "twice", "unused", "unused", {"run_key": "a"}) == "1"
    assert [version.version for version in registry.find_versions(client, "twice", "a")] == [1, 3]


def test_a_promotion_keeps_the_one_before_and_can_be_done_twice(client: MlflowClient) -> None:
    versions(client, "promoted", "a", "b")

    assert registry.promote(client, "promoted", "1") == registry.Move("1", None)
    assert registry.promote(client, "promoted", "2") == registry.Move("2", "1")
    assert registry.promote(client, "promoted", "2") == registry.Move("2", None)
    assert registry.aliases(client, "promoted") == {"champion": "2", "previous_champion": "1"}


def test_the_champion_before_is_known_once_there_were_two(client: MlflowClient) -> None:
    versions(client, "rolled", "a", "b")
    registry.promote(client, "rolled", "1")
    with pytest.raises(BadInput, match="no champion before"):
        registry.before(client, "rolled")
    registry.promote(client, "rolled", "2")

    assert registry.before(client, "rolled") == "1"


def test_an_older_version_does_not_replace_a_newer_champion_by_itself(client: MlflowClient) -> None:
    versions(client, "late", "a", "b")
    registry.promote(client, "late", "2")

    with pytest.raises(StaleCandidate):
        registry.promote(client, "late", "1", only_forward=True)

    assert registry.aliases(client, "late") == {"champion": "2"}
    assert registry.promote(client, "late", "1").version == "1"


def test_a_version_of_the_same_moment_goes_forward_and_may_be_promoted_again(client: MlflowClient) -> None:
    versions(client, "forward", "a", "b")

    for version in ("1", "2", "2"):
        assert registry.promote(client, "forward", version, only_forward=True).version == version


def test_a_version_whose_run_is_gone_counts_as_older(client: MlflowClient) -> None:
    versions(client, "runless", "a")
    registry.promote(client, "runless", "1")
    source = str(client.get_model_version("runless", "1").source)
    client.create_model_version("runless", source, run_id="0" * 32, await_creation_for=0)

    with pytest.raises(StaleCandidate):
        registry.promote(client, "runless", "2", only_forward=True)


def test_the_challenger_is_the_newest_and_meets_the_champion(client: MlflowClient) -> None:
    versions(client, "challenged", "a", "b")
    assert registry.challenge(client, "challenged", "2") is None
    registry.promote(client, "challenged", "1")
    assert registry.challenge(client, "challenged", "1") == "1"

    assert registry.aliases(client, "challenged") == {"challenger": "2", "champion": "1"}


def test_the_champion_is_not_the_one_before_itself(client: MlflowClient) -> None:
    versions(client, "itself", "a")
    for alias in ("champion", "previous_champion"):
        client.set_registered_model_alias("itself", alias, "1")

    with pytest.raises(BadInput, match="no champion before"):
        registry.before(client, "itself")


def test_a_version_knows_its_run_and_its_logged_model(client: MlflowClient) -> None:
    run = open_run(client, "origin")
    model = client.create_logged_model(run.info.experiment_id, name="m", source_run_id=run.info.run_id)
    tags = {"run_key": "origin"}
    number = registry.register_while_open(client, "origin", model.model_id, run.info.run_id, tags)

    found = registry.find_version(client, "origin", number)
    assert (found.run_id, registry.model_id(found)) == (run.info.run_id, model.model_id)
    assert registry.run_of(client, found).info.run_id == run.info.run_id
    orphan = client.create_model_version("origin", str(found.source), run_id="0" * 32, await_creation_for=0)
    assert registry.run_of(client, orphan) is None


def test_a_version_that_is_not_there_cannot_be_promoted(client: MlflowClient) -> None:
    versions(client, "missing", "a")

    with pytest.raises(BadInput, match="has no version '7'"):
        registry.promote(client, "missing", "7")
    assert registry.aliases(client, "unknown model") == {}


def test_the_tenth_version_of_a_run_is_not_older_than_its_second(client: MlflowClient) -> None:
    versions(client, "ten", *"abcdefghi")
    later = versions(client, "ten", "k")
    client.set_model_version_tag("ten", "2", "run_key", "k")

    assert later == ["10"]
    assert [str(version.version) for version in registry.find_versions(client, "ten", "k")] == ["2", "10"]
    registry.challenge(client, "ten", "9")
    registry.challenge(client, "ten", "10")
    registry.challenge(client, "ten", "9")
    assert registry.aliases(client, "ten")["challenger"] == "10"


def test_the_same_version_may_challenge_again(client: MlflowClient) -> None:
    versions(client, "same", "a", "b")
    registry.challenge(client, "same", "2")
    registry.challenge(client, "same", "2")

    assert registry.aliases(client, "same") == {"challenger": "2"}


def test_an_alias_that_somebody_else_moves_meanwhile_is_no_promotion(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions(client, "moved", "a", "b", "c")
    registry.promote(client, "moved", "1")
    put = registry.put

    def late(write: Any, *arguments: str) -> None:
        put(write, *arguments)
        if arguments[1] == "champion":
            client.set_registered_model_alias("moved", "champion", "3")

    monkeypatch.setattr(registry, "put", late)
    with pytest.raises(TrackerDown, match=r"champion of moved points to 3 after it was set to 2: somebody else moved"):
        registry.promote(client, "moved", "2")


def test_a_version_that_is_asked_for_by_somebody_may_be_older(client: MlflowClient) -> None:
    versions(client, "back", "a", "b")
    registry.promote(client, "back", "2")

    assert registry.promote(client, "back", "1") == registry.Move("1", "2")
    assert registry.aliases(client, "back") == {"champion": "1", "previous_champion": "2"}
    assert registry.before(client, "back") == "2"


def test_a_version_of_a_run_that_began_earlier_does_not_replace_one_of_a_later_run(client: MlflowClient) -> None:
    earlier, later = open_run(client, "began earlier"), open_run(client, "began later")
    client.update_run(earlier.info.run_id, status="RUNNING")
    models = [client.create_logged_model("1", name="m", source_run_id=run.info.run_id) for run in (later, earlier)]
    for run, model in zip((later, earlier), models, strict=True):
        registry.register(client, "began", model.model_id, run.info.run_id, {"run_key": run.info.run_id})
    registry.promote(client, "began", "1")

    assert later.info.start_time > earlier.info.start_time
    with pytest.raises(StaleCandidate, match="version 1 went live since: version 2 of an older run"):
        registry.promote(client, "began", "2", only_forward=True)
    assert registry.promote(client, "began", "2").changed


def test_a_write_that_was_refused_once_is_made_again_unless_there_is_nothing_to_write_to() -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, RESOURCE_DOES_NOT_EXIST

    for code, tries in ((INTERNAL_ERROR, 2), (RESOURCE_DOES_NOT_EXIST, 1)):
        asked: list[tuple[str, ...]] = []

        def write(*arguments: str, code: int = code, asked: list[tuple[str, ...]] = asked) -> None:
            asked.append(arguments)
            raise MlflowException("no", code)

        with pytest.raises(MlflowException):
            registry.put(write, "model", "alias", "1")
        assert asked == [("model", "alias", "1")] * tries


def test_what_announced_a_move_is_withdrawn_where_nothing_moved(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions(client, "told", "a", "b")
    registry.promote(client, "told", "1")

    def outcome(target: str, change: Any) -> tuple[Any, int]:
        withdrawn: list[str] = []
        try:
            found = registry.move_announced(client, "told", target, change, lambda: withdrawn.append("it"))
        except BadInput as error:
            found = str(error)
        return found, len(withdrawn)

    def fail() -> registry.Move:
        raise BadInput("no")

    assert outcome("1", lambda: registry.promote(client, "told", "1"))[1] == 1
    assert outcome("2", lambda: registry.promote(client, "told", "2")) == (registry.Move("2", "1"), 0)
    assert outcome("1", fail) == ("no", 1)
    # Its answer was lost and it points there: whoever looks finds the move announced.
    assert outcome("2", fail) == ("no", 0)

    # Where nobody can tell, it may point there.
    def gone(name: str) -> None:
        raise MlflowException("away", error_code=TEMPORARILY_UNAVAILABLE)

    monkeypatch.setattr(client, "get_registered_model", gone)
    assert outcome("1", fail) == ("no", 0)


@pytest.mark.parametrize("code", [INTERNAL_ERROR, TEMPORARILY_UNAVAILABLE])
def test_a_server_that_fails_does_not_say_that_a_version_is_not_there(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(name: str, version: str) -> None:
        raise MlflowException("it failed", error_code=code)

    monkeypatch.setattr(client, "get_model_version", fail)
    with pytest.raises(MlflowException, match="it failed"):
        registry.find_version(client, "any", "1")


def test_a_version_that_was_deleted_is_none_and_is_not_remembered(client: MlflowClient) -> None:
    versions(client, "gone", "a", "b")
    client.delete_model_version("gone", "1")

    registry.remember(client, "gone", "1")
    assert registry.aliases(client, "gone") == {}
    registry.remember(client, "gone", "2")
    assert registry.aliases(client, "gone") == {"previous_champion": "2"}
    assert registry.version_or_none(client, "gone", "1") is None
    assert registry.version_or_none(client, "gone", None) is None
    found = registry.version_or_none(client, "gone", "2")
    assert found is not None
    assert str(found.version) == "2"


def test_what_is_written_to_a_version_fits_and_is_all_there(client: MlflowClient) -> None:
    versions(client, "tags", "a")
    registry.write_version_tags(client, "tags", "1", {"long": "x" * 8001, "short": "y"})

    tags = registry.find_version(client, "tags", "1").tags
    assert (len(tags["long"]), tags["short"]) == (8000, "y")


def test_only_a_logged_model_has_an_id(client: MlflowClient) -> None:
    versions(client, "ids", "a")
    mine = registry.find_version(client, "ids", "1")
    client.create_registered_model("other")
    other = client.create_model_version("other", source="s3://elsewhere/model")

    assert mine.source == f"models:/{registry.model_id(mine)}"
    assert registry.model_id(other) == ""
    assert registry.run_of(client, other) is None
