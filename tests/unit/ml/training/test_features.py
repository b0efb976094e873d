"""Roles and split; on the public data the published numbers come out."""

from __future__ import annotations

import pandas as pd
import pytest

from ml.config.schema import PipelineConfig
from ml.errors import ContractViolation
from ml.evaluation import metrics
from ml.reading import contract
from ml.training import features as preprocess
from ml.training.pipeline import build_pipeline
from tests.unit.ml.training.conftest import config, mixed


def test_the_real_data_gives_the_published_numbers(real_data: pd.DataFrame) -> None:
    settings = PipelineConfig()
    frame = contract.check(real_data, settings, "advertising.csv")
    roles = preprocess.decide_roles(frame, settings)
    train, test = preprocess.split_rows(frame, settings)
    features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)

    pipeline = build_pipeline(settings, roles).fit(features.iloc[train], target.iloc[train])
    found = metrics.metrics(target.iloc[test], metrics.probabilities(pipeline, features.iloc[test]), "test")

    assert {name: round(value, 6) for name, value in found.items() if name != "test_average_precision"} == {
        "test_accuracy": 0.97,
        "test_precision": 0.980132,
        "test_recall": 0.961039,
        "test_f1": 0.970492,
        "test_roc_auc": 0.985901,
        "test_log_loss": 0.120244,
        "test_brier": 0.030870,
    }


def test_roles_follow_the_contract() -> None:
    rules = {
        "amount": {"type": "number"}, "code": {"type": "category", "nullable": True}, "flag": {"type": "boolean"},
        "when": {"type": "datetime"}, "bought": {"type": "category"},
    }  # fmt: skip

    roles = preprocess.decide_roles(mixed(), config(rules, data={"drop": []}))

    assert (roles.numeric, roles.categorical) == (("amount", "flag"), ("code",))
    assert (roles.target, roles.negative, roles.positive) == ("bought", "no", "yes")
    assert roles.left_out == {"when": "a moment, not a property", "city": "not in the schema"}
    assert [column.type for column in roles.columns] == ["number", "boolean", "category"]


def test_roles_follow_the_columns_where_there_is_no_contract() -> None:
    roles = preprocess.decide_roles(mixed(), config())

    assert roles.numeric == ("amount", "code")
    assert roles.categorical == ("city",)
    assert roles.left_out == {"flag": "suspected leak: it tells the target alone (ROC AUC 1.000)"}
    assert preprocess.Roles.from_dict(roles.as_dict()) == roles


def test_no_feature_and_too_many_categories_are_refused() -> None:
    with pytest.raises(ContractViolation, match="no feature is left"):
        preprocess.decide_roles(mixed(), config(data={"drop": ["amount", "city", "code", "flag", "when"]}))
    many = pd.DataFrame({"name": [f"n{i}" for i in range(1200)], "bought": ["no", "yes"] * 600})
    with pytest.raises(ContractViolation, match="'name': suspected id: every row has its own"):
        preprocess.decide_roles(many, config())
    with pytest.raises(ContractViolation, match="1,200 different values"):
        preprocess.decide_roles(many, config(data={"features": ["name"]}))


def test_the_split_follows_the_seed_and_the_fraction() -> None:
    frame = mixed()
    first, again = (preprocess.split_rows(frame, config(split={"random_state": 5})) for _ in range(2))
    other = preprocess.split_rows(frame, config(split={"random_state": 6}))

    assert [part.tolist() for part in first] == [part.tolist() for part in again]
    assert first[1].tolist() != other[1].tolist()
    assert len(first[1]) == 18
    assert sorted([*first[0], *first[1]]) == list(range(60))


def test_a_stratified_split_keeps_the_balance() -> None:
    frame = mixed()
    _, test = preprocess.split_rows(frame, config(split={"stratify": True}))

    assert frame["bought"].iloc[test].value_counts().to_dict() == {"no": 9, "yes": 9}


def test_a_part_with_one_class_is_refused() -> None:
    _, test = preprocess.split_rows(mixed(), config())
    frame = mixed()
    frame.loc[test, "bought"] = "no"

    with pytest.raises(ContractViolation, match="the test part of 18 rows has one class only"):
        preprocess.split_rows(frame, config())


@pytest.mark.parametrize("stratify", [True, False])
@pytest.mark.parametrize("size", [1e-9, 0.999])
def test_a_part_of_no_row_is_told_in_one_line(size: float, stratify: bool) -> None:
    with pytest.raises(ContractViolation, match=r"split\.test_size|one class only") as caught:
        preprocess.split_rows(mixed(60), config(split={"test_size": size, "stratify": stratify}))

    assert "\n" not in str(caught.value)
