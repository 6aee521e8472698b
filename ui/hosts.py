"""Under which names this Pomona may be reached, and which pages may talk to it. Pure.

A page of another site can send requests to any address that the browser reaches, and by a name of
its own that points here (DNS rebinding) it could even read the answers. The first is refused by its
Origin and Sec-Fetch-Site headers, the second by its Host header.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_WILDCARDS = ("0.0.0.0", "::")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:/?#@\s\[\]]+)(?::\d{1,5})?")
_FORWARDED = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded")


class Hosts:
    """The names of one server. ``public`` are those of a proxy or a tunnel before it."""

    def __init__(self, served_on: str, public: Iterable[str] = ()) -> None:
        self._is_open = served_on in _WILDCARDS
        self._public = {name.lower() for name in public}
        self._https: set[str] = set()
        self._own = set(LOOPBACK) | {served_on.lower()}
        if served_on not in LOOPBACK:
            own_name = socket.gethostname().lower()
            self._own |= {own_name, f"{own_name.partition('.')[0]}.local"}

    def add_tunnel(self, name: str) -> None:
        """The name of a link that has just been made; links are https."""
        self._public.add(name.lower())
        self._https.add(name.lower())

    def accepts_host(self, host: str) -> bool:
        """Whether a Host header names this server; an address is not a name that can be bent."""
        name = host_name(host)
        return name in self._own or name in self._public or (self._is_open and _is_address(name))

    def is_https(self, host: str) -> bool:
        """Whether a Host header is that of a tunnel, which browsers reach by https."""
        return host_name(host) in self._https

    def accepts_origin(self, origin: str, host: str) -> bool:
        """Whether the page that sends a request is one of ours."""
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https"):
            return False
        return parts.netloc.lower() == host.lower() or host_name(parts.netloc) in self._public


def host_name(host: str) -> str:
    """The name in a Host header, without its port and brackets; empty for nonsense."""
    found = _HOST.fullmatch(host.strip())
    return found[1].strip("[]").lower().rstrip(".") if found else ""


def was_forwarded(headers: Mapping[str, str]) -> bool:
    """Whether a proxy stands between the sender and us; absent headers prove nothing."""
    return any(name in headers for name in _FORWARDED)


def is_from_another_site(headers: Mapping[str, str]) -> bool:
    """Whether the browser says that a page of another site makes this request, not a person."""
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return False
    return headers.get("sec-fetch-mode") != "navigate"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
