"""A threaded HTTP server that records requests, serves ranges, and fails when it is told to."""

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_CHUNK_BYTES = 64 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Recorded:
    """A request as it arrived; header names are in lower case, ``port`` is the asker's."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    is_cdn: bool = False
    port: int = 0

    @property
    def token(self) -> str:
        """The access token that came with it, or nothing."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass
class Reply:
    """What to answer; ``is_ranged`` bodies are cut to the Range that was asked for."""

    status: int
    body: bytes | memoryview = b""
    headers: dict[str, str] = field(default_factory=dict)
    is_ranged: bool = False


@dataclass
class Fault:
    """A wrong answer to paths that begin with ``path``, for the next ``times``, None for ever.

    The first ``skip`` requests are answered rightly. ``status``, ``body`` and ``headers`` replace
    those of the true answer where they are given, ``last_headers`` also what a range made of them.
    With ``ignores_range`` all of a body is sent, ``extra`` comes behind it and without a length.
    ``delay_s`` passes before anything is sent. The connection is reset after ``reset_after_bytes``
    of the body, which -1 makes before the status line; it is closed as if all were well after
    ``close_after_bytes``, and says nothing more after ``stall_after_bytes``. ``drip_s`` passes
    between pieces of ``drip_bytes``.
    """

    path: str
    times: int | None = 1
    skip: int = 0
    status: int | None = None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    last_headers: dict[str, str] = field(default_factory=dict)
    ignores_range: bool = False
    extra: bytes = b""
    delay_s: float = 0.0
    reset_after_bytes: int | None = None
    close_after_bytes: int | None = None
    stall_after_bytes: int | None = None
    drip_s: float = 0.0
    drip_bytes: int = 1024

    @property
    def breaks_after_bytes(self) -> int | None:
        """How much of the body is sent before it goes wrong."""
        cuts = (self.reset_after_bytes, self.close_after_bytes, self.stall_after_bytes)
        return next((cut for cut in cuts if cut is not None), None)


class Server:
    """One listening port; ``answer`` makes a Reply, ``fault_for`` may spoil it."""

    def __init__(
        self,
        answer: Callable[[Recorded], Reply],
        fault_for: Callable[[str], Fault | None],
        requests: list[Recorded],
        is_cdn: bool = False,
    ) -> None:
        self.answer = answer
        self.fault_for = fault_for
        self.requests = requests
        self.is_cdn = is_cdn
        self.is_stopped = threading.Event()
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection; slow answers end at once."""
        self.is_stopped.set()
        self._http.shutdown()
        self._http.hang_up()
        self._http.server_close()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = False
    owner: Server

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that hangs up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http

    def do_GET(self) -> None:
        owner = self.server.owner
        split = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = parse_qs(split.query, keep_blank_values=True)
        request = Recorded(
            self.command, split.path, query, headers, owner.is_cdn, self.client_address[1]
        )
        owner.requests.append(request)
        fault = owner.fault_for(split.path) or Fault("")
        owner.is_stopped.wait(fault.delay_s)
        if fault.reset_after_bytes == -1:
            return self._reset()
        reply = _spoiled(owner, request, fault)
        if reply.is_ranged and not fault.ignores_range and _is_this_version(reply, headers):
            reply = _cut_to_range(reply, headers.get("range", ""))
        reply.headers |= fault.last_headers
        self._send(reply, fault)

    do_HEAD = do_GET

    def _send(self, reply: Reply, fault: Fault) -> None:
        self.send_response(reply.status)
        length = {"content-length": str(len(reply.body))}
        if fault.extra:
            length, self.close_connection = {"connection": "close"}, True
        for name, value in {**length, **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        body = memoryview(reply.body)[: fault.breaks_after_bytes]
        step = fault.drip_bytes if fault.drip_s else _CHUNK_BYTES
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            if fault.drip_s and self.server.owner.is_stopped.wait(fault.drip_s):
                return
        self.wfile.write(fault.extra)
        if fault.reset_after_bytes is not None:
            self._reset()
        elif fault.stall_after_bytes is not None:
            self._stall()
        elif fault.close_after_bytes is not None:
            self.close_connection = True

    def _stall(self) -> None:
        """Say nothing more until the other side hangs up, or the server stops."""
        self.close_connection = True
        self.connection.settimeout(0.05)
        while not self.server.owner.is_stopped.is_set():
            try:
                if not self.connection.recv(1024):
                    return
            except TimeoutError:
                continue

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: requests are recorded, not printed."""


def _spoiled(owner: Server, request: Recorded, fault: Fault) -> Reply:
    if fault.status is not None:
        return Reply(fault.status, fault.body or b"", dict(fault.headers))
    reply = owner.answer(request)
    reply.headers |= fault.headers
    if fault.body is not None:
        reply.body = fault.body
    return reply


def _is_this_version(reply: Reply, asked: Mapping[str, str]) -> bool:
    """Whether the asker has no other version already; if it has, it gets all of this one."""
    return asked.get("if-range", reply.headers.get("etag")) == reply.headers.get("etag")


def _cut_to_range(reply: Reply, asked: str) -> Reply:
    reply.headers["accept-ranges"] = "bytes"
    match = _RANGE.fullmatch(asked)
    if match is None or match.groups() == ("", ""):
        return reply
    size = len(reply.body)
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1 if first and last else size, size)
    if start >= size or start >= end:
        return Reply(416, b"", {"content-range": f"bytes */{size}"})
    headers = {**reply.headers, "content-range": f"bytes {start}-{end - 1}/{size}"}
    return Reply(206, reply.body[start:end], headers)
