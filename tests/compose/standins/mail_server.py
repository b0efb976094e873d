"""Takes mail on 1025 and shows it on 8025 as Mailpit's API does: /api/v1/messages and /api/v1/message/ID/raw."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from aiosmtpd.controller import Controller

FOLDER = Path("/data")


class Keep:
    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
        name = uuid.uuid4().hex
        temporary = FOLDER / f".{name}"
        temporary.write_bytes(envelope.content)
        temporary.rename(FOLDER / f"{name}.eml")
        return "250 kept"


class Api(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == "/readyz":
            self._answer(b"ok")
        elif path == "/api/v1/messages":
            mails = sorted(FOLDER.glob("*.eml"), key=lambda mail: mail.stat().st_mtime, reverse=True)
            self._answer(json.dumps({"messages": [{"ID": mail.stem} for mail in mails]}).encode())
        elif path.startswith("/api/v1/message/") and path.endswith("/raw"):
            self._answer((FOLDER / f"{Path(path).parent.name}.eml").read_bytes())
        else:
            self.send_error(404)

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def main() -> None:
    controller = Controller(Keep(), hostname="0.0.0.0", port=1025)
    controller.start()
    web = ThreadingHTTPServer(("0.0.0.0", 8025), Api)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    controller.stop()
    web.shutdown()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    asyncio.set_event_loop(asyncio.new_event_loop())
    main()
