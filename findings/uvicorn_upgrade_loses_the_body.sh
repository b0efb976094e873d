#!/usr/bin/env bash
# A POST that offers HTTP/2 reaches the application with an empty body.
#
# Surprise: a client may add `Connection: Upgrade` and `Upgrade: h2c` to an ordinary HTTP/1.1 request; a server that
# does not want HTTP/2 is to answer as if they were not there (RFC 9110, section 7.8). With the httptools parser,
# uvicorn logs a warning and calls the application, but the body is gone: the parser stops at the headers. With the h11
# parser the body arrives. Which of the two runs depends on whether httptools is installed (`uvicorn[standard]` is).
# Where it bites: Java's HttpClient sends these headers by default, `curl --http2` too. A model service answers such
# clients 400 or 422 "no rows", or scores an empty request, while the same JSON sent from Python works.
# Instead: run uvicorn with `http="h11"`, take both headers out in a proxy in front, or in a protocol class of your own
# before the parser sees them. In Java: HttpClient.newBuilder().version(HTTP_1_1). Known upstream: uvicorn issue 2722.
#
# Seen on 2026-11-27 (Python 3.11.7, uvicorn 0.54.0, httptools 0.9.0, h11 0.16.0): of 9 bytes the application reads
# 9 without the headers; with them 0 by httptools and 9 by h11.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet uvicorn==0.54.0 httptools==0.9.0 h11==0.16.0
venv/bin/python - <<'PY'
import asyncio
import platform
import socket
import sys
from importlib.metadata import version

import uvicorn

print(f"Python {platform.python_version()}, uvicorn {uvicorn.__version__}, httptools {version('httptools')}, "
      f"h11 {version('h11')}")

BODY = b'{"x": 42}'
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


async def count_bytes(scope, receive, send):
    """Answers with the number of bytes of the request's body."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    answer = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]})
    await send({"type": "http.response.body", "body": answer})


async def post(port, headers):
    """The bytes that the application saw of one POST."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    writer.write(head + headers + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    size = int(await asyncio.wait_for(reader.readexactly(1), 30))
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return size


async def serve_and_post(parser):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(count_bytes, http=parser, ws="none", lifespan="off", log_level="error")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.05)
        port = listener.getsockname()[1]
        sizes = [await post(port, b""), await post(port, OFFER)]
        server.should_exit = True
        await serving
    return sizes


seen = {parser: asyncio.run(serve_and_post(parser)) for parser in ("httptools", "h11")}
for parser, (plain, offered) in seen.items():
    print(f"{parser}: {plain} of {len(BODY)} bytes without the offer, {offered} with it")
if seen != {"httptools": [9, 0], "h11": [9, 9]}:
    sys.exit("The behaviour has changed: see the comment at the top of this script.")
PY
