"""The one boundary to httpx for other servers: questions, answers, and what failures mean.

A key goes to its own server and nowhere else, so redirects are not followed. Nothing that a
server sends is read without a bound.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from engine.errors import EngineError, RemoteBroken, RemoteRefused, RemoteUnreachable
from engine.patience import Patience, parse_retry_after
from engine.records import ChatEvent
from engine.remote.checks import is_model_name
from engine.remote.reader import AnswerReader, told_error
from engine.remote.records import RemoteSource
from engine.remote.sse import DataLines

MAX_LIST_BYTES = 4_000_000
MAX_MODELS = 500
MAX_ANSWER_BYTES = 64_000_000
_PASSING = (429, 502, 503, 504)
_CHECK_MANAGE = "Check its address and key in Manage."


@dataclass(frozen=True)
class RemotePatience:
    """How long a server is waited for, and how often it is asked.

    ``first_s`` is until an answer begins, ``silence_s`` between two pieces of it. A pause that the
    server asks for is kept up to ``longest_wait_s``.
    """

    tries: int = 3
    connect_s: float = 5.0
    list_s: float = 10.0
    first_s: float = 600.0
    silence_s: float = 120.0
    longest_wait_s: float = 5.0
    pauses: Patience = field(default_factory=Patience)


class RemoteClient:
    """Asks servers. Used on one event loop alone."""

    def __init__(self, patience: RemotePatience) -> None:
        self._patience = patience
        timeout = httpx.Timeout(
            patience.first_s, connect=patience.connect_s, write=patience.list_s,
            pool=patience.list_s,
        )  # fmt: skip
        self._http = httpx.AsyncClient(
            timeout=timeout, follow_redirects=False, limits=httpx.Limits(max_connections=64)
        )

    async def close(self) -> None:
        """Close what is idle."""
        await self._http.aclose()

    async def list_models(self, source: RemoteSource) -> tuple[str, ...]:
        """Names of the models that a server lists. Raises RemoteError."""
        with remote_errors(source):
            async with asyncio.timeout(self._patience.list_s):
                async with self._opened("GET", source, "/models") as response:
                    value = _json(await _read(response, MAX_LIST_BYTES))
        data = value.get("data") if isinstance(value, dict) else value
        if not isinstance(data, list):
            raise RemoteBroken(f"“{source.name}” lists no models.", _CHECK_MANAGE)
        names = [one.get("id") if isinstance(one, dict) else None for one in data[:MAX_MODELS]]
        return tuple(dict.fromkeys(str(name) for name in names if is_model_name(name)))

    async def answer(
        self, source: RemoteSource, body: dict[str, Any], reader: AnswerReader
    ) -> AsyncIterator[list[ChatEvent]]:
        """Events of an answer as they come, to its end. Raises RemoteError."""
        with remote_errors(source):
            async with self._opened("POST", source, "/chat/completions", body) as response:
                if "json" in response.headers.get("content-type", ""):
                    yield reader.take(_json(await _read(response, MAX_LIST_BYTES)))
                else:
                    async with contextlib.aclosing(self._data(response)) as lines:
                        async for data in lines:
                            yield reader.read(data)
                            if reader.is_done:
                                break
        if not reader.is_answer:
            raise RemoteBroken(f"“{source.name}” sent something that is no answer.", _CHECK_MANAGE)
        if not reader.is_done and reader.reason is None:
            raise RemoteBroken(
                f"“{source.name}” broke off in the middle of its answer.",
                "What had come is kept. Ask again.",
            )

    async def _data(self, response: httpx.Response) -> AsyncGenerator[str]:
        lines, taken = DataLines(), 0
        pieces = response.aiter_bytes()
        while True:
            async with asyncio.timeout(self._patience.silence_s if taken else None):
                piece = await anext(pieces, None)
            if piece is None:
                break
            taken += len(piece)
            if taken > MAX_ANSWER_BYTES:
                raise RemoteBroken("The server's answer has no end.", "Ask another model.")
            for data in lines.feed(piece):
                yield data
        for data in lines.end():
            yield data

    @contextlib.asynccontextmanager
    async def _opened(
        self, method: str, source: RemoteSource, path: str, body: dict[str, Any] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """An answer with status 200, asked for again where it failed before it began."""
        for attempt in range(1, self._patience.tries + 1):
            is_last = attempt == self._patience.tries
            request = self._request(method, source, path, body)
            try:
                response = await self._http.send(request, stream=True)
            except (httpx.ConnectError, httpx.RemoteProtocolError):
                if is_last:
                    raise
                await asyncio.sleep(self._patience.pauses.backoff_s(attempt))
                continue
            try:
                pause_s = self._pause_s(response, attempt)
                if response.status_code == 200:
                    yield response
                    return
                if is_last or pause_s is None:
                    raise await _refusal(source, response)
            finally:
                await response.aclose()
            await asyncio.sleep(pause_s)

    def _request(
        self, method: str, source: RemoteSource, path: str, body: dict[str, Any] | None
    ) -> httpx.Request:
        headers = {"accept": "application/json, text/event-stream"}
        if source.key:
            headers["authorization"] = f"Bearer {source.key}"
        return self._http.build_request(method, source.url + path, headers=headers, json=body)

    def _pause_s(self, response: httpx.Response, attempt: int) -> float | None:
        """How long to wait before asking again, None where that is of no use."""
        if response.status_code not in _PASSING:
            return None
        asked_s = parse_retry_after(response.headers.get("retry-after"), time.time())
        pause_s = self._patience.pauses.backoff_s(attempt) if asked_s is None else asked_s
        return pause_s if pause_s <= self._patience.longest_wait_s else None


@contextlib.contextmanager
def remote_errors(source: RemoteSource) -> Iterator[None]:
    """Turn what httpx raises into ours, with the cause kept."""
    try:
        yield
    except EngineError:
        raise
    except (TimeoutError, httpx.TimeoutException) as error:
        raise RemoteUnreachable(
            f"“{source.name}” did not answer in time.", "It may be busy, or switched off."
        ) from error
    except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise RemoteUnreachable(
            f"“{source.name}” cannot be reached at {source.url}.",
            "Is it running? " + _CHECK_MANAGE,
        ) from error
    except httpx.HTTPError as error:
        raise RemoteBroken(
            f"The connection to “{source.name}” broke.", "What had come is kept. Ask again."
        ) from error


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    raw = bytearray()
    async for piece in response.aiter_bytes():
        raw += piece
        if len(raw) > max_bytes:
            raise RemoteBroken("The server sent far too much.", _CHECK_MANAGE)
    return bytes(raw)


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        is_page = raw.lstrip()[:1] == b"<"
        what = "a web page instead of an answer" if is_page else "something that is not JSON"
        raise RemoteBroken(f"The server sent {what}.", _CHECK_MANAGE) from error


async def _refusal(source: RemoteSource, response: httpx.Response) -> EngineError:
    """The error of a status that is not 200."""
    status = response.status_code
    if status in (401, 403):
        return RemoteRefused(f"“{source.name}” wants another key.", "Change it in Manage.")
    if 300 <= status < 400:
        return RemoteRefused(
            f"“{source.name}” points to another address, which is not followed.", _CHECK_MANAGE
        )
    try:
        said = told_error(json.loads(await _read(response, MAX_LIST_BYTES)))
    except (ValueError, RecursionError, RemoteBroken):
        said = "no reason was given."
    said = said.replace(source.key, "[hidden]") if source.key else said
    return RemoteRefused(
        f"“{source.name}” refused with status {status}: {said}", "Change the question or the model."
    )
