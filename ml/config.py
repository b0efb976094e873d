"""The pipeline's configuration: what `pipeline.yaml`, `--set`, the trigger form and the REST `conf` may say.

Pure. Light (pydantic and yaml), because Airflow imports it whenever it parses a DAG.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from ml.errors import Misconfigured

ColumnType = Literal["number", "integer", "boolean", "category", "string", "datetime"]
Metric = Literal[
    "test_accuracy", "test_precision", "test_recall", "test_f1", "test_roc_auc", "test_average_precision",
    "test_log_loss", "test_brier",
]  # fmt: skip


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _is_auto(value: Any) -> str:
    return "auto" if value == "auto" else "listed"


Texts = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Values = Annotated[tuple[str | int | float | bool, ...], BeforeValidator(_as_tuple)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True)


class GenerateConfig(_Section):
    """The default data set, made when no address is given."""

    rows: int = Field(1000, ge=20, le=2_000_000, description="how many rows are generated")
    seed: int = Field(42, ge=0, le=2**32 - 1, description="the same seed gives the same rows")


class DataConfig(_Section):
    """Where the data is and which of its columns count."""

    uri: str = Field("", max_length=1000, description="an s3:// address, or empty for the generated data set")
    target: str = Field("Clicked on Ad", min_length=1, description="the column to predict")
    positive: str | int | float | bool | None = Field(None, description="the label that counts as 1")
    features: Annotated[
        Annotated[Literal["auto"], Tag("auto")] | Annotated[Texts, Tag("listed")], Discriminator(_is_auto)
    ] = Field("auto", description="the columns to learn from")
    drop: Texts = Field(
        ("Ad Topic Line", "City", "Country", "Timestamp"), description="columns never to learn from"
    )
    max_bytes: int = Field(200 * 2**20, ge=1, description="the largest file, in bytes, also when unpacked")
    max_rows: int = Field(2_000_000, ge=1, description="the most rows")
    generate: GenerateConfig = GenerateConfig()


class ColumnRule(_Section):
    """What the data contract says of one column."""

    type: ColumnType
    minimum: float | None = None
    maximum: float | None = None
    allowed: Values | None = None
    nullable: bool = False
    unique: bool = False

    @model_validator(mode="after")
    def _range_is_a_range(self) -> ColumnRule:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is above maximum {self.maximum:g}")
        return self


class SplitConfig(_Section):
    """How the rows are divided into a training and a test part."""

    test_size: float = Field(0.3, gt=0, lt=1, description="the fraction of rows that training never sees")
    random_state: int = Field(42, ge=0, le=2**32 - 1, description="the seed of the split")
    stratify: bool = Field(False, description="keep the class balance the same in both parts")


class PreprocessingConfig(_Section):
    """What happens to the features inside the model's Pipeline."""

    scalers: Annotated[tuple[Literal["minmax", "standard"], ...], BeforeValidator(_as_tuple)] = Field(
        ("minmax", "standard"), description="scalers, side by side"
    )
    impute: Literal["median", "mean", "most_frequent"] = Field("median", description="what fills a missing number")
    min_frequency: int = Field(1, ge=1, description="categories with fewer rows are taken together")


class LogisticParameters(_Section):
    """The parameters of scikit-learn's LogisticRegression, by its names and with its defaults."""

    C: float = Field(1.0, gt=0)
    l1_ratio: float = Field(0.0, ge=0, le=1)
    tol: float = Field(1e-4, gt=0)
    fit_intercept: bool = True
    class_weight: Literal["balanced"] | None = None
    max_iter: int = Field(100, ge=1, le=100_000)
    solver: Literal["lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"] = "lbfgs"
    random_state: int | None = Field(None, ge=0, le=2**32 - 1)

    @model_validator(mode="after")
    def _solver_knows_the_penalty(self) -> LogisticParameters:
        if self.l1_ratio > 0 and self.solver != "saga" and not (self.solver == "liblinear" and self.l1_ratio == 1):
            raise ValueError(f"l1_ratio {self.l1_ratio:g} needs solver saga, not {self.solver}")
        return self


class ModelConfig(_Section):
    """The experiment and registered model, and the estimator's parameters."""

    name: Name = Field("ad-click", description="the experiment and the registered model")
    parameters: LogisticParameters = LogisticParameters()


class PromotionConfig(_Section):
    """When a new version replaces the champion."""

    metric: Metric = Field("test_log_loss", description="the metric that both are compared by")
    tolerance: float = Field(0.0, ge=0, description="how much worse than the champion is still accepted")


class NotificationConfig(_Section):
    """Who gets mail, and when."""

    to: Texts = Field(("team@trackyard.local",), description="addresses")
    on_success: bool = True
    on_failure: bool = True

    @model_validator(mode="after")
    def _addresses_are_addresses(self) -> NotificationConfig:
        for address in self.to:
            if address.count("@") != 1 or any(c.isspace() or c in ",;<>" for c in address):
                raise ValueError(f"{address!r} is no mail address")
        return self


_AD_SCHEMA = {
    "Daily Time Spent on Site": ColumnRule(type="number", minimum=0, maximum=1440),
    "Age": ColumnRule(type="integer", minimum=0, maximum=120),
    "Area Income": ColumnRule(type="number", minimum=0),
    "Daily Internet Usage": ColumnRule(type="number", minimum=0, maximum=1440),
    "Ad Topic Line": ColumnRule(type="string", nullable=True),
    "City": ColumnRule(type="string", nullable=True),
    "Male": ColumnRule(type="integer", allowed=(0, 1)),
    "Country": ColumnRule(type="string", nullable=True),
    "Timestamp": ColumnRule(type="datetime", nullable=True),
    "Clicked on Ad": ColumnRule(type="integer", allowed=(0, 1)),
}


class PipelineConfig(_Section):
    """Everything that a run can be told. The field `schema` of the file is `contract` here."""

    data: DataConfig = DataConfig()
    contract: dict[str, ColumnRule] = Field(_AD_SCHEMA, alias="schema", description="the data contract, by column")
    split: SplitConfig = SplitConfig()
    preprocessing: PreprocessingConfig = PreprocessingConfig()
    model: ModelConfig = ModelConfig()
    promotion: PromotionConfig = PromotionConfig()
    notification: NotificationConfig = NotificationConfig()

    def as_dict(self) -> dict[str, Any]:
        """The configuration as plain values, under the names of the file; `parse_config` reads it back."""
        plain: dict[str, Any] = json.loads(self.model_dump_json(by_alias=True))
        return plain


def load_config(path: Path | None) -> PipelineConfig:
    """Reads a pipeline file; what it leaves out has its default.

    Args:
        path: The file, or None for the defaults alone.

    Raises:
        Misconfigured: The file is missing, is not YAML, or has a key or value that is not allowed.
    """
    if path is None:
        return PipelineConfig()
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Misconfigured(f"{path} does not exist: name an existing file, or write one with 'trackyard init'") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read ({error}): name a readable UTF-8 file") from error
    except yaml.YAMLError as error:
        raise Misconfigured(f"{path} is not YAML ({_one_line(error)}): correct it there") from error
    if found is None:
        found = {}
    if not isinstance(found, Mapping):
        raise Misconfigured(f"{path} holds a {type(found).__name__}: it must hold sections such as 'data:'")
    return parse_config(found, str(path))


def parse_config(found: Mapping[str, object], source: str = "the configuration") -> PipelineConfig:
    """Checks plain values.

    Args:
        found: The sections.
        source: Where they came from, for the message.

    Raises:
        Misconfigured: A key or value is not allowed; each is named with its dotted key.
    """
    try:
        return PipelineConfig.model_validate(_plain(found))
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors(include_url=False))
        raise Misconfigured(f"{source}: {problems}") from error


def resolve(base: PipelineConfig, overrides: Mapping[str, object], source: str = "overrides") -> PipelineConfig:
    """Lays nested overrides over a configuration; what they do not name stays.

    Raises:
        Misconfigured: A key or value is not allowed.
    """
    return parse_config(_merge(base.as_dict(), _plain(overrides)), source)


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Reads `section.key=value` words; values are read as YAML, so `true`, `0.2` and `[a, b]` mean what they say.

    Raises:
        Misconfigured: A word has no `=` or an empty key, or its value is not YAML.
    """
    found: dict[str, Any] = {}
    for word in assignments:
        key, equals, text = word.partition("=")
        path = _split_key(key)
        if not equals or not all(path):
            raise Misconfigured(f"--set {word!r} is not KEY=VALUE: write for example --set split.test_size=0.2")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise Misconfigured(f"--set {key}: {text!r} cannot be read ({_one_line(error)})") from error
        nested: Any = value
        for part in reversed(path):
            nested = {part: nested}
        found = _merge(found, nested)
    return found


def flatten(config: PipelineConfig) -> dict[str, str]:
    """The configuration as `section.key` and text, in the order of the file, for MLflow's parameters."""
    return dict(_flat("", config.as_dict()))


def config_from_trigger(base: PipelineConfig, params: Mapping[str, object]) -> PipelineConfig:
    """The configuration of one DAG run: the defaults, then the form's fields, then the keys given in `config`.

    Raises:
        Misconfigured: A field is unknown, or a value is not allowed.
    """
    fields: dict[str, Any] = {}
    for name, value in params.items():
        if name in ("config", "note"):
            continue
        if name not in _FORM_KEYS:
            raise Misconfigured(f"the trigger's field {name!r} is unknown{_suggest(name, [*_FORM_KEYS, 'config', 'note'])}")
        if value is not None:
            fields = _merge(fields, _nest(_FORM_KEYS[name], value))
    extra = params.get("config") or {}
    if not isinstance(extra, Mapping):
        raise Misconfigured(f"the trigger's field 'config' is a {type(extra).__name__}: give an object such as {{}}")
    return resolve(base, _merge(fields, _plain(extra)), "the trigger")


def form_defaults(config: PipelineConfig) -> dict[str, Any]:
    """The defaults of the trigger form's typed fields, and `mail_to`, the addresses that get mail."""
    plain = config.as_dict()
    fields: dict[str, Any] = {}
    for name, path in _FORM_KEYS.items():
        value: Any = plain
        for part in path:
            value = value[part]
        fields[name] = value
    return {**fields, "mail_to": list(config.notification.to)}


def json_schema() -> dict[str, Any]:
    """The JSON schema of `pipeline.yaml`, which editors can check it against."""
    return PipelineConfig.model_json_schema(by_alias=True)


_FORM_KEYS: dict[str, tuple[str, ...]] = {
    "data": ("data", "uri"),
    "rows": ("data", "generate", "rows"),
    "test_size": ("split", "test_size"),
    "random_state": ("split", "random_state"),
    "C": ("model", "parameters", "C"),
    "max_iter": ("model", "parameters", "max_iter"),
    "model_name": ("model", "name"),
}


def _nest(path: tuple[str, ...], value: Any) -> Any:
    for part in reversed(path):
        value = {part: value}
    return value


def _split_key(key: str) -> list[str]:
    # A column's name may hold dots; only schema has such keys, and only its first part and last are ours.
    parts = key.strip().split(".")
    if parts[0] == "schema" and len(parts) > 3:
        return [parts[0], ".".join(parts[1:-1]), parts[-1]]
    return parts


def _plain(found: Any) -> Any:
    """YAML dates and keys that are not text, as text: the file's author meant what stands there."""
    if isinstance(found, Mapping):
        return {str(key): _plain(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [_plain(value) for value in found]
    return found


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        # The contract is one thing: a new one replaces the old, rather than adding columns to it.
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping) and key != "schema"
        merged[key] = _merge(merged[key], value) if nested else value
    return merged


def _flat(prefix: str, value: Any) -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping) and value and prefix != "schema":
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value)


def _describe(problem: Any) -> str:
    path = [str(part) for part in problem["loc"] if part not in ("auto", "listed")]
    key = ".".join(path) or "the file"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key}{_suggest(path[-1], _known_keys(tuple(path[:-1])))}"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    found = problem.get("input")
    shown = "" if isinstance(found, (Mapping, BaseModel)) else f" is {json.dumps(found, default=str)[:80]}"
    return f"{key}{shown}: {message}"


def _suggest(name: str, known: Iterable[str]) -> str:
    options = sorted(known)
    near = difflib.get_close_matches(name, options, n=1)
    if near:
        return f" (did you mean {near[0]}?)"
    return f" (known: {', '.join(options)})" if options else ""


@lru_cache(maxsize=64)
def _known_keys(path: tuple[str, ...]) -> tuple[str, ...]:
    model: Any = PipelineConfig
    for part in path:
        if model is PipelineConfig and part == "schema":
            return tuple(ColumnRule.model_fields)
        field = model.model_fields.get(part) if isinstance(model, type) and issubclass(model, BaseModel) else None
        if field is None:
            return ()
        options = get_args(field.annotation) or (field.annotation,)
        model = next((option for option in options if isinstance(option, type) and issubclass(option, BaseModel)), None)
    if model is None:
        return ()
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
