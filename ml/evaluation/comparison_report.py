"""A comparison as one HTML file that needs nothing else: no script, no font, no other address. Pure."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from ml.evaluation.comparison import CONFIDENCE, Comparison, Measure

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1200px;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .7rem;border-bottom:1px solid #d8dee4;vertical-align:top;overflow-wrap:anywhere}
td.n{font-variant-numeric:tabular-nums;white-space:nowrap}
small{color:#57606a}
.better{color:#116329}.worse{color:#a40e26}
.plots{display:grid;gap:1rem}figure{margin:0}img{max-width:100%;height:auto}
@media (prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}th,td{border-color:#30363d}
small{color:#8d96a0}.better{color:#56d364}.worse{color:#ff7b72}img{background:#fff}}
"""


def page(comparison: Comparison) -> str:
    """The whole page."""
    heads = [f"{each.label}: {each.version}" for each in comparison.subjects]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{escape(' and '.join(heads))}</title><style>{_STYLE}</style></head><body>",
            "<h1>Runs compared</h1>",
            _table(
                ["", "version", "run", "state", "note"],
                [[each.label, each.version, each.run_id, each.state, each.tags.get("note", "")]
                 for each in comparison.subjects],
            ),
            "<h2>Metrics</h2>",
            f"<p>In brackets: bootstrap intervals at {CONFIDENCE:.0%} over the test rows. Differences are from "
            f"{escape(comparison.subjects[0].label)}; paired ones were found on the same test rows.</p>",
            _metrics(comparison, heads),
            _section("Parameters that differ", heads, comparison.params, "None differs."),
            _section("Data", heads, comparison.data, "Nothing was recorded."),
            _section("Origin", heads, comparison.origin, "Nothing was recorded."),
            _plots(comparison, heads),
            "</body></html>",
        ]
    )  # fmt: skip


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, are_cells_html: bool = False) -> str:
    shown = (lambda cell: cell) if are_cells_html else escape
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{shown(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _section(title: str, heads: Sequence[str], rows: Sequence[tuple[str, list[str]]], empty: str) -> str:
    body = _table(["", *heads], [[name, *values] for name, values in rows]) if rows else f"<p>{escape(empty)}</p>"
    return f"<h2>{escape(title)}</h2>{body}"


def _metrics(comparison: Comparison, heads: Sequence[str]) -> str:
    rows = [[escape(name), *map(_cell, measures)] for name, measures in comparison.metrics.items()]
    return _table(["", *heads], rows, are_cells_html=True)


def _cell(measure: Measure) -> str:
    if measure.value is None:
        return "-"
    cell = f"{measure.value:.6f}"
    if measure.interval:
        cell += " <small>[{:.4f}, {:.4f}]</small>".format(*measure.interval)
    if measure.difference is not None:
        word = f'<span class="{measure.verdict.partition(" ")[0]}">{measure.verdict}</span>'
        cell += f"<br>{measure.difference:+.6f}"
        if measure.difference_interval:
            cell += " <small>[{:+.4f}, {:+.4f}]</small>".format(*measure.difference_interval)
        cell += f" {word}" + (" <small>paired</small>" if measure.is_paired else "")
    return cell


def _plots(comparison: Comparison, heads: Sequence[str]) -> str:
    names = sorted({name for each in comparison.subjects for name in each.images})
    if not names:
        return ""
    columns = f'<div class="plots" style="grid-template-columns:repeat({len(heads)},minmax(0,1fr))">'
    figures = []
    for name in names:
        for head, each in zip(heads, comparison.subjects, strict=True):
            content = base64.b64encode(each.images.get(name, b"")).decode()
            label = escape(f"{name.removesuffix('.png').replace('_', ' ')}, {head}")
            image = f'<img alt="{label}" src="data:image/png;base64,{content}">' if content else "<p>none</p>"
            figures.append(f"<figure>{image}<figcaption><small>{label}</small></figcaption></figure>")
    return f"<h2>Plots</h2>{columns}{''.join(figures)}</div>"
