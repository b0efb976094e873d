"""The page about a comparison."""

from __future__ import annotations

import re
from base64 import b64encode

from ml.evaluation.comparison import compare
from ml.evaluation.comparison_report import page
from tests.fakes import predictions, subject

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_report_needs_nothing_else_and_shows_text_as_text() -> None:
    bad = "<script>alert(1)</script>"
    one = subject("A", predictions(0.3), images={"roc_curve.png": PNG}, params={"C": bad})
    two = subject("B", predictions(0.2), images={}, tags={"note": bad})

    html = page(compare([one, two]))

    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert not re.search(r"(src|href)=[\"'](?!data:)", html)
    assert "http" not in html
    assert html.count("data:image/png;base64,") == 1
    assert "test_log_loss" in html


def test_every_plot_of_one_run_has_a_place_beside_that_of_the_other() -> None:
    one = subject("A", None, images={"roc_curve.png": PNG, "calibration.png": PNG}, tags={"note": "the first"})
    two = subject("B", None, images={"roc_curve.png": b"another"})

    html = page(compare([one, two]))

    assert "<title>A: m 1 and B: m 1</title>" in html
    assert re.findall(r"<figcaption><small>(.*?)</small>", html) == [
        "calibration, A: m 1", "calibration, B: m 1", "roc curve, A: m 1", "roc curve, B: m 1",
    ]  # fmt: skip
    images = [b64encode(image).decode() for image in (PNG, PNG, b"another")]
    assert re.findall(r"base64,([^\"]*)", html) == images
    assert html.count("<p>none</p>") == 1
    assert "<td>m 1</td><td>run-A</td><td>finished</td><td>the first</td>" in html
    assert "bootstrap intervals at 95%" in html
