"""The command that compares runs: finds each by whatever it is called, reads what it kept, prints what differs."""

from __future__ import annotations

import io
import re
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.options import Json, Model
from infra.cli.output import number, say, show_json, show_table, write_file
from infra.cli.records import experiment_ids
from infra.cli.session import Session
from ml.errors import BadInput
from ml.registry import versions
from ml.tracking.runs import suppressed

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from rich.console import Console

    from ml.evaluation.comparison import Comparison, Measure, Subject

LABELS = "ABCDEFGH"


def compare(
    context: typer.Context,
    runs: Annotated[
        list[str], typer.Argument(help="Runs: a DAG run, a version (3, name/3), an alias or an MLflow run.")
    ],
    html: Annotated[Path | None, typer.Option("--html", help="Also write a report to this file.")] = None,
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Compare two or more runs: parameters, data, origin, and metrics with their intervals.

    The first is the baseline. A difference is called better or worse only where its interval leaves out zero.
    """
    from ml.evaluation import comparison
    from ml.evaluation.comparison_report import page

    session: Session = context.obj
    if not 2 <= len(runs) <= len(LABELS):
        many = f"name 2 to {len(LABELS)}, the baseline first ('trackyard runs' lists them)"
        raise BadInput(f"{len(runs)} runs are named: {many}")
    info = session.running_stack()
    name = session.model_name(model)
    with session.mlflow(info) as tracker:
        named = [find(tracker, word, name) for word in runs]
        images = html is not None
        subjects = [_read(tracker, run, label, images=images) for run, label in zip(named, LABELS, strict=False)]
    compared = comparison.compare(subjects)
    if html is not None:
        write_file(html, page(compared))
    if as_json:
        show_json(session.out, _plain(compared))
        return
    _show(session.out, compared)
    if html is not None:
        say(session.out, f"report: {html}")


def find(tracker: MlflowClient, word: str, model: str) -> Run:
    """The MLflow run that a word means; `BadInput` where there is none, or more than one.

    The word is a DAG run's id or how it begins, a version (`3` or `name/3`), an alias, or an MLflow run's id. Where it
    names no model, `model` is the one whose versions and aliases are meant.
    """
    name, _, version = word.rpartition("/")
    if re.fullmatch(r"[0-9]{1,9}", version) and "'" not in name:
        return _of_version(tracker, name or model, version)
    if re.fullmatch(r"[0-9a-f]{32}", word):
        with suppressed("RESOURCE_DOES_NOT_EXIST"):
            return tracker.get_run(word)
        raise BadInput(f"MLflow has no run {word}: 'trackyard runs --json' lists them")
    alias = versions.aliases(tracker, model).get(word)
    return _of_version(tracker, model, alias) if alias else _of_dag_run(tracker, word)


def _of_version(tracker: MlflowClient, name: str, number: str) -> Run:
    version = versions.find_version(tracker, name, number)
    if not version.run_id:
        raise BadInput(f"{name} version {number} was not made by a run")
    run = versions.run_of(tracker, version)
    if run is None:
        raise BadInput(
            f"the run of {name} version {number} ({version.run_id}) is gone, as after 'mlflow gc', and with it its "
            "metrics: name a version whose run is there ('trackyard runs' lists them)"
        )
    return run


def _of_dag_run(tracker: MlflowClient, word: str) -> Run:
    if "'" in word or "%" in word:
        raise BadInput(f"{word!r} is no run's id: 'trackyard runs' lists them")
    like, order = f"tags.`airflow.run_id` LIKE '{word}%'", ["attributes.start_time DESC"]
    similar = tracker.search_runs(experiment_ids(tracker), like, order_by=order)
    exact = [run for run in similar if run.data.tags.get("airflow.run_id") == word]
    matches = exact[:1] or similar
    if len(matches) != 1:
        what = f"{len(matches)} runs begin so" if matches else "no run is called so, or begins so"
        raise BadInput(f"{word!r}: {what}: 'trackyard runs' lists them")
    return matches[0]


def _read(tracker: MlflowClient, run: Run, label: str, *, images: bool) -> Subject:
    """What a run kept, for a comparison."""
    import pandas as pd

    from ml.evaluation.comparison import Subject

    tags = run.data.tags
    files = _files(tracker, run.info.run_id, images=images)
    predictions = files.pop("test_predictions.parquet", None)
    return Subject(
        label=label,
        run_id=tags.get("airflow.run_id", run.info.run_name or run.info.run_id),
        version=f"{tags['model.name']} {tags['model.version']}" if "model.version" in tags else "-",
        state=run.info.status.lower(),
        params=dict(run.data.params),
        tags=dict(tags),
        metrics=dict(run.data.metrics),
        predictions=None if predictions is None else pd.read_parquet(io.BytesIO(predictions)),
        images=files,
    )


def _files(tracker: MlflowClient, run_id: str, *, images: bool) -> dict[str, bytes]:
    """The test predictions and, if wanted, the plots of a run, by their names; a run that failed early has none."""
    contents: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory(prefix="trackyard-") as directory:
        for folder in ("tables", *((None,) if images else ())):
            for entry in tracker.list_artifacts(run_id, folder):
                if entry.path.endswith((".png", "test_predictions.parquet")):
                    local = Path(tracker.download_artifacts(run_id, entry.path, directory))
                    contents[local.name] = local.read_bytes()
    return contents


def _show(out: Console, compared: Comparison) -> None:
    labels = [each.label for each in compared.subjects]
    subjects = [[each.label, each.version, each.run_id, each.state] for each in compared.subjects]
    show_table(out, ["", "version", "run", "state"], subjects)
    tables = {"parameters that differ": compared.params, "data": compared.data, "origin": compared.origin}
    for title, rows in tables.items():
        say(out, "")
        if rows:
            show_table(out, [title, *labels], [[name, *(value[:60] for value in values)] for name, values in rows])
        else:
            say(out, f"{title}: none")
    say(out, "")
    headings = ["metric", labels[0], *(f"{label} (difference from {labels[0]})" for label in labels[1:])]
    show_table(out, headings, [[name, *map(_measure_text, measures)] for name, measures in compared.metrics.items()])


def _measure_text(measure: Measure) -> str:
    if measure.value is None:
        return "-"
    text = number(measure.value)
    if measure.interval and measure.difference is None:
        text += " [{:.4f}, {:.4f}]".format(*measure.interval)
    if measure.difference is not None:
        text += f" ({measure.difference:+.6f}"
        if measure.difference_interval:
            text += " [{:+.4f}, {:+.4f}]".format(*measure.difference_interval)
        word = ", ".join(filter(None, [measure.verdict, "paired" if measure.is_paired else ""]))
        text += f" {word})" if word else ")"
    return text


def _plain(compared: Comparison) -> dict[str, Any]:
    """A comparison as `compare --json` prints it."""
    return {
        "runs": [
            {"label": each.label, "dag_run_id": each.run_id, "version": each.version, "state": each.state}
            for each in compared.subjects
        ],
        "params": dict(compared.params),
        "data": dict(compared.data),
        "origin": dict(compared.origin),
        "metrics": {name: [_plain_measure(each) for each in measures] for name, measures in compared.metrics.items()},
    }


def _plain_measure(measure: Measure) -> dict[str, Any]:
    fields = asdict(measure)
    intervals = {name: _finite(fields[name]) for name in ("interval", "difference_interval")}
    return {"paired": fields.pop("is_paired"), **fields, **intervals}


def _finite(interval: tuple[float, float] | None) -> list[float | None] | None:
    return interval and [value if abs(value) < float("inf") else None for value in interval]
