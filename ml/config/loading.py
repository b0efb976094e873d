"""The pipeline's configuration: what `pipeline.yaml`, `--set`, the trigger form and the REST `conf` may say.

Pure. Light (pydantic and yaml), because Airflow imports it whenever it parses a DAG.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ml.config.estimators import DEFAULT, LogisticParameters
from ml.config.messages import describe, estimator_of, suggest
from ml.config.schema import PipelineConfig
from ml.config.search_space import candidates, nested
from ml.config.yaml_text import read_yaml
from ml.errors import Misconfigured, one_line


def load_config(path: Path | None) -> PipelineConfig:
    """Reads a pipeline file; what it leaves out, or everything where there is None, has its default.

    Raises:
        Misconfigured: The file is missing, is not YAML, or has a key or value that is not allowed.
    """
    if path is None:
        return PipelineConfig()
    try:
        sections = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Misconfigured(
            f"{path} does not exist: name an existing file, or write one with 'trackyard init'"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read ({error}): name a readable UTF-8 file") from error
    except yaml.YAMLError as error:
        raise Misconfigured(f"{path} is not YAML ({one_line(error, 200)}): correct it there") from error
    if not isinstance(sections, Mapping | None):
        raise Misconfigured(f"{path} holds a {type(sections).__name__}: it must hold sections such as 'data:'")
    return parse_config(sections or {}, str(path))


def base_config(pipeline_file: str | Path | None) -> PipelineConfig:
    """The defaults: those of the file, or the built-in ones where it is not there."""
    path = Path(pipeline_file) if pipeline_file else None
    return _unchanged(path, path.stat().st_mtime_ns) if path and path.exists() else PipelineConfig()


@lru_cache(maxsize=2)
def _unchanged(path: Path, changed_ns: int) -> PipelineConfig:
    """A file as it was at that moment: every task reads its DAG, and the DAG its form's defaults, 10 ms of YAML."""
    return load_config(path)


def parse_config(sections: Mapping[str, object], source: str = "the configuration") -> PipelineConfig:
    """Checks plain values; `Misconfigured` names, after their source, each key or value that is not allowed."""
    try:
        config = PipelineConfig.model_validate(_plain(sections))
    except ValidationError as error:
        problems = describe(error.errors(include_url=False), sections)
        raise Misconfigured(f"{source}: {'; '.join(problems)}") from error
    # Every candidate of a search is checked as any other configuration is.
    for number, overrides in enumerate(candidates(config.tune)):
        resolve(config, nested(overrides), f"candidate {number} of tune")
    return config


def resolve(base: PipelineConfig, overrides: Mapping[str, object], source: str = "overrides") -> PipelineConfig:
    """Lays nested overrides over a configuration; `Misconfigured` where a key or value of theirs is not allowed."""
    plain, changes = base.as_dict(), _plain(overrides)
    if isinstance(changes.get("promotion"), str):
        # The short form says who decides, and takes nothing else of the section away.
        changes = {**changes, "promotion": {"mode": changes["promotion"]}}
    if estimator_of(changes, base.model.estimator) != base.model.estimator:
        # Another estimator starts from its own defaults: the parameters of the one before it are not its.
        plain["model"]["parameters"] = {}
    return parse_config(_merge(plain, changes), source)


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Reads `section.key=value` words; values are read as YAML, so `true`, `0.2` and `[a, b]` mean what they say.

    Raises:
        Misconfigured: A word has no `=` or an empty key, or its value is not YAML.
    """
    overrides: dict[str, Any] = {}
    for word in assignments:
        key, equals, text = word.partition("=")
        path = _split_key(key)
        if not equals or not all(path):
            raise Misconfigured(f"--set {word!r} is not KEY=VALUE: write for example --set split.test_size=0.2")
        try:
            value = read_yaml(text)
        except yaml.YAMLError as error:
            raise Misconfigured(f"--set {key}: {text!r} cannot be read ({one_line(error, 200)})") from error
        overrides = _merge(overrides, _nest(path, value))
    return overrides


def flatten(config: PipelineConfig) -> dict[str, str]:
    """The configuration as `section.key` and text, in the order of the file, for MLflow's parameters."""
    return dict(_flat("", config.as_dict()))


def config_from_trigger(base: PipelineConfig, params: Mapping[str, object]) -> PipelineConfig:
    """The configuration of one DAG run: the defaults, then the form's fields, then the keys given in `config`.

    A field that is left out, or null, leaves its key as it is, but for `data`: null is what Airflow's form sends for a
    field that was emptied, and the emptied one asks for the generated data set, whatever address the defaults name.

    Raises:
        Misconfigured: A field is unknown, or a value is not allowed.
    """
    fields: dict[str, Any] = {}
    extra = params.get("config") or {}
    if not isinstance(extra, Mapping):
        raise Misconfigured(f"the trigger's field 'config' is a {type(extra).__name__}: give an object such as {{}}")
    estimator = estimator_of(extra, params.get("estimator") or base.model.estimator)
    for name, value in params.items():
        if name in ("config", "note"):
            continue
        if name not in _FORM_KEYS:
            raise Misconfigured(
                f"the trigger's field {name!r} is unknown{suggest(name, [*_FORM_KEYS, 'config', 'note'])}"
            )
        # The form always sends its fields; those of the default estimator say nothing of another one.
        is_idle = name in _LOGISTIC and estimator != DEFAULT and value == form_defaults(base)[name]
        if not is_idle and (value is not None or name == "data"):
            fields = _merge(fields, _nest(_FORM_KEYS[name], value))
    return resolve(base, _merge(fields, _plain(extra)), "the trigger")


def form_defaults(config: PipelineConfig) -> dict[str, Any]:
    """The defaults of the trigger form's typed fields, and `mail_to`, the addresses that get mail."""
    plain = config.as_dict()
    fields: dict[str, Any] = {}
    for name, path in _FORM_KEYS.items():
        value: Any = plain
        for part in path:
            value = value.get(part)
        fields[name] = value if value is not None else getattr(LogisticParameters(), name)
    return {**fields, "mail_to": list(config.notification.to)}


_FORM_KEYS: dict[str, tuple[str, ...]] = {
    "data": ("data", "uri"),
    "rows": ("data", "generate", "rows"),
    "test_size": ("split", "test_size"),
    "random_state": ("split", "random_state"),
    "estimator": ("model", "estimator"),
    "C": ("model", "parameters", "C"),
    "max_iter": ("model", "parameters", "max_iter"),
    "model_name": ("model", "name"),
}
_LOGISTIC = ("C", "max_iter")


def _nest(path: Sequence[str], value: Any) -> Any:
    for part in reversed(path):
        value = {part: value}
    return value


def _split_key(key: str) -> list[str]:
    # A column's name may hold dots, of which only the first part and the last are ours; what is tuned has dots too.
    parts = key.strip().split(".")
    if parts[0] == "schema" and len(parts) > 3:
        return [parts[0], ".".join(parts[1:-1]), parts[-1]]
    if parts[:2] == ["tune", "parameters"] and len(parts) > 3:
        return [*parts[:2], ".".join(parts[2:])]
    return parts


def _plain(value: Any) -> Any:
    """Keys that are not text, and dates, as text: what a caller has, and YAML of ours has not."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, date) else value


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        are_sections = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        # The contract is one thing: a new one replaces the old, rather than adding columns to it.
        if are_sections and not (key == "schema" and _is_whole_contract(value)):
            value = _merge(merged[key], value)
        merged[key] = value
    return merged


def _is_whole_contract(value: Mapping[str, Any]) -> bool:
    """Whether these are whole rules, each with its type, rather than single words about rules that are there."""
    return all(isinstance(rule, Mapping) and "type" in rule for rule in value.values())


def _flat(prefix: str, value: Any) -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping) and value and prefix != "schema":
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value)
