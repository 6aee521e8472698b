"""The messages of a whole tree put into the store, under numbers of its own."""

import json
import sqlite3

from engine.chats.records import ChatTree


def plant_messages(connection: sqlite3.Connection, chat_id: str, tree: ChatTree) -> int | None:
    """Write every message; the number that the end of the shown path has now.

    What was being written elsewhere has no writer here, so it is kept as cut. Raises KeyError
    for a message that stands before its parent, sqlite3.Error when the disk refuses.
    """
    numbers: dict[int | None, int | None] = {None: None}
    for message in tree.messages:
        numbers[message.message_id] = connection.execute(
            "INSERT INTO messages (chat_id, parent_id, role, text, reasoning, model_id, details,"
            " state, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (chat_id, numbers[message.parent_id], message.role, message.text, message.reasoning,
             message.model_id, json.dumps(message.details),
             "cut" if message.state == "writing" else message.state, message.created_at),
        ).lastrowid  # fmt: skip
    return numbers[tree.leaf_id]
