"""Requests as OpenAI's API takes them, checked into records. Pure.

The form: https://platform.openai.com/docs/api-reference/chat/create. What only changes how OpenAI
runs its own service (user, store, metadata, service_tier) is taken and does nothing.
"""

from dataclasses import dataclass, replace
from typing import Any

from engine.errors import InvalidRequest
from engine.inference import MAX_LOGPROBS, PARAM_RANGES, check_params
from engine.records import Message, SamplingParams
from ui.openai_api.errors import ApiError
from ui.openai_api.fields import Fields
from ui.openai_api.messages import read_messages, read_tools

MAX_SEED = 2**63 - 1
_SEEDS = 2**32
_NUMBERS = ("temperature", "min_p", "repetition_penalty")


@dataclass(frozen=True)
class Wanted:
    """What any request wants: a model, settings that change its own, and the form of the answer."""

    model: str
    settings: dict[str, Any]
    is_streamed: bool = False
    has_usage: bool = False

    def params(self, suggested: SamplingParams) -> SamplingParams:
        """The model's own settings, changed by those of the request."""
        return replace(suggested, **self.settings)


@dataclass(frozen=True)
class ChatRequest:
    """A conversation to be answered, with functions that may be called."""

    wanted: Wanted
    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class CompletionRequest:
    """A text to be written on."""

    wanted: Wanted
    prompt: str


def read_chat(body: Fields) -> ChatRequest:
    """A request to /v1/chat/completions. Raises ApiError that names the field."""
    _refuse_what_we_lack(body)
    kind = body.inner("response_format").text("type")
    if kind not in (None, "text"):
        body.refuse("response_format", 'of type "text": structured output is not supported')
    if body.items("modalities") not in ([], ["text"]):
        body.refuse("modalities", '["text"]')
    wanted = _wanted(body)
    count = body.whole("top_logprobs", 0, MAX_LOGPROBS)
    if body.flag("logprobs"):
        wanted.settings["logprobs"] = count or 0
    elif count is not None:
        body.refuse("top_logprobs", "left out, or logprobs be true")
    return ChatRequest(wanted, read_messages(body), read_tools(body))


def read_completion(body: Fields) -> CompletionRequest:
    """A request to /v1/completions. Raises ApiError that names the field."""
    _refuse_what_we_lack(body)
    for name in ("echo", "suffix"):
        if body.raw(name):
            body.refuse(name, "left out: it is not supported")
    if body.whole("best_of", 1) not in (None, 1):
        body.refuse("best_of", "1: one answer to each request")
    wanted = _wanted(body)
    count = body.whole("logprobs", 0, MAX_LOGPROBS)
    if count is not None:
        wanted.settings["logprobs"] = count
    raw = body.raw("prompt")
    prompt = raw[0] if isinstance(raw, list) and len(raw) == 1 else raw
    if not isinstance(prompt, str) or not prompt:
        body.refuse("prompt", "one text, not empty")
    return CompletionRequest(wanted, Fields({"prompt": prompt}).text("prompt") or "")


def _wanted(body: Fields) -> Wanted:
    model = body.text("model")
    if not model:
        body.refuse("model", "the name of a model, as /v1/models lists them")
    is_streamed = body.flag("stream")
    options = body.inner("stream_options")
    return Wanted(model, _settings(body), is_streamed, options.flag("include_usage"))


def _settings(body: Fields) -> dict[str, Any]:
    """Settings that were given, by our names for them."""
    given: dict[str, Any] = {name: body.number(name, *PARAM_RANGES[name]) for name in _NUMBERS}
    low, high = PARAM_RANGES["top_p"]
    top_p = body.number("top_p", 0, high)
    given["top_p"] = None if top_p is None else max(low, top_p)
    given["top_k"] = body.whole("top_k", 0, PARAM_RANGES["top_k"][1])
    given["seed"] = body.whole("seed", 0, MAX_SEED)
    if given["seed"] is not None:
        given["seed"] %= _SEEDS
    newest, older = (body.whole(name, 1) for name in ("max_completion_tokens", "max_tokens"))
    most_tokens = older if newest is None else newest
    if most_tokens is not None:
        given["max_tokens"] = min(most_tokens, int(PARAM_RANGES["max_tokens"][1]))
    if stop := _stop(body):
        given["stop"] = stop
    return {name: value for name, value in given.items() if value is not None}


def _stop(body: Fields) -> tuple[str, ...]:
    raw = body.raw("stop")
    stop = tuple([raw] if isinstance(raw, str) else body.items("stop"))
    try:
        check_params(replace(SamplingParams(), stop=stop))
    except InvalidRequest as error:
        raise ApiError(400, error.text, "stop", "invalid_value") from error
    return stop


def _refuse_what_we_lack(body: Fields) -> None:
    """Say clearly what is not done here, instead of doing something else."""
    if body.whole("n", 1) not in (None, 1):
        body.refuse("n", "1: one answer to each request")
    for name in ("presence_penalty", "frequency_penalty"):
        if body.number(name, -2, 2):
            body.refuse(name, "0: use repetition_penalty instead")
    if body.raw("logit_bias"):
        body.refuse("logit_bias", "left out: it is not supported")
