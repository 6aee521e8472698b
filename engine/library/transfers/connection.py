"""The one boundary to httpx: requests for bytes, redirects, and what network failures mean.

The login goes to the endpoint's own origin and nowhere else, so redirects are followed here. No
body is ever unpacked.
"""

import contextlib
import threading
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from socket import SHUT_RDWR, socket
from typing import Any, Protocol

import httpcore
import httpx

from engine import hub_failures as failures
from engine.errors import HubBroken, Interrupted
from engine.hub_failures import Subject
from engine.library.transfers.answers import (
    TryAgain,
    Wanted,
    asked_wait_s,
    check_bytes,
    check_commit,
    is_passing,
    refusal,
    request_headers,
    strong_etag,
)
from engine.library.transfers.limits import TransferLimits

MAX_REDIRECTS = 10
MAX_IDLE_BODY_BYTES = 64 * 1024
STRAIGHT_READ_BYTES = 512 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
_OWN_PORTS = {"http": 80, "https": 443}


class Origin(Protocol):
    """Where files come from: the Hub, or the server that HF_ENDPOINT names."""

    @property
    def endpoint(self) -> str:
        """Its address, without a slash at its end."""

    def file_url(self, repo_id: str, revision: str, path: str) -> str:
        """The address of a file at a commit."""

    def headers(self) -> Mapping[str, str]:
        """Who asks, and the login; sent to the endpoint's own origin only."""


@dataclass(frozen=True)
class Body:
    """Bytes on their way. ``url`` is where they come from, ``etag`` their version if it is told."""

    chunks: Iterator[bytes]
    url: str
    etag: str | None
    is_ranged: bool


@dataclass(frozen=True)
class _Hop:
    """One request of a chain: its address, and whether that is the endpoint's own origin."""

    url: httpx.URL
    is_own: bool
    has_token: bool


class HubConnection:
    """Asks for bytes of one repo at one commit, from any thread."""

    def __init__(self, origin: Origin, repo_id: str, revision: str, limits: TransferLimits) -> None:
        self._origin = origin
        self._repo_id = repo_id
        self._revision = revision
        self._longest_wait_s = limits.longest_wait_s
        self._stall_s = limits.stall_s
        self._straight_bytes = limits.straight_bytes
        self._lock = threading.Lock()
        self._streams: weakref.WeakSet[Any] = weakref.WeakSet()
        self._http = _make_client(limits)

    def hang_up(self) -> None:
        """Wake every thread that waits for a server; their requests fail."""
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            network = stream.get_extra_info("socket")
            with contextlib.suppress(OSError):
                # The plain socket's method: TLS would say goodbye, which can block.
                socket.shutdown(network, SHUT_RDWR)

    def close(self) -> None:
        """Close what is idle."""
        self._http.close()

    @contextlib.contextmanager
    def fetch(self, wanted: Wanted, url: str | None = None) -> Iterator[Body]:
        """Open the bytes that are ``wanted``; from ``url`` where an earlier redirect led there.

        Raises TryAgain, Changed, or a HubError that the Hub means; also while chunks are read.
        """
        with _network_errors(wanted), contextlib.ExitStack() as stack:
            hop = self._hop(httpx.URL(url or self._url(wanted)))
            for _ in range(MAX_REDIRECTS + 1):
                response = self._send(hop, wanted)
                stack.callback(response.close)
                if hop.is_own:
                    check_commit(response.headers, self._revision, wanted.file.path)
                if response.status_code not in _REDIRECTS:
                    break
                hop = self._next_hop(hop, response)
                _drain(response)
            else:
                raise TryAgain(failures.broken("sent us in circles"))
            if response.status_code >= 400 and response.status_code != 416:
                _drain(response)
                raise self._refused(response, hop, wanted, is_shortcut=url is not None)
            check_bytes(response.status_code, response.headers, wanted)
            etag, is_ranged = strong_etag(response.headers), response.status_code == 206
            chunks = response.iter_raw()
            if not wanted.is_careful:
                chunks = self._read_straight(response, chunks)
            yield Body(chunks, str(hop.url), etag, is_ranged)
            if str(response.num_bytes_downloaded) == response.headers.get("content-length"):
                next(chunks, None)  # one that was read to its end can be used again

    def _read_straight(self, response: httpx.Response, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """A long body, read from its connection in large pieces, which takes a third less work.

        The parser has given away all that it held with the first chunk. The connection is of no
        use afterwards, and closed.
        """
        length = response.headers.get("content-length", "")
        is_framed = length.isdecimal() and "transfer-encoding" not in response.headers
        if not is_framed or int(length) < self._straight_bytes:
            yield from chunks
            return
        left_bytes = int(length)
        for chunk in chunks:
            left_bytes -= len(chunk)
            yield chunk
            break
        network = response.extensions["network_stream"]
        while left_bytes > 0:
            size_bytes = min(left_bytes, STRAIGHT_READ_BYTES)
            if not (chunk := network.read(size_bytes, timeout=self._stall_s)):
                raise httpcore.RemoteProtocolError("the body ended early")
            left_bytes -= len(chunk)
            yield chunk

    def _url(self, wanted: Wanted) -> str:
        return self._origin.file_url(self._repo_id, self._revision, wanted.file.path)

    def _send(self, hop: _Hop, wanted: Wanted) -> httpx.Response:
        headers = {**self._origin.headers()} if hop.is_own else {}
        request = self._http.build_request(
            "GET",
            hop.url,
            headers={**headers, **request_headers(wanted)},
            extensions={"trace": self._trace},
        )
        try:
            return self._http.send(request, stream=True, auth=None)
        except UnicodeError as error:  # a server's name that cannot be one
            raise TryAgain(_nowhere()) from error
        except RuntimeError as error:  # a thread that was left behind finds the client closed
            raise TryAgain(failures.closed()) from error

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember each connection, so that it can be hung up from outside."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            with self._lock:
                self._streams.add(info["return_value"])

    def _hop(self, url: httpx.URL) -> _Hop:
        is_own = _origin_of(url) == _origin_of(httpx.URL(self._origin.endpoint))
        names = {name.lower() for name in self._origin.headers()} if is_own else set()
        return _Hop(url, is_own, "authorization" in names)

    def _next_hop(self, hop: _Hop, response: httpx.Response) -> _Hop:
        location = response.headers.get("location", "")
        try:
            url = hop.url.join(location)
        except httpx.InvalidURL as error:
            raise TryAgain(_nowhere()) from error
        is_downgrade = hop.url.scheme == "https" and url.scheme != "https"
        if not location or url.scheme not in _OWN_PORTS or not url.host or is_downgrade:
            raise TryAgain(_nowhere())
        return self._hop(url)

    def _refused(
        self, response: httpx.Response, hop: _Hop, wanted: Wanted, is_shortcut: bool
    ) -> Exception:
        """The Hub's own refusals are meant; those of an address that expires are not."""
        status, headers = response.status_code, response.headers
        page = f"{self._origin.endpoint}/{self._repo_id}"
        about = Subject(
            self._repo_id, page if "@" not in page else "its page on the Hub", wanted.file.path
        )
        asked_s = asked_wait_s(status, headers) if is_passing(status) else None
        if asked_s is not None and asked_s > self._longest_wait_s:
            return failures.rate_limited(asked_s)
        if is_passing(status) or is_shortcut:
            error = refusal(status, headers, about, hop.has_token)
            return TryAgain(error, asked_s=asked_s, is_stale=not is_passing(status))
        if not hop.is_own:
            return TryAgain(failures.refused(status))
        return refusal(status, headers, about, hop.has_token)


def _make_client(limits: TransferLimits) -> httpx.Client:
    """A client that keeps no cookies and follows nobody. Raises Offline for an odd proxy."""
    try:
        return httpx.Client(
            timeout=httpx.Timeout(limits.stall_s, connect=limits.connect_s, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"user-agent": "pomona", "accept": "*/*"},
            follow_redirects=False,
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise failures.unreachable() from error


def _origin_of(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or _OWN_PORTS.get(url.scheme)


def _nowhere() -> HubBroken:
    return failures.broken("sent us to an address that is none")


def _drain(response: httpx.Response) -> None:
    """Read what little such an answer has, so that its connection can be used again."""
    for _ in response.iter_raw():
        if response.num_bytes_downloaded > MAX_IDLE_BODY_BYTES:
            break
    response.close()


@contextlib.contextmanager
def _network_errors(wanted: Wanted) -> Iterator[None]:
    """Turn what httpx raises into TryAgain or a HubError, cause kept."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        raise TryAgain(failures.unreachable()) from error
    except (httpx.TimeoutException, httpcore.TimeoutException) as error:
        raise TryAgain(failures.too_slow(), is_stall=True) from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise failures.bad_endpoint() from error
    except httpx.LocalProtocolError as error:  # of all that is sent, only the login may be odd
        raise failures.login_unreadable() from error
    except (
        httpx.HTTPError, httpx.StreamError, httpcore.NetworkError, httpcore.ProtocolError,
    ) as error:  # fmt: skip
        name = failures.shown(wanted.file.path)
        raise TryAgain(
            Interrupted(
                f"The connection broke off in the middle of “{name}”, again and again.",
                "Check the network, then resume: what is here already stays.",
            )
        ) from error
