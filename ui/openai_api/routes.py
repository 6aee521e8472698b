"""/v1: the part of OpenAI's HTTP API that existing clients speak, answered by the engine."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from engine import ChatTicket, Engine
from engine.errors import EngineError
from engine.records import SamplingParams
from ui.errors import telling_errors
from ui.openai_api.answers import AnswerForm, ChatForm, CompletionForm, local_entry, remote_entry
from ui.openai_api.delivery import WRITE_TIMEOUT_S, Delivery, HangUp, error_response, unknown_key
from ui.openai_api.errors import ApiError, api_error
from ui.openai_api.fields import Fields, parse_body
from ui.openai_api.requests import Wanted, read_chat, read_completion

MAX_BODY_BYTES = 8_000_000
BODY_TIMEOUT_S = 30.0
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

Handler = Callable[[Request], Awaitable[Response]]


class OpenAIApi:
    """One method per route. Every one asks for the key first."""

    def __init__(self, engine: Engine, write_timeout_s: float, hang_up: HangUp) -> None:
        self._engine = engine
        self._write_timeout_s = write_timeout_s
        self._hang_up = hang_up
        self._started_at = time.time()

    async def models(self, _: Request) -> Response:
        """GET /v1/models."""
        models = await asyncio.to_thread(self._engine.library.list)
        data = [local_entry(model, self._started_at) for model in models if model.will_chat]
        data += [remote_entry(model, self._started_at) for model in self._engine.remote.models()]
        return JSONResponse({"object": "list", "data": data})

    async def model(self, request: Request) -> Response:
        """GET /v1/models/{model}."""
        name = request.path_params["model"]
        for remote in self._engine.remote.models():
            if remote.model_id == name:
                return JSONResponse(remote_entry(remote, self._started_at))
        found = await asyncio.to_thread(self._engine.library.find, name)
        return JSONResponse(local_entry(found, self._started_at))

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        asked = read_chat(await _body(request))
        wanted = asked.wanted
        params = await self._params(wanted)
        ticket = self._engine.chat(asked.messages, params, wanted.model, tools=asked.tools)
        return self._deliver(ticket, ChatForm(wanted.model, wanted.has_usage), wanted)

    async def completion(self, request: Request) -> Response:
        """POST /v1/completions."""
        asked = read_completion(await _body(request))
        wanted = asked.wanted
        if self._engine.remote.knows(wanted.model):
            raise ApiError(
                400, "Models of other servers answer chats alone.", "model", "model_not_usable"
            )
        params = await self._params(wanted)
        form = CompletionForm(wanted.model, wanted.has_usage)
        try:
            ticket = self._engine.inference.complete(asked.prompt, params, wanted.model)
        except EngineError as error:
            raise api_error(error, form.prompt_field) from error
        return self._deliver(ticket, form, wanted)

    async def nothing(self, request: Request) -> Response:
        """Any other path."""
        path = request.url.path[:120]
        raise ApiError(404, f"There is no {request.method} {path} here.", code="unknown_url")

    def guarded(self, handler: Handler) -> Handler:
        """A handler that wants the key, and whose errors are told in OpenAI's form."""

        @functools.wraps(handler)
        async def answer(request: Request) -> Response:
            failures: list[EngineError] = []
            with telling_errors(failures.append):
                self._check_key(request)
                return await handler(request)
            return error_response(failures[0])

        return answer

    def _deliver(self, ticket: ChatTicket, form: AnswerForm, wanted: Wanted) -> Response:
        return Delivery(ticket, form, wanted.is_streamed, self._write_timeout_s, self._hang_up)

    async def _params(self, wanted: Wanted) -> SamplingParams:
        suggested, _ = await asyncio.to_thread(self._engine.suggested, wanted.model)
        return wanted.params(suggested)

    def _check_key(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._engine.api_key.matches(key.strip()):
            raise unknown_key()


def openai_routes(
    engine: Engine, hang_up: HangUp = lambda _: None, write_timeout_s: float = WRITE_TIMEOUT_S
) -> Mount:
    """Everything under /v1. ``hang_up`` cuts the connection of who stopped reading."""
    api = OpenAIApi(engine, write_timeout_s, hang_up)
    return Mount("/v1", routes=[
        Route("/models", api.guarded(api.models), methods=["GET"]),
        Route("/models/{model:path}", api.guarded(api.model), methods=["GET"]),
        Route("/chat/completions", api.guarded(api.chat), methods=["POST"]),
        Route("/completions", api.guarded(api.completion), methods=["POST"]),
        Route("/{path:path}", api.guarded(api.nothing), methods=_METHODS),
    ])  # fmt: skip


async def _body(request: Request) -> Fields:
    """The JSON object that was sent, read as far as is allowed. Raises ApiError."""
    raw = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.stream():
                raw += part
                if len(raw) > MAX_BODY_BYTES:
                    raise ApiError(
                        413, f"The body may have {MAX_BODY_BYTES:,} bytes.", code="body_too_large"
                    )
    except TimeoutError:
        raise ApiError(408, "The body did not come in time.", code="timeout") from None
    except ClientDisconnect:
        raise ApiError(400, "The body ended too early.", code="invalid_json") from None
    return parse_body(bytes(raw))
