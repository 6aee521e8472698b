"""Search over everything that was said, and over the titles.

The texts of attached files are left out: an index of their trigrams would be larger than they are.
"""

import re
import sqlite3

MAX_WORDS = 8
MAX_QUERY_CHARS = 200
_MATCHES = 400  # messages looked at; the newest come first
_EXCERPT_CHARS = 90
_INDEXED_CHARS = 3  # the index knows runs of three characters, and nothing shorter


def find_chats(connection: sqlite3.Connection, text: str, limit: int) -> dict[str, str]:
    """Conversations that hold every word, by id, with a piece of what was said; newest first."""
    words = text[:MAX_QUERY_CHARS].split()[:MAX_WORDS]
    found: dict[str, str] = {}
    for (chat_id,) in connection.execute(
        "SELECT chat_id FROM chats WHERE deleted_at IS NULL"
        + " AND title LIKE ? ESCAPE '\\'" * len(words)
        + " ORDER BY updated_at DESC LIMIT ?",
        [*(_like(word) for word in words), limit],
    ):
        found[chat_id] = ""
    for chat_id, said in _messages(connection, words):
        if not found.get(chat_id):
            found[chat_id] = excerpt(said, words[0])
        if len(found) >= limit:
            break
    return found


def _messages(connection: sqlite3.Connection, words: list[str]) -> sqlite3.Cursor:
    indexed = [word for word in words if len(word) >= _INDEXED_CHARS]
    short = [word for word in words if len(word) < _INDEXED_CHARS]
    where, values = ["chats.deleted_at IS NULL"], []
    source = "messages"
    if indexed:
        source = "said JOIN messages ON messages.message_id = said.rowid"
        where.append("said MATCH ?")
        values.append(" AND ".join('"' + word.replace('"', '""') + '"' for word in indexed))
    where += ["messages.text LIKE ? ESCAPE '\\'"] * len(short)
    values += [_like(word) for word in short]
    order = "said.rowid" if indexed else "messages.message_id"
    # CROSS makes SQLite go through the messages from the newest on, and stop at enough of them.
    return connection.execute(
        f"SELECT messages.chat_id, messages.text FROM {source}"
        f" CROSS JOIN chats ON chats.chat_id = messages.chat_id"
        f" WHERE {' AND '.join(where)} ORDER BY {order} DESC LIMIT {_MATCHES}",
        values,
    )


def _like(word: str) -> str:
    return "%" + re.sub(r"([\\%_])", r"\\\1", word) + "%"


def excerpt(text: str, word: str) -> str:
    """A piece of a text around a word, on one line."""
    at = max(0, text.casefold().find(word.casefold()))
    begin = max(0, at - _EXCERPT_CHARS // 3)
    piece = " ".join(text[begin : begin + _EXCERPT_CHARS].split())
    return ("…" if begin else "") + piece + ("…" if begin + _EXCERPT_CHARS < len(text) else "")
