"""The keys of `promotion:` in `pipeline.yaml`: what the gate checks, and what follows once it is passed. Light."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from ml.config.base import MOST, Section, TestMetric, Truth, Whole, as_tuple
from ml.evaluation.leakage import LEAK_AUC


class SliceRule(Section):
    """The least that the model must be worth in each part of the held-out rows."""

    column: str = Field(min_length=1, description="a column of the data set, learned from or not")
    bins: Whole = Field(default=4, ge=2, le=50, description="parts of equal size that a column of numbers is cut into")
    metric: TestMetric = Field(default="test_accuracy", description="the metric of each part")
    floor: float = Field(description="the least that it may be; the most, where less is better")
    min_rows: Whole = Field(default=20, ge=1, le=MOST, description="a part with fewer rows is told and decides nothing")


class BehaviourRule(Section):
    """How the probability must answer a change of one column."""

    check: Literal["invariance", "direction"]
    column: str = Field(min_length=1, description="a column that is learned from")
    effect: Literal["up", "down"] | None = Field(default=None, description="where the probability goes (direction)")
    step: float | None = Field(default=None, gt=0, description="what is added; the standard deviation when null")
    tolerance: float = Field(
        default=0.05, ge=0, le=1,
        description="invariance: the largest mean change; direction: the share of rows that may go the other way",
    )  # fmt: skip

    @model_validator(mode="after")
    def _direction_has_an_effect(self) -> BehaviourRule:
        if (self.check == "direction") != (self.effect is not None):
            raise ValueError("effect (up or down) belongs to a direction check, and each needs one")
        return self


class GateConfig(Section):
    """What a version must show on the held-out rows before it may be promoted."""

    thresholds: dict[TestMetric, float] = Field(default={}, description="the least of a metric; the most of a loss")
    dummy: Truth = Field(default=True, description="whether it must rank rows better than a model that knows nothing")
    leak: float | None = Field(
        default=LEAK_AUC, gt=0.5, le=1, description="the ROC AUC that one feature alone may have; null: any"
    )
    shrink: float | None = Field(
        default=0.5, gt=0, le=1, description="the least part of the champion's rows that a data set has; null: any"
    )
    margin: float = Field(default=0.02, ge=0, description="how much worse than the champion is certainly too bad")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of intervals and of the dummy's test")
    resamples: Whole = Field(default=1000, ge=200, le=10_000, description="how many resamples are drawn")
    min_rows: Whole = Field(
        default=100, ge=1, le=MOST, description="held-out rows below which knowing nothing is not certain"
    )
    unsure: Literal["pass", "fail"] = Field(
        default="pass", description="what follows where the rows are too few to tell"
    )
    slices: Annotated[tuple[SliceRule, ...], BeforeValidator(as_tuple)] = ()
    behaviour: Annotated[tuple[BehaviourRule, ...], BeforeValidator(as_tuple)] = ()


class PromotionConfig(Section):
    """When a new version replaces the champion, and who decides."""

    mode: Literal["auto", "approve", "manual"] = Field(default="auto", description="who decides once it is validated")
    metric: TestMetric = Field(default="test_log_loss", description="the metric that both are compared by")
    tolerance: float = Field(default=0.0, ge=0, description="how much worse than the champion is still accepted")
    approval_hours: float = Field(default=24.0, gt=0, le=24 * 30, description="how long an answer is waited for")
    gate: GateConfig = GateConfig()
