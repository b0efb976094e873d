"""The gate's verdict for people: one self-contained HTML page, Markdown for a form, and one line. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ml.gate.verdict import Verdict
from ml.pages import render


def headline(verdict: Verdict) -> str:
    """What the gate says, in a few words."""
    word = "passed" if verdict.passed else "failed"
    counted = f"{len(verdict.checks)} checks on {verdict.rows:,} held-out rows"
    return f"gate {word}: {counted}"


def html(verdict: Verdict, about: Mapping[str, str]) -> str:
    """A page that needs nothing else: no script, no style sheet, no picture; everything in it is escaped.

    Args:
        verdict: The verdict.
        about: What it is about, by name: the model, the version, the DAG run.
    """
    figures = json.dumps(verdict.as_dict(), indent=1)
    return render("verdict.html", verdict=verdict, about=about, title=headline(verdict), figures=figures)


def markdown(verdict: Verdict, about: Mapping[str, str]) -> str:
    """The verdict as it stands in the form of an approval."""
    lines = [f"**{headline(verdict).capitalize()}**", ""]
    lines += [f"- {name}: {_safe(text)}" for name, text in about.items()]
    lines += ["", "| check | found | why |", "|---|---|---|"]
    lines += [f"| {_safe(check.name)} | {check.status} | {_safe(check.words)} |" for check in verdict.checks]
    return "\n".join(lines)


def _safe(text: str) -> str:
    """Text that Markdown does not read as a table's border, a tag or a link."""
    for char in "\\`*_[]<>|":
        text = text.replace(char, f"\\{char}" if char not in "<>" else {"<": "&lt;", ">": "&gt;"}[char])
    return " ".join(text.split())
