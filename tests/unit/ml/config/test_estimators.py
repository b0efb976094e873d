"""The allow-list: each estimator is fitted, stored as skops, read back and answers what training never saw."""

from __future__ import annotations

import hashlib
import inspect
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io

from ml.config import estimators
from ml.config.loading import config_from_trigger, form_defaults, parse_config, resolve
from ml.config.schema import PipelineConfig
from ml.errors import BadInput, Misconfigured
from ml.registry.loading import TRUSTED_TYPES, _load_skops
from ml.training import features as preprocess
from ml.training.pipeline import build_pipeline
from tests.unit.ml.training.test_features import config, mixed

TREES = ("HistGradientBoostingClassifier", "RandomForestClassifier")


def fitted(name: str, rows: int = 240, **parameters: Any) -> tuple[Any, pd.DataFrame]:
    settings = config(model={"estimator": name, "parameters": parameters})
    frame = mixed(rows)
    roles = preprocess.decide_roles(frame, settings)
    features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)
    return build_pipeline(settings, roles).fit(features, target), features


@pytest.mark.parametrize("name", estimators.ALLOWED)
def test_the_defaults_are_scikit_learns_but_for_the_seed(name: str) -> None:
    ours = estimators.ALLOWED[name]().model_dump()

    theirs = inspect.signature(type(estimators.build(name, estimators.ALLOWED[name]()))).parameters

    del ours["random_state"]
    assert ours == {key: theirs[key].default for key in ours}


@pytest.mark.parametrize("name", estimators.ALLOWED)
def test_each_reads_back_with_our_trust_list_and_answers_what_it_never_saw(name: str) -> None:
    pipeline, features = fitted(name)
    content = skops.io.dumps(pipeline)

    loaded = _load_skops(content, "m version 1")

    assert set(skops.io.get_untrusted_types(data=content)) <= set(TRUSTED_TYPES)
    np.testing.assert_array_equal(loaded.predict_proba(features), pipeline.predict_proba(features))
    new = features.head(3).assign(amount=[np.nan, 1e9, -1e9], city=["Paris", None, "Rome"], flag=[np.nan, 1.0, 0.0])
    found = loaded.predict_proba(new)[:, 1]
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("name", estimators.ALLOWED)
def test_the_same_seed_gives_the_same_model(name: str) -> None:
    features = fitted(name)[1]

    digests = {hashlib.sha256(fitted(name)[0].predict_proba(features).tobytes()).hexdigest() for _ in range(2)}

    assert len(digests) == 1


@pytest.mark.parametrize("name", estimators.ALLOWED)
def test_class_weight_moves_the_rarer_class_up(name: str) -> None:
    rng = np.random.default_rng(0)
    rows = 600
    frame = pd.DataFrame({"amount": rng.normal(size=rows)})
    frame["bought"] = np.where(frame["amount"] + rng.normal(size=rows) * 2 > 3, "yes", "no")
    means = []
    for weight in (None, "balanced"):
        settings = config(data={"drop": []}, model={"estimator": name, "parameters": {"class_weight": weight}})
        roles = preprocess.decide_roles(frame, settings)
        features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)
        pipeline = build_pipeline(settings, roles).fit(features, target)
        means.append(pipeline.predict_proba(features)[:, 1][target == 1].mean())

    assert means[1] > means[0]


def test_rare_categories_are_taken_together() -> None:
    frame = pd.DataFrame(
        {"city": ["Rome"] * 40 + ["Ulm"] * 36 + ["Bern", "Kiel", "Graz", "Linz"], "bought": ["no", "yes"] * 40}
    )
    settings = config(data={"drop": []}, preprocessing={"min_frequency": 5})
    roles = preprocess.decide_roles(frame, settings)
    features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)

    pipeline = build_pipeline(settings, roles).fit(features, target)

    assert len(pipeline[:-1].get_feature_names_out()) == 3
    found = pipeline.predict_proba(pd.DataFrame({"city": ["Bern", "Linz", "Nowhere"]}))[:, 1]
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("estimator", "parameters", "told"),
    [
        ("SVC", {}, "model.estimator"),
        ("RandomForestClassifier", {"C": 1.0}, "unknown key model.parameters.C"),
        ("HistGradientBoostingClassifier", {"learning_rate": -1}, "model.parameters.learning_rate is -1"),
        ("HistGradientBoostingClassifier", {"max_itr": 5}, "did you mean max_iter?"),
        ("RandomForestClassifier", {"max_features": 2.0}, "max_features 2 must be"),
        ("RandomForestClassifier", {"n_jobs": -1}, "unknown key model.parameters.n_jobs"),
    ],
)
def test_what_is_not_allowed_is_named(estimator: str, parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        parse_config({"model": {"estimator": estimator, "parameters": parameters}})

    assert told in str(caught.value)


def test_another_estimator_starts_from_its_own_defaults() -> None:
    base = resolve(PipelineConfig(), {"model": {"parameters": {"C": 3.0}}})

    changed = resolve(base, {"model": {"estimator": TREES[0], "parameters": {"max_iter": 7}}})

    assert changed.model.parameters.model_dump(exclude_defaults=True) == {"max_iter": 7}
    assert parse_config(changed.as_dict()) == changed
    assert resolve(changed, {"model": {"name": "x"}}).model.parameters == changed.model.parameters


def test_the_form_chooses_the_estimator_and_its_untouched_fields_say_nothing_of_another() -> None:
    form = {key: value for key, value in form_defaults(PipelineConfig()).items() if key != "mail_to"}

    chosen = config_from_trigger(PipelineConfig(), {**form, "estimator": TREES[1]})
    in_config = config_from_trigger(PipelineConfig(), {**form, "config": {"model": {"estimator": TREES[0]}}})

    assert (chosen.model.estimator, in_config.model.estimator) == (TREES[1], TREES[0])
    with pytest.raises(Misconfigured, match="C"):
        config_from_trigger(PipelineConfig(), {**form, "estimator": TREES[1], "C": 5.0})


def test_a_base_of_another_estimator_has_a_form_too() -> None:
    base = resolve(PipelineConfig(), {"model": {"estimator": TREES[1]}})
    form = {key: value for key, value in form_defaults(base).items() if key != "mail_to"}

    assert config_from_trigger(base, form) == base


@pytest.mark.parametrize("fraction", [1e-9, 0.999])
def test_parameters_that_these_rows_cannot_bear_are_told_in_one_line_and_never_tried_again(fraction: float) -> None:
    settings = config(
        model={
            "estimator": "HistGradientBoostingClassifier",
            "parameters": {"early_stopping": True, "validation_fraction": fraction},
        }
    )
    frame = mixed(60)
    roles = preprocess.decide_roles(frame, settings)
    features, target = preprocess.features_of(frame, roles), preprocess.target_of(frame, roles)

    with pytest.raises(BadInput, match="cannot fit HistGradientBoostingClassifier to these 60 rows") as caught:
        estimators.fit(build_pipeline(settings, roles), features, target)

    assert "\n" not in str(caught.value)
