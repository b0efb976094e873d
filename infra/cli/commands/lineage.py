"""The commands about where a version came from: lineage, reproduce."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.errors import CommandFailed
from infra.cli.model_access import asked_for, check_model, history_of
from infra.cli.options import Json, Model
from infra.cli.output import finite, local_time, number, say, show_json, show_table
from ml.errors import BadInput

if TYPE_CHECKING:
    from rich.console import Console


def lineage(
    context: typer.Context,
    version: Annotated[int | None, typer.Argument(min=1, help="The version.")] = None,
    data: Annotated[str, typer.Option("--data", help="List the versions from this data digest instead.")] = "",
    run: Annotated[str, typer.Option("--run", help="List the versions from this DAG run instead.")] = "",
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Tell where a version came from and what became of it, or which versions came from a data set or a DAG run."""
    from ml.history import lineage as origins
    from ml.tracking.runs import mapped

    if sum(map(bool, (version, data, run))) != 1:
        raise BadInput("name one thing: a VERSION, --data DIGEST, or --run DAG_RUN_ID")
    session, info, name = asked_for(context, model)
    tracker = session.tracker(info)
    with mapped(info.api_urls["mlflow"]):
        if version is None:
            rows = origins.versions_from(tracker, data=data, dag_run=run)
            _show_versions(session.out, rows, data or run, as_json=as_json)
            return
        check_model(tracker, name)
        history = history_of(session, info, name)
        history.observe()
        found = origins.of_version(tracker, name, str(version), history.entries())
    found["metrics"] = finite(found["metrics"])
    if as_json:
        show_json(session.out, found)
    else:
        _show(session.out, found)


def _show_versions(out: Console, rows: list[dict[str, str]], asked: str, *, as_json: bool) -> None:
    if as_json:
        show_json(out, rows)
    elif rows:
        headings = ["model", "version", "run", "data"]
        show_table(
            out, headings, [list((row["name"], row["version"], row["dag_run_id"], row["data_digest"])) for row in rows]
        )
    else:
        say(out, f"no version came from {asked}")


def _show(out: Console, found: dict[str, Any]) -> None:
    verdict = found["verdict"] or {}
    data = found["data"]
    gate = found["validation"] or "never judged"
    lines = {
        "version": f"{found['name']} {found['version']}",
        "aliases": ", ".join(found["aliases"]),
        "data": f"{data['uri'] or '-'} (digest {data['digest'] or '-'}, {data['rows'] or '-'} rows)",
        "git commit": found["git_commit"],
        "lock digest": found["lock_digest"],
        "DAG run": f"{found['dag_id'] or '-'} {found['dag_run_id'] or '-'}",
        "MLflow run": found["run_id"],
        "sha256": found["sha256"],
        "gate": "; ".join([gate, *verdict.get("reasons", [])]),
        "approval": found["approval"],
        "metrics": ", ".join(f"{name} {number(value)}" for name, value in found["metrics"].items() if "test_" in name),
    }
    for name, text in lines.items():
        say(out, f"{name:<12} {text or '-'}")
    for entry in found["history"]:
        moved = f"{entry['before'] or '-'} -> {entry['after'] or '-'}"
        say(out, f"{'champion':<12} {local_time(entry['at'])}  {moved}  {entry['way']}, {entry['who']}: {entry['why']}")


def reproduce(
    context: typer.Context,
    version: Annotated[int, typer.Argument(min=1, help="The version.")],
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Train a version again from what was recorded and compare it with the registered one, bit by bit."""
    from infra.stack.plan import git_commit
    from ml.registry.versions import find_version
    from ml.steps import reproduction as training
    from ml.tracking import provenance
    from ml.tracking.runs import RUN_KEY, mapped

    session, info, name = asked_for(context, model)
    tracker = session.tracker(info)
    with mapped(info.api_urls["mlflow"]), tempfile.TemporaryDirectory(prefix="trackyard-") as folder:
        check_model(tracker, name)
        tags = find_version(tracker, name, str(version)).tags
        if RUN_KEY not in tags:
            raise BadInput(f"{name} version {version} was not made by this pipeline: nothing was recorded of it")
        loaded = session.load(tracker, name, str(version), Path(folder))
        found = training.again(session.store(info), tags[RUN_KEY], loaded.pipeline, tags.get("data.digest", ""))
    told = f"{name} version {version} trained again from {found.source}: {found.count} {found.compared}"
    if as_json:
        shown = {"name": name, "version": str(version), "identical": found.identical, "compared": found.compared}
        show_json(session.out, {**shown, "count": found.count, "largest_difference": found.largest})
    elif found.identical:
        say(session.out, f"{told}, identical bit by bit")
    if not found.identical:
        raise CommandFailed(
            f"{told}, not identical: the largest difference is {found.largest:g}",
            provenance.differences(tags, git_commit(session.settings().root), provenance.numerics()),
        )
