"""Tool calls between the engine and mlx-lm: from a model's text to records, and back. Pure."""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.records import Message, ToolCall

Tools = Sequence[Mapping[str, Any]]
Parser = Callable[[str, Any], Any]


def read_calls(text: str, parse: Parser, tools: Tools) -> tuple[ToolCall, ...]:
    """Calls in the text between a model's marks. Raises whatever ``parse`` does, and ValueError."""
    parsed = parse(text, list(tools))
    calls = tuple(map(_call, parsed if isinstance(parsed, list) else [parsed]))
    if not calls:
        raise ValueError("no call")
    return calls


def _call(parsed: Any) -> ToolCall:
    name, arguments = parsed["name"], parsed.get("arguments") or {}
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        raise ValueError("not a call")
    call_id = parsed.get("id")
    return ToolCall(
        call_id if isinstance(call_id, str) and call_id else f"call_{secrets.token_hex(12)}",
        name, json.dumps(arguments, ensure_ascii=False),
    )  # fmt: skip


def template_message(message: Message) -> dict[str, Any]:
    """A message as chat templates take it, with the arguments of calls as values."""
    raw: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_calls:
        raw["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.loads(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        raw["tool_call_id"] = message.tool_call_id
    return raw
