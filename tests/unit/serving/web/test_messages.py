"""An answer is JSON whatever is in it."""

from __future__ import annotations

import json

import pytest

from serving.web.messages import as_json


@pytest.mark.parametrize("text", ["plain", "half of a pair: \ud800"])
def test_what_json_has_no_form_for_is_null_whatever_stands_beside_it(text: str) -> None:
    value = {"text": text, "rows": [float("nan"), float("inf"), 0.1], 3: None}

    assert json.loads(as_json(value)) == {"text": text.replace("\ud800", "?"), "rows": [None, None, 0.1], "3": None}


def test_a_whole_number_of_any_size_is_told() -> None:
    assert json.loads(as_json({"count": 2**70})) == {"count": 2**70}
