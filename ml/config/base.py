"""What the sections of `pipeline.yaml` have in common. Pure and light."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ml.evaluation.metrics import NAMES

if TYPE_CHECKING:
    # A type checker takes no names that are found at run time.
    Metric = str
    TestMetric = str
else:
    Metric = Literal[NAMES]
    TestMetric = Literal[tuple(f"test_{name}" for name in NAMES)]


def as_tuple(value: Any) -> Any:
    """A list as a tuple, which cannot be changed; anything else as it is."""
    return tuple(value) if isinstance(value, list) else value


def as_whole(value: Any) -> Any:
    """A whole number written with a point, as some JSON writers do (`60.0`), as an int; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_truth(value: Any) -> Any:
    """yes, no, on and off, which other YAML takes for truths, as such; anything else as it is."""
    return _TRUTHS.get(value.lower(), value) if isinstance(value, str) else value


def as_truth_or_auto(value: Any) -> Any:
    """A truth, or the word auto; ValueError for anything else."""
    truth = as_truth(value)
    if isinstance(truth, bool) or truth == "auto":
        return truth
    raise ValueError("should be true, false or auto")


_TRUTHS = {"yes": True, "on": True, "no": False, "off": False}
Truth = Annotated[bool, BeforeValidator(as_truth)]
TruthOrAuto = Annotated[bool | Literal["auto"], BeforeValidator(as_truth_or_auto)]
Whole = Annotated[int, BeforeValidator(as_whole)]
MOST = 2**31 - 1
"""The greatest whole number where nothing else bounds one: arithmetic in C goes no further."""
Texts = Annotated[tuple[str, ...], BeforeValidator(as_tuple)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1), BeforeValidator(as_whole)]
"""What numpy and scikit-learn take as the seed of their chance."""


class Section(BaseModel):
    """A section: it cannot be changed once it is read, and knows no other keys than its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True)
