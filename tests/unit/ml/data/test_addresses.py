"""Which addresses data may come from: at the trigger form, in the command line, and in the task."""

from __future__ import annotations

import re

import pytest

from ml.data.addresses import form_pattern, locate_web, refuse_inner, shown
from ml.errors import BadInput, Misconfigured
from ml.settings import Allowed, allowed_sources

HOSTS = ("data.example.org", "files.example.org:8443")
ALLOWED = Allowed(("trackyard", "shared"), HOSTS)
GOOD = [
    "", "s3://trackyard/datasets/ab/my%20file.csv", "s3://shared/folder/", "s3://shared/a..b.csv",
    "https://data.example.org/x.csv?version=2", "http://data.example.org:81/x.csv",
    "https://files.example.org:8443/x.parquet",
]  # fmt: skip
BAD = [
    "/etc/passwd", "data.csv", "file:///etc/passwd", "FILE:///etc/passwd", "ftp://data.example.org/x", "s3://other/x.csv",
    "s3://trackyard", "s3://trackyard/", "s3://trackyard/../x", "s3://trackyard/a/../b", "s3://trackyard.evil/x",
    "http://127.0.0.1/x", "http://localhost/x", "http://2130706433/x", "http://0x7f000001/x", "http://017700000001/x",
    "http://127.1/x", "http://[::1]/x", "http://[::ffff:127.0.0.1]/x", "http://169.254.169.254/latest/meta-data",
    "http://[fe80::1]/x", "http://[fd00:ec2::254]/x", "http://data.example.org.evil.org/x",
    "http://data.example.org@evil.org/x", "http://user:word@data.example.org/x", "http://evil.org/data.example.org/x",
    "http://evil.org#@data.example.org/x", "http://data.example.org\\@evil.org/x", "https://files.example.org/x",
    "http://dataXexample.org/x", "gopher://data.example.org/x", "http:///x", "http://", "//data.example.org/x",
]  # fmt: skip


@pytest.mark.parametrize("uri", GOOD)
def test_the_form_takes_what_is_allowed(uri: str) -> None:
    assert re.search(form_pattern(ALLOWED), uri)


@pytest.mark.parametrize("uri", BAD)
def test_the_form_refuses_everything_else(uri: str) -> None:
    assert not re.search(form_pattern(ALLOWED), uri)


@pytest.mark.parametrize("uri", [uri for uri in BAD if uri.lower().startswith("http")])
def test_a_web_address_at_another_host_is_refused_in_one_line(uri: str) -> None:
    with pytest.raises(BadInput) as caught:
        locate_web(uri, HOSTS)

    assert "\n" not in str(caught.value)


def test_a_pattern_is_never_built_from_no_bucket() -> None:
    with pytest.raises(Misconfigured, match="TRACKYARD_S3_BUCKET is not set where the DAG files are parsed"):
        form_pattern(Allowed((), HOSTS))


def test_no_web_address_is_allowed_without_the_setting() -> None:
    none = Allowed(("trackyard",))

    assert not re.search(form_pattern(none), "https://data.example.org/x.csv")
    with pytest.raises(BadInput, match="none is allowed; the setting TRACKYARD_DATA_HOSTS"):
        locate_web("https://data.example.org/x.csv", ())


def test_an_allowed_address_is_taken_apart() -> None:
    found = locate_web("https://Data.Example.org/a/b.csv?key=secret", HOSTS)

    assert (found.scheme, found.host, found.port) == ("https", "data.example.org", 443)
    assert found.target == "/a/b.csv?key=secret"
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    "number",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "169.254.169.254", "::1", "::", "fe80::1%eth0",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "224.0.0.1",
        "240.0.0.1", "255.255.255.255", "100.100.100.200", "fd00:ec2::254", "ff02::1",
    ],
)  # fmt: skip
def test_a_host_that_leads_inside_is_refused(number: str) -> None:
    with pytest.raises(BadInput, match="inside this machine"):
        refuse_inner("http://data.example.org/x", ["93.184.216.34", number])


def test_a_host_outside_is_taken() -> None:
    refuse_inner("http://data.example.org/x", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "10.1.2.3"])


def test_the_settings_name_buckets_and_hosts() -> None:
    found = allowed_sources({"TRACKYARD_S3_BUCKET": "b", "TRACKYARD_DATA_HOSTS": " Data.example.org. ,x:81"})

    assert found == Allowed(("b",), ("data.example.org", "x:81"))
    assert allowed_sources({}) == Allowed(())


def test_a_web_address_is_told_without_what_may_be_a_secret() -> None:
    assert shown("https://data.example.org/x.csv?signature=abc") == "https://data.example.org/x.csv"
    assert shown("s3://trackyard/a?b") == "s3://trackyard/a?b"
    assert shown("") == ""
