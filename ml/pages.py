"""The pages and mails that the pipeline writes: templates of `ml/templates`, which escape everything put in. Pure."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

_TEMPLATES = Environment(
    autoescape=True, loader=PackageLoader("ml"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def render(template: str, **values: object) -> str:
    """A template by its file name, filled in."""
    return _TEMPLATES.get_template(template).render(values)
