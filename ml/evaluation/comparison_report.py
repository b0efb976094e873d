"""A comparison as one HTML file that needs nothing else: no script, no font, no other address. Pure."""

from __future__ import annotations

from base64 import b64encode

from ml.evaluation.comparison import CONFIDENCE, Comparison
from ml.pages import render


def page(comparison: Comparison) -> str:
    """The whole page."""
    heads = [f"{each.label}: {each.version}" for each in comparison.subjects]
    runs = [
        (each.label, [each.version, each.run_id, each.state, each.tags.get("note", "")]) for each in comparison.subjects
    ]
    plots = [
        (f"{name.removesuffix('.png').replace('_', ' ')}, {head}", b64encode(each.images.get(name, b"")).decode())
        for name in sorted({name for each in comparison.subjects for name in each.images})
        for head, each in zip(heads, comparison.subjects, strict=True)
    ]
    values = {"title": " and ".join(heads), "heads": heads, "runs": runs, "plots": plots, "at": f"{CONFIDENCE:.0%}"}
    return render("comparison.html", comparison=comparison, **values)
