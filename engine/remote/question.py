"""The body of a request to another server. Pure."""

from collections.abc import Sequence
from typing import Any

from engine.records import Message, SamplingParams

_OURS = SamplingParams()


def question(messages: Sequence[Message], params: SamplingParams, model: str) -> dict[str, Any]:
    """What /chat/completions takes. What OpenAI itself does not know is sent only when set."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": m.role, "content": m.text} for m in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": params.temperature,
        "top_p": params.top_p,
        "max_tokens": params.max_tokens,
    }
    if params.stop:
        body["stop"] = list(params.stop)
    if params.seed is not None:
        body["seed"] = params.seed
    for name in ("top_k", "min_p", "repetition_penalty"):
        if getattr(params, name) != getattr(_OURS, name):
            body[name] = getattr(params, name)
    return body
