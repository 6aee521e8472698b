"""An answer on its way to a program: whole or as server-sent events, and never at others' cost.

A program that goes away ends its answer at the next token; so does one that stops reading.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from engine import ChatTicket
from engine.errors import Cancelled, EngineError
from engine.records import ChatEvent, Finished, Loading, Queued
from ui.openai_api.answers import AnswerForm
from ui.openai_api.errors import RETRY_AFTER_S, ApiError, api_error, error_body
from ui.pacing import POLL_S, SLOWEST_POLL_S

WRITE_TIMEOUT_S = 20.0
KEEP_ALIVE_S = 10.0
STATUS_WITHIN_S = 20.0
_BEFORE_THE_MODEL = (Queued, Loading)

HangUp = Callable[[Scope], None]
"""Cuts the connection of a request."""

logger = logging.getLogger(__name__)


def error_response(error: EngineError) -> Response:
    """The answer to a request that failed."""
    failure = api_error(error)
    headers = {"retry-after": str(RETRY_AFTER_S)} if failure.status in (429, 503) else {}
    if failure.status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(error_body(failure), failure.status, headers)


class Delivery(Response):
    """Sends one answer, as it comes from a ticket."""

    def __init__(
        self, ticket: ChatTicket, form: AnswerForm, is_streamed: bool,
        write_timeout_s: float, hang_up: HangUp,
    ) -> None:  # fmt: skip
        super().__init__()
        self._ticket = ticket
        self._form = form
        self._is_streamed = is_streamed
        self._write_timeout_s = write_timeout_s
        self._hang_up = hang_up
        self._is_gone = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; whatever happens, nothing is generated for nobody."""
        leaving = asyncio.create_task(self._notice_leaving(receive))
        try:
            if self._is_streamed:
                await self._stream(scope, receive, send)
            else:
                await self._send_whole(scope, receive, send)
        except TimeoutError:
            logger.info("a program that stopped reading its answer was dropped")
            self._hang_up(scope)
            await asyncio.sleep(0)  # the server notices
        finally:
            self._ticket.cancel()
            leaving.cancel()

    async def _notice_leaving(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._is_gone = True
        self._ticket.cancel()

    async def _batches(self) -> AsyncIterator[list[ChatEvent]]:
        """Events as they come, an empty list for every look in vain, until the end.

        Raises the request's EngineError.
        """
        pause_s = POLL_S
        while not self._is_gone:
            events = self._ticket.drain(timeout_s=0)
            yield events
            if any(isinstance(event, Finished) for event in events):
                return
            pause_s = POLL_S if events else min(pause_s * 1.1, SLOWEST_POLL_S)
            if not events:
                await asyncio.sleep(pause_s)

    async def _send_whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        events: list[ChatEvent] = []
        response: Response | None = None
        try:
            async for batch in self._batches():
                events += batch
        except EngineError as error:
            response = error_response(api_error(error, self._form.prompt_field))
        except Cancelled:
            return
        if not self._is_gone:
            response = response or JSONResponse(self._form.whole(events))
            async with asyncio.timeout(self._write_timeout_s):
                await response(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The status waits for the model, so that a failure to load it is not a 200."""
        loop = asyncio.get_running_loop()
        begun_at = sent_at = loop.time()
        is_open = False
        try:
            async for events in self._batches():
                news = [event for event in events if not isinstance(event, _BEFORE_THE_MODEL)]
                if not is_open and (news or loop.time() - begun_at > STATUS_WITHIN_S):
                    await self._open(send)
                    is_open = True
                chunks = self._form.chunks(news)
                if chunks:
                    await self._write(send, *map(_event, chunks))
                elif is_open and loop.time() - sent_at > KEEP_ALIVE_S:
                    await self._write(send, ": still here\n\n")
                else:
                    continue
                sent_at = loop.time()
        except EngineError as error:
            if not is_open:
                failure = api_error(error, self._form.prompt_field)
                await error_response(failure)(scope, receive, send)
                return
            await self._write(send, _event(error_body(api_error(error))))
        except Cancelled:
            return
        if is_open and not self._is_gone:
            await self._write(send, "data: [DONE]\n\n", is_last=True)

    async def _open(self, send: Send) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        first = self._form.first_chunk()
        if first is not None:
            await self._write(send, _event(first))

    async def _write(self, send: Send, *texts: str, is_last: bool = False) -> None:
        """Raises TimeoutError when the program does not read."""
        body = "".join(texts).encode()
        async with asyncio.timeout(self._write_timeout_s):
            await send({"type": "http.response.body", "body": body, "more_body": not is_last})


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def unknown_key() -> ApiError:
    """The refusal of a request without the right key."""
    return ApiError(
        401, "This is not the API key of this Pomona. The Manage tab shows it.",
        code="invalid_api_key",
    )  # fmt: skip
