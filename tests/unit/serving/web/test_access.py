"""Who may ask what, and how often."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from serving.settings import ServingSettings
from serving.web.access import Guard, is_loopback
from serving.web.messages import Request, RequestRefused
from serving.web.routing import OPEN
from serving.web.tokens import TokenFile
from tests.fakes import Clock

HERE, THERE = "127.0.0.1", "203.0.113.9"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "state" / "tokens.json")


def request(client: str = HERE, token: str = "", host: str = "localhost:5555") -> Request:
    headers = {"host": host} | ({"authorization": f"Bearer {token}"} if token else {})
    return Request("GET", "/status", "", headers, client)


def status_of(guard: Guard, asked: Request, scope: str = "read") -> int:
    try:
        guard.admit(asked, scope)
    except RequestRefused as refused:
        return refused.status
    return 200


@pytest.mark.parametrize(
    ("mode", "client", "scope", "status"),
    [
        ("others", HERE, "read", 200), ("others", THERE, "read", 401), ("others", "::1", "predict", 200),
        ("others", "::ffff:127.0.0.1", "read", 200), ("all", HERE, "read", 401), ("all", HERE, "predict", 401),
        ("none", THERE, "read", 200), ("none", HERE, "operate", 401), ("others", HERE, "operate", 401),
        ("all", THERE, "webhook", 200),
    ],
)  # fmt: skip
def test_who_needs_a_token(
    settings: ServingSettings, tokens: TokenFile, mode: str, client: str, scope: str, status: int
) -> None:
    guard = Guard(replace(settings, token_required_for=mode), tokens)

    assert status_of(guard, request(client), scope) == status


def test_a_token_allows_its_scopes_until_it_is_revoked(settings: ServingSettings, tokens: TokenFile) -> None:
    guard = Guard(replace(settings, token_required_for="all"), tokens)
    token = tokens.create("ada", ["read"])

    assert status_of(guard, request(token=token), "read") == 200
    assert status_of(guard, request(token=token), "predict") == 403
    assert status_of(guard, request(token=token[:-1] + "!"), "read") == 401
    tokens.revoke(token.split("_")[1])
    assert status_of(guard, request(token=token), "read") == 401


def test_the_health_is_open_to_all(settings: ServingSettings, tokens: TokenFile) -> None:
    guard = Guard(replace(settings, token_required_for="all"), tokens)

    assert status_of(guard, request(THERE, host="any.example"), OPEN) == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:5555", 200), ("127.0.0.1:5555", 200), ("[::1]:5555", 200), ("[::1]", 200),
        ("evil.example", 400), ("localhost.evil.example", 400), ("", 400), ("monitor.example:80", 200),
        ("127.0.0.1.evil.example:5555", 400),
    ],
)  # fmt: skip
def test_host_names_are_checked(settings: ServingSettings, tokens: TokenFile, host: str, status: int) -> None:
    guard = Guard(replace(settings, allowed_hosts=("monitor.example",)), tokens)

    assert status_of(guard, request(host=host)) == status


def test_a_client_that_asks_too_often_is_slowed_down_and_others_are_not(
    settings: ServingSettings, tokens: TokenFile, clock: Clock
) -> None:
    guard = Guard(replace(settings, rate_per_s=5, token_required_for="none"), tokens, clock)

    found = [status_of(guard, request()) for _ in range(12)]

    assert found == [200] * 10 + [429] * 2
    assert status_of(guard, request(THERE)) == 200
    clock.now += 1
    assert [status_of(guard, request()) for _ in range(6)] == [200] * 5 + [429]


def test_tokens_cannot_be_tried_out_and_good_ones_are_never_slowed_down_by_that(
    settings: ServingSettings, tokens: TokenFile, clock: Clock
) -> None:
    guard = Guard(replace(settings, token_required_for="all", internal_token="stack-own"), tokens, clock)
    good = tokens.create("ada", ["read"])

    # A stranger and its friends behind one proxy have one address.
    found = [status_of(guard, request(token=f"ty_{number}_x")) for number in range(30)]

    assert found == [401] * 10 + [429] * 20
    assert [status_of(guard, request(token=one)) for one in (good, "stack-own")] == [200, 200]
    assert status_of(guard, request()) == 401
    clock.now += 5
    assert status_of(guard, request(token="ty_1_x")) == 401


def test_who_asks_too_often_behind_a_proxy_slows_down_no_token(
    settings: ServingSettings, tokens: TokenFile, clock: Clock
) -> None:
    guard = Guard(replace(settings, rate_per_s=5, token_required_for="none", internal_token="stack-own"), tokens, clock)
    ada, bob = tokens.create("ada", ["read"]), tokens.create("bob", ["read"])

    assert [status_of(guard, request(THERE)) for _ in range(11)] == [200] * 10 + [429]
    assert [status_of(guard, request(THERE, ada)) for _ in range(11)] == [200] * 10 + [429]
    assert [status_of(guard, request(THERE, one)) for one in (bob, "stack-own")] == [200, 200]


@pytest.mark.parametrize(
    ("mode", "client", "token", "host", "told"),
    [
        ("others", HERE, "", "localhost", True), ("others", THERE, "", "localhost", False),
        ("others", HERE, "", "evil.example", False), ("all", HERE, "", "localhost", False),
        ("all", THERE, "stack-own", "localhost", True), ("all", THERE, "ty_1_x", "localhost", False),
        ("none", THERE, "", "localhost", True), ("all", THERE, "READ", "localhost", True),
        ("all", THERE, "PREDICT", "localhost", False),
    ],
)  # fmt: skip
def test_who_may_be_told_why_it_is_not_ready(
    settings: ServingSettings, tokens: TokenFile, mode: str, client: str, token: str, host: str, told: bool
) -> None:
    guard = Guard(replace(settings, token_required_for=mode, internal_token="stack-own"), tokens)
    made = {scope.upper(): tokens.create("ada", [scope]) for scope in ("read", "predict")}
    asked = request(client, made.get(token, token), host)

    assert guard.admit(asked, OPEN) is None
    assert asked.may_read is told


def test_a_damaged_file_of_tokens_closes_nothing_that_needs_none(
    settings: ServingSettings, tokens: TokenFile, caplog: pytest.LogCaptureFixture
) -> None:
    guard = Guard(replace(settings, internal_token="stack-own"), tokens)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    tokens.create("ada", ["read"])
    tokens._path.write_text("{")

    assert [status_of(guard, request(THERE, "ty_1_x")) for _ in range(3)] == [503] * 3
    assert [status_of(guard, request(THERE, "stack-own")), status_of(guard, request())] == [200, 200]
    assert status_of(guard, request(THERE, "ty_1_x"), OPEN) == 200
    assert len(caplog.records) == 1
    assert str(tokens._path) in caplog.text


def test_headers_are_bounded(settings: ServingSettings, tokens: TokenFile) -> None:
    guard = Guard(settings, tokens)
    many, large = request(), request()
    many.headers = {"host": "localhost", **{f"x-{number}": "1" for number in range(200)}}
    large.headers = {"host": "localhost", "cookie": "x" * 20_000}

    assert [status_of(guard, many), status_of(guard, large)] == [431, 431]


@pytest.mark.parametrize(
    ("client", "expected"), [("127.8.9.1", True), ("10.0.0.1", False), ("unix:", True), ("x", False)]
)
def test_what_counts_as_this_machine(client: str, expected: bool) -> None:
    assert is_loopback(client) is expected
