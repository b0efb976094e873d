"""Which addresses data may be read from. Pure and light: the DAG file asks it when it is parsed.

Only `s3://` in an allowed bucket, and `http(s)://` at a host that a setting allows. A host that is allowed and leads to
this machine or its neighbourhood all the same (loopback, link-local, a cloud's metadata service) is refused by
`refuse_inner`, whose callers look the name up first.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ml.errors import BadInput, Misconfigured
from ml.settings import Allowed

PUT_IT_THERE = "put the file there with 'trackyard data add FILE'"
_METADATA = frozenset({"fd00:ec2::254", "100.100.100.200", "168.63.129.16"})
"""Where clouds tell a machine its own secrets, besides the link-local 169.254.169.254."""


@dataclass(frozen=True)
class WebAddress:
    """An `http(s)://` address at an allowed host: what to connect to, and what to ask for there."""

    scheme: str
    host: str
    port: int
    target: str

    def __str__(self) -> str:
        """The address without what may be a secret in its query."""
        return f"{self.scheme}://{self.host}:{self.port}{self.target.partition('?')[0]}"


def is_web(uri: str) -> bool:
    """Whether an address names a web server rather than a bucket."""
    return uri.lower().startswith(("http://", "https://"))


def shown(uri: str) -> str:
    """An address as it may be told: a web address without its query, which may hold a signature or a key."""
    return uri.partition("?")[0].partition("#")[0] if is_web(uri) else uri


def locate_s3(uri: str, buckets: Iterable[str]) -> tuple[str, str]:
    """Splits an `s3://bucket/key` address in one of some buckets; a key that ends in `/` names a folder.

    Raises:
        BadInput: It is not an S3 address in an allowed bucket.
    """
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc:
        raise BadInput(f"{uri!r} is not an s3:// address: {PUT_IT_THERE}")
    if parts.netloc not in buckets:
        allowed = ", ".join(dict.fromkeys(buckets))
        raise BadInput(f"{uri!r} is in bucket {parts.netloc!r}, and data may be read from {allowed} only")
    key = unquote(uri.removeprefix(f"s3://{parts.netloc}").lstrip("/"))
    if not key or ".." in key.split("/") or not key.isprintable():
        raise BadInput(f"{uri!r} does not name an object: give s3://BUCKET/KEY")
    return parts.netloc, key


def locate_web(uri: str, hosts: tuple[str, ...]) -> WebAddress:
    """An `http(s)://` address in parts; `BadInput` where its host is not allowed, or it has a login or anything odd."""
    if not uri.isascii() or not uri.isprintable() or any(char in uri for char in ' \\"<>{}'):
        raise BadInput(f"{uri!r} has characters that no web address has: write them as %XX")
    try:
        parts = urlsplit(uri)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise BadInput(f"{uri!r} is no web address ({error})") from error
    host = (parts.hostname or "").rstrip(".")
    if not host or "@" in parts.netloc or not is_web(uri):
        raise BadInput(f"{uri!r} is no http(s) address without a login: give https://HOST/FILE")
    if host not in hosts and f"{host}:{port}" not in hosts:
        allowed = f"only {', '.join(hosts)} is allowed" if hosts else "none is allowed"
        raise BadInput(
            f"{uri!r}: data is not read from the host {host!r} ({allowed}; the setting TRACKYARD_DATA_HOSTS names "
            f"them): {PUT_IT_THERE}"
        )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebAddress(parts.scheme.lower(), host, port, target)


def refuse_inner(what: object, numbers: Iterable[str]) -> None:
    """Refuses an address where any of the IP addresses of its host, as the resolver gives them, leads inside.

    Raises:
        BadInput: One is a loopback, link-local, unspecified, multicast, reserved or metadata address.
    """
    for text in numbers:
        if any(_is_inner(number) for number in _meanings(text)):
            raise BadInput(f"{what} leads to {text}, an address inside this machine or its network's link: refused")


def _is_inner(number: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if number.version == 4 and (number.is_reserved or number in ipaddress.ip_network("0.0.0.0/8")):
        return True
    is_local = number.is_loopback or number.is_link_local or number.is_unspecified or number.is_multicast
    return is_local or str(number) in _METADATA


def _meanings(text: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The address, and the IPv4 address that an IPv6 one may stand for (mapped, 6to4, NAT64, compatible)."""
    number = ipaddress.ip_address(text.partition("%")[0])
    if number.version == 4:
        return [number]
    inner = [number.ipv4_mapped, number.sixtofour]
    for network in ("64:ff9b::/96", "::/96"):
        if number in ipaddress.ip_network(network):
            inner.append(ipaddress.IPv4Address(int(number) & 0xFFFFFFFF))
    return [number, *(each for each in inner if each is not None)]


def form_pattern(allowed: Allowed) -> str:
    """The pattern, for Python and for a browser, that an allowed address in the trigger form has; empty is allowed.

    It is coarser than the checks above, which the first task makes again, and it lets no other bucket or host through.

    Raises:
        Misconfigured: No bucket is allowed: the pattern would refuse every data set, whoever asks.
    """
    if not allowed.buckets:
        raise Misconfigured(
            "TRACKYARD_S3_BUCKET is not set where the DAG files are parsed: give it that of the workers"
        )
    buckets = "|".join(map(re.escape, dict.fromkeys(allowed.buckets)))
    options = [f"s3://({buckets})/(?!/)(?!(.*/)?\\.\\.(/|$)).+"]
    if allowed.hosts:
        hosts = "|".join(re.escape(host) + ("" if ":" in host else "(:[0-9]+)?") for host in allowed.hosts)
        options.append(f"https?://({hosts})/[^ ]*")
    return f"^({'|'.join(options)})?$"
