"""Reading the mail that the local server filed."""

from __future__ import annotations

import mailbox
from email.message import EmailMessage
from pathlib import Path

from infra.cli.mails import read_mailbox, text_of_html


def _deliver(folder: Path, subject: str, date: str, html: str | None = None, text: str | None = None) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@x", "b@x", subject
    if date:
        message["Date"] = date
    if text is not None:
        message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html") if text is not None else message.set_content(html, subtype="html")
    mailbox.Maildir(folder).add(message)


def test_the_newest_mail_comes_first(tmp_path: Path) -> None:
    _deliver(tmp_path / "mail", "old", "Thu, 01 Jan 2026 10:00:00 +0000", text="x")
    _deliver(tmp_path / "mail", "new", "Thu, 01 Jan 2026 12:00:00 +0100", text="x")
    _deliver(tmp_path / "mail", "no date", "", text="x")

    assert [mail.subject for mail in read_mailbox(tmp_path / "mail")] == ["no date", "new", "old"]


def test_a_mail_with_html_alone_has_words(tmp_path: Path) -> None:
    _deliver(tmp_path / "mail", "run é", "", html="<style>p{}</style><h1>Run</h1><p>done &amp; well</p>")

    mail = read_mailbox(tmp_path / "mail")[0]

    assert (mail.subject, mail.text) == ("run é", "Run\ndone & well")
    assert "<h1>" in (mail.html or "")


def test_plain_text_is_preferred(tmp_path: Path) -> None:
    _deliver(tmp_path / "mail", "s", "", html="<p>html</p>", text="plain")

    assert read_mailbox(tmp_path / "mail")[0].text.strip() == "plain"


def test_a_folder_that_is_not_there_has_no_mail(tmp_path: Path) -> None:
    assert read_mailbox(tmp_path / "nowhere") == []


def test_a_table_keeps_a_line_for_each_row() -> None:
    html = (
        "<table><tr><td>test_f1</td><td>0.97</td></tr><tr><td>link</td><td><a href='http://x'>y</a></td></tr></table>"
    )

    assert text_of_html(html) == "test_f1 0.97\nlink y (http://x)"
