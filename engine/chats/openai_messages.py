"""Messages as OpenAI's API takes them, made into a conversation. Pure.

The form: https://platform.openai.com/docs/api-reference/chat/create, ``messages``.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine.chats.import_values import read_role, read_text
from engine.chats.records import ChatTree, StoredMessage
from engine.chats.titles import title_of
from engine.errors import ImportFailed
from engine.sampling_json import MAX_SYSTEM_PROMPT_CHARS

_TEXT_PARTS = ("text", "input_text", "output_text")
_SYSTEM_ROLES = ("system", "developer")
_LEFT_OUT = "[An attachment that is not text was left out.]"


def holds_messages(value: object) -> bool:
    """Whether a JSON value has the outer form of one conversation."""
    messages = value.get("messages") if isinstance(value, Mapping) else value
    return isinstance(messages, list) and all(
        isinstance(one, Mapping) and "role" in one for one in messages
    )


def tree_of_messages(value: Any) -> ChatTree:
    """A conversation of one path. A system message at its beginning becomes the system prompt.

    Raises ImportFailed for a message that has no text or no role of a chat.
    """
    outer: Mapping[str, Any] = value if isinstance(value, Mapping) else {"messages": value}
    model_id, title = (
        read_text(outer[name], name) if isinstance(outer.get(name), str) else ""
        for name in ("model", "title")
    )
    messages: list[StoredMessage] = []
    params: dict[str, Any] = {}
    for position, one in enumerate(outer["messages"], 1):
        message = _message(one, position, model_id)
        is_prompt = position == 1 and message.role == "system"
        if is_prompt and len(message.text) <= MAX_SYSTEM_PROMPT_CHARS:
            params["system_prompt"] = message.text
            continue
        messages.append(message)
    if messages:  # what stood above the first one has become a setting
        messages[0] = replace(messages[0], parent_id=None)
    leaf_id = messages[-1].message_id if messages else None
    return ChatTree(title.strip() or title_of(messages), tuple(messages), leaf_id, model_id, params)


def _message(value: Mapping[str, Any], position: int, model_id: str) -> StoredMessage:
    where = f"Message {position:,}"
    role = read_role("system" if value["role"] in _SYSTEM_ROLES else value["role"], where)
    reasoning = value.get("reasoning_content", value.get("reasoning"))
    return StoredMessage(
        position, role, _content(value.get("content"), where),
        read_text(reasoning, f"{where}'s reasoning") if isinstance(reasoning, str) else "",
        model_id if role == "assistant" else "", parent_id=position - 1,
    )  # fmt: skip


def _content(value: object, where: str) -> str:
    if isinstance(value, list) and value:
        return "\n".join(_part(part, f"A part of {where.lower()}") for part in value)
    return read_text(value, f"{where}'s content")


def _part(value: object, where: str) -> str:
    if not isinstance(value, Mapping):
        return read_text(value, where)
    if value.get("type") in _TEXT_PARTS:
        return read_text(value.get("text"), where)
    if not isinstance(value.get("type"), str):
        raise ImportFailed(f"{where} has no type.", "Take it out of the file.")
    return _LEFT_OUT
