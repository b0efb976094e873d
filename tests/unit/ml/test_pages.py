"""Templates: what is put into a page is shown as it stands, and what is left out is told."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from ml.pages import render


def test_a_page_shows_what_is_put_in_as_text() -> None:
    assert "<title>&lt;b&gt; &amp; &#34;c&#34;</title>" in render("page.html", title='<b> & "c"')
    assert "<title><b></title>" in render("page.html", title=Markup("<b>"))


def test_a_value_that_a_template_needs_and_nobody_gives_is_told_by_its_name() -> None:
    with pytest.raises(UndefinedError, match="'title' is undefined"):
        render("page.html")
