"""The gate's verdict for people: one self-contained HTML page, Markdown for a form, and one line. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape

from ml.gate.verdict import Verdict

_COLOURS = {"passed": "#1a7f37", "failed": "#b42318", "unsure": "#9a6700"}
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328;"
    "background:#fff}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.4rem .6rem;"
    "border-bottom:1px solid #d0d7de;vertical-align:top;overflow-wrap:anywhere}"
    ".word{font-weight:600;white-space:nowrap}pre{background:#f6f8fa;padding:.8rem;overflow:auto}"
)


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
    told = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in about.items())
    rows = "".join(
        f'<tr><td>{escape(check.name)}</td><td class="word" style="color:{_COLOURS[check.status]}">{check.status}</td>'
        f"<td>{escape(check.words)}</td></tr>"
        for check in verdict.checks
    )
    colour = _COLOURS["passed" if verdict.passed else "failed"]
    figures = escape(json.dumps(verdict.as_dict(), indent=1))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(headline(verdict))}</title>'
        f'<style>{_STYLE}</style></head><body><h1 style="color:{colour}">{escape(headline(verdict).capitalize())}</h1>'
        f"<table>{told}</table><h2>Checks</h2><table><tr><th>check</th><th>found</th><th>why</th></tr>{rows}</table>"
        f"<h2>Figures</h2><pre>{figures}</pre></body></html>\n"
    )


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
