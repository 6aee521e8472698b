"""The body of a request to another server. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.records import Message, SamplingParams

_OURS = SamplingParams()


def question(
    messages: Sequence[Message], params: SamplingParams, model: str,
    tools: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:  # fmt: skip
    """What /chat/completions takes. What OpenAI itself does not know is sent only when set."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(message) for message in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": params.temperature,
        "top_p": params.top_p,
        "max_tokens": params.max_tokens,
    }
    if tools:
        body["tools"] = [dict(tool) for tool in tools]
    if params.stop:
        body["stop"] = list(params.stop)
    if params.seed is not None:
        body["seed"] = params.seed
    for name in ("top_k", "min_p", "repetition_penalty"):
        if getattr(params, name) != getattr(_OURS, name):
            body[name] = getattr(params, name)
    return body


def _message(message: Message) -> dict[str, Any]:
    raw: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_calls:
        raw["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        raw["tool_call_id"] = message.tool_call_id
    return raw
