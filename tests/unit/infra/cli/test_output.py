"""What is written to a terminal, to a pipe, and as JSON."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from infra.cli.output import finite, printable, show_list


def test_text_from_elsewhere_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b]0;title\x07b\r\n") == "a?]0;title?b?\n"


def test_metrics_that_json_cannot_carry_are_null_and_curves_are_left_out() -> None:
    metrics = {"test_f1": 0.5, "slope": float("-inf"), "auc": float("nan"), "threshold/f1": 0.1}

    assert list(finite(metrics).items()) == [("auc", None), ("slope", None), ("test_f1", 0.5)]


def test_a_list_is_json_or_a_table_or_the_line_that_says_why_there_is_nothing() -> None:
    def shown(values: list[str], *, as_json: bool = False) -> str:
        pipe = StringIO()
        show_list(Console(file=pipe), values, ["name"], lambda each: [each], as_json=as_json, empty="none yet")
        return pipe.getvalue()

    assert shown(["é"], as_json=True) == '[\n  "é"\n]\n'
    assert shown([], as_json=True) == "[]\n"
    assert shown(["one"]) == "name\none\n"
    assert shown([]) == "none yet\n"
