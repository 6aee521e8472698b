"""Another server that speaks OpenAI's API, well or badly, as the asked model's name says."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.serving import serving

KEY = "sk-the-right-key-of-this-server"
USAGE = {
    "prompt_tokens": 12, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 5},
}  # fmt: skip
PAGE = "<!doctype html><title>It works!</title>"


@dataclass
class Scripted:
    """What it was asked, and whether somebody left before the end of an answer."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    left: int = 0
    busy_times: int = 0

    async def models(self, request: Request) -> Response:
        """GET /v1/models, for who has the key."""
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": {"message": "no"}}, 401)
        names = [*SCRIPTS, 7, "", "a\nb", "x" * 400]
        return JSONResponse({"data": [{"id": name} for name in names] + ["nothing"]})

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions, by the script of the model's name."""
        body = json.loads(await request.body())
        self.bodies.append(body)
        self.keys.append(request.headers.get("authorization", ""))
        if body["model"] == "busy" and self.busy_times > 0:
            self.busy_times -= 1
            return Response("later", 503, {"retry-after": "0"})
        answer = SCRIPTS[body["model"]](self)
        if isinstance(answer, Response):
            return answer
        return StreamingResponse(answer, media_type="text/event-stream")

    async def slowly(self) -> AsyncIterator[str]:
        """A word, and then nothing for a long time."""
        yield piece(content="first ")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.left += 1
            raise


def piece(reason: str | None = None, **delta: Any) -> str:
    """One event with a delta."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


async def _said(*lines: str) -> AsyncIterator[str]:
    for line in lines:
        yield line


async def _dying() -> AsyncIterator[str]:
    yield piece(content="what arrived ")
    await asyncio.sleep(0.05)
    raise ConnectionError("the power went out")


async def _endless() -> AsyncIterator[str]:
    while True:
        yield "data: x" * 10_000
        await asyncio.sleep(0.001)


_END = f"data: {json.dumps({'choices': [], 'usage': USAGE})}\n\ndata: [DONE]\n\n"
_WELL = (
    piece(role="assistant", content=""), piece(reasoning_content="hm "), piece(reasoning="hm"),
    piece(content="Hello "), piece(content="wörld"), piece("stop"), _END,
)  # fmt: skip
_WHOLE = {
    "choices": [
        {"message": {"role": "assistant", "content": "at once"}, "finish_reason": "length"}
    ],
    "usage": USAGE,
}  # fmt: skip
_CALLS = (
    piece(tool_calls=[{"index": 0, "id": "c7", "function": {"name": "find", "arguments": ""}}]),
    piece(tool_calls=[{"index": 0, "function": {"arguments": '{"word":'}}]),
    piece(tool_calls=[7, {"index": 10**9}, {"index": 0, "function": {"arguments": ' "x"}'}}]),
    piece("tool_calls"), _END,
)  # fmt: skip
_THOUGHTS = (
    piece(content="<th"), piece(content="ink>hm </"), piece(content="i> hm</think"),
    piece(content=">\nso <think>"), piece("stop"), _END,
)  # fmt: skip
SCRIPTS: dict[str, Callable[[Scripted], Any]] = {
    "well": lambda _: _said(*_WELL),
    "busy": lambda _: _said(*_WELL),
    "in-pieces": lambda _: _said(*"".join(_WELL).replace("\n", "\r\n")),
    "no-end": lambda _: _said(*_WELL[:-1], "data: [DONE]"),
    "garbage": lambda _: _said(
        ": a comment\n\n", "event: ping\ndata: {}\n\n", "data: {not json\n\n", "data: 7\n\n",
        'data: {"choices": "none"}\n\n', 'data: {"choices": [null]}\n\n', "\x00\xff\n", "\n\n\n",
        'data: {"choices": [{"delta": {"content": 7}}]}\n\n', *_WELL,
    ),
    "calls": lambda _: _said(*_CALLS),
    "thinks": lambda _: _said(*_THOUGHTS),
    "whole": lambda _: JSONResponse(_WHOLE),
    "slow": lambda server: server.slowly(),
    "dies": lambda _: _dying(),
    "breaks-off": lambda _: _said(piece(content="what arrived ")),
    "error-within": lambda _: _said(piece(content="what "), 'data: {"error": "out of memory"}\n\n'),
    "page": lambda _: HTMLResponse(PAGE),
    "page-as-json": lambda _: Response(PAGE, media_type="application/json"),
    "refuses": lambda _: JSONResponse({"error": {"message": f"not with {KEY}"}}, 400),
    "wants-key": lambda _: JSONResponse({}, 401),
    "moves": lambda _: Response("", 307, {"location": "http://evil.example/v1"}),
    "broken": lambda _: Response(PAGE, 500),
    "endless": lambda _: _endless(),
}  # fmt: skip


@contextmanager
def scripted_server() -> Iterator[Scripted]:
    """Start it on a port of this computer."""
    server = Scripted()
    with serving(
        Route("/v1/models", server.models),
        Route("/v1/chat/completions", server.chat, methods=["POST"]),
    ) as address:
        server.url = f"{address}/v1"
        yield server
