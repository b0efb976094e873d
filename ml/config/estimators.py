"""The classifiers that `model.estimator` may name, and their parameters by scikit-learn's own names. Pure and light.

An allow-list: each has its parameters checked before anything runs, gives probabilities, and is stored as skops with
types that `ml.registry.loading` trusts. Defaults are scikit-learn's, but for the seed, which is fixed so that a run can
be repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from ml.config.base import MOST, Section, Seed, Truth, TruthOrAuto, Whole
from ml.errors import BadInput, one_line

DEFAULT = "LogisticRegression"


class LogisticParameters(Section):
    """The parameters of scikit-learn's LogisticRegression, by its names and with its defaults."""

    C: float = Field(default=1.0, gt=0)
    l1_ratio: float = Field(default=0.0, ge=0, le=1)
    tol: float = Field(default=1e-4, gt=0)
    fit_intercept: Truth = True
    class_weight: Literal["balanced"] | None = None
    max_iter: Whole = Field(default=100, ge=1, le=100_000)
    solver: Literal["lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"] = "lbfgs"
    random_state: Seed | None = None

    @model_validator(mode="after")
    def _solver_knows_the_penalty(self) -> LogisticParameters:
        if self.l1_ratio > 0 and self.solver != "saga" and not (self.solver == "liblinear" and self.l1_ratio == 1):
            raise ValueError(f"l1_ratio {self.l1_ratio:g} needs solver saga, not {self.solver}")
        return self


class BoostingParameters(Section):
    """The parameters of scikit-learn's HistGradientBoostingClassifier."""

    learning_rate: float = Field(default=0.1, gt=0, le=10)
    max_iter: Whole = Field(default=100, ge=1, le=10_000)
    max_leaf_nodes: Whole | None = Field(default=31, ge=2, le=10_000)
    max_depth: Whole | None = Field(default=None, ge=1, le=1000)
    min_samples_leaf: Whole = Field(default=20, ge=1, le=MOST)
    l2_regularization: float = Field(default=0.0, ge=0)
    max_features: float = Field(default=1.0, gt=0, le=1)
    max_bins: Whole = Field(default=255, ge=2, le=255)
    early_stopping: TruthOrAuto = "auto"
    validation_fraction: float = Field(default=0.1, gt=0, lt=1)
    n_iter_no_change: Whole = Field(default=10, ge=1, le=MOST)
    tol: float = Field(default=1e-7, ge=0)
    class_weight: Literal["balanced"] | None = None
    random_state: Seed = 42


class ForestParameters(Section):
    """The parameters of scikit-learn's RandomForestClassifier."""

    n_estimators: Whole = Field(default=100, ge=1, le=5000)
    criterion: Literal["gini", "entropy", "log_loss"] = "gini"
    max_depth: Whole | None = Field(default=None, ge=1, le=1000)
    min_samples_split: Whole = Field(default=2, ge=2, le=MOST)
    min_samples_leaf: Whole = Field(default=1, ge=1, le=MOST)
    max_leaf_nodes: Whole | None = Field(default=None, ge=2, le=1_000_000)
    max_features: Literal["sqrt", "log2"] | float | None = Field(default="sqrt")
    ccp_alpha: float = Field(default=0.0, ge=0)
    class_weight: Literal["balanced", "balanced_subsample"] | None = None
    random_state: Seed = 42

    @model_validator(mode="after")
    def _fraction_is_a_fraction(self) -> ForestParameters:
        if isinstance(self.max_features, float) and not 0 < self.max_features <= 1:
            raise ValueError(f"max_features {self.max_features:g} must be above 0 and at most 1")
        return self


Parameters = LogisticParameters | BoostingParameters | ForestParameters
ALLOWED: dict[str, type[LogisticParameters] | type[BoostingParameters] | type[ForestParameters]] = {
    DEFAULT: LogisticParameters,
    "HistGradientBoostingClassifier": BoostingParameters,
    "RandomForestClassifier": ForestParameters,
}
"""The allow-list: the estimator's name in scikit-learn, and what its parameters may be."""
if TYPE_CHECKING:
    # A type checker takes no names that are found at run time.
    Estimator = str
else:
    Estimator = Literal[tuple(ALLOWED)]


def fit(pipeline: Any, features: Any, target: Any) -> Any:
    """The Pipeline, fitted; `BadInput` where scikit-learn refuses its parameters for these rows."""
    try:
        return pipeline.fit(features, target)
    except ValueError as error:
        raise BadInput(
            f"scikit-learn cannot fit {type(pipeline[-1]).__name__} to these {len(features)} rows "
            f"({one_line(error, 300)}): correct model.parameters, or bring more rows"
        ) from error


def build(name: str, parameters: Parameters) -> Any:
    """The classifier of a name in `ALLOWED`, not yet fitted."""
    from sklearn import ensemble, linear_model

    kind = getattr(linear_model if name == DEFAULT else ensemble, name)
    return kind(**parameters.model_dump())
