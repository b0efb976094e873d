"""The mail that was sent: from the Maildir of the local server, or from Mailpit beside a stack in containers.

Source of Mailpit's API: https://mailpit.axllent.org/docs/api-v1/ (messages, message/ID/raw).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

from ml.errors import Unavailable

if TYPE_CHECKING:
    import httpx

_BLOCKS = frozenset({"p", "div", "br", "tr", "li", "h1", "h2", "h3", "h4", "table", "ul", "ol"})
_HIDDEN = frozenset({"style", "script", "head", "title"})
_MOST = 200


@dataclass(frozen=True)
class Mail:
    """One mail; `date` has a zone, `text` is its plain text (worked out from the HTML where it has no other)."""

    date: datetime
    sender: str
    to: str
    subject: str
    text: str
    html: str | None


def read_mailbox(folder: Path) -> list[Mail]:
    """Every mail of a Maildir, the newest first; none when the folder is not there yet."""
    files = [path for part in ("new", "cur") for path in (folder / part).glob("*") if path.is_file()]
    mails = [mail for mail in (_read(path) for path in files) if mail is not None]
    return sorted(mails, key=lambda mail: mail.date, reverse=True)


def _read(path: Path) -> Mail | None:
    try:
        content = path.read_bytes()
        arrived = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        # A mail program moves what it has shown from new/ to cur/.
        return None
    return _parse(content, arrived)


def read_mailpit(url: str) -> list[Mail]:
    """The newest two hundred mails, the newest first; `Unavailable` where Mailpit does not answer."""
    import httpx

    try:
        with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
            listed = client.get("/api/v1/messages", params={"limit": _MOST})
            listed.raise_for_status()
            return [_mail(client, str(each["ID"])) for each in listed.json()["messages"]]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise Unavailable(f"the mail server at {url} does not answer ({error}): is it up?") from error


def _mail(client: httpx.Client, message_id: str) -> Mail:
    raw = client.get(f"/api/v1/message/{message_id}/raw")
    raw.raise_for_status()
    return _parse(raw.content)


def _parse(content: bytes, arrived: datetime | None = None) -> Mail:
    """A mail from its text; one that tells no date itself has that of its arrival, or the beginning of time."""
    message = BytesParser(EmailMessage, policy=policy.default).parsebytes(content)
    return Mail(
        date=_sent(message) or arrived or datetime.fromtimestamp(0, UTC),
        sender=str(message.get("From", "")),
        to=str(message.get("To", "")),
        subject=str(message.get("Subject", "")),
        text=_body(message, "plain") or text_of_html(_body(message, "html") or ""),
        html=_body(message, "html"),
    )


def _sent(message: EmailMessage) -> datetime | None:
    try:
        date = parsedate_to_datetime(str(message["Date"]))
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    if part is None:
        return None
    try:
        return str(part.get_content())
    except (LookupError, ValueError):
        # An unknown character set: what can be read is better than nothing.
        payload = part.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else None


def text_of_html(html: str) -> str:
    """The words of an HTML page, a line for each block, with the address behind each link.

    >>> text_of_html('<p>see <a href="http://x/1">here</a></p>')
    'see here (http://x/1)'
    """
    parser = _Words()
    parser.feed(html)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.words).splitlines())
    return "\n".join(line for line in lines if line)


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._hidden = 0
        self._link = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag in _BLOCKS:
            self.words.append("\n")
        elif tag == "a":
            self._link = dict(attrs).get("href") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in _BLOCKS:
            self.words.append("\n")
        elif tag in ("td", "th"):
            self.words.append("  ")
        elif tag == "a" and self._link:
            self.words.append(f" ({self._link})")
            self._link = ""

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data.replace("\n", " "))
