"""A process that answers questions: line by line, with bytes behind them, in time or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ml.errors import BadInput, PipelineError, Untrusted
from serving.models.child_process import Answer, Child, Ended, TooSlow, serve


def test_who_waits_for_others_waits_no_longer_than_he_would() -> None:
    child = Child("serving.models.scorer_process", 60)
    with child._lock, pytest.raises(TooSlow, match="others are still being answered"):
        child.ask({}, 0.01)


def backwards(asked: Mapping[str, Any], content: bytes) -> Answer:
    if not content:
        raise BadInput("there are\nno rows")
    return {"of": asked["name"]}, content[::-1]


def questions(*asked: tuple[str, bytes]) -> bytes:
    heads = [json.dumps({"name": name, "bytes": len(content)}).encode() for name, content in asked]
    return b"".join(head + b"\n" + content for head, (_, content) in zip(heads, asked, strict=True))


def test_each_question_is_answered_in_turn_and_what_goes_wrong_over_one_is_its_answer() -> None:
    answers = io.BytesIO()

    serve(backwards, io.BytesIO(questions(("a", b"x\nyz"), ("b", b""), ("c", b"12"))), answers)

    assert answers.getvalue() == (
        b'{"of": "a", "bytes": 4}\nzy\nx'
        b'{"error": "BadInput", "message": "there are no rows", "bytes": 0}\n'
        b'{"of": "c", "bytes": 2}\n21'
    )


@pytest.mark.parametrize("lost", [1, 3, 4, 10])
def test_a_question_that_stops_before_its_end_is_not_answered(lost: int) -> None:
    answers = io.BytesIO()

    serve(backwards, io.BytesIO(questions(("a", b"abc"))[:-lost]), answers)

    assert answers.getvalue() == b""


def test_an_error_of_the_process_is_raised_here_as_what_it_is(tmp_path: Path) -> None:
    child = Child("serving.models.scorer_process", 60)
    nothing = {"folder": str(tmp_path), "name": "m", "version": "1", "sha256": "0"}
    try:
        with pytest.raises(Untrusted, match="holds no checked model"):
            child.ask(nothing, 60)
        with pytest.raises(PipelineError, match="folder") as caught:
            child.ask({}, 60)
    finally:
        child.close()

    # What is none of our errors there is none here either.
    assert type(caught.value) is PipelineError


def test_a_process_that_cannot_begin_is_told_of_with_its_exit_code() -> None:
    with pytest.raises(Ended, match=r"^exit code 1$"):
        Child("serving.models.nothing", 60).ask({}, 60)
