"""The gate's evidence and verdict of one run, and whether a validated version takes the champion's place.

Effects: MLflow and S3; `ml.steps` calls it. The champion is scored again, on the rows that this run held out: its own
metrics were found on other rows.
"""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ml.errors import ContractViolation, PipelineError, Unavailable, UnreadableData, one_line
from ml.gate import report
from ml.gate.judge import judge
from ml.gate.verdict import Champion, Evidence, Verdict
from ml.registry import versions
from ml.registry.loading import LoadedModel, load_verified
from ml.steps.context import Context
from ml.tracking import runs

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

FILE = "verdict.json"
VERDICT_TAG = "gate.verdict"
"""The tag of run and version with the verdict in short; the version's is written last of all that tells of it."""


def pull(context: Context, version: str) -> LoadedModel:
    """A version of the run's model, checked and loaded; its files are gone again.

    Raises:
        Untrusted: What the registry holds is not what was trained.
    """
    with tempfile.TemporaryDirectory(prefix="trackyard-") as directory:
        return load_verified(context.tracker, context.config.model.name, version, Path(directory))


def live(context: Context, evidence: Evidence, current: str) -> Champion:
    """The champion, with what it says of the held-out rows or why it says nothing, and which of them it learned from.

    Raises:
        Unavailable: A server is away, which says nothing about the champion.
    """
    from ml.evaluation import metrics as score

    rows = _rows_of(context, current)
    try:
        model = pull(context, current)
        probability = score.probabilities(model.pipeline, evidence.features)
        return Champion(current, probability, rows=rows, learned=_learned(context, model, evidence))
    except Unavailable:
        raise
    except PipelineError as error:
        problem = f"cannot be compared with ({error}): promote by hand if you mean it"
    except (KeyError, TypeError, ValueError) as error:
        problem = f"does not take this data ({one_line(error, 200)}): promote by hand if you mean it"
    return Champion(current, None, problem, rows)


def _learned(context: Context, champion: LoadedModel, evidence: Evidence) -> NDArray[np.bool_]:
    """Which held-out rows the champion was trained on and this version was not, by the columns that it takes."""
    from ml.gate.learned_rows import hashes, only_theirs

    names, taught = list(champion.inputs), evidence.known
    held_out, ours = hashes(evidence.features[names], evidence.target), hashes(taught[names], taught.iloc[:, -1])
    return only_theirs(held_out, _hashes_of(context, champion), ours)


def _hashes_of(context: Context, model: LoadedModel) -> np.ndarray:
    """The hashes of the rows that a version was trained on.

    Raises:
        UnreadableData: Neither they nor the rows themselves are there any more.
    """
    from ml.gate import learned_rows

    path, store = f"runs/{model.tags.get(runs.RUN_KEY, '')}", context.store
    try:
        kept: np.ndarray = store.read_parquet(f"{path}/{learned_rows.FILE}")["row"].to_numpy()
        return kept
    except UnreadableData:
        pass
    try:
        # A run from before hashes were kept.
        features, target = (store.read_parquet(f"{path}/{name}_train.parquet") for name in "Xy")
    except UnreadableData as error:
        raise UnreadableData("nothing tells which rows it was trained on") from error
    return learned_rows.hashes(features[list(model.inputs)], target.iloc[:, 0])


def _rows_of(context: Context, version: str) -> int | None:
    registered = versions.version_or_none(context.tracker, context.config.model.name, version)
    run = versions.run_of(context.tracker, registered) if registered else None
    rows = run.data.tags.get("data.rows", "") if run else ""
    return int(rows) if rows.isdigit() else None


def gather(context: Context, version: str, current: str | None) -> Evidence:
    """What the gate judges a version from: the held-out rows, and what it and the champion say of them."""
    from ml.evaluation import metrics as score

    features, target = context.part("test")
    taught, labels = context.part("train")
    model = pull(context, version)
    raw = context.table("raw")
    evidence = Evidence(
        features=features,
        target=target.to_numpy(dtype=float),
        probability=score.probabilities(model.pipeline, features),
        pipeline=model.pipeline,
        known=taught.assign(**{"\0target": labels.to_numpy()}),
        rows=raw.iloc[context.positions["test"]].reset_index(drop=True),
        total=len(raw),
        contract=_broken(context, raw),
    )
    if current in (None, version):
        return evidence
    return replace(evidence, champion=live(context, evidence, str(current)))


def _broken(context: Context, raw: pd.DataFrame) -> str:
    from ml.digest import digest_of
    from ml.reading import contract

    # The first step checked the table of this digest, and checking costs several times as much.
    if digest_of(raw) == context.run.data.tags.get("data.digest"):
        return ""
    try:
        contract.check(raw, context.config, "the snapshot")
    except ContractViolation as error:
        return str(error)
    return ""


def judge_once(context: Context, version: str) -> Verdict:
    """The gate's verdict of a version: made once, kept with the run, and written to the run and the version once.

    A task that is cleared later finds it: what a version was worth does not change with the champions after it.
    """
    if context.store.exists(context.path(FILE)):
        verdict = read_verdict(context)
    else:
        current = versions.aliases(context.tracker, context.config.model.name).get(versions.CHAMPION)
        verdict = judge(gather(context, version, current), context.config)
        context.store.write_json(verdict.as_dict(), context.path(FILE))
    # What was judged by a try that died before it told everybody is told now.
    tags = versions.find_version(context.tracker, context.config.model.name, version).tags
    if tags.get(VERDICT_TAG) != verdict.short():
        _write(context, version, verdict)
    return verdict


def read_verdict(context: Context) -> Verdict:
    """The verdict that `judge_once` made.

    Raises:
        UnreadableData: There is none.
    """
    return Verdict.from_dict(context.store.read_json(context.path(FILE)))


def _write(context: Context, version: str, verdict: Verdict) -> None:
    name = context.config.model.name
    about = about_of(context, version)
    files = {
        FILE: json.dumps({**about, **verdict.as_dict()}, indent=1).encode(),
        "verdict.html": report.html(verdict, about).encode(),
    }
    runs.log_files(context.tracker, context.run, files, "gate")
    tags = {"validation": "passed" if verdict.passed else "failed", VERDICT_TAG: verdict.short()}
    runs.write(context.tracker, context.mlflow_run_id, tags=tags)
    versions.write_version_tags(context.tracker, name, version, tags)
    log.info("version=%s %s %s", version, report.headline(verdict), " | ".join(verdict.reasons))


def about_of(context: Context, version: str) -> dict[str, str]:
    """What a verdict is about, for people."""
    tags = context.run.data.tags
    return {
        "model": context.config.model.name,
        "version": version,
        "DAG run": context.run_id,
        "data": f"{tags.get('data.uri', 'unknown')} (digest {tags.get('data.digest', 'unknown')})",
        "commit": tags.get("git.commit", "unknown"),
    }


def is_better(context: Context, version: str, verdict: Verdict, current: str | None) -> tuple[bool, str]:
    """Whether a validated version may take the current champion's place, and the reason in one sentence.

    A champion that cannot be compared with stays.
    """
    wanted = context.config.promotion
    if current is None:
        return True, "there was no champion before it"
    if current == version:
        return True, "it is the champion already"
    if verdict.compared != current:
        # Another version went live since the verdict, so the two are compared now; the verdict itself stays.
        verdict = judge(gather(context, version, current), context.config)
        if not verdict.passed:
            return False, "; ".join(verdict.reasons)
    check = verdict.against_champion
    if check is None or verdict.gain is None:
        return False, check.words if check else f"it was not compared with champion version {current}"
    accepted = verdict.gain >= -wanted.tolerance
    verb = "is not worse than" if accepted else "is worse than"
    allowed = f" with a tolerance of {wanted.tolerance:g}" if wanted.tolerance else ""
    doubt = "; the sample is too small to tell" if check.status == "unsure" else ""
    return accepted, (
        f"{wanted.metric} {check.found['candidate']:.6f} {verb} the {check.found['champion']:.6f} of champion version "
        f"{current} on the same {check.found['rows']} rows{allowed}{doubt}"
    )
