"""What follows the gate: champion, waiting, refused, timed out; on a real MLflow store and a bucket in memory."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml import steps
from ml.config.loading import resolve
from ml.config.schema import PipelineConfig
from ml.errors import ApprovalTimedOut, GateFailed, RunClosed
from ml.gate import learned_rows
from ml.registry import versions
from ml.settings import TaskSettings
from ml.steps import promotion as decide
from ml.steps.context import Context
from ml.tracking import runs
from ml.tracking.outcome import ERRORS, OUTCOME
from tests.unit.ml.conftest import Place, promoted

TARGET = "Clicked on Ad"
SETTINGS = TaskSettings.from_env({"MLFLOW_TRACKING_URI": "http://m:5000", "TRACKYARD_S3_BUCKET": "trackyard"})


def noisy(frame: pd.DataFrame, share: float) -> pd.DataFrame:
    flipped = np.random.default_rng(3).random(len(frame)) < share
    return frame.assign(**{TARGET: np.where(flipped, 1 - frame[TARGET], frame[TARGET])})


def test_the_first_version_becomes_champion_and_the_same_again_too(place: Place, data: pd.DataFrame) -> None:
    first, second = place.run(data), place.run(data)

    one, two = promoted(first), promoted(second)

    assert one["reason"] == "there was no champion before it"
    assert two["champion"] is True
    assert "is not worse than the" in two["reason"]
    assert "of champion version 1 on the same 300 rows" in two["reason"]
    assert place.aliases == {"champion": "2", "challenger": "2", "previous_champion": "1"}
    assert place.tags(second)["validation"] == "passed"
    assert json.loads(place.tags(second)["gate.verdict"]) == {"passed": True, "reasons": []}
    assert second.run.data.tags["outcome"] == "success"
    assert [(before, after, way) for before, after, way, _ in place.history()] == [
        (None, "1", "DAG run"),
        ("1", "2", "DAG run"),
    ]


def test_the_whole_verdict_goes_to_the_run_as_json_and_page(place: Place, data: pd.DataFrame) -> None:
    from mlflow.artifacts import load_text

    context = place.run(data)
    promoted(context)

    uri = context.run.info.artifact_uri
    verdict = json.loads(load_text(f"{uri}/gate/verdict.json"))

    assert verdict["passed"] is True
    assert verdict["version"] == "1"
    assert {check["name"] for check in verdict["checks"]} >= {"data contract", "better than a dummy"}
    assert load_text(f"{uri}/gate/verdict.html").startswith("<!doctype html>")


def test_a_failed_gate_tags_the_version_and_moves_no_alias(place: Place, data: pd.DataFrame) -> None:
    promoted(place.run(data))
    bad = place.run(data, taught=noisy(data, 0.4))

    with pytest.raises(GateFailed, match="worse by more than the margin"):
        promoted(bad)

    assert place.aliases == {"champion": "1", "challenger": "1"}
    assert place.tags(bad)["validation"] == "failed"
    assert json.loads(place.tags(bad)["gate.verdict"])["passed"] is False
    assert bad.run.data.tags["promotion.reason"].startswith("failed the gate: ")
    assert "outcome" not in bad.run.data.tags
    assert len(place.history()) == 1


def test_not_better_is_not_failed(place: Place, data: pd.DataFrame) -> None:
    promoted(place.run(data))
    worse = place.run(data, promotion={"metric": "test_roc_auc"}, model={"name": place.name, "parameters": {"C": 0.5}})
    better = place.run(
        data,
        promotion={"metric": "test_roc_auc", "tolerance": 0.5},
        model={"name": place.name, "parameters": {"C": 0.5}},
    )

    one = promoted(worse)

    assert one["champion"] is False
    assert "is worse than the" in one["reason"]
    assert place.tags(worse)["validation"] == "passed"
    assert place.aliases["challenger"] == "2"
    assert promoted(better)["champion"] is True


FOREST = {"estimator": "RandomForestClassifier", "parameters": {"n_estimators": 30, "random_state": 0}}


def grown(place: Place, data: pd.DataFrame, before: int, **sections: Any) -> Any:
    """A run on noisy data, beside a champion that learned from the beginning of the same; forests remember rows."""
    noise = noisy(data, 0.3)
    model = {"name": place.name, **FOREST}
    promoted(place.run(noise.head(before), model=model))
    return place.run(noise, model=model, **sections)


def verdict_of(context: Any) -> dict[str, Any]:
    found: dict[str, Any] = context.store.read_json(context.path("verdict.json"))
    return found


def test_a_champion_is_not_judged_by_rows_that_it_learned_from(place: Place, data: pd.DataFrame) -> None:
    context = grown(place, data, 700)
    taught = set(place.store.read_json(next(k for k in place.store.objects if k.endswith("rows.json")))["train"])
    unseen = [row for row in context.store.read_json(context.path("rows.json"))["test"] if row not in taught]

    done = promoted(context)
    check = verdict_of(context)["checks"][-1]

    assert 150 < len(unseen) < 250
    assert (check["found"]["rows"], check["found"]["left_out"]) == (len(unseen), 300 - len(unseen))
    assert f"on the same {len(unseen)} rows" in done["reason"]
    assert f"({300 - len(unseen)} more are left out, which the champion was trained on)" in check["words"]
    # On all of the rows the champion would win by what it remembers: by more than the margin, as a forest does.
    assert check["found"]["gain"] > -0.05


def test_the_steps_keep_what_was_learned_and_find_it_again(place: Place, data: pd.DataFrame) -> None:
    frame, key = noisy(data, 0.3), runs.RUN_KEY
    for rows in (700, 1000):
        context = Context("Airflow_Lab2", f"{place.name} {rows}", SETTINGS)
        context.__dict__ |= {"store": place.store, "tracker": place.client}
        runs.open_run(place.client, "model", str(rows), {key: context.key, "data.rows": str(rows)})
        config = resolve(PipelineConfig(), {"model": {"name": place.name, **FOREST}})
        place.store.write_json(config.as_dict(), context.path("config.json"))
        place.store.write_parquet(frame.head(rows), context.path("raw.parquet"))
        for step in (steps.preprocess, steps.separate):
            step.__wrapped__(context)  # type: ignore[attr-defined]
        version = steps.train.__wrapped__(context)  # type: ignore[attr-defined]
        decide.promote.__wrapped__(context, version)  # type: ignore[attr-defined]

    found = verdict_of(context)["checks"][-1]["found"]

    assert len(place.store.read_parquet(context.path(learned_rows.FILE))) == 700
    assert found["rows"] + found["left_out"] == 300
    assert 60 < found["left_out"] < 150


@pytest.mark.parametrize("unsure", ["pass", "fail"])
def test_too_few_rows_that_the_champion_never_saw_are_told(place: Place, data: pd.DataFrame, unsure: str) -> None:
    context = grown(place, data.head(110), 100, promotion={"gate": {"unsure": unsure}})
    words = r"was trained on \d+ of the 33 held-out rows, and \d+ others, \d of the rarer class, are too few"

    if unsure == "fail":
        with pytest.raises(GateFailed, match=words):
            promoted(context)
    else:
        done = promoted(context)
        assert done["champion"] is False
        assert re.search(words, done["reason"])

    assert place.aliases["champion"] == "1"


def test_rows_learned_before_hashes_were_kept_are_known_from_the_tables(place: Place, data: pd.DataFrame) -> None:
    first, second = place.run(data.head(700)), place.run(data)
    key = first.path(learned_rows.FILE)
    found = place.store.read_parquet(key)["row"]
    promoted(first)
    place.store.delete(key)
    place.store.write_parquet(first.part("train")[1].to_frame(), first.path("y_train.parquet"))

    promoted(second)

    assert verdict_of(second)["checks"][-1]["found"]["left_out"] == len(
        set(found) & set(learned_rows.hashes(*second.part("test")))
    )


def test_a_champion_whose_rows_nobody_knows_is_not_compared(place: Place, data: pd.DataFrame) -> None:
    first, second = place.run(data), place.run(data)
    promoted(first)
    for name in (learned_rows.FILE, "X_train.parquet"):
        place.store.delete(first.path(name))

    done = promoted(second)

    assert done["champion"] is False
    assert "nothing tells which rows it was trained on" in done["reason"]


def test_a_task_that_runs_again_finds_its_verdict(place: Place, data: pd.DataFrame) -> None:
    first, second = place.run(data), place.run(data)
    promoted(first)
    promoted(second)
    before = dict(place.store.objects)

    again, old = promoted(second), promoted(first)

    assert again["champion"] is True
    assert old["champion"] is False
    assert "older run does not replace it" in old["reason"]
    assert place.tags(first)["validation"] == "passed"
    assert place.store.objects == before
    assert place.aliases["champion"] == "2"


def test_a_run_that_began_earlier_does_not_replace_a_later_ones_version(place: Place, data: pd.DataFrame) -> None:
    first, slow = place.run(data), place.run(data)
    promoted(first)
    place.client.update_run(slow.mlflow_run_id, name="slow")
    slower = versions.aliases(place.client, place.name)["champion"]
    began = {context.version: context.run.info.start_time for context in (first, slow)}
    assert began[slow.version] >= began[first.version]

    # The champion's run is made the later one, as when it overtook a slow one.
    later = place.client.create_run(first.run.info.experiment_id, start_time=began[slow.version] + 1000)
    model = place.client.get_model_version(place.name, slower)
    overtook = place.client.create_model_version(
        place.name, model.source, later.info.run_id, tags={"validation": "passed"}
    )
    older = place.client.get_model_version(place.name, slow.version)
    assert versions._is_older(place.client, older, overtook)


def test_manual_leaves_the_champion_to_people(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data, promotion="manual")

    found = promoted(context)

    assert found["champion"] is False
    assert "'trackyard promote 1'" in found["reason"]
    assert place.aliases == {"challenger": "1"}
    assert context.run.data.tags["outcome"] == "success"


def asked(place: Place, data: pd.DataFrame) -> Any:
    context = place.run(data, promotion={"mode": "approve", "approval_hours": 1.5})
    assert promoted(context)["champion"] is False
    return context


def unwrapped(step: Any, *arguments: Any) -> Any:
    return step.__wrapped__(*arguments)


def test_an_approval_is_asked_for_with_the_verdict(place: Place, data: pd.DataFrame) -> None:
    context = asked(place, data)

    form = unwrapped(decide.approval, context)

    assert "outcome" not in context.run.data.tags
    assert form["subject"] == f"May {place.name} version 1 go live?"
    assert "| better than a dummy | passed |" in form["body"]
    assert form["hours"] == 1.5


def test_the_form_of_an_approval_reads_the_verdict_and_writes_nothing(place: Place, data: pd.DataFrame) -> None:
    context = asked(place, data)
    place.client.delete_model_version_tag(place.name, "1", "validation")
    before = dict(place.store.objects), dict(context.run.data.tags)

    unwrapped(decide.approval, context)

    assert (dict(place.store.objects), dict(context.run.data.tags)) == before
    assert "validation" not in place.tags(context)


def test_a_verdict_whose_judge_died_before_telling_is_told_by_the_next_try(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data)
    promoted(context)
    for tag in ("validation", "gate.verdict"):
        place.client.delete_model_version_tag(place.name, "1", tag)

    promoted(context)

    assert place.tags(context)["validation"] == "passed"
    assert json.loads(place.tags(context)["gate.verdict"])["passed"] is True


def test_the_outcome_is_written_once_and_stays_through_the_approvals_task(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data)
    promoted(context)

    runs.begin_step(place.client, context.run, ERRORS)
    unwrapped(decide.approval, context)
    assert context.run.data.tags["outcome"] == "success"

    runs.begin_step(place.client, context.run, (*ERRORS, OUTCOME))
    assert "outcome" not in context.run.data.tags


def test_an_approval_that_timed_out_is_asked_for_again_when_its_task_is_cleared(
    place: Place, data: pd.DataFrame
) -> None:
    context = asked(place, data)
    with pytest.raises(ApprovalTimedOut):
        unwrapped(decide.unanswered, context)

    form = unwrapped(decide.approval, context)

    assert form["subject"] == f"May {place.name} version 1 go live?"
    assert context.run.data.tags["promotion.approval"] == "waiting"
    assert unwrapped(decide.answer, context, True, "Ada")["champion"] is True


def test_a_run_that_was_stopped_puts_nothing_live(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data)
    place.client.set_terminated(context.mlflow_run_id, "KILLED")

    with pytest.raises(RunClosed, match="closed as KILLED"):
        promoted(context)

    assert "champion" not in place.aliases


def test_nobody_is_asked_where_nothing_is_to_be_decided(place: Place, data: pd.DataFrame) -> None:
    context = place.run(data)
    promoted(context)

    assert unwrapped(decide.approval, context) == {}
    assert context.run.data.tags["outcome"] == "success"


def test_an_approved_version_goes_live_with_the_persons_name(place: Place, data: pd.DataFrame) -> None:
    context = asked(place, data)

    found = unwrapped(decide.answer, context, True, "Ada", "looks\nfine")

    assert found == {"version": "1", "champion": True, "reason": "approved by Ada: looks fine"}
    assert place.aliases["champion"] == "1"
    assert place.history() == [(None, "1", "approval", "Ada")]
    tags = place.tags(context)
    assert (tags["promoted.by"], tags["promoted.reason"]) == ("Ada", "approved by Ada: looks fine")
    assert datetime.fromisoformat(tags["promoted.at"]).tzinfo
    assert context.run.data.tags["outcome"] == "success"
    assert unwrapped(decide.approval, context) == {}


def test_a_long_answer_is_shortened_and_shows_it(place: Place, data: pd.DataFrame) -> None:
    context = asked(place, data)

    found = unwrapped(decide.answer, context, True, "Ada", "説明\x00" * 3000)

    assert (len(found["reason"]), found["reason"][-1]) == (1000, "…")
    assert place.tags(context)["promotion.approval"] == place.tags(context)["promoted.reason"] == found["reason"]


def test_a_refused_version_stays_and_the_run_is_well(place: Place, data: pd.DataFrame) -> None:
    context = asked(place, data)

    found = unwrapped(decide.answer, context, False, "Ada", "")

    assert found == {"version": "1", "champion": False, "reason": "refused by Ada"}
    assert place.aliases == {"challenger": "1"}
    assert place.tags(context)["promotion.approval"] == "refused by Ada"
    assert context.run.data.tags["promotion.approval"] == "refused"
    assert context.run.data.tags["outcome"] == "success"


def test_an_answer_that_nobody_gave_is_another_end(place: Place, data: pd.DataFrame) -> None:
    context = asked(place, data)

    with pytest.raises(ApprovalTimedOut, match=r"nobody answered within 1.5 h"):
        unwrapped(decide.unanswered, context)

    assert place.aliases == {"challenger": "1"}
    assert place.tags(context)["promotion.approval"] == "timed out"
    assert "outcome" not in context.run.data.tags


def test_an_approval_that_comes_too_late_does_not_go_back(place: Place, data: pd.DataFrame) -> None:
    old = asked(place, data)
    promoted(place.run(data))

    found = unwrapped(decide.answer, old, True, "Ada", "")

    assert found["champion"] is False
    assert place.aliases["champion"] == "2"


def test_a_champion_that_lacks_a_column_or_was_changed_stays(place: Place, data: pd.DataFrame) -> None:
    promoted(place.run(data))
    other = place.run(data, data={"drop": ["Age", "Ad Topic Line", "City", "Country", "Timestamp"]},
                      promotion={"gate": {"margin": 1.0}})  # fmt: skip
    found = promoted(other)
    assert found["champion"] is False
    assert "does not take this data" in found["reason"]

    place.client.set_model_version_tag(place.name, "1", "model.sha256", "0" * 64)
    found = promoted(place.run(data))
    assert found["champion"] is False
    assert "cannot be compared with" in found["reason"]
