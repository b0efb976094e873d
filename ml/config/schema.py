"""The keys of `pipeline.yaml`: their types, ranges and defaults. Pure and light."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ml.config.base import MOST, Metric, Section, Seed, Texts, Truth, TruthOrAuto, Whole, as_tuple
from ml.config.estimators import ALLOWED, DEFAULT, Estimator, LogisticParameters, Parameters
from ml.config.promotion import PromotionConfig
from ml.values import NUMERIC, ColumnType

RARE_ROWS = 5
"""A category with fewer rows than this says more of chance than of the target."""
IMBALANCED = 0.2
"""Where the rarer label has a smaller share of the rows than this, the parts keep it."""


def _is_auto(value: Any) -> str:
    return "auto" if value == "auto" else "listed"


def _as_words(value: Any) -> Any:
    """A list of texts and numbers as texts, as they would stand in a file."""
    if not isinstance(value, (list, tuple)) or any(isinstance(word, (bool, list, dict)) for word in value):
        return value
    return tuple(str(word) for word in value)


Words = Annotated[tuple[str, ...], BeforeValidator(_as_words)]
Values = Annotated[tuple[str | int | float | bool, ...], BeforeValidator(as_tuple)]
Address = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]


class GenerateConfig(Section):
    """The default data set, made when no address is given."""

    rows: Whole = Field(default=1000, ge=20, le=2_000_000, description="how many rows are generated")
    seed: Seed = Field(default=42, description="the same seed gives the same rows")


class CsvConfig(Section):
    """How a CSV file is written, where it is not to be found out."""

    delimiter: Literal["auto", ",", ";", "\t", "|"] = Field(default="auto", description="what separates the cells")
    decimal: Literal["auto", ".", ","] = Field(default="auto", description="the decimal mark")


class DataConfig(Section):
    """Where the data is and which of its columns count."""

    uri: Address = Field(
        default="", max_length=1000, description="an s3:// or allowed http(s):// address; empty: the generated data"
    )
    file: str = Field(
        default="", max_length=1000,
        description="a file or folder beside the pipeline file: the data set of 'trackyard run', where uri is empty",
    )  # fmt: skip
    target: str = Field(default="Clicked on Ad", min_length=1, description="the column to predict")
    positive: str | int | float | bool | None = Field(default=None, description="the label that counts as 1")
    features: Annotated[
        Annotated[Literal["auto"], Tag("auto")] | Annotated[Texts, Tag("listed")], Discriminator(_is_auto)
    ] = Field(default="auto", description="the columns to learn from")
    drop: Texts = Field(
        default=("Ad Topic Line", "City", "Country", "Timestamp"), description="columns never to learn from"
    )
    missing: Words | None = Field(
        default=None, description="texts that stand for a missing value besides the usual ones; [] for none at all"
    )
    max_bytes: Whole = Field(
        default=200 * 2**20, ge=1, le=10**15, description="the largest file, in bytes, also when unpacked"
    )
    max_rows: Whole = Field(default=2_000_000, ge=1, le=MOST, description="the most rows")
    csv: CsvConfig = CsvConfig()
    generate: GenerateConfig = GenerateConfig()


class ColumnRule(Section):
    """What the data contract says of one column."""

    type: ColumnType
    minimum: float | None = None
    maximum: float | None = None
    allowed: Values | None = None
    nullable: Truth = False
    unique: Truth = False
    missing: Words | None = Field(
        default=None, description="texts that stand for a missing value here; [] for none at all"
    )
    unit: str = Field(default="", max_length=20, description="what stands before or after its numbers, such as $ or %")
    thousands: Literal["", ",", ".", " ", "'"] = Field(default="", description="what separates its thousands")

    @model_validator(mode="after")
    def _range_is_one_of_numbers(self) -> ColumnRule:
        if (self.minimum, self.maximum) != (None, None) and self.type not in NUMERIC:
            raise ValueError(f"minimum and maximum are for numbers, and its type is {self.type}: list what is allowed")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is above maximum {self.maximum:g}")
        return self


class SplitConfig(Section):
    """How the rows are divided into a training and a test part."""

    test_size: float = Field(default=0.3, gt=0, lt=1, description="the fraction of rows that training never sees")
    random_state: Seed = Field(default=42, description="the seed of the split")
    stratify: TruthOrAuto = Field(
        default="auto",
        description="keep the class balance the same in both parts; auto: where the rarer label has less than a fifth",
    )
    folds: Whole = Field(default=5, ge=0, le=20, description="of the cross-validation on the training part; 0 for none")


class PreprocessingConfig(Section):
    """What happens to the features inside the model's Pipeline."""

    scalers: Annotated[tuple[Literal["minmax", "standard"], ...], BeforeValidator(as_tuple)] = Field(
        default=("minmax", "standard"), description="scalers, side by side"
    )
    impute: Literal["median", "mean", "most_frequent"] = Field(
        default="median", description="what fills a missing number"
    )
    min_frequency: Annotated[Whole, Field(ge=1, le=MOST)] | Literal["auto"] = Field(
        default="auto",
        description="categories with fewer rows are taken together; auto: 5 where there are such, else 1",
    )

    @field_validator("scalers")
    @classmethod
    def _each_once(cls, scalers: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(scalers)) < len(scalers):
            raise ValueError("names a scaler twice: each stands beside the others, so name it once")
        return scalers


class ModelConfig(Section):
    """The experiment and registered model, the estimator and its parameters."""

    name: Name = Field(default="ad-click", description="the experiment and the registered model")
    estimator: Estimator = Field(default=DEFAULT, description="the scikit-learn classifier at the end of the Pipeline")
    parameters: Parameters = Field(default={}, validate_default=True)

    @field_validator("parameters", mode="before")
    @classmethod
    def _parameters_are_the_estimators(cls, given: Any, fields: ValidationInfo) -> Any:
        """Reads the parameters as those of the named estimator, so that a wrong one is told by its own name."""
        if "estimator" not in fields.data:
            # The estimator is what is wrong, and what its parameters may be nobody knows.
            return LogisticParameters()
        return given if isinstance(given, BaseModel) else ALLOWED[fields.data["estimator"]].model_validate(given)


class Range(Section):
    """Numbers to draw from, both ends included; whole ones where both ends are whole."""

    low: int | float
    high: int | float
    log: Truth = False

    @model_validator(mode="after")
    def _range_is_a_range(self) -> Range:
        if self.low > self.high or (self.log and self.low <= 0):
            raise ValueError(f"{self.low:g} to {self.high:g} is no range{', or none above 0' if self.log else ''}")
        return self


def _is_range(value: Any) -> str:
    return "range" if isinstance(value, (dict, Range)) else "list"


Tried = Annotated[tuple[JsonValue, ...], BeforeValidator(as_tuple), Field(min_length=1)]


class TuneConfig(Section):
    """A search over the Pipeline's parameters; its best candidate is fitted on the whole training part."""

    method: Literal["none", "grid", "random"] = Field(default="none", description="how candidates are found")
    metric: Metric = Field(default="log_loss", description="the cross-validated metric that decides")
    folds: Whole = Field(default=5, ge=2, le=20, description="of the cross-validation")
    candidates: Whole = Field(default=20, ge=1, le=80, description="how many are drawn, or at most make up a grid")
    random_state: Seed = Field(default=42, description="the seed of the draws")
    parameters: dict[
        str, Annotated[Annotated[Range, Tag("range")] | Annotated[Tried, Tag("list")], Discriminator(_is_range)]
    ] = Field(default_factory=dict, description="what to try: keys such as model.parameters.C, with a list or a range")


class NotificationConfig(Section):
    """Who gets mail, and when."""

    to: Texts = Field(default=("team@trackyard.local",), description="addresses")
    on_success: Truth = True
    on_failure: Truth = True

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


class PipelineConfig(Section):
    """Everything that a run can be told. The field `schema` of the file is `contract` here."""

    data: DataConfig = DataConfig()
    contract: dict[str, ColumnRule] = Field(
        default=_AD_SCHEMA, alias="schema", description="the data contract, by column"
    )
    split: SplitConfig = SplitConfig()
    preprocessing: PreprocessingConfig = PreprocessingConfig()
    model: ModelConfig = ModelConfig()
    tune: TuneConfig = TuneConfig()
    promotion: PromotionConfig = PromotionConfig()
    notification: NotificationConfig = NotificationConfig()

    @field_validator("promotion", mode="before")
    @classmethod
    def _mode_alone(cls, value: Any) -> Any:
        """`promotion: approve` is short for `promotion: {mode: approve}`."""
        return {"mode": value} if isinstance(value, str) else value

    def as_dict(self) -> dict[str, Any]:
        """The configuration as plain values, under the names of the file; `parse_config` reads it back."""
        return self.model_dump(mode="json", by_alias=True)
