"""The mail that Mailpit keeps, read over its API. Effects: HTTP; the command line calls it for a stack in containers.

Source: https://mailpit.axllent.org/docs/api-v1/ (messages, message/ID/raw).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.cli.mailbox import Mail, parse_mail
from ml.errors import Unavailable

if TYPE_CHECKING:
    import httpx

_MOST = 200


def read_mails(url: str) -> list[Mail]:
    """The mails that are there, the newest first, two hundred at most.

    Raises:
        Unavailable: Mailpit does not answer.
    """
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
    return parse_mail(raw.content)
