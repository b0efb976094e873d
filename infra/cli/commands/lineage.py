"""The commands about where a version came from: lineage, reproduce."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.errors import CommandFailed
from infra.cli.model_access import asked_for, check_model, history_of
from infra.cli.options import Json, Model
from infra.cli.output import finite, local_time, number, say, show_json, show_list
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

    if sum(map(bool, (version, data, run))) != 1:
        raise BadInput("name one thing: a VERSION, --data DIGEST, or --run DAG_RUN_ID")
    session, info, name = asked_for(context, model)
    with session.mlflow(info) as tracker:
        if version is None:
            rows = origins.versions_from(tracker, data=data, dag_run=run)
            headings, empty = ["model", "version", "run", "data"], f"no version came from {data or run}"
            show_list(session.out, rows, headings, _cells, as_json=as_json, empty=empty)
            return
        check_model(tracker, name)
        history = history_of(session, info, name)
        history.observe()
        origin = origins.of_version(tracker, name, str(version), history.entries())
    origin["metrics"] = finite(origin["metrics"])
    if as_json:
        show_json(session.out, origin)
    else:
        _show(session.out, origin)


def _cells(row: dict[str, str]) -> list[str]:
    return [row["name"], row["version"], row["dag_run_id"], row["data_digest"]]


def _show(out: Console, origin: dict[str, Any]) -> None:
    verdict = origin["verdict"] or {}
    data = origin["data"]
    gate = origin["validation"] or "never judged"
    lines = {
        "version": f"{origin['name']} {origin['version']}",
        "aliases": ", ".join(origin["aliases"]),
        "data": f"{data['uri'] or '-'} (digest {data['digest'] or '-'}, {data['rows'] or '-'} rows)",
        "git commit": origin["git_commit"],
        "lock digest": origin["lock_digest"],
        "DAG run": f"{origin['dag_id'] or '-'} {origin['dag_run_id'] or '-'}",
        "MLflow run": origin["run_id"],
        "sha256": origin["sha256"],
        "gate": "; ".join([gate, *verdict.get("reasons", [])]),
        "approval": origin["approval"],
        "metrics": ", ".join(f"{name} {number(value)}" for name, value in origin["metrics"].items() if "test_" in name),
    }
    for name, text in lines.items():
        say(out, f"{name:<12} {text or '-'}")
    for entry in origin["history"]:
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
    from ml.tracking.runs import RUN_KEY

    session, info, name = asked_for(context, model)
    with session.mlflow(info) as tracker, tempfile.TemporaryDirectory(prefix="trackyard-") as folder:
        check_model(tracker, name)
        tags = find_version(tracker, name, str(version)).tags
        if RUN_KEY not in tags:
            raise BadInput(f"{name} version {version} was not made by this pipeline: nothing was recorded of it")
        loaded = session.load(tracker, name, str(version), Path(folder))
        result = training.again(session.store(info), tags[RUN_KEY], loaded.pipeline, tags.get("data.digest", ""))
    summary = f"{name} version {version} trained again from {result.source}: {result.count} {result.compared}"
    if as_json:
        shown = {"name": name, "version": str(version), "identical": result.identical, "compared": result.compared}
        show_json(session.out, {**shown, "count": result.count, "largest_difference": result.largest})
    elif result.identical:
        say(session.out, f"{summary}, identical bit by bit")
    if not result.identical:
        raise CommandFailed(
            f"{summary}, not identical: the largest difference is {result.largest:g}",
            provenance.differences(tags, git_commit(session.settings().root), provenance.numerics()),
        )
