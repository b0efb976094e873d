"""Requests that are too large for the service, over a real connection."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import Trained
from tests.support import RunningStack

ROW = {"Daily Time Spent on Site": 68.9, "Age": 35, "Area Income": 61833.9, "Daily Internet Usage": 256.1, "Male": 0}
BODIES = {
    "100,000 rows": lambda: json.dumps({"rows": [ROW] * 100_000}).encode(),
    "50 MB": lambda: b'{"rows": [' + b" " * 50_000_000 + b"]}",
    "10,001 rows": lambda: b"Age\n" + b"1\n" * 10_001,
}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_too_large_is_answered_with_the_rule(
    running: RunningStack, real_run: Trained, tmp_path: Path, name: str, chunked: bool
) -> None:
    file = tmp_path / "body"
    file.write_bytes(BODIES[name]())
    kind = "text/csv" if name.startswith("10,001") else "application/json"
    extra = ["-H", "Transfer-Encoding: chunked"] if chunked else []

    done = subprocess.run(
        ["curl", "-sS", "-w", "\n%{http_code}", "-H", f"Content-Type: {kind}", *extra, "--data-binary", f"@{file}",
         running.url("/predict")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    text, _, status = done.stdout.rpartition("\n")
    assert status == "413", done.stderr
    assert json.loads(text)["error"]["problems"][0]["rule"].startswith("at most")
    assert running.get("/ready").status_code == 200
