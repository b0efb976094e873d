"""The gate's verdict for people: a page, a form and a line."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from ml.gate import report
from ml.gate.judge import judge
from ml.gate.verdict import Check, Verdict
from tests.fakes import beside, configured, seen


def test_a_verdict_is_kept_as_json_and_as_a_page_by_itself(data: pd.DataFrame) -> None:
    config = configured(gate={"thresholds": {"test_accuracy": 0.999, "test_log_loss": 0.001}})
    verdict = judge(beside(seen(data), seen(data)), config)

    page = report.html(verdict, {"model": "<b>ad</b>", "version": "3"})
    form = report.markdown(verdict, {"model": "a|b<i>"})

    assert Verdict.from_dict(json.loads(json.dumps(verdict.as_dict(), allow_nan=False))) == verdict
    assert json.loads(verdict.short()) == {"passed": False, "reasons": verdict.reasons}
    assert "misses the threshold of at least 0.999" in page
    assert "misses the threshold of at most 0.001" in page
    assert "<b>ad</b>" not in page
    assert "http" not in page
    assert "<script" not in page
    assert "a\\|b&lt;i&gt;" in form


CHECKS = (
    Check("no leaked target", "passed", "'a|b' alone tells it best"),
    Check("threshold of test_f1", "failed", "test_f1 <0.5> misses it", {"value": 0.4}),
)


@pytest.mark.parametrize(
    ("passed", "rows", "words"),
    [
        (True, 1234, "gate passed: 2 checks on 1,234 held-out rows"),
        (False, 30, "gate failed: 2 checks on 30 held-out rows"),
    ],
)
def test_the_headline_says_what_became_of_it_and_of_how_much(passed: bool, rows: int, words: str) -> None:
    assert report.headline(Verdict(passed, CHECKS, rows, "test_f1")) == words


def test_the_form_has_a_line_for_what_was_judged_and_a_row_for_each_check() -> None:
    lines = report.markdown(Verdict(False, CHECKS, 30, "test_f1"), {"model": "ad", "version": "3"}).splitlines()

    assert lines == [
        "**Gate failed: 2 checks on 30 held-out rows**",
        "",
        "- model: ad",
        "- version: 3",
        "",
        "| check | found | why |",
        "|---|---|---|",
        "| no leaked target | passed | 'a\\|b' alone tells it best |",
        "| threshold of test\\_f1 | failed | test\\_f1 &lt;0.5&gt; misses it |",
    ]


def test_the_page_shows_each_check_and_the_figures() -> None:
    html = report.html(Verdict(True, CHECKS, 1234, "test_f1"), {"version": "3"})

    assert '<h1 class="passed">Gate passed: 2 checks on 1,234 held-out rows</h1>' in html
    assert "<tr><th>version</th><td>3</td></tr>" in html
    assert '<td class="failed">failed</td><td>test_f1 &lt;0.5&gt; misses it</td>' in html
    assert "&#34;value&#34;: 0.4" in html
