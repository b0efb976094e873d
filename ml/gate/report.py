"""The gate's verdict for people: one self-contained HTML page, Markdown for a form, and one line. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ml.gate.verdict import Verdict
from ml.inspection.profile import plain
from ml.pages import render


def headline(verdict: Verdict) -> str:
    """What the gate says, in a few words."""
    word = "passed" if verdict.passed else "failed"
    return f"gate {word}: {len(verdict.checks)} checks on {verdict.rows:,} held-out rows"


def html(verdict: Verdict, about: Mapping[str, str]) -> str:
    """A page without any other file; `about` names what was judged, such as the model, the version, the DAG run."""
    figures = json.dumps(verdict.as_dict(), indent=1)
    return render("verdict.html", verdict=verdict, about=about, title=headline(verdict), figures=figures)


def markdown(verdict: Verdict, about: Mapping[str, str]) -> str:
    """The verdict as it stands in the form of an approval."""
    lines = [f"**{headline(verdict).capitalize()}**", ""]
    lines += [f"- {name}: {plain(text, None)}" for name, text in about.items()]
    lines += ["", "| check | found | why |", "|---|---|---|"]
    lines += [f"| {plain(each.name, None)} | {each.status} | {plain(each.words, None)} |" for each in verdict.checks]
    return "\n".join(lines)
