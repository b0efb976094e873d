"""uvicorn's HTTP/1.1 with limits for what comes before a body.

uvicorn itself bounds with httptools neither a head's size nor the time that it may take: one without an end would fill
the memory, and one that comes slowly would keep its connection for ever. Where a client offers another protocol by
`Upgrade`, as `curl --http2` and Java's HttpClient do of themselves, httptools ends the request with its head, and its
body is lost; such an offer is left out, as RFC 9110 (7.8) lets a server do. Effects: those of uvicorn's protocol.
"""

from __future__ import annotations

import asyncio

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 2**10
HEAD_TIMEOUT_S = 10.0
_OFFERS = (b"upgrade", b"http2-settings")
"""What offers another protocol: names of headers, and what `Connection` says of them."""


class LimitedHttp(HttpToolsProtocol):
    """A connection on which the head of a request may be 64 KiB long and take ten seconds to come."""

    _head_bytes = 0
    _is_head_open = True
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # type: ignore[override]
        """Waits for the first head."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Parses what came, and refuses a head that goes on for too long."""
        self._unset_keepalive_if_required()
        if not self._parse(data) or not self._is_head_open:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(f"The request's head has more than {MAX_HEAD_BYTES} bytes.")
        elif self._head_timer is None:
            self._wait()

    def _parse(self, data: bytes) -> bool:
        """Lets the parser call what is below; False where it is no HTTP that is spoken here."""
        while True:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as paused:
                if self.parser.get_method() == b"CONNECT":
                    self._refuse("CONNECT is not taken here.")
                    return False
                data = self._head_without_offers() + data[paused.args[0] :]
                self.parser = HttpRequestParser(self)
            except HttpParserError:
                self._refuse("Invalid HTTP request received.")
                return False
            else:
                return True

    def _head_without_offers(self) -> bytes:
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                value = b", ".join(one for one in value.split(b",") if one.strip().lower() not in _OFFERS)
            if name not in _OFFERS:
                lines.append(b"%s: %s" % (name, value))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def on_message_begin(self) -> None:
        """Begins a head."""
        super().on_message_begin()
        self._is_head_open = True

    def on_headers_complete(self) -> None:
        """Ends it."""
        self._is_head_open, self._head_bytes = False, 0
        self._stop_waiting()
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Ends a body; the head of one that came with an offer is read again without it, and then its body is."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Lets go of the timer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        late = f"The request's head did not arrive within {HEAD_TIMEOUT_S:.0f} s."
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._refuse, late)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, why: str) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.send_400_response(why)
