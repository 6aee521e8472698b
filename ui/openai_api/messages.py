"""Messages and tools of a request, checked into records. Pure."""

import json
import re
from typing import Any

from engine.records import AskedRole, Message, ToolCall
from ui.openai_api.errors import ApiError
from ui.openai_api.fields import Fields

MAX_TOOLS = 128
MAX_CALLS = 128
_TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ROLES: dict[str | None, AskedRole] = {
    "system": "system", "developer": "system", "user": "user", "assistant": "assistant",
    "tool": "tool",
}  # fmt: skip
_TEXT_PARTS = ("text", "input_text", "output_text", "refusal")


def read_messages(body: Fields) -> tuple[Message, ...]:
    """The conversation. Raises ApiError that names the field."""
    raw = body.items("messages")
    if not raw:
        body.refuse("messages", "a list of at least one message")
    return tuple(_message(one) for one in _objects(body, "messages"))


def read_tools(body: Fields) -> tuple[dict[str, Any], ...]:
    """Functions that the model may want called, () when it is told to call none."""
    choice = body.raw("tool_choice")
    if choice not in (None, "auto", "none"):
        body.refuse("tool_choice", '"auto" or "none": a model cannot be forced to call')
    tools = []
    for tool in _objects(body, "tools", MAX_TOOLS):
        if tool.text("type") != "function":
            tool.refuse("type", '"function"')
        function = tool.inner("function")
        if not _TOOL_NAME.fullmatch(function.text("name") or ""):
            function.refuse("name", "a name with 1 to 64 letters, digits, dashes or underscores")
        function.text("description")
        function.inner("parameters")
        tools.append({"type": "function", "function": dict(tool.raw("function"))})
    return () if choice == "none" else tuple(tools)


def _objects(fields: Fields, name: str, most: int | None = None) -> list[Fields]:
    """The objects of a list."""
    raw = fields.items(name)
    if most is not None and len(raw) > most:
        fields.refuse(name, f"a list of at most {most}")
    found = []
    for n, one in enumerate(raw):
        path = f"{fields.name(name)}[{n}]"
        if not isinstance(one, dict):
            raise ApiError(400, f"{path} must be an object.", path, "invalid_value")
        found.append(Fields(one, path))
    return found


def _message(message: Fields) -> Message:
    role = message.text("role")
    if role not in _ROLES:
        message.refuse("role", "system, developer, user, assistant or tool")
    calls = _calls(message) if role == "assistant" else ()
    call_id = message.text("tool_call_id") or "" if role == "tool" else ""
    if role == "tool" and not call_id:
        message.refuse("tool_call_id", "the id of the call that this is the result of")
    text = _content(message, may_lack=bool(calls))
    return Message(_ROLES[role], text, message.text("reasoning_content") or "", calls, call_id)


def _calls(message: Fields) -> tuple[ToolCall, ...]:
    found = []
    for call in _objects(message, "tool_calls", MAX_CALLS):
        function = call.inner("function")
        call_id, name = call.text("id"), function.text("name")
        if not call_id:
            call.refuse("id", "a text")
        if not name:
            function.refuse("name", "a text")
        arguments = function.text("arguments") or "{}"
        if not _is_object(arguments):
            function.refuse("arguments", "a JSON object, as text")
        found.append(ToolCall(call_id, name, arguments))
    return tuple(found)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _content(message: Fields, may_lack: bool) -> str:
    if isinstance(message.raw("content"), list):
        return "\n".join(_part(part) for part in _objects(message, "content"))
    text = message.text("content")
    if text is None and not may_lack:
        message.refuse("content", "a text, or a list of parts with text")
    return text or ""


def _part(part: Fields) -> str:
    kind = part.text("type")
    if kind not in _TEXT_PARTS:
        part.refuse("type", '"text": models here read text alone')
    name = "refusal" if kind == "refusal" else "text"
    text = part.text(name)
    if text is None:
        part.refuse(name, "a text")
    return text
