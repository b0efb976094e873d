"""The command that compares runs: finds each by whatever it is called, reads what it kept, prints what differs."""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.options import Json, Model
from infra.cli.output import number, say, show_json, show_table, write_file
from infra.cli.records import experiment_ids
from infra.cli.session import Session
from ml.errors import BadInput

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from rich.console import Console

    from ml.evaluation.comparison import Comparison, Measure, Subject

MOST = 8


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
    from ml.tracking.runs import mapped

    session: Session = context.obj
    if not 2 <= len(runs) <= MOST:
        raise BadInput(
            f"{len(runs)} runs are named: name 2 to {MOST}, the baseline first ('trackyard runs' lists them)"
        )
    info = session.running_stack()
    name = session.model_name(model)
    with mapped(info.api_urls["mlflow"]):
        tracker = session.tracker(info)
        found = [find(tracker, word, name) for word in runs]
        letters = (chr(ord("A") + at) for at in range(len(found)))
        subjects = [
            read(tracker, run, letter, images=html is not None) for letter, run in zip(letters, found, strict=True)
        ]
    told = comparison.compare(subjects)
    if html is not None:
        write_file(html, page(told))
    if as_json:
        show_json(session.out, as_plain(told))
        return
    _show(session.out, told)
    if html is not None:
        say(session.out, f"report: {html}")


def find(tracker: MlflowClient, word: str, model: str) -> Run:
    """The MLflow run that somebody means.

    Args:
        tracker: A client of MLflow.
        word: A DAG run's id or how it begins, a version (`3` or `name/3`), an alias, or an MLflow run's id.
        model: The model whose versions and aliases are meant where none is named.

    Raises:
        BadInput: There is none, or more than one.
    """
    from mlflow.exceptions import MlflowException

    name, _, version = word.rpartition("/")
    if re.fullmatch(r"[0-9]{1,9}", version) and "'" not in name:
        return _of_version(tracker, name or model, version)
    if re.fullmatch(r"[0-9a-f]{32}", word):
        try:
            return tracker.get_run(word)
        except MlflowException as error:
            raise BadInput(f"MLflow has no run {word}: 'trackyard runs --json' lists them") from error
    from ml.registry.versions import aliases

    alias = aliases(tracker, model).get(word)
    return _of_version(tracker, model, alias) if alias else _of_dag_run(tracker, word)


def _of_version(tracker: MlflowClient, name: str, version: str) -> Run:
    from mlflow.exceptions import MlflowException

    try:
        run_id = tracker.get_model_version(name, version).run_id
    except MlflowException as error:
        raise BadInput(f"{name} has no version {version}: 'trackyard models' lists those it has") from error
    if not run_id:
        raise BadInput(f"{name} version {version} was not made by a run")
    try:
        return tracker.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise BadInput(
            f"the run of {name} version {version} ({run_id}) is gone, as after 'mlflow gc', and with it its metrics: "
            "name a version whose run is there ('trackyard runs' lists them)"
        ) from error


def _of_dag_run(tracker: MlflowClient, word: str) -> Run:
    if "'" in word or "%" in word:
        raise BadInput(f"{word!r} is no run's id: 'trackyard runs' lists them")
    found = tracker.search_runs(
        experiment_ids(tracker), f"tags.`airflow.run_id` LIKE '{word}%'", order_by=["attributes.start_time DESC"]
    )
    exact = [run for run in found if run.data.tags.get("airflow.run_id") == word]
    kept = exact[:1] or found
    if len(kept) != 1:
        what = "no run is called so, or begins so" if not kept else f"{len(kept)} runs begin so"
        raise BadInput(f"{word!r}: {what}: 'trackyard runs' lists them")
    return kept[0]


def read(tracker: MlflowClient, run: Run, label: str, *, images: bool) -> Subject:
    """What a run kept, for a comparison."""
    from ml.evaluation.comparison import Subject

    tags = run.data.tags
    version = f"{tags['model.name']} {tags['model.version']}" if "model.version" in tags else "-"
    files = _files(tracker, run.info.run_id, images=images)
    predictions = files.pop("test_predictions.parquet", None)
    return Subject(
        label=label,
        run_id=tags.get("airflow.run_id", run.info.run_name or run.info.run_id),
        version=version,
        state=run.info.status.lower(),
        params=dict(run.data.params),
        tags=dict(tags),
        metrics=dict(run.data.metrics),
        predictions=_table(predictions),
        images=files,
    )


def _table(content: bytes | None) -> Any:
    import pandas as pd

    return None if content is None else pd.read_parquet(io.BytesIO(content))


def _files(tracker: MlflowClient, run_id: str, *, images: bool) -> dict[str, bytes]:
    """The test predictions and, if wanted, the plots of a run, by their names; a run that failed early has none."""
    found: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory(prefix="trackyard-") as directory:
        for folder in ("tables", *((None,) if images else ())):
            for entry in tracker.list_artifacts(run_id, folder):
                if entry.path.endswith((".png", "test_predictions.parquet")):
                    local = Path(tracker.download_artifacts(run_id, entry.path, directory))
                    found[local.name] = local.read_bytes()
    return found


def _show(out: Console, told: Comparison) -> None:
    labels = [each.label for each in told.subjects]
    show_table(out, ["", "version", "run", "state"], [[s.label, s.version, s.run_id, s.state] for s in told.subjects])
    for title, rows in (("parameters that differ", told.params), ("data", told.data), ("origin", told.origin)):
        say(out, "")
        if rows:
            show_table(out, [title, *labels], [[name, *(value[:60] for value in values)] for name, values in rows])
        else:
            say(out, f"{title}: none")
    say(out, "")
    headings = [labels[0], *(f"{label} (difference from {labels[0]})" for label in labels[1:])]
    show_table(out, ["metric", *headings], [[name, *map(_told, measures)] for name, measures in told.metrics.items()])


def _told(measure: Measure) -> str:
    if measure.value is None:
        return "-"
    told = number(measure.value)
    if measure.interval and measure.difference is None:
        told += " [{:.4f}, {:.4f}]".format(*measure.interval)
    if measure.difference is not None:
        told += f" ({measure.difference:+.6f}"
        if measure.difference_interval:
            told += " [{:+.4f}, {:+.4f}]".format(*measure.difference_interval)
        word = ", ".join(filter(None, [measure.verdict, "paired" if measure.is_paired else ""]))
        told += f" {word})" if word else ")"
    return told


def as_plain(told: Comparison) -> dict[str, Any]:
    """A comparison as `compare --json` prints it."""

    def rows(found: list[tuple[str, list[str]]]) -> dict[str, list[str]]:
        return dict(found)

    def finite(pair: tuple[float, float] | None) -> list[float | None] | None:
        return None if pair is None else [value if abs(value) < float("inf") else None for value in pair]

    return {
        "runs": [
            {"label": each.label, "dag_run_id": each.run_id, "version": each.version, "state": each.state}
            for each in told.subjects
        ],
        "params": rows(told.params),
        "data": rows(told.data),
        "origin": rows(told.origin),
        "metrics": {
            name: [
                {
                    "value": each.value,
                    "interval": finite(each.interval),
                    "difference": each.difference,
                    "difference_interval": finite(each.difference_interval),
                    "paired": each.is_paired,
                    "verdict": each.verdict,
                }
                for each in measures
            ]
            for name, measures in told.metrics.items()
        },
    }
