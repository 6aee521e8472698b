"""Conversations on their way in: Pomona's own JSON, and lists of messages as OpenAI's API has them.

A file is foreign until it has been read: bounded, checked value by value, and either a sentence
says what is wrong or whole trees come out that ``Chats.plant`` takes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.chats.exports import FORMAT, FORMAT_VERSION
from engine.chats.import_values import (
    read_details,
    read_message_state,
    read_number,
    read_params,
    read_role,
    read_text,
)
from engine.chats.openai_messages import holds_messages, tree_of_messages
from engine.chats.records import ChatTree, StoredMessage
from engine.chats.titles import title_of
from engine.errors import ImportFailed
from engine.foreign_json import parse_json, read_json_file

MAX_CHATS = 10_000
MAX_MESSAGES = 100_000
_FOREIGN_HINT = (
    "Pomona reads the JSON that it exports, and lists of messages with a role and content."
)


def read_import(path: Path) -> tuple[ChatTree, ...]:
    """Every conversation of a file, at least one. Raises ImportFailed."""
    return parse_import(read_json_file(path, ImportFailed))


def parse_import(text: str) -> tuple[ChatTree, ...]:
    """Every conversation of a text: Pomona's JSON, OpenAI-style JSON, or a line of that each.

    Raises ImportFailed.
    """
    text = text.removeprefix("\ufeff")
    value = _lines(text) or parse_json(text, ImportFailed)
    if isinstance(value, Mapping) and value.get("format") == FORMAT:
        trees = _own(value)
    else:
        trees = _openai(value)
    if not any(tree.messages for tree in trees):
        raise ImportFailed("There is no message in this file.", _FOREIGN_HINT)
    return tuple(tree for tree in trees if tree.messages)


def _lines(text: str) -> list[object] | None:
    """A file of JSON Lines, None for one that is not."""
    first, _, rest = text.lstrip().partition("\n")
    if not first.startswith("{") or not rest.strip():
        return None
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return None
    return [parse_json(line, ImportFailed) for line in text.split("\n") if line.strip()]


def _openai(value: object) -> list[ChatTree]:
    chats = [value] if holds_messages(value) else value
    if isinstance(chats, list) and all(holds_messages(one) for one in chats):
        _check_size(chats)
        return [tree_of_messages(one) for one in chats]
    raise ImportFailed("The file is JSON, but holds no chat that Pomona knows.", _FOREIGN_HINT)


def _own(value: Mapping[str, Any]) -> list[ChatTree]:
    version, chats = value.get("version"), value.get("chats")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ImportFailed(
            "The file was exported by a newer Pomona.", "Update Pomona, and import it again."
        )
    if not isinstance(chats, list):
        raise ImportFailed("The file holds no list of chats.", "Export it again.")
    _check_size(chats)
    return [_own_tree(chat) for chat in chats]


def _own_tree(chat: object) -> ChatTree:
    if not isinstance(chat, Mapping) or not isinstance(chat.get("messages"), list):
        raise ImportFailed("A chat of the file has no list of messages.", "Export it again.")
    messages = _own_messages(chat["messages"])
    shown_id = chat.get("shown_id")
    numbers = {message.message_id for message in messages}
    if not isinstance(shown_id, int) or shown_id not in numbers:
        shown_id = messages[-1].message_id if messages else None
    title = read_text(chat.get("title", ""), "A title").strip() or title_of(messages)
    return ChatTree(
        title, tuple(messages), shown_id, read_text(chat.get("model_id", ""), "A model's name"),
        read_params(chat.get("params")), read_number(chat.get("created_at")),
    )  # fmt: skip


def _own_messages(values: Sequence[object]) -> list[StoredMessage]:
    messages: list[StoredMessage] = []
    numbers: set[int] = set()
    for position, value in enumerate(values, 1):
        where = f"Message {position:,}"
        if not isinstance(value, Mapping):
            raise ImportFailed(f"{where} is not an object.", "Export it again.")
        number, parent_id = value.get("id"), value.get("parent_id")
        is_new = number not in numbers
        is_rooted = parent_id is None or (type(parent_id) is int and parent_id in numbers)
        if type(number) is not int or not is_new or not is_rooted:
            raise ImportFailed(
                f"{where} does not fit the messages before it.", "Export the chat again."
            )
        messages.append(
            StoredMessage(
                number, read_role(value.get("role"), where),
                read_text(value.get("text"), f"{where}'s text"),
                read_text(value.get("reasoning", ""), f"{where}'s reasoning"),
                read_text(value.get("model_id", ""), f"{where}'s model"),
                read_details(value.get("details")), read_message_state(value.get("state")),
                created_at=read_number(value.get("created_at")), parent_id=parent_id,
            )
        )  # fmt: skip
        numbers.add(number)
    return messages


def _check_size(chats: Sequence[object]) -> None:
    """Raise ImportFailed for more than a store should take at once."""
    lists = [chat.get("messages") if isinstance(chat, Mapping) else chat for chat in chats]
    messages = sum(len(one) for one in lists if isinstance(one, list))
    for count, most, what in (
        (len(chats), MAX_CHATS, "chats"), (messages, MAX_MESSAGES, "messages"),
    ):  # fmt: skip
        if count > most:
            raise ImportFailed(
                f"The file holds {count:,} {what}; {most:,} are the most.",
                "Split it into smaller files.",
            )
