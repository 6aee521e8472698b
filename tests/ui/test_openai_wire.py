"""/v1 on the wire: bodies that are none, programs that leave, and programs that stop reading."""

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn

from engine import Engine
from tests.engine.answers import DEADLINE_S, LLAMA, ask
from tests.serving import serving
from ui.edges import hang_up
from ui.openai_api import openai_routes
from ui.openai_api.routes import MAX_BODY_BYTES

LONG = 100_000


@pytest.fixture(scope="module")
def servers() -> list[uvicorn.Server]:
    """The web server, once it runs."""
    return []


@pytest.fixture(scope="module")
def address(engine: Engine, servers: list[uvicorn.Server]) -> Iterator[str]:
    routes = openai_routes(engine, lambda scope: hang_up(servers[0], scope), write_timeout_s=0.5)
    with serving(routes, on_server=servers.append) as address:
        yield address


def question(**given: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": "hello"}]
    return {"model": LLAMA, "messages": said, "temperature": 0, "max_tokens": 8, **given}


def post(engine: Engine, address: str, **more: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {engine.api_key.reveal()}"}
    return httpx.post(f"{address}/v1/chat/completions", headers=headers, timeout=60, **more)


def begin(engine: Engine, address: str, **given: Any) -> socket.socket:
    """Send a request over a socket of our own, with a small window to read through."""
    body = json.dumps(question(**given)).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: Bearer {engine.api_key.reveal()}\r\n\r\n"
    )
    url = urlsplit(address)
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.settimeout(DEADLINE_S)
    line.connect((url.hostname, url.port))
    line.sendall(head.encode() + body)
    return line


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def open_requests(engine: Engine) -> int:
    return engine.inference._open_requests


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"7", b'"text"', b"\xff\xfe{", b'{"model": NaN}', b"[" * 100_000,
     b'{"n": ' + b"9" * 5000 + b"}"],
    ids=range(9),
)  # fmt: skip
def test_a_body_that_is_no_object_is_refused(engine: Engine, address: str, body: bytes) -> None:
    answer = post(engine, address, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_body_too_large_is_refused_before_it_is_read(engine: Engine, address: str) -> None:
    pieces = (b"x" * 1_000_000 for _ in range(MAX_BODY_BYTES // 1_000_000 + 2))
    answer = post(engine, address, content=pieces)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


def test_halves_of_characters_are_mended(engine: Engine, address: str) -> None:
    raw = json.dumps(question()).replace("hello", "a \\ud83d b").encode()
    assert post(engine, address, content=raw).status_code == 200


@pytest.mark.parametrize("key", [b"\xd0\xba\xd0\xbb", b"Bearer \xff", b"Basic eDp5", b"Bearer"])
def test_a_key_of_any_bytes_is_a_wrong_key(address: str, key: bytes) -> None:
    for path in ("models", "chat/completions", "nothing"):
        answer = httpx.get(f"{address}/v1/{path}", headers={b"authorization": key})
        if path != "chat/completions":  # which a GET does not reach
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.status_code != 200


def test_other_paths_are_not_found_in_openais_form(engine: Engine, address: str) -> None:
    headers = {"authorization": f"Bearer {engine.api_key.reveal()}"}
    answer = httpx.post(f"{address}/v1/embeddings", headers=headers, json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_program_that_leaves_ends_its_answer(
    engine: Engine, address: str, is_streamed: bool
) -> None:
    wait_until(lambda: open_requests(engine) == 0)
    line = begin(engine, address, max_tokens=LONG, stream=is_streamed)
    wait_until(lambda: open_requests(engine) == 1)
    line.close()
    wait_until(lambda: open_requests(engine) == 0)


def test_a_program_that_stops_reading_is_dropped_and_holds_nobody_up(
    engine: Engine, address: str, servers: list[uvicorn.Server]
) -> None:
    wait_until(lambda: open_requests(engine) == 0)
    alone = ask(engine, "hello", max_tokens=8).text
    with begin(engine, address, max_tokens=LONG, stream=True) as line:
        wait_until(lambda: open_requests(engine) == 1)
        answer = post(engine, address, json=question()).json()
        assert answer["choices"][0]["message"]["content"] == alone
        wait_until(lambda: open_requests(engine) == 0)
        wait_until(lambda: not servers[0].server_state.connections)
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while part := line.recv(65536):
                got += part
        assert b"data: {" in got and b"data: [DONE]" not in got


def test_too_many_at_once_are_told_to_come_back(engine: Engine, address: str) -> None:
    wait_until(lambda: open_requests(engine) == 0)
    most = engine.settings.limits.waiting_requests
    lines = [begin(engine, address, max_tokens=LONG, stream=True) for _ in range(most)]
    try:
        wait_until(lambda: open_requests(engine) == most)
        answer = post(engine, address, json=question())
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    finally:
        for line in lines:
            line.close()
    wait_until(lambda: open_requests(engine) == 0)
