"""The work of a run by pandas and scikit-learn alone, in seconds: `benchmarks.builds` measures a DAG run beside it."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from benchmarks.builds import CANDIDATE_VALUES, ROWS
from ml.data.generated import generate

TARGET = "Clicked on Ad"
FEATURES = ["Daily Time Spent on Site", "Age", "Area Income", "Daily Internet Usage", "Male"]


def _model() -> Any:
    return make_pipeline(
        make_column_transformer((make_union(MinMaxScaler(), StandardScaler()), FEATURES)), LogisticRegression()
    )


def _metrics(target: pd.Series, probability: Any) -> list[float]:
    predicted = probability > 0.5
    by_label = (accuracy_score, precision_score, recall_score, f1_score)
    by_probability = (roc_auc_score, average_precision_score, log_loss, brier_score_loss)
    return [float(of(target, predicted)) for of in by_label] + [float(of(target, probability)) for of in by_probability]


def _split(file: Path) -> Any:
    frame = pd.read_parquet(file)
    return train_test_split(frame[FEATURES], frame[TARGET], test_size=0.3, random_state=42)


def rows(file: Path) -> None:
    """Fits, validates by five folds, and measures on the training and the test part."""
    train, test, train_target, test_target = _split(file)
    model = _model().fit(train, train_target)
    folds = StratifiedKFold(5, shuffle=True, random_state=42)
    validated = cross_val_predict(model, train, train_target, cv=folds, method="predict_proba")[:, 1]
    _metrics(train_target, validated)
    _metrics(train_target, model.predict_proba(train)[:, 1])
    _metrics(test_target, model.predict_proba(test)[:, 1])


def search(file: Path) -> None:
    """Cross-validates every candidate, two at a time, and fits the best."""
    train, _, target, _ = _split(file)
    values = {"logisticregression__C": CANDIDATE_VALUES}
    folds = StratifiedKFold(5, shuffle=True, random_state=42)
    GridSearchCV(_model(), values, scoring="roc_auc", cv=folds, n_jobs=2).fit(train, target)


WORK: dict[str, tuple[int, Callable[[Path], None]]] = {"rows": (ROWS, rows), "search": (1000, search)}
"""The rows that are generated, and what is done with them, by the name of the measurement."""


def main(name: str) -> None:
    """Prints how long the work took, from reading the file; making it is not counted."""
    count, work = WORK[name]
    with tempfile.TemporaryDirectory(prefix="trackyard-bench-") as directory:
        file = Path(directory) / "data.parquet"
        generate(count, 42).to_parquet(file, index=False)
        began = time.monotonic()
        work(file)
        print(time.monotonic() - began)


if __name__ == "__main__":
    main(sys.argv[1])
