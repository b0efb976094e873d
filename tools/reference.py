"""Writes the pages of docs/reference/ from the code that they describe.

`python tools/reference.py` writes them; with `--check` it only says which are not what the code says, and fails.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"
MADE = "<!-- Made by tools/reference.py from the code: change that, and run `make reference`. -->\n\n"


def commands() -> str:
    """The page of the command line at a glance, from the application itself; each leads to its section of cli.md."""
    from typer.main import get_command

    from infra.cli.app import app

    rows = (
        (f"[`trackyard {name}`](../cli.md#trackyard-{name.replace(' ', '-')})", _usage(each), _first_line(each))
        for name, each in _leaves(get_command(app))
    )
    return (
        "# Commands at a glance\n\n"
        "Each command leads to its section in [the command line](../cli.md), which has examples and exit codes; "
        "`--help` says the same in a terminal.\n\n" + _table(("command", "takes", "does"), rows)
    )


def _leaves(command: Any, name: str = "") -> Iterable[tuple[str, Any]]:
    """Every command that can be called, by its full name."""
    inner = getattr(command, "commands", None)
    if not inner:
        yield name, command
        return
    for word, each in inner.items():
        yield from _leaves(each, f"{name} {word}".strip())


def _usage(command: Any) -> str:
    """What a command takes: its arguments, and then the long names of its options."""
    words = []
    for each in sorted(command.params, key=lambda one: one.param_type_name):
        if each.param_type_name == "argument":
            words.append(each.name.upper() if each.required else f"[{each.name.upper()}]")
        elif each.name != "help":
            words.append(each.opts[0])
    return f"`{' '.join(words)}`" if words else ""


def _first_line(command: Any) -> str:
    text: str = command.help
    return " ".join(text.partition("\n\n")[0].split())


def pipeline_yaml() -> str:
    """The page of the configuration file: the file itself, whose comments say what each key is."""
    text = (ROOT / "pipeline.yaml").read_text()
    return (
        "# pipeline.yaml\n\n"
        "The defaults of every run, with what each key means. `trackyard init` writes such a file for data of your "
        "own; `--set split.test_size=0.2`, the trigger form and the REST `conf` change a key for one run.\n\n"
        f"```yaml\n{text}```\n"
    )


def dag_parameters() -> str:
    """The page of the trigger form's fields, as Airflow gets them."""
    module = _dag_file()
    rows = (
        (f"`{name}`", _code(field.value), _rules(field.schema, module.ADDRESS), field.description)
        for name, field in module.FORM.items()
    )
    return (
        "# DAG parameters\n\n"
        "What `Airflow_Lab2` may be told, in Airflow's form, or as the `conf` of its REST API. A field that is left "
        "out keeps its default, which is that of the stack's `pipeline.yaml`; shown are those of the one that comes "
        "with Trackyard.\n\n"
        + _table(("field", "default", "must be", "what it is"), rows)
        + "\n`config` takes every key of [pipeline.yaml](pipeline-yaml.md):\n\n"
        "```json\n"
        '{"rows": 5000, "config": {"split": {"stratify": true}, "promotion": {"mode": "approve"}}}\n'
        "```\n\n"
        "`Airflow_Lab2_Flask` takes `trained_by`, the id of the run that it rolls out, which `my_trigger_task` sets.\n"
    )


def _dag_file() -> Any:
    """The DAG file, read in the way that Airflow reads it."""
    sys.path[:0] = [str(ROOT), str(ROOT / "dags" / "plugins")]
    spec = importlib.util.spec_from_file_location("airflow_lab2", ROOT / "dags" / "airflow_lab2.py")
    if spec is None or spec.loader is None:
        raise SystemExit("dags/airflow_lab2.py cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _rules(schema: dict[str, Any], address: str) -> str:
    """What a JSON schema asks for, in words; a pattern as it stands, but for that of allowed addresses."""
    kinds = schema.get("type", "any")
    words = [" or ".join(kinds) if isinstance(kinds, list) else str(kinds)]
    if "enum" in schema:
        words = ["one of " + ", ".join(f"`{each}`" for each in schema["enum"])]
    for key, text in (
        ("minimum", "at least {}"), ("exclusiveMinimum", "above {}"), ("maximum", "at most {}"),
        ("exclusiveMaximum", "below {}"), ("maxLength", "at most {} characters"),
    ):  # fmt: skip
        if key in schema:
            words.append(text.format(schema[key]))
    if "pattern" in schema:
        is_address = schema["pattern"] == address
        words.append("an address that data may be read from" if is_address else f"matching {_code(schema['pattern'])}")
    return ", ".join(words)


def http_api() -> str:
    """The page of the service's routes, from its own OpenAPI document."""
    from serving.api import openapi
    from serving.api.handlers import Api
    from serving.routes import table
    from serving.settings import ServingSettings

    settings = ServingSettings("", "", "", "", "", "ad-click", Path())
    nobody: Any = None
    document = openapi.document(table(Api(settings, nobody, nobody, nobody), nobody), None, settings)
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    meanings: dict[str, dict[str, None]] = {}
    for operation in operations.values():
        for code, answer in operation["responses"].items():
            meanings.setdefault(code, {})[answer["description"]] = None
    routes = (
        (f"`{name}`", operation["summary"], " ".join(sorted(operation["responses"])))
        for name, operation in operations.items()
    )
    statuses = ((f"`{code}`", " Or: ".join(texts)) for code, texts in sorted(meanings.items()))
    return (
        "# HTTP API\n\n"
        "The Flask service's routes. A running service describes itself at `/docs` and `/openapi.json`, there with the "
        "columns of the live version. Who needs a token is a [setting](../settings.md); what a token may do is its "
        "[scope](../cli.md#trackyard-token-create).\n\n"
        + _table(("route", "what it answers", "status"), routes)
        + "\n## Status\n\n"
        + _table(("status", "when"), statuses)
        + "\n## Bodies\n\n"
        "`POST /predict` takes one of these in JSON, with `threshold` (0 to 1) and `explain` (true or false) beside "
        "it, or as arguments of the address; else CSV with a header, or Parquet:\n\n"
        + _list(_shapes(document))
        + f"\nAt most {settings.max_rows:,} rows and {settings.max_body_bytes // 2**20} MiB at a time.\n\n"
        "The answer has " + _fields(document["components"]["schemas"]["Answer"]) + ".\n\nAn error is "
        '`{"error": {"code", "message", "problems"}}`; each problem has the row, the field and the rule.\n'
    )


def _shapes(document: dict[str, Any]) -> list[str]:
    return [f"`{shape['required'][0]}`" for shape in document["components"]["schemas"]["Body"]["anyOf"]]


def _fields(schema: dict[str, Any]) -> str:
    needed = set(schema["required"])
    return ", ".join(f"`{name}`" + ("" if name in needed else " (where it applies)") for name in schema["properties"])


def metrics() -> str:
    """The page of what is measured: by MLflow for each run and version, by Prometheus for the service."""
    from ml.config import loading
    from ml.evaluation import metrics as evaluate

    gate = loading.load_config(None).promotion
    names = (
        (f"`{name}`", "less is better" if evaluate.sign(name) < 0 else "more is better") for name in evaluate.NAMES
    )
    served = ((f"`{name}`", kind, labels, what) for name, kind, labels, what in _prometheus())
    return (
        "# Metrics\n\n"
        "## Of runs and versions, in MLflow\n\n"
        "As scikit-learn defines them; what needs a prediction takes 1 above a probability of one half. Each comes "
        "with `test_` (rows that training never saw), `train_`, and `validation_` (cross-validation on the training "
        "part, unless `split.folds` is 0) before it, in MLflow and in every JSON.\n\n"
        + _table(("metric", "direction"), names)
        + f"\nCandidate and champion are compared by `promotion.metric`, `{gate.metric}` by default.\n\n"
        "A run has these besides: `waiting/TASK`, the seconds between the end of the task before and "
        "the beginning of this one's work; `seconds/TASK`, what that took; `system/...`, MLflow's system metrics while "
        "it did; `learning/train_log_loss` and `learning/validation_log_loss` by the number of training rows.\n\n"
        "## Of the service, in Prometheus\n\n"
        "`GET /metrics` shows them, for all worker processes together.\n\n"
        + _table(("metric", "type", "labels", "what it is"), served)
    )


def _prometheus() -> Iterable[tuple[str, str, str, str]]:
    """Every metric of a service that has answered one request: name, type, labels, what it is."""
    from prometheus_client.parser import text_string_to_metric_families

    from serving.web.messages import Answer, Request
    from serving.web.metrics import Telemetry

    live = SimpleNamespace(loaded=SimpleNamespace(version="1"), loaded_unix=0.0)
    slot = SimpleNamespace(live=live, reloads=0, refusals=0)
    monitor: Any = SimpleNamespace(error=None, age_s=0.0)
    repository: Any = SimpleNamespace(slots={"m": slot}, upstream_error=None, age_s=0.0)
    telemetry = Telemetry(monitor, repository)
    facts = {"rows": 1, "model": "m", "version": "1", "unseen": {"c": 1}}
    telemetry.count(Request("POST", "/predict", "", {}, "", route="/predict"), Answer(200, facts=facts), 0.001)
    telemetry.errors.labels("E").inc()
    for family in text_string_to_metric_families(telemetry.render().decode()):
        shown = [sample for sample in family.samples if not sample.name.endswith("_created")]
        if not shown:
            continue
        labels = ", ".join(f"`{label}`" for label in sorted(set(shown[0].labels) - {"le"}))
        name = shown[0].name if family.type == "counter" else family.name
        yield name, family.type, labels, family.documentation


def _code(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _list(items: Iterable[str]) -> str:
    return "".join(f"- {item}\n" for item in items)


MAKERS = {
    "commands.md": commands,
    "pipeline-yaml.md": pipeline_yaml,
    "dag-parameters.md": dag_parameters,
    "http-api.md": http_api,
    "metrics.md": metrics,
}


def _own_environment(home: str) -> None:
    """What the code reads from its environment is that of a new embedded stack, not of whoever runs this."""
    for name in [name for name in os.environ if name.startswith(("TRACKYARD_", "AIRFLOW_", "PROMETHEUS_"))]:
        del os.environ[name]
    os.environ |= {"AIRFLOW_HOME": home, "TRACKYARD_S3_BUCKET": "trackyard"}


def main() -> None:
    """Writes the pages, or checks them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page is not current")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as home:
        _own_environment(home)
        pages = {PAGES / name: MADE + make() for name, make in MAKERS.items()}
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text() != text]
    if check and stale:
        raise SystemExit(f"not current: {', '.join(path.name for path in stale)}; run 'make reference'")
    for path in stale:
        path.write_text(pages[path])
        sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
