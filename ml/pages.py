"""The pages, mails and cards that the pipeline writes: templates of `ml/templates`. Pure.

Pages and mails, which are HTML, escape everything put in; Markdown escapes what its template says.
"""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

_TEMPLATES = Environment(
    autoescape=select_autoescape(["html"]),
    loader=PackageLoader("ml"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: object) -> str:
    """A template by its file name, filled in."""
    return _TEMPLATES.get_template(template).render(values)
