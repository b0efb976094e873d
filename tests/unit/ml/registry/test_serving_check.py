"""A version is asked as a service asks it, before it may be promoted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml.errors import Untrusted
from ml.registry import serving_check
from ml.registry.loading import LoadedModel, load_folder

if TYPE_CHECKING:
    from tests.fakes import Fitted, SavedModel


@pytest.fixture
def loaded(saved: SavedModel) -> LoadedModel:
    return load_folder(saved.folder, name="ad-click", version="3", run_id="run", tags=saved.tags)


def test_a_version_that_is_signed_as_it_was_trained_passes(loaded: LoadedModel, fitted: Fitted) -> None:
    serving_check.answers_by_signature(loaded, fitted.features)


def test_a_category_that_is_signed_as_a_number_is_refused(loaded: LoadedModel, fitted: Fitted) -> None:
    features = fitted.features.assign(Age=fitted.features["Age"].astype(object))
    features.loc[features.index[-1], "Age"] = "VIP"

    with pytest.raises(Untrusted, match=r"ad-click version 3 is signed with column 'Age' as double.*VIP"):
        serving_check.answers_by_signature(loaded, features)


def test_other_columns_are_named(loaded: LoadedModel, fitted: Fitted) -> None:
    with pytest.raises(Untrusted, match=r"signed for other columns .*'Income'"):
        serving_check.answers_by_signature(
            replace(loaded, inputs={**loaded.inputs, "Income": "double"}), fitted.features
        )


def test_other_answers_are_refused(loaded: LoadedModel, fitted: Fitted) -> None:
    class Dual:
        """Says something else of texts than of numbers."""

        def predict_proba(self, frame: Any) -> Any:
            found = loaded.pipeline.predict_proba(frame)
            return found if frame["Age"].dtype == np.float64 else 1 - found

    dual = replace(loaded, pipeline=Dual(), inputs={**loaded.inputs, "Age": "string"}, input_example=[])
    with pytest.raises(Untrusted, match="no signature or input example"):
        serving_check.answers_by_signature(dual, fitted.features)
    with pytest.raises(Untrusted, match="answers otherwise when it is asked by its signature"):
        serving_check.answers_by_signature(replace(dual, input_example=loaded.input_example), fitted.features)


def test_an_example_that_cannot_be_asked_by_the_signature_is_told(loaded: LoadedModel) -> None:
    class Texts:
        """Knows texts alone."""

        def predict_proba(self, frame: Any) -> Any:
            raise TypeError("ufunc 'isnan' not supported for the input types")

    with pytest.raises(Untrusted, match=r"does not take its own input example by its signature \(ufunc 'isnan'"):
        serving_check.smoke_test(replace(loaded, pipeline=Texts()))
